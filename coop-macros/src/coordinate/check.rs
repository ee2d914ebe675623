//! What must hold of a `coordinate!`, as far as its tokens tell; whether an operand is a Coordinator is the compiler's to say.

use proc_macro2::Span;
use quote::ToTokens;
use syn::Expr;

use super::parse::Coordinate;
use crate::diagnostics::Diagnostics;
use crate::{messages, walk};

/// Checks everything, and reports every mistake.
pub fn check(parsed: &Coordinate, diagnostics: &mut Diagnostics) {
    if parsed.coordinators.is_empty() && !parsed.incomplete {
        diagnostics.report_at(Span::call_site(), messages::coordinate_nothing());
    }
    if let Some(Expr::Lit(literal)) = &parsed.timeout {
        let text = format!("`{}`", literal.lit.to_token_stream());
        diagnostics.report(literal, messages::timeout_not_a_duration(&text));
    }
    for coordinator in &parsed.coordinators {
        if matches!(coordinator, Expr::Lit(_) | Expr::Closure(_)) {
            diagnostics.report(coordinator, messages::not_a_coordinator());
        }
    }
    for expr in parsed.coordinators.iter().chain(&parsed.timeout) {
        for place in walk::expression(expr).awaits {
            diagnostics.report(place, messages::await_in_operand("coordinate"));
        }
    }
}
