//! The function under `#[coop::task]`, `#[coop::main]` or `#[coop::test]`.

use proc_macro2::{Group, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Attribute, Item, Meta, Path, ReturnType, Signature, Token, Type, Visibility};

use crate::diagnostics::{Diagnostics, Reported};
use crate::messages::{self, Attr};

/// A function whose body is left as tokens.
///
/// The body goes to the compiler untouched, even when it does not parse: while someone types, an editor keeps its completions,
/// and a mistake in the body is the compiler's to explain.
#[derive(Clone)]
pub struct Function {
    pub attrs: Vec<Attribute>,
    pub vis: Visibility,
    pub sig: Signature,
    /// The group with its braces; `None` when the declaration ends in `;`, as in a trait.
    pub body: Option<Group>,
}

impl Function {
    /// Parses the item an attribute stands on, or reports that it is no function.
    pub fn parse(attr: Attr, item: TokenStream, diagnostics: &mut Diagnostics) -> Result<Self, Reported> {
        let parser = |input: ParseStream| Function::parse_from(input);
        parser.parse2(item.clone()).map_err(|error| match syn::parse2::<Item>(item) {
            Ok(other) if !matches!(other, Item::Fn(_)) => {
                diagnostics.report(keyword(&other), messages::not_a_function(attr, kind(&other)))
            }
            _ => diagnostics.report_at(error.span(), messages::syntax(&error, messages::SIGNATURE_HELP)),
        })
    }

    fn parse_from(input: ParseStream) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let sig = input.parse()?;
        let body = match input.parse::<Option<Token![;]>>()? {
            Some(_) => None,
            None => match TokenTree::parse(input)? {
                TokenTree::Group(group) => Some(group),
                other => return Err(syn::Error::new(other.span(), "expected the function's body")),
            },
        };
        Ok(Function { attrs, vis, sig, body })
    }

    /// The tokens between the body's braces.
    pub fn statements(&self) -> TokenStream {
        self.body.as_ref().map(Group::stream).unwrap_or_default()
    }

    /// The return type as written; `()` when there is none.
    pub fn return_type(&self) -> Type {
        match &self.sig.output {
            ReturnType::Default => syn::parse_quote!(()),
            ReturnType::Type(_, ty) => (**ty).clone(),
        }
    }

    /// The attributes that decide whether the function exists at all, which everything generated beside it must repeat.
    pub fn conditions(&self) -> Vec<&Attribute> {
        self.attrs.iter().filter(|attr| attr.path().is_ident("cfg")).collect()
    }

    /// What the function's author allows, as attributes for what repeats its signature: an allowed lint would find the same
    /// types there. What is expected of the function is allowed there, since it may be found there or not.
    pub fn allowances(&self) -> Vec<TokenStream> {
        let lints = self.attrs.iter().filter_map(|attr| match &attr.meta {
            Meta::List(list) if list.path.is_ident("allow") || list.path.is_ident("expect") => Some(&list.tokens),
            _ => None,
        });
        lints.map(|lints| quote!(#[allow(#lints)])).collect()
    }
}

/// The function as its author wrote it.
impl ToTokens for Function {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Function { attrs, vis, sig, body } = self;
        tokens.extend(quote!(#(#attrs)* #vis #sig));
        match body {
            Some(body) => tokens.extend(quote!(#body)),
            None => tokens.extend(quote!(;)),
        }
    }
}

/// Whether `path` is the attribute `#[test]`, under its short name or its full one.
pub fn is_test(path: &Path) -> bool {
    path.segments.last().is_some_and(|segment| segment.ident == "test")
        && (path.segments.len() == 1 || path.segments.iter().any(|segment| segment.ident == "prelude"))
}

/// What an item is called in prose.
fn kind(item: &Item) -> &'static str {
    match item {
        Item::Const(_) => "a constant",
        Item::Enum(_) => "an enum",
        Item::Impl(_) => "an impl block",
        Item::Macro(_) => "a macro",
        Item::Mod(_) => "a module",
        Item::Static(_) => "a static",
        Item::Struct(_) => "a struct",
        Item::Trait(_) => "a trait",
        Item::Type(_) => "a type alias",
        Item::Use(_) => "an import",
        _ => "this item",
    }
}

/// The token that says what an item is: the best place to point at, since its name is all right.
fn keyword(item: &Item) -> TokenStream {
    match item {
        Item::Const(item) => item.const_token.to_token_stream(),
        Item::Enum(item) => item.enum_token.to_token_stream(),
        Item::Impl(item) => item.impl_token.to_token_stream(),
        Item::Mod(item) => item.mod_token.to_token_stream(),
        Item::Static(item) => item.static_token.to_token_stream(),
        Item::Struct(item) => item.struct_token.to_token_stream(),
        Item::Trait(item) => item.trait_token.to_token_stream(),
        Item::Type(item) => item.type_token.to_token_stream(),
        Item::Use(item) => item.use_token.to_token_stream(),
        other => other.to_token_stream(),
    }
}
