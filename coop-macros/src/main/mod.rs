//! `#[coop::main]`: parse · check · expand.

mod check;
mod expand;
mod parse;

#[cfg(test)]
mod tests;

use proc_macro2::TokenStream;
use quote::quote;

use crate::diagnostics::Diagnostics;
use crate::function::Function;
use crate::messages::Attr;

/// Expands `#[coop::main(options)] item`.
pub fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    let options = parse::options(options, &mut diagnostics);
    let Ok(function) = Function::parse(Attr::Main, item.clone(), &mut diagnostics) else {
        let errors = diagnostics.into_tokens();
        return quote!(#errors #item);
    };
    check::check(Attr::Main, &function, &mut diagnostics);
    expand::expand(&function, &options, diagnostics)
}

/// What `#[coop::test]` shares.
pub use check::check as check_entry;
pub use expand::{closure, stub};
