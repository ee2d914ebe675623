//! Reads expressions, separated by commas.

use proc_macro2::TokenStream;
use syn::Expr;
use syn::parse::Parser;

use crate::diagnostics::Diagnostics;
use crate::messages;
use crate::names::Coop;
use crate::options::split_at_commas;

/// One invocation.
pub struct Join {
    pub coop: Coop,
    pub operands: Vec<Expr>,
    /// Whether something between the commas could not be read, and has been reported.
    pub incomplete: bool,
}

/// Reads everything, and reports every mistake.
pub fn parse(input: TokenStream, diagnostics: &mut Diagnostics) -> Join {
    let mut tokens = input.into_iter();
    let wrapped: TokenStream = tokens.next().into_iter().collect();
    let coop = Coop::from_wrapper.parse2(wrapped).unwrap_or_else(|_| Coop::by_default());
    let mut parsed = Join { coop, operands: Vec::new(), incomplete: false };
    // A comma between angle brackets or closure bars looks like one between operands, so the parser decides where each ends.
    let mut rest: TokenStream = tokens.collect();
    while !rest.is_empty() {
        let one = |input: syn::parse::ParseStream| {
            let operand: Expr = input.parse()?;
            if !input.is_empty() {
                input.parse::<syn::Token![,]>()?;
            }
            Ok((operand, input.parse::<TokenStream>()?))
        };
        match one.parse2(rest.clone()) {
            Ok((operand, after)) => {
                parsed.operands.push(operand);
                rest = after;
            }
            Err(error) => {
                diagnostics.report_at(error.span(), messages::syntax(&error, messages::JOIN_HELP));
                parsed.incomplete = true;
                rest = split_at_commas(rest).into_iter().skip(1).map(|piece| quote::quote!(#piece,)).collect();
            }
        }
    }
    parsed
}
