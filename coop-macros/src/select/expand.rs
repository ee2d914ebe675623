//! One call of the runtime, and a `match` on what came of it.
//!
//! ```text
//! {
//!     let guard_1 = condition;                                           all of them first: an operation may lend what a guard looks at
//!     let out = select(Cons(Some(operand(op_0)), Cons(if guard_1 { Some(operand(op_1)) } else { None }, Nil)), mode);
//!     match out {
//!         Selected::Killed(killed) => Err(killed),
//!         out => {
//!             let value = match out {
//!                 Selected::Arm(Out::Here(_)) => {
//!                     let output = match { out } { Selected::Arm(Out::Here(output)) => output, _ => unreachable!() };
//!                     match output { pattern_0 => body_0, _ => else }
//!                 }
//!                 Selected::Arm(Out::There(Out::Here(_))) => …
//!                 Selected::Arm(Out::There(Out::There(never))) => match never {},
//!                 Selected::Default => …, Selected::Complete => …, Selected::Killed(_) => unreachable!(),
//!             };
//!             Ok(value)
//!         }
//!     }
//! }
//! ```
//!
//! With a `killed` arm the inner `match` is all, and that is one more arm of it.
//!
//! * The call stands in a `let` of its own: what the operations borrow temporarily lives through the wait, and no longer.
//! * `out` is moved as a whole before a body runs. A pattern would take only the output of its own arm from it, and to the borrow
//!   checker the rest would be there to the end, with all that the other outputs could borrow: a body could not drop the sender
//!   from which another arm reserves a permit.
//! * The bodies stand in no closure and no loop, so that `return`, `?`, `break` and `continue` mean what they say.
//! * They are arms of one `match`, and nothing else: they agree on a type by its rules (coercions included), a body of another
//!   type is found where it stands, and no lint asks for other braces or commas than it would in a `match`.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::Expr;

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
    let arms = select.arms.iter().enumerate().map(|(index, arm)| won(select, index, arm));
    let never = nested(select, select.arms.len(), quote!(__never));
    let default = default(select);
    let complete = complete(select);
    let killed = killed(select);
    let outcome = value(
        select,
        quote! {
            match #out {
                #(#arms)*
                #private::Selected::Arm(#never) => match __never {},
                #default
                #complete
                #killed
            }
        },
    );
    let outcome = match select.killed {
        Some(_) => outcome,
        None => quote! {
            match #out {
                #private::Selected::Killed(__killed) => ::core::result::Result::Err(__killed),
                #out => #outcome
            }
        },
    };
    quote!({
        #(#guards)*
        let #out = #private::select(#list, #mode);
        #outcome
    })
}

/// The `select!`'s value, given that of its bodies: with a `killed` arm that itself, else in an `Ok`.
///
/// It goes through a `let`, so that bodies that never end (`return`) need no type; what follows them is unreachable then.
pub fn value(select: &Select, bodies: TokenStream) -> TokenStream {
    if select.killed.is_some() {
        return bodies;
    }
    let value = local("__value");
    quote!({
        let #value = #bodies;
        #[allow(unreachable_code)]
        ::core::result::Result::Ok(#value)
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

/// `Some(Operand::operand(operation))`. The call stands, token by token, where the operand does: an operand that is no operation is
/// found there, and once.
pub fn armed(select: &Select, operation: &Expr) -> TokenStream {
    let tokens = quote!(#operation);
    let (first, last) = ends(&tokens);
    let private = located_at(select.coop.private(), first);
    let mut operand = Group::new(Delimiter::Parenthesis, tokens);
    operand.set_span(last);
    let operand_of = match has_waited(operation) {
        true => quote_spanned!(first=> #private::CalledOperand::operand),
        false => quote_spanned!(first=> #private::Operand::operand),
    };
    quote!(::core::option::Option::Some(#operand_of #operand))
}

/// Whether an operand looks like a call that waits by itself: `conn.recv(&mut buf)`, `rx.recv()?`, `coop::sleep(d)`. It decides
/// about the words of an error only.
fn has_waited(operation: &Expr) -> bool {
    match operation {
        Expr::MethodCall(_) | Expr::Try(_) => true,
        Expr::Paren(inner) => has_waited(&inner.expr),
        Expr::Call(call) => match &*call.func {
            Expr::Path(function) => {
                let names = &function.path.segments;
                names.len() > 1 && names[0].ident == "coop" && names.iter().all(|name| name.ident != "op")
            }
            _ => false,
        },
        _ => false,
    }
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
    let body = &arm.body;
    let otherwise = match &arm.own_else {
        Some(own) => Some(own.block.to_token_stream()),
        None if Select::needs_shared_else(arm) => select.shared_else.as_ref().map(Expr::to_token_stream),
        None => None,
    };
    let otherwise = otherwise.map(|body| quote!(_ => #body,));
    let matched = match_at(&body.to_token_stream(), &output, quote!(#pattern => #body, #otherwise));
    quote! {
        #private::Selected::Arm(#is_this_one) => {
            let #output = match { #out } {
                #private::Selected::Arm(#this_one) => #output,
                _ => ::core::unreachable!(),
            };
            #matched
        }
    }
}

/// A `match` that stands where the body does: when the bodies differ in type, that is said of this expression.
fn match_at(body: &TokenStream, scrutinee: &Ident, arms: TokenStream) -> TokenStream {
    let (first, last) = ends(body);
    let mut arms = Group::new(Delimiter::Brace, arms);
    arms.set_span(Span::mixed_site().located_at(last));
    let keyword = Ident::new("match", Span::mixed_site().located_at(first));
    quote!(#keyword #scrutinee #arms)
}

/// What happens when no arm was ready, and `default` says not to wait.
fn default(select: &Select) -> TokenStream {
    let private = select.coop.private();
    match &select.default {
        Some(body) => nothing_won(quote!(#private::Selected::Default), body),
        None => quote!(#private::Selected::Default => ::core::unreachable!(),),
    }
}

/// What happens when every arm is disabled.
fn complete(select: &Select) -> TokenStream {
    let private = select.coop.private();
    match &select.complete {
        Some(body) => nothing_won(quote!(#private::Selected::Complete), body),
        None => quote!(#private::Selected::Complete => #private::all_arms_disabled(),),
    }
}

/// A body for an outcome with nothing in it.
fn nothing_won(outcome: TokenStream, body: &Expr) -> TokenStream {
    let out = local("__out");
    let nothing = local("__nothing");
    let matched = match_at(&body.to_token_stream(), &nothing, quote!(() => #body,));
    quote! {
        #outcome => {
            let _ = { #out };
            let #nothing = ();
            #matched
        }
    }
}

/// What happens when the task is killed. Without an arm for it, it has happened already.
fn killed(select: &Select) -> TokenStream {
    let private = select.coop.private();
    let Some((pattern, body)) = &select.killed else {
        return quote!(#private::Selected::Killed(_) => ::core::unreachable!(),);
    };
    let (out, cause) = (local("__out"), local("__cause"));
    let matched = match_at(&body.to_token_stream(), &cause, quote!(#pattern => #body,));
    quote! {
        #private::Selected::Killed(_) => {
            let #cause = match { #out } {
                #private::Selected::Killed(#cause) => #cause,
                _ => ::core::unreachable!(),
            };
            #matched
        }
    }
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
