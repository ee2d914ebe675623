//! `#[derive(EmbeddedEntry)]`: parse · check · expand.

mod check;
mod expand;
mod parse;

#[cfg(test)]
mod tests;

use proc_macro2::TokenStream;

use crate::diagnostics::Diagnostics;

/// Expands `#[derive(coop::EmbeddedEntry)] item`.
pub fn expand(item: TokenStream) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    let parsed = parse::parse(item, &mut diagnostics);
    let link = check::check(&parsed, &mut diagnostics);
    expand::expand(&parsed, link, diagnostics)
}
