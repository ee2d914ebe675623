//! One call of the runtime, and a `match` on what came of it.
//!
//! ```text
//! {
//!     let guard_1 = condition;                                           all of them first: an operation may lend what a guard looks at
//!     let out = select(Cons(Some(arm(op_0)), Cons(if guard_1 { Some(arm(op_1)) } else { None }, Nil)), mode);
//!     match out {
//!         Selected::Arm(Out::Here(_)) => {
//!             let output = match { out } { Selected::Arm(Out::Here(output)) => output, _ => unreachable!() };
//!             match output { pattern_0 => Ok(body_0), _ => Ok(else) }
//!         }
//!         Selected::Arm(Out::There(Out::Here(_))) => …
//!         Selected::Arm(Out::There(Out::There(never))) => match never {},
//!         Selected::Default => …, Selected::Complete => …, Selected::Killed(killed) => Err(killed),
//!     }
//! }
//! ```
//!
//! * The call stands in a `let` of its own: what the operations borrow temporarily lives through the wait, and no longer.
//! * `out` is moved as a whole before a body runs. A pattern would take only the output of its own arm from it, and to the borrow
//!   checker the rest would be there to the end, with all that the other outputs could borrow: a body could not drop the sender
//!   from which another arm reserves a permit.
//! * The bodies stand in no closure and no loop, so that `return`, `?`, `break` and `continue` mean what they say.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::Expr;
use syn::spanned::Spanned;

use super::check::Select;
use super::parse::Arm;

/// Writes a `select!` without mistakes.
pub fn expand(select: &Select) -> TokenStream {
    let private = select.coop.private();
    let out = local("__out");
    let guards = select.arms.iter().enumerate().filter_map(|(index, arm)| {
        let (name, condition) = (guard_name(index), arm.guard.as_ref()?);
        Some(quote!(let #name: ::core::primitive::bool = #condition;))
    });
    let list = list(select);
    let mode = mode(select);
    let arms = select
        .arms
        .iter()
        .enumerate()
        .map(|(index, arm)| won(select, index, arm));
    let never = nested(select, select.arms.len(), quote!(__never));
    let default = default(select);
    let complete = complete(select);
    let killed = killed(select);
    quote!({
        #(#guards)*
        let #out = #private::select(#list, #mode);
        match #out {
            #(#arms)*
            #private::Selected::Arm(#never) => match __never {},
            #default
            #complete
            #killed
        }
    })
}

/// `Cons(a, Cons(if guard { b } else { None }, Nil))`
fn list(select: &Select) -> TokenStream {
    let private = select.coop.private();
    let end = quote!(#private::Nil);
    select.arms.iter().enumerate().rev().fold(end, |rest, (index, arm)| {
        let armed = armed(select, &arm.operation);
        let guard = guard_name(index);
        match arm.guard {
            Some(_) => quote!(#private::Cons(if #guard { #armed } else { ::core::option::Option::None }, #rest)),
            None => quote!(#private::Cons(#armed, #rest)),
        }
    })
}

/// `Some(arm(operation))`. The call stands, token by token, where the operand does: an operand that is no operation is
/// found there, and once.
pub fn armed(select: &Select, operation: &Expr) -> TokenStream {
    let tokens = quote!(#operation);
    let (first, last) = ends(&tokens);
    let private = located_at(select.coop.private(), first);
    let mut operand = Group::new(Delimiter::Parenthesis, tokens);
    operand.set_span(last);
    let armed = quote_spanned!(first=> #private::arm);
    quote!(::core::option::Option::Some(#armed #operand))
}

/// The places of the first and the last token.
fn ends(tokens: &TokenStream) -> (Span, Span) {
    let mut spans = tokens.clone().into_iter().map(|token| token.span());
    let first = spans.next().unwrap_or_else(Span::call_site);
    (first, spans.last().unwrap_or(first))
}

/// The same names, which mean what they did, as if written at `place`.
fn located_at(tokens: TokenStream, place: Span) -> TokenStream {
    let moved = tokens.into_iter().map(|mut token| {
        token.set_span(token.span().located_at(place));
        token
    });
    moved.collect()
}

/// How to wait.
pub fn mode(select: &Select) -> TokenStream {
    let private = select.coop.private();
    let (biased, default) = (select.biased, select.default.is_some());
    quote!(#private::SelectMode { biased: #biased, default: #default })
}

/// What happens when this arm has won.
fn won(select: &Select, index: usize, arm: &Arm) -> TokenStream {
    let private = select.coop.private();
    let pattern = &arm.pattern;
    let (out, output) = (local("__out"), local("__output"));
    let is_this_one = nested(select, index, quote!(#private::Out::Here(_)));
    let this_one = nested(select, index, quote!(#private::Out::Here(#output)));
    let body = value(select, &arm.body);
    let otherwise = match &arm.own_else {
        Some(own) => {
            let block = &own.block;
            Some(value(select, &syn::parse_quote!(#block)))
        }
        None if Select::needs_shared_else(arm) => select.shared_else.as_ref().map(|body| value(select, body)),
        None => None,
    };
    let otherwise = otherwise.map(|body| quote!(_ => #body));
    quote! {
        #private::Selected::Arm(#is_this_one) => {
            let #output = match { #out } {
                #private::Selected::Arm(#this_one) => #output,
                _ => ::core::unreachable!(),
            };
            match #output {
                #pattern => #body
                #otherwise
            }
        }
    }
}

/// What happens when no arm was ready, and `default` says not to wait.
fn default(select: &Select) -> TokenStream {
    let private = select.coop.private();
    match &select.default {
        Some(body) => nothing_won(select, quote!(#private::Selected::Default), body),
        None => quote!(#private::Selected::Default => ::core::unreachable!(),),
    }
}

/// What happens when every arm is disabled.
fn complete(select: &Select) -> TokenStream {
    let private = select.coop.private();
    match &select.complete {
        Some(body) => nothing_won(select, quote!(#private::Selected::Complete), body),
        None => quote!(#private::Selected::Complete => #private::all_arms_disabled(),),
    }
}

/// A body for an outcome with nothing in it.
fn nothing_won(select: &Select, outcome: TokenStream, body: &Expr) -> TokenStream {
    let out = local("__out");
    let body = value(select, body);
    quote! {
        #outcome => {
            let _ = { #out };
            match () { () => #body }
        }
    }
}

/// What happens when the task is killed.
fn killed(select: &Select) -> TokenStream {
    let private = select.coop.private();
    let Some((pattern, body)) = &select.killed else {
        return quote!(#private::Selected::Killed(__killed) => ::core::result::Result::Err(__killed),);
    };
    let (out, cause) = (local("__out"), local("__cause"));
    let body = value(select, body);
    quote! {
        #private::Selected::Killed(_) => {
            let #cause = match { #out } {
                #private::Selected::Killed(#cause) => #cause,
                _ => ::core::unreachable!(),
            };
            match #cause { #pattern => #body }
        }
    }
}

/// A body, and what becomes of its value: the `select!`'s own with a `killed` arm, else in an `Ok`. It is to be an arm's body.
///
/// The value goes through a `let`, so that a body that never ends (`return`) needs no type; what follows it is unreachable then.
/// In front of it stands a `match`, since a body is an arm's body to the lints as well: elsewhere they would have its braces
/// removed, and call a `return` misplaced. The result carries the body's place: a body of another type is found there.
pub fn value(select: &Select, body: &Expr) -> TokenStream {
    if select.killed.is_some() {
        return quote!(#body,);
    }
    let value = Ident::new("__value", Span::mixed_site().located_at(body.span()));
    quote!({
        let #value = match () { () => #body };
        #[allow(unreachable_code)]
        let #value = ::core::result::Result::Ok(#value);
        #value
    })
}

/// `There(There(inner))`: the output of the arm with this index.
fn nested(select: &Select, index: usize, inner: TokenStream) -> TokenStream {
    let private = select.coop.private();
    (0..index).fold(inner, |inner, _| quote!(#private::Out::There(#inner)))
}

fn guard_name(index: usize) -> Ident {
    format_ident!("__guard_{index}", span = Span::mixed_site())
}

/// A variable that no user code can see.
pub fn local(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}
