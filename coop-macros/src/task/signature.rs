//! The function's signature, recast for the methods that spawn it.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote};
use syn::visit_mut::{self, VisitMut};
use syn::{FnArg, GenericParam, Generics, Lifetime, Pat, Type, TypeImplTrait, TypeParamBound, WhereClause};

use super::check::borrows;
use crate::function::Function;

/// A method's view of the function: how it takes the arguments, and how it hands them on.
pub struct Signature {
    generics: Generics,
    arguments: Vec<Argument>,
    /// What the function returns, as a type that can stand in a `JoinHandle`.
    returns: Type,
    /// `::<T, N>` for the call, empty without generic parameters.
    turbofish: TokenStream,
}

struct Argument {
    name: Ident,
    ty: Type,
}

impl Signature {
    /// The signature of methods whose task lives for `lifetime` at most: `'static`, or a scope's.
    pub fn new(function: &Function, lifetime: &Lifetime) -> Self {
        let mut arguments: Vec<Argument> = function
            .sig
            .inputs
            .iter()
            .enumerate()
            .filter_map(|(index, argument)| match argument {
                FnArg::Typed(argument) => {
                    Some(Argument { name: argument_name(index, &argument.pat), ty: (*argument.ty).clone() })
                }
                FnArg::Receiver(_) => None,
            })
            .collect();
        let mut outlives = Outlives { lifetime: lifetime.clone() };
        for argument in &mut arguments {
            // Only after the mistake has been reported: a stub takes whatever the caller lends.
            if borrows(&argument.ty) {
                argument.ty = syn::parse_quote!(impl ::core::marker::Sized);
            } else {
                outlives.visit_type_mut(&mut argument.ty);
            }
        }

        let mut returns = match function.return_type() {
            // `!` cannot be named as an argument of `JoinHandle`; a diverging call coerces to this one.
            Type::Never(_) => syn::parse_quote!(::core::convert::Infallible),
            other => other,
        };
        outlives.visit_type_mut(&mut returns);
        if borrows(&function.return_type()) {
            LendForever.visit_type_mut(&mut returns);
        }

        let mut generics = function.sig.generics.clone();
        let parameters: Vec<Ident> = generics.type_params().map(|parameter| parameter.ident.clone()).collect();
        if !parameters.is_empty() {
            let predicates = &mut generics.make_where_clause().predicates;
            for parameter in parameters {
                predicates.push(syn::parse_quote!(#parameter: #lifetime));
            }
        }
        Signature { turbofish: turbofish(&function.sig.generics), generics, arguments, returns }
    }

    /// Adds the bound `Send`, where the types are known and where they are not, and names every type.
    ///
    /// A bound that is false for a type without parameters would be an error in the definition, used or not. One under a
    /// `for<'a>` is not looked at before the call, where it fails on the user's own argument.
    pub fn sent(mut self) -> Self {
        let mut naming = NameImpls { parameters: Vec::new() };
        for argument in &mut self.arguments {
            naming.visit_type_mut(&mut argument.ty);
        }
        AlsoSend.visit_type_mut(&mut self.returns);
        self.generics.params.extend(naming.parameters);
        let types = self.arguments.iter().map(|argument| &argument.ty);
        // An `impl Trait` in return position has got its `Send` just above, and cannot be named here.
        let types = types.chain(Some(&self.returns).filter(|returns| !mentions_impl(returns)));
        let bounds: Vec<syn::WherePredicate> =
            types.map(|ty| syn::parse_quote!(for<'__checked_at_the_call> #ty: ::core::marker::Send)).collect();
        if !bounds.is_empty() {
            self.generics.make_where_clause().predicates.extend(bounds);
        }
        self
    }

    /// `T: Bound, const N: usize`, to stand between angle brackets after `before`.
    pub fn parameters(&self, before: TokenStream) -> TokenStream {
        let (lifetimes, others): (Vec<_>, Vec<_>) =
            self.generics.params.iter().partition(|parameter| matches!(parameter, GenericParam::Lifetime(_)));
        quote!(<#before #(#lifetimes,)* #(#others,)*>)
    }

    pub fn where_clause(&self) -> Option<&WhereClause> {
        self.generics.where_clause.as_ref()
    }

    /// `a: A, b: B,`
    pub fn arguments(&self) -> TokenStream {
        self.arguments.iter().map(|Argument { name, ty }| quote!(#name: #ty,)).collect()
    }

    /// `a, b,`
    pub fn values(&self) -> TokenStream {
        self.arguments.iter().map(|Argument { name, .. }| quote!(#name,)).collect()
    }

    /// `(A, B,)`
    pub fn tuple(&self) -> TokenStream {
        let types = self.arguments.iter().map(|argument| &argument.ty);
        quote!((#(#types,)*))
    }

    pub fn returns(&self) -> &Type {
        &self.returns
    }

    /// The call of the function with the arguments.
    pub fn call(&self, function: &Ident) -> TokenStream {
        let (turbofish, values) = (&self.turbofish, self.values());
        quote!(#function #turbofish (#values))
    }
}

/// What may be a name in a user's edition, and is none in this crate's, where the new span places it.
const NEWER_KEYWORDS: [&str; 5] = ["async", "await", "dyn", "gen", "try"];

/// The function's name for the argument where it is one name, else a fresh one: the function alone takes patterns apart.
///
/// Neither can be confused with what the user wrote: not even `fn f(f: u8)` makes `f(f)` call its argument.
fn argument_name(index: usize, pattern: &Pat) -> Ident {
    match pattern {
        Pat::Ident(pattern) if pattern.subpat.is_none() => {
            let mut name = pattern.ident.clone();
            if NEWER_KEYWORDS.iter().any(|keyword| name == keyword) {
                name = Ident::new_raw(&name.to_string(), name.span());
            }
            name.set_span(name.span().resolved_at(Span::mixed_site()));
            name
        }
        _ => format_ident!("__argument_{index}", span = Span::mixed_site()),
    }
}

/// The generic arguments of the call. Lifetimes are left to inference: some may not be given.
fn turbofish(generics: &Generics) -> TokenStream {
    let arguments: Vec<&Ident> = generics
        .params
        .iter()
        .filter_map(|parameter| match parameter {
            GenericParam::Lifetime(_) => None,
            GenericParam::Type(parameter) => Some(&parameter.ident),
            GenericParam::Const(parameter) => Some(&parameter.ident),
        })
        .collect();
    if arguments.is_empty() { TokenStream::new() } else { quote!(::<#(#arguments),*>) }
}

/// Whether `impl Trait` occurs in a type.
pub fn mentions_impl(ty: &Type) -> bool {
    struct Search(bool);
    impl<'ast> syn::visit::Visit<'ast> for Search {
        fn visit_type_impl_trait(&mut self, _: &'ast TypeImplTrait) {
            self.0 = true;
        }
    }
    let mut search = Search(false);
    syn::visit::Visit::visit_type(&mut search, ty);
    search.0
}

/// Whether a bound is `Send`, as far as its name tells.
pub fn is_send(bound: &TypeParamBound) -> bool {
    matches!(bound, TypeParamBound::Trait(bound)
        if bound.path.segments.last().is_some_and(|segment| segment.ident == "Send"))
}

/// Adds a lifetime to the bounds of each `impl Trait`, and takes away `use<…>`, which knows nothing of that lifetime.
struct Outlives {
    lifetime: Lifetime,
}

impl VisitMut for Outlives {
    fn visit_type_impl_trait_mut(&mut self, ty: &mut TypeImplTrait) {
        visit_mut::visit_type_impl_trait_mut(self, ty);
        let bounds = std::mem::take(&mut ty.bounds).into_iter();
        ty.bounds = bounds.filter(|bound| !matches!(bound, TypeParamBound::PreciseCapture(_))).collect();
        ty.bounds.push(TypeParamBound::Lifetime(self.lifetime.clone()));
    }
}

/// Adds `Send` to the bounds of each `impl Trait`.
struct AlsoSend;

impl VisitMut for AlsoSend {
    fn visit_type_impl_trait_mut(&mut self, ty: &mut TypeImplTrait) {
        visit_mut::visit_type_impl_trait_mut(self, ty);
        if !ty.bounds.iter().any(is_send) {
            ty.bounds.push(syn::parse_quote!(::core::marker::Send));
        }
    }
}

/// Makes a type parameter of each `impl Trait`, so that it can be named in a return type.
struct NameImpls {
    parameters: Vec<GenericParam>,
}

impl VisitMut for NameImpls {
    fn visit_type_mut(&mut self, ty: &mut Type) {
        // From within: `impl Iterator<Item = impl Debug>` makes two.
        visit_mut::visit_type_mut(self, ty);
        if let Type::ImplTrait(opaque) = ty {
            let name = format_ident!("__Argument{}", self.parameters.len());
            let bounds = &opaque.bounds;
            self.parameters.push(syn::parse_quote!(#name: #bounds));
            *ty = Type::Path(syn::parse_quote!(#name));
        }
    }
}

/// Makes every borrow `'static`: for stubs, whose return type can borrow from no argument.
struct LendForever;

impl VisitMut for LendForever {
    fn visit_type_reference_mut(&mut self, reference: &mut syn::TypeReference) {
        reference.lifetime.get_or_insert_with(|| Lifetime::new("'static", Span::call_site()));
        visit_mut::visit_type_reference_mut(self, reference);
    }

    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        *lifetime = Lifetime::new("'static", lifetime.span());
    }
}
