//! `fn main` with its body as the root task.

use proc_macro2::{Group, TokenStream};
use quote::quote;

use super::parse::{Count, Options};
use crate::diagnostics::Diagnostics;
use crate::function::Function;

/// Writes the function, or after a mistake one of the same name that does nothing.
pub fn expand(function: &Function, options: &Options, diagnostics: Diagnostics) -> TokenStream {
    if !diagnostics.is_clean() {
        let errors = diagnostics.into_tokens();
        let stub = stub(function);
        return quote!(#errors #stub);
    }
    let Function { attrs, vis, sig, .. } = function;
    let private = options.coop.private();
    let stack = options.stack.map(|bytes| quote!(.stack(#bytes)));
    let cooperators = options.cooperators.as_ref().map(|count| match count {
        Count::Number(number) => quote!(.cooperators(#number)),
        Count::PerCore => quote!(.per_core()),
    });
    let closure = closure(function);
    quote! {
        #(#attrs)*
        #vis #sig {
            #private::main(#private::MainOptions::new() #stack #cooperators, #closure)
        }
    }
}

/// The body as a closure. It says what it returns, so that a mistake in the body is found against the function's own type; what
/// a closure cannot say, it infers.
pub fn closure(function: &Function) -> TokenStream {
    let body = &function.body;
    match &function.sig.output {
        syn::ReturnType::Type(_, ty) if crate::task::mentions_impl(ty) => quote!(|| #body),
        syn::ReturnType::Type(arrow, ty) => quote!(|| #arrow #ty #body),
        syn::ReturnType::Default => quote!(|| -> () #body),
    }
}

/// A function that is there, so that its name is not missed as well. Its body is kept where it can be compiled: in a nested
/// function that nobody calls, which may be `async`.
pub fn stub(function: &Function) -> TokenStream {
    let Function { attrs, vis, sig, body } = function;
    let body = body.clone().unwrap_or_else(empty);
    let mut kept = sig.clone();
    kept.asyncness = Some(Default::default());
    kept.constness = None;
    kept.ident = quote::format_ident!("__kept");
    let mut outer = sig.clone();
    outer.asyncness = None;
    outer.constness = None;
    outer.abi = None;
    outer.safety = syn::Safety::Default;
    outer.generics = Default::default();
    outer.inputs = Default::default();
    quote! {
        #(#attrs)*
        #vis #outer {
            #[allow(dead_code, unused_variables)]
            #kept #body
            ::core::unreachable!()
        }
    }
}

fn empty() -> Group {
    Group::new(proc_macro2::Delimiter::Brace, TokenStream::new())
}
