//! Reads the type, and which of its fields are marked.

use proc_macro2::TokenStream;
use syn::{Attribute, Data, DeriveInput, Generics, Ident, Index, Member, Meta, Path, Type};

use crate::diagnostics::Diagnostics;
use crate::messages::{self, Attr};
use crate::names::Coop;
use crate::options;

const KNOWN: &[&str] = &["crate"];

/// The type under the derive.
pub struct Parsed {
    pub coop: Coop,
    pub attrs: Vec<Attribute>,
    pub name: Ident,
    pub generics: Generics,
    pub kind: Kind,
    pub fields: Vec<Field>,
}

/// What the type is, with the word that says so.
pub enum Kind {
    Struct,
    Enum(syn::Token![enum]),
    Union(syn::Token![union]),
}

/// A field of a struct.
pub struct Field {
    pub member: Member,
    pub ty: Type,
    /// Its attributes `#[embedded]`.
    pub marks: Vec<Attribute>,
}

/// Reads everything, and reports what is wrong with the options of `#[embedded]`.
pub fn parse(item: TokenStream, diagnostics: &mut Diagnostics) -> Parsed {
    let input: DeriveInput = syn::parse2(item).expect("the compiler gives a derive a type it has parsed");
    let mut coop = Coop::by_default();
    let (kind, fields) = match input.data {
        Data::Struct(data) => (Kind::Struct, data.fields.into_iter().enumerate().map(field).collect()),
        Data::Enum(data) => (Kind::Enum(data.enum_token), Vec::new()),
        Data::Union(data) => (Kind::Union(data.union_token), Vec::new()),
    };
    let fields: Vec<Field> = fields;
    for mark in fields.iter().flat_map(|field| &field.marks) {
        let tokens = match &mark.meta {
            Meta::Path(_) => continue,
            Meta::List(list) => list.tokens.clone(),
            Meta::NameValue(_) => {
                diagnostics.report(mark, messages::embedded_is_a_word());
                continue;
            }
        };
        for given in options::parse(Attr::Embedded, tokens, KNOWN, diagnostics) {
            if let Some(path) = given.value::<Path>("crate = path::to::coop", diagnostics) {
                coop = Coop::at(&path);
            }
        }
    }
    Parsed { coop, attrs: input.attrs, name: input.ident, generics: input.generics, kind, fields }
}

fn field((index, field): (usize, syn::Field)) -> Field {
    Field {
        member: match field.ident {
            Some(name) => Member::Named(name),
            None => Member::Unnamed(Index::from(index)),
        },
        ty: field.ty,
        marks: field.attrs.into_iter().filter(|attr| attr.path().is_ident("embedded")).collect(),
    }
}
