//! The test function, which runs its body in Cooperators of its own.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;

use super::parse::Options;
use crate::diagnostics::Diagnostics;
use crate::function::{Function, is_test};
use crate::main::{closure, stub};

/// Writes the test, or after a mistake a function of the same name that does nothing.
pub fn expand(function: &Function, options: &Options, diagnostics: Diagnostics) -> TokenStream {
    if !diagnostics.is_clean() {
        let errors = diagnostics.into_tokens();
        let mut function = function.clone();
        function.attrs.retain(|attr| !is_test(attr.path()));
        let stub = stub(&function);
        return quote!(#errors #[allow(dead_code)] #stub);
    }
    let Function { attrs, vis, sig, .. } = function;
    let private = options.coop.private();
    let name = sig.ident.unraw().to_string();
    let ident = &sig.ident;
    let seed = options.seed.map(|seed| quote!(.seed(#seed)));
    let schedules = options.schedules.map(|count| quote!(.schedules(#count)));
    let real_time = options.real_time.then(|| quote!(.real_time()));
    let stack = options.stack.map(|bytes| quote!(.stack(#bytes)));
    let closure = closure(function);
    quote! {
        #[::core::prelude::v1::test]
        #(#attrs)*
        #vis fn #ident() {
            #private::test(
                #private::TestOptions::new(::core::option_env!("CARGO_PKG_NAME")) #seed #schedules #real_time #stack,
                ::core::concat!(::core::module_path!(), "::", #name),
                #closure,
            )
        }
    }
}
