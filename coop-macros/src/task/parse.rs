//! Reads the options of `#[coop::task]`.

use proc_macro2::{Ident, TokenStream};
use syn::ext::IdentExt;
use syn::parse::Parser;
use syn::{LitStr, Path};

use crate::diagnostics::Diagnostics;
use crate::messages::{self, Attr};
use crate::names::Coop;
use crate::options::{self, Given, Value};
use crate::spelling;

const KNOWN: &[&str] = &["name", "stack", "as", "crate", "allow", "warn", "deny"];

/// What the options say; what they leave out is `None`, or the default.
pub struct Options {
    pub coop: Coop,
    pub name: Option<LitStr>,
    /// In bytes.
    pub stack: Option<usize>,
    /// What the type beside the function is called, when not like the function.
    pub alias: Option<Ident>,
    /// What becomes of known blocking calls in the body.
    pub blocking: Level,
}

/// The level of a lint, as in the compiler's attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Allow,
    Warn,
    Deny,
}

/// Reads what stands between the parentheses of `#[coop::task(…)]`.
pub fn options(tokens: TokenStream, diagnostics: &mut Diagnostics) -> Options {
    let mut options = Options { coop: Coop::by_default(), name: None, stack: None, alias: None, blocking: Level::Warn };
    let mut level_given = false;
    for given in options::parse(Attr::Task, tokens, KNOWN, diagnostics) {
        match given.name.to_string().as_str() {
            "name" => options.name = name(&given, diagnostics),
            "stack" => options.stack = given.stack(diagnostics),
            "as" => options.alias = given.value("as = other_name", diagnostics),
            "crate" => {
                if let Some(path) = given.value::<Path>("crate = path::to::coop", diagnostics) {
                    options.coop = Coop::at(&path);
                }
            }
            level => {
                let level = match level {
                    "allow" => Level::Allow,
                    "warn" => Level::Warn,
                    _ => Level::Deny,
                };
                if names_blocking(&given, diagnostics) {
                    if level_given {
                        diagnostics.report(&given.name, messages::lint_levels("blocking"));
                    }
                    level_given = true;
                    options.blocking = level;
                }
            }
        }
    }
    options
}

fn name(given: &Given, diagnostics: &mut Diagnostics) -> Option<LitStr> {
    let name: LitStr = given.value("name = \"…\"", diagnostics)?;
    if name.value().is_empty() {
        diagnostics.report(name, messages::empty_name());
        return None;
    }
    Some(name)
}

/// Reads `(blocking)`; whether it was that.
fn names_blocking(given: &Given, diagnostics: &mut Diagnostics) -> bool {
    let lint = match &given.value {
        Value::List(tokens) => Ident::parse_any.parse2(tokens.clone()).ok(),
        _ => None,
    };
    match lint {
        Some(lint) if lint == "blocking" => true,
        Some(lint) => {
            let near = spelling::nearest(&lint.to_string(), &["blocking"]);
            diagnostics.report(&lint, messages::unknown_lint(&lint.to_string(), near));
            false
        }
        None => {
            let example = format!("{}(blocking)", given.name);
            diagnostics.report(&given.name, messages::ill_typed_option(&given.name.to_string(), &example));
            false
        }
    }
}
