//! The mistakes of one invocation, gathered so that the user sees all of them at once.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;

use crate::messages::Message;

/// Collects mistakes while a macro parses, checks and expands.
#[derive(Default)]
pub struct Diagnostics {
    errors: Vec<syn::Error>,
}

/// Proof that a mistake has been reported.
///
/// Only [`Diagnostics`] makes one, so a function that returns `Result<T, Reported>` cannot fail in silence.
#[derive(Debug)]
pub struct Reported(());

impl Diagnostics {
    /// Reports `message` on the user's own tokens, from the first of `at` to the last.
    pub fn report(&mut self, at: impl ToTokens, message: Message) -> Reported {
        self.errors.push(syn::Error::new_spanned(at, message));
        Reported(())
    }

    /// Reports `message` on a single place: for what is missing, where there is no token to point at.
    pub fn report_at(&mut self, span: Span, message: Message) -> Reported {
        self.errors.push(syn::Error::new(span, message));
        Reported(())
    }

    /// Whether nothing has been reported so far.
    pub fn is_clean(&self) -> bool {
        self.errors.is_empty()
    }

    /// One `compile_error!` each, in the order of the reports.
    pub fn into_tokens(self) -> TokenStream {
        self.errors.iter().map(syn::Error::to_compile_error).collect()
    }

    /// The texts of the reports, for tests.
    #[cfg(test)]
    pub fn texts(&self) -> Vec<String> {
        self.errors.iter().map(syn::Error::to_string).collect()
    }
}
