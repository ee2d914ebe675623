//! One call of the runtime, and its outcome as a `Result`.

use proc_macro2::TokenStream;
use quote::quote;

use super::parse::Coordinate;
use crate::diagnostics::Diagnostics;

/// Writes the wait, or after a mistake something of the same type.
pub fn expand(parsed: &Coordinate, diagnostics: Diagnostics) -> TokenStream {
    let private = parsed.coop.private();
    let Coordinate { coordinators, timeout, .. } = parsed;
    if !diagnostics.is_clean() {
        let errors = diagnostics.into_tokens();
        let acquired = match timeout {
            Some(_) => quote!(::core::option::Option<#private::Acquired<'_>>),
            None => quote!(#private::Acquired<'_>),
        };
        return quote!({
            #errors
            let __outcome: ::core::result::Result<#acquired, #private::Killed> = ::core::unreachable!();
            #[allow(unreachable_code)]
            __outcome
        });
    }

    let (limit, acquired, timed_out) = match timeout {
        Some(timeout) => (
            quote!(::core::option::Option::Some(#timeout)),
            quote!(::core::option::Option::Some(__acquired)),
            quote!(::core::result::Result::Ok(::core::option::Option::None)),
        ),
        None => (quote!(::core::option::Option::None), quote!(__acquired), quote!(::core::unreachable!())),
    };
    // No block around the `match`: a Coordinator reached through a temporary lives as long as the statement it stands in.
    quote! {
        match #private::coordinate([#(#coordinators),*], #limit) {
            #private::Coordination::Acquired(__acquired) => ::core::result::Result::Ok(#acquired),
            #private::Coordination::TimedOut => #timed_out,
            #private::Coordination::Killed(__killed) => ::core::result::Result::Err(__killed),
        }
    }
}
