//! One call of the runtime with a closure for each operand.

use proc_macro2::TokenStream;
use quote::quote;

use super::parse::Join;
use crate::diagnostics::Diagnostics;

/// Writes the call, or after a mistake something that fits anywhere.
pub fn expand(parsed: &Join, diagnostics: Diagnostics) -> TokenStream {
    let private = parsed.coop.private();
    let operands = &parsed.operands;
    if !diagnostics.is_clean() {
        let errors = diagnostics.into_tokens();
        return quote!({
            #errors
            #[allow(unreachable_code)]
            ::core::result::Result::<_, #private::Killed>::Ok(::core::unreachable!())
        });
    }
    quote!(#private::join((#(|| #operands,)*)))
}
