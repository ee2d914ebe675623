//! Reads the options of `#[coop::test]`.

use proc_macro2::TokenStream;
use syn::Path;

use crate::diagnostics::Diagnostics;
use crate::messages::{self, Attr};
use crate::names::Coop;
use crate::options;

const KNOWN: &[&str] = &["seed", "schedules", "real_time", "stack", "crate"];

/// What the options say; what they leave out is `None`, or the default.
pub struct Options {
    pub coop: Coop,
    /// The scheduler's seed, to see the same schedule each time.
    pub seed: Option<u64>,
    /// How many schedules to try, each with a seed of its own.
    pub schedules: Option<u32>,
    /// Whether a sleep takes as long as it says.
    pub real_time: bool,
    /// The size of the root task's stack, in bytes.
    pub stack: Option<usize>,
}

/// Reads what stands between the parentheses of `#[coop::test(…)]`.
pub fn options(tokens: TokenStream, diagnostics: &mut Diagnostics) -> Options {
    let mut options = Options { coop: Coop::by_default(), seed: None, schedules: None, real_time: false, stack: None };
    for given in options::parse(Attr::Test, tokens, KNOWN, diagnostics) {
        match given.name.to_string().as_str() {
            "seed" => options.seed = given.integer("seed = 42", diagnostics),
            "schedules" => {
                options.schedules = given.integer("schedules = 100", diagnostics);
                if options.schedules == Some(0) {
                    diagnostics.report(&given.name, messages::ill_typed_option("schedules", "schedules = 1"));
                }
            }
            "real_time" => options.real_time = given.flag(diagnostics),
            "stack" => options.stack = given.stack(diagnostics),
            _ => {
                if let Some(path) = given.value::<Path>("crate = path::to::coop", diagnostics) {
                    options.coop = Coop::at(&path);
                }
            }
        }
    }
    options
}
