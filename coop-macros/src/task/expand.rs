//! The function, and beside it the type that spawns it.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::visit::Visit;
use syn::{Lifetime, Type, TypeImplTrait};

use super::check::{Shape, Task};
use super::signature::{Signature, is_send};
use crate::diagnostics::Diagnostics;
use crate::function::Function;

/// Writes everything, with the mistakes first.
pub fn expand(task: &Task, diagnostics: Diagnostics) -> TokenStream {
    let errors = diagnostics.into_tokens();
    let function = match task.shape {
        Shape::StubsWithAwait => function_that_awaits(&task.function),
        _ => {
            let function = &task.function;
            quote!(#function)
        }
    };
    let spawner = match task.shape {
        Shape::FunctionOnly => TokenStream::new(),
        _ => spawner(task),
    };
    let conditions = task.function.conditions();
    let warnings = task.warnings.iter().map(|warning| quote!(#(#conditions)* #warning));
    quote! {
        #errors
        #function
        #(#warnings)*
        #spawner
    }
}

/// The function with its body in an `async fn`, so that the compiler finds no second mistake in the `.await` we have reported.
fn function_that_awaits(function: &Function) -> TokenStream {
    let Function { attrs, vis, sig, body } = function;
    let mut awaiting = sig.clone();
    awaiting.asyncness = Some(Default::default());
    awaiting.ident = format_ident!("__awaiting");
    quote! {
        #(#attrs)*
        #[allow(unused_variables, dead_code)]
        #vis #sig {
            #[allow(unused_variables, dead_code)]
            #awaiting #body
            ::core::unreachable!()
        }
    }
}

/// The empty enum with its associated functions, and the builder.
fn spawner(task: &Task) -> TokenStream {
    let Task { coop, function, type_name, display_name, stack, .. } = task;
    let private = coop.private();
    let vis = &function.vis;
    let conditions = function.conditions();
    let deprecated = function.attrs.iter().filter(|attr| attr.path().is_ident("deprecated"));
    let builder = format_ident!("__{}_builder", type_name.unraw());
    let stack = match stack {
        Some(bytes) => quote!(::core::option::Option::Some(#bytes)),
        None => quote!(::core::option::Option::None),
    };
    // `line!()` says where the token stands that it came from: the function's name, not the attribute.
    let line = quote_spanned!(function.sig.ident.span()=> ::core::line!());

    let directly = methods(task, &quote!(), &quote!(#private::Options::new()));
    let through_builder = methods(task, &quote!(self,), &quote!(self.options));

    // `dead_code`: nobody uses all of them. `clippy::all`: what it could say concerns the function, where it says it.
    let allowances = function.allowances();
    let allowed = quote! {
        #(#allowances)*
        #[allow(dead_code, deprecated, non_camel_case_types, clippy::all)]
    };
    quote! {
        #(#conditions)*
        #(#deprecated)*
        #[doc(hidden)]
        #allowed
        #vis enum #type_name {}

        #(#conditions)*
        #[doc(hidden)]
        #allowed
        #vis struct #builder {
            options: #private::Options,
        }

        #(#conditions)*
        #allowed
        impl #type_name {
            fn __description() -> &'static #private::Description {
                static DESCRIPTION: #private::Description = #private::Description::new(
                    #display_name,
                    ::core::module_path!(),
                    ::core::file!(),
                    #line,
                    #stack,
                );
                &DESCRIPTION
            }

            #directly

            /// Spawns it with a name, a stack or as a daemon of its own.
            #vis fn builder() -> #builder {
                #builder { options: #private::Options::new() }
            }
        }

        #(#conditions)*
        #allowed
        impl #builder {
            /// What dumps and reports call the task.
            #vis fn name(self, name: &'static ::core::primitive::str) -> Self {
                Self { options: self.options.name(name) }
            }

            /// The size of its stack in bytes.
            #vis fn stack(self, bytes: ::core::primitive::usize) -> Self {
                Self { options: self.options.stack(bytes) }
            }

            /// Kills the task, rather than awaiting it, when its parent returns.
            #vis fn daemon(self) -> Self {
                Self { options: self.options.daemon() }
            }

            #through_builder
        }
    }
}

/// `spawn`, `spawn_in` and `submit`, with `receiver` before their arguments and the per-spawn `options`.
fn methods(task: &Task, receiver: &TokenStream, options: &TokenStream) -> TokenStream {
    let spawn = spawn(task, receiver, options);
    let spawn_in = spawn_in(task, receiver, options);
    let submit = can_be_submitted(&task.function).then(|| submit(task, receiver, options));
    quote!(#spawn #spawn_in #submit)
}

fn spawn(task: &Task, receiver: &TokenStream, options: &TokenStream) -> TokenStream {
    let (private, type_name, vis) = (task.coop.private(), &task.type_name, &task.function.vis);
    let signature = Signature::new(&task.function, &lifetime("'static"));
    let (parameters, where_clause) = (signature.parameters(quote!()), signature.where_clause());
    let (arguments, returns) = (signature.arguments(), signature.returns());
    let closure = closure(task, &signature);
    let body = stub_or(task, quote!(#private::spawn(#type_name::__description(), #options, #closure)));
    quote! {
        /// Spawns the task as a child of the current one.
        #[track_caller]
        #vis fn spawn #parameters (#receiver #arguments) -> #private::JoinHandle<#returns> #where_clause {
            #body
        }
    }
}

fn spawn_in(task: &Task, receiver: &TokenStream, options: &TokenStream) -> TokenStream {
    let (private, type_name, vis) = (task.coop.private(), &task.type_name, &task.function.vis);
    let (scope, env) = (lifetime("'__scope"), lifetime("'__env"));
    let signature = Signature::new(&task.function, &scope);
    let (parameters, where_clause) = (signature.parameters(quote!(#scope, #env,)), signature.where_clause());
    let (arguments, returns) = (signature.arguments(), signature.returns());
    let closure = closure(task, &signature);
    let body = stub_or(task, quote!(#private::spawn_in(__scope, #type_name::__description(), #options, #closure)));
    quote! {
        /// Spawns the task as a child of `scope`.
        #[track_caller]
        #vis fn spawn_in #parameters (
            #receiver
            __scope: &#scope #private::Scope<#scope, #env>,
            #arguments
        ) -> #private::ScopedJoinHandle<#scope, #returns> #where_clause {
            #body
        }
    }
}

fn submit(task: &Task, receiver: &TokenStream, options: &TokenStream) -> TokenStream {
    let (private, type_name, vis) = (task.coop.private(), &task.type_name, &task.function.vis);
    let signature = Signature::new(&task.function, &lifetime("'static")).sent();
    let (parameters, where_clause) = (signature.parameters(quote!()), signature.where_clause());
    let (arguments, values, tuple) = (signature.arguments(), signature.values(), signature.tuple());
    let (returns, call) = (signature.returns(), signature.call(&task.function.sig.ident));
    let body = stub_or(
        task,
        quote! {
            #private::submit(__remote, #type_name::__description(), #options, (#values), |(#values)| #call)
        },
    );
    quote! {
        /// Spawns the task on another thread's Cooperator. One that has finished gives the arguments back.
        #[track_caller]
        #vis fn submit #parameters (
            #receiver
            __remote: &#private::Remote,
            #arguments
        ) -> ::core::result::Result<#private::RemoteJoinHandle<#returns>, #tuple> #where_clause {
            #body
        }
    }
}

/// What the task runs.
fn closure(task: &Task, signature: &Signature) -> TokenStream {
    let call = signature.call(&task.function.sig.ident);
    match task.function.return_type() {
        Type::Never(_) => quote!(move || -> ::core::convert::Infallible { #call }),
        _ => quote!(move || #call),
    }
}

/// The body of a method; after a mistake one that fits any signature.
fn stub_or(task: &Task, body: TokenStream) -> TokenStream {
    match task.shape {
        Shape::Complete => body,
        _ => quote!(::core::unreachable!()),
    }
}

/// Whether the result can be said to be `Send`: not when it is an `impl Trait` that does not say so itself, for whether it is
/// cannot be asked of a type without a name.
fn can_be_submitted(function: &Function) -> bool {
    struct Unsaid(bool);
    impl<'ast> Visit<'ast> for Unsaid {
        fn visit_type_impl_trait(&mut self, ty: &'ast TypeImplTrait) {
            self.0 |= !ty.bounds.iter().any(is_send);
        }
    }
    let mut unsaid = Unsaid(false);
    unsaid.visit_type(&function.return_type());
    !unsaid.0
}

fn lifetime(name: &str) -> Lifetime {
    Lifetime::new(name, Span::mixed_site())
}
