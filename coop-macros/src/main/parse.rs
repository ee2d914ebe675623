//! Reads the options of `#[coop::main]`.

use proc_macro2::TokenStream;
use syn::Path;

use crate::diagnostics::Diagnostics;
use crate::messages::Attr;
use crate::names::Coop;
use crate::options;

const KNOWN: &[&str] = &["stack", "crate"];

/// What the options say; what they leave out is `None`, or the default.
pub struct Options {
    pub coop: Coop,
    /// The size of the root task's stack, in bytes.
    pub stack: Option<usize>,
}

/// Reads what stands between the parentheses of `#[coop::main(…)]`.
pub fn options(tokens: TokenStream, diagnostics: &mut Diagnostics) -> Options {
    let mut options = Options { coop: Coop::by_default(), stack: None };
    for given in options::parse(Attr::Main, tokens, KNOWN, diagnostics) {
        if given.is("stack") {
            options.stack = given.stack(diagnostics);
        } else if let Some(path) = given.value::<Path>("crate = path::to::coop", diagnostics) {
            options.coop = Coop::at(&path);
        }
    }
    options
}
