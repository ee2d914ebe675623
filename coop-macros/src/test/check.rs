//! What must hold of a test's function.

use crate::diagnostics::Diagnostics;
use crate::function::{Function, is_test};
use crate::main::check_entry;
use crate::messages::{self, Attr};

/// Checks everything, and reports every mistake.
pub fn check(function: &Function, diagnostics: &mut Diagnostics) {
    check_entry(Attr::Test, function, diagnostics);
    if let Some(second) = function.attrs.iter().find(|attr| is_test(attr.path())) {
        diagnostics.report(second, messages::test_twice());
    }
}
