//! What must hold of an entry: a struct with one link in it, to which a reference can be made.
//!
//! Whether the field is a `Link` its name does not tell: that is for the expansion to ask of the compiler.

use proc_macro2::Ident;
use quote::ToTokens;
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::{Attribute, Meta, Token, Type};

use super::parse::{Field, Kind, Parsed};
use crate::diagnostics::Diagnostics;
use crate::messages;

/// Checks everything, and reports every mistake. Gives the field that is the link.
pub fn check<'a>(parsed: &'a Parsed, diagnostics: &mut Diagnostics) -> Option<&'a Field> {
    match &parsed.kind {
        Kind::Struct => {}
        Kind::Enum(place) => {
            diagnostics.report(place, messages::entry_not_a_struct("an enum"));
            return None;
        }
        Kind::Union(place) => {
            diagnostics.report(place, messages::entry_not_a_struct("a union"));
            return None;
        }
    }
    if let Some(place) = parsed.attrs.iter().find_map(packed) {
        diagnostics.report(place, messages::packed_entry());
    }
    let marked: Vec<&Field> = parsed.fields.iter().filter(|field| !field.marks.is_empty()).collect();
    for field in &marked {
        if let Some(second) = field.marks.get(1) {
            diagnostics.report(second, messages::field_marked_twice());
        }
    }
    match marked[..] {
        [link] => Some(link),
        [] => {
            let forgotten = parsed.fields.iter().find(|field| is_called_link(&field.ty));
            let place = forgotten.map_or_else(
                || parsed.name.to_token_stream(),
                |field| match &field.member {
                    syn::Member::Named(name) => name.to_token_stream(),
                    syn::Member::Unnamed(_) => field.ty.to_token_stream(),
                },
            );
            diagnostics.report(place, messages::no_field_marked(forgotten.is_some()));
            None
        }
        [_, second, ..] => {
            diagnostics.report(&second.marks[0], messages::two_fields_marked());
            None
        }
    }
}

/// The `packed` of a `#[repr(…)]`.
fn packed(attr: &Attribute) -> Option<Ident> {
    let Meta::List(list) = &attr.meta else { return None };
    if !list.path.is_ident("repr") {
        return None;
    }
    let words = Punctuated::<Meta, Token![,]>::parse_terminated.parse2(list.tokens.clone()).ok()?;
    words.iter().find(|word| word.path().is_ident("packed")).and_then(|word| word.path().get_ident().cloned())
}

/// Whether a type is a `Link`, as far as its name tells.
fn is_called_link(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|segment| segment.ident == "Link"))
}
