//! The options between the parentheses of an attribute: `name = value`, `name(value)` or `name`, separated by commas.
//!
//! Each option is read by itself, so that a mistake in one does not hide the mistakes in the next.

use proc_macro2::{Group, Ident, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Lit, Token};

use crate::diagnostics::Diagnostics;
use crate::messages::{self, Attr};
use crate::spelling;

/// The least a stack may be: a panic with its backtrace takes 22 KiB.
pub const MINIMUM_STACK: u64 = 32 * 1024;

/// One option as written, known to exist and given once.
pub struct Given {
    pub name: Ident,
    pub value: Value,
}

/// What stands after an option's name.
pub enum Value {
    None,
    /// `= value`
    Is(TokenStream),
    /// `(value)`
    List(TokenStream),
}

impl Given {
    /// Whether this is the option `name`.
    pub fn is(&self, name: &str) -> bool {
        self.name == name
    }

    /// Reads `name = VALUE`, or reports that the value should look like `example`.
    pub fn value<T: Parse>(&self, example: &str, diagnostics: &mut Diagnostics) -> Option<T> {
        if let Value::Is(tokens) = &self.value
            && let Ok(value) = syn::parse2(tokens.clone())
        {
            return Some(value);
        }
        self.ill_typed(example, diagnostics);
        None
    }

    /// Reads an option that is just its name.
    pub fn flag(&self, diagnostics: &mut Diagnostics) -> bool {
        let is_flag = matches!(self.value, Value::None);
        if !is_flag {
            self.ill_typed(&self.name.to_string(), diagnostics);
        }
        is_flag
    }

    /// Reads the size of a stack: a number of bytes, or a string with a unit.
    pub fn stack(&self, diagnostics: &mut Diagnostics) -> Option<usize> {
        const EXAMPLE: &str = "stack = \"64k\"";
        let literal: Lit = self.value(EXAMPLE, diagnostics)?;
        let bytes = match &literal {
            Lit::Str(text) => size(&text.value()),
            Lit::Int(number) if number.suffix().is_empty() || number.suffix() == "usize" => number.base10_parse().ok(),
            _ => None,
        };
        match bytes {
            Some(bytes) if bytes < MINIMUM_STACK => {
                diagnostics.report(literal, messages::stack_too_small(bytes, MINIMUM_STACK));
                None
            }
            Some(bytes) => usize::try_from(bytes).ok(),
            None => {
                self.ill_typed(EXAMPLE, diagnostics);
                None
            }
        }
    }

    /// Reads an unsigned integer no greater than `T`'s maximum.
    pub fn integer<T: std::str::FromStr>(&self, example: &str, diagnostics: &mut Diagnostics) -> Option<T>
    where
        T::Err: std::fmt::Display,
    {
        let literal: Lit = self.value(example, diagnostics)?;
        if let Lit::Int(number) = &literal
            && let Ok(number) = number.base10_parse()
        {
            return Some(number);
        }
        self.ill_typed(example, diagnostics);
        None
    }

    pub fn ill_typed(&self, example: &str, diagnostics: &mut Diagnostics) {
        let message = messages::ill_typed_option(&self.name.to_string(), example);
        match &self.value {
            Value::Is(tokens) | Value::List(tokens) if !tokens.is_empty() => diagnostics.report(tokens, message),
            _ => diagnostics.report(&self.name, message),
        };
    }
}

/// Reads the options of `attr`, and reports those that are not in `known`, given twice or no options at all.
pub fn parse(attr: Attr, tokens: TokenStream, known: &[&str], diagnostics: &mut Diagnostics) -> Vec<Given> {
    let mut options: Vec<Given> = Vec::new();
    for piece in split_at_commas(tokens) {
        let Ok(option) = parse_one.parse2(piece.clone()) else {
            diagnostics.report(piece, messages::malformed_option(attr));
            continue;
        };
        let name = option.name.to_string();
        if !known.contains(&name.as_str()) {
            let near = spelling::nearest(&name, known);
            diagnostics.report(&option.name, messages::unknown_option(attr, &name, near, known));
        } else if options.iter().any(|earlier| earlier.name == option.name) {
            diagnostics.report(&option.name, messages::repeated_option(&name));
        } else {
            options.push(option);
        }
    }
    options
}

fn parse_one(input: ParseStream) -> syn::Result<Given> {
    // `as` and `crate` are keywords, and options.
    let name = Ident::parse_any(input)?;
    let value = match input.parse::<Option<Token![=]>>()? {
        Some(_) => Value::Is(input.parse()?),
        None if input.is_empty() => Value::None,
        None => Value::List(input.parse::<Group>()?.stream()),
    };
    Ok(Given { name, value })
}

/// The pieces between the commas; an empty piece, as after a trailing comma, is none.
pub fn split_at_commas(tokens: TokenStream) -> Vec<TokenStream> {
    let mut pieces = vec![TokenStream::new()];
    for token in tokens {
        match &token {
            TokenTree::Punct(punct) if punct.as_char() == ',' => pieces.push(TokenStream::new()),
            _ => pieces.last_mut().expect("it starts with one piece").extend([token]),
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// Reads `64k`, `1m` or `65536`.
fn size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        _ => return None,
    };
    // A number may have a plus sign, a size has none.
    let digits = Some(digits).filter(|digits| !digits.starts_with('+'))?;
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
#[path = "../../coop/tests/fuzz/stack_sizes.rs"]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    #[test]
    fn sizes_have_units() {
        assert_eq!(size("64k"), Some(65536));
        assert_eq!(size("64K"), Some(65536));
        assert_eq!(size("1m"), Some(1 << 20));
        assert_eq!(size("65536"), Some(65536));
        for wrong in ["", "k", "64kb", "-1", "1.5m", "99999999999g"] {
            assert_eq!(size(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn commas_within_parentheses_separate_nothing() {
        assert_eq!(split_at_commas(quote!(a(1, 2), b = [3, 4],)).len(), 2);
        assert_eq!(split_at_commas(quote!()).len(), 0);
    }

    #[test]
    fn every_mistake_is_reported() {
        let mut diagnostics = Diagnostics::default();
        let given =
            parse(Attr::Task, quote!(stak = 1, name = "a", name = "b", 7), &["name", "stack"], &mut diagnostics);
        assert_eq!(given.len(), 1);
        assert_eq!(diagnostics.texts().len(), 3);
    }
}
