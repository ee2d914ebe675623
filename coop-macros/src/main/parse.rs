//! Reads the options of `#[coop::main]`.

use proc_macro2::TokenStream;
use syn::{Lit, Path};

use crate::diagnostics::Diagnostics;
use crate::messages::Attr;
use crate::names::Coop;
use crate::options::{self, Given};

const KNOWN: &[&str] = &["cooperators", "stack", "crate"];

/// How many Cooperators the program has.
pub enum Count {
    Number(usize),
    PerCore,
}

/// What the options say; what they leave out is `None`, or the default.
pub struct Options {
    pub coop: Coop,
    /// The size of the root task's stack, in bytes.
    pub stack: Option<usize>,
    pub cooperators: Option<Count>,
}

/// Reads what stands between the parentheses of `#[coop::main(…)]`.
pub fn options(tokens: TokenStream, diagnostics: &mut Diagnostics) -> Options {
    let mut options = Options { coop: Coop::by_default(), stack: None, cooperators: None };
    for given in options::parse(Attr::Main, tokens, KNOWN, diagnostics) {
        if given.is("stack") {
            options.stack = given.stack(diagnostics);
        } else if given.is("cooperators") {
            options.cooperators = count(&given, diagnostics);
        } else if let Some(path) = given.value::<Path>("crate = path::to::coop", diagnostics) {
            options.coop = Coop::at(&path);
        }
    }
    options
}

/// Reads `cooperators = 4` or `cooperators = "per-core"`.
fn count(given: &Given, diagnostics: &mut Diagnostics) -> Option<Count> {
    const EXAMPLE: &str = "cooperators = \"per-core\"` or `cooperators = 4";
    let literal: Lit = given.value(EXAMPLE, diagnostics)?;
    let count = match &literal {
        Lit::Str(text) if text.value() == "per-core" => Some(Count::PerCore),
        Lit::Int(number) => number.base10_parse().ok().filter(|&number| number > 0).map(Count::Number),
        _ => None,
    };
    if count.is_none() {
        given.ill_typed(EXAMPLE, diagnostics);
    }
    count
}
