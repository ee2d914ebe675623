//! Reads `&a, &b, timeout = d`.

use proc_macro2::{Ident, TokenStream};
use syn::parse::{ParseStream, Parser};
use syn::{Expr, Token};

use crate::diagnostics::Diagnostics;
use crate::messages;
use crate::names::Coop;
use crate::options::split_at_commas;

/// One invocation.
pub struct Coordinate {
    pub coop: Coop,
    pub coordinators: Vec<Expr>,
    pub timeout: Option<Expr>,
    /// Whether something between the commas could not be read, and has been reported.
    pub incomplete: bool,
}

/// One piece between the commas.
enum Piece {
    Coordinator(Expr),
    Timeout(Expr),
}

/// Reads everything, and reports every mistake.
pub fn parse(input: TokenStream, diagnostics: &mut Diagnostics) -> Coordinate {
    let mut tokens = input.into_iter();
    let wrapped: TokenStream = tokens.next().into_iter().collect();
    let coop = Coop::from_wrapper.parse2(wrapped).unwrap_or_else(|_| Coop::by_default());
    let mut parsed = Coordinate { coop, coordinators: Vec::new(), timeout: None, incomplete: false };
    for piece in split_at_commas(tokens.collect()) {
        match read(piece, diagnostics) {
            Some(Piece::Coordinator(expr)) => parsed.coordinators.push(expr),
            Some(Piece::Timeout(expr)) if parsed.timeout.is_none() => parsed.timeout = Some(expr),
            Some(Piece::Timeout(expr)) => {
                diagnostics.report(expr, messages::timeout_twice());
            }
            None => parsed.incomplete = true,
        }
    }
    parsed
}

fn read(piece: TokenStream, diagnostics: &mut Diagnostics) -> Option<Piece> {
    if let Some((name, value)) = option.parse2(piece.clone()).ok().flatten() {
        if name != "timeout" {
            diagnostics.report(&name, messages::unknown_coordinate_option(&name.to_string()));
            return None;
        }
        if value.is_empty() {
            diagnostics.report(&name, messages::timeout_without_value());
            return None;
        }
        return match syn::parse2(value) {
            Ok(value) => Some(Piece::Timeout(value)),
            Err(error) => {
                diagnostics.report_at(error.span(), messages::syntax(&error, "write `timeout = duration`"));
                None
            }
        };
    }
    match syn::parse2(piece) {
        Ok(expr) => Some(Piece::Coordinator(expr)),
        Err(error) => {
            diagnostics.report_at(error.span(), messages::syntax(&error, "write `coordinate!(&a, &b)`"));
            None
        }
    }
}

/// `name = value`, or the name `timeout` alone: no Coordinator is called that.
fn option(input: ParseStream) -> syn::Result<Option<(Ident, TokenStream)>> {
    let is_option = input.peek(syn::Ident) && input.peek2(Token![=]) && !input.peek2(Token![==]);
    let is_bare = input.fork().parse::<Ident>().is_ok_and(|name| name == "timeout");
    if !is_option && !is_bare {
        return Ok(None);
    }
    let name: Ident = input.parse()?;
    let value = match input.parse::<Option<Token![=]>>()? {
        Some(_) => input.parse()?,
        None => {
            input.parse::<TokenStream>()?;
            TokenStream::new()
        }
    };
    Ok(Some((name, value)))
}
