//! What must hold of a `join!`.

use proc_macro2::Span;

use super::parse::Join;
use crate::diagnostics::Diagnostics;
use crate::{messages, walk};

/// As many as the runtime implements tuples for.
pub const MOST: usize = 12;

/// Checks everything, and reports every mistake.
pub fn check(parsed: &Join, diagnostics: &mut Diagnostics) {
    if parsed.operands.is_empty() && !parsed.incomplete {
        diagnostics.report_at(Span::call_site(), messages::join_nothing());
    }
    if let Some(operand) = parsed.operands.get(MOST) {
        diagnostics.report(operand, messages::too_many_operands(MOST));
    }
    for operand in &parsed.operands {
        for place in walk::expression(operand).awaits {
            diagnostics.report(place, messages::await_in_operand("join"));
        }
    }
}
