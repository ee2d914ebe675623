//! What must hold of a function that starts a Cooperator: it can be called with nothing.

use quote::ToTokens;
use syn::Safety;

use crate::diagnostics::Diagnostics;
use crate::function::Function;
use crate::messages::{self, Attr};

/// Checks everything, and reports every mistake.
pub fn check(attr: Attr, function: &Function, diagnostics: &mut Diagnostics) {
    let sig = &function.sig;
    if function.body.is_none() {
        diagnostics.report(sig, messages::no_body(attr));
    }
    if let Some(place) = &sig.asyncness {
        diagnostics.report(place, messages::async_function(attr));
    }
    if let Some(place) = &sig.constness {
        diagnostics.report(place, messages::const_function(attr));
    }
    if let Some(place) = &sig.abi {
        diagnostics.report(place, messages::extern_function(attr));
    }
    if let Safety::Unsafe(place) = &sig.safety {
        diagnostics.report(place, messages::unsafe_function(attr));
    }
    if !sig.inputs.is_empty() {
        diagnostics.report(sig.inputs.to_token_stream(), messages::takes_no_arguments(attr));
    }
    if !sig.generics.params.is_empty() {
        diagnostics.report(&sig.generics, messages::takes_no_generics(attr));
    }
    // In an `async fn`, `async` is the mistake, and it has been reported.
    if sig.asyncness.is_none() {
        for place in crate::walk::body(&function.statements()).awaits {
            diagnostics.report(place, messages::await_in_task());
        }
    }
}
