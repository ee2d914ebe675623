//! `select!`: parse · check · expand.

mod check;
mod expand;
mod parse;
mod pattern;
mod recover;

#[cfg(test)]
mod tests;

use proc_macro2::TokenStream;

use crate::diagnostics::Diagnostics;

/// The most arms one `select!` may have.
pub const MOST_ARMS: usize = 64;

/// Expands `select_impl! { [$crate] … }`.
pub fn expand(input: TokenStream) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    let parsed = parse::parse(input, &mut diagnostics);
    let select = check::check(parsed, &mut diagnostics);
    if diagnostics.is_clean() { expand::expand(&select) } else { recover::expand(&select, diagnostics.into_tokens()) }
}
