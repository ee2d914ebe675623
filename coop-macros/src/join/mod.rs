//! `join!`: parse · check · expand.

mod check;
mod expand;
mod parse;

#[cfg(test)]
mod tests;

use proc_macro2::TokenStream;

use crate::diagnostics::Diagnostics;

/// Expands `join_impl! { [$crate] … }`.
pub fn expand(input: TokenStream) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    let parsed = parse::parse(input, &mut diagnostics);
    check::check(&parsed, &mut diagnostics);
    expand::expand(&parsed, diagnostics)
}
