//! `#[coop::task]`: parse · check · expand.

mod blocking;
mod check;
mod expand;
mod parse;
mod signature;

pub use signature::mentions_impl;

#[cfg(test)]
mod tests;

use proc_macro2::TokenStream;
use quote::quote;

use crate::diagnostics::Diagnostics;
use crate::function::Function;
use crate::messages::Attr;

/// Expands `#[coop::task(options)] item`.
pub fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    let options = parse::options(options, &mut diagnostics);
    let Ok(function) = Function::parse(Attr::Task, item.clone(), &mut diagnostics) else {
        let errors = diagnostics.into_tokens();
        return quote!(#errors #item);
    };
    let task = check::check(function, options, &mut diagnostics);
    expand::expand(&task, diagnostics)
}
