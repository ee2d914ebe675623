//! What stands in for a `select!` with mistakes.
//!
//! It never runs, but it is of the right type, and it keeps every expression that could be read, where its variables mean what
//! they say: editors go on completing, and the compiler goes on finding other mistakes. What has been reported it must not find
//! again. So each arm waits by itself, lest two arms that lend the same buffer be found by the borrow checker too; every pattern
//! has its `_`; and what awaits is left out.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::Expr;

use super::check::Select;
use super::expand::{armed, local, mode, value};
use super::parse::Arm;
use super::pattern::is_refutable;
use crate::walk;

/// Writes the stand-in, after the mistakes.
pub fn expand(select: &Select, errors: TokenStream) -> TokenStream {
    let private = select.coop.private();
    let mut branches: Vec<TokenStream> = Vec::new();
    branches.extend(select.arms.iter().filter(|arm| compiles(&arm.operation)).map(|arm| waiting(select, arm)));
    for body in [&select.default, &select.complete, &select.shared_else].into_iter().flatten() {
        branches.push(body_or_nothing(body));
    }
    if let Some((pattern, body)) = &select.killed {
        let body = body_or_nothing(body);
        // A pattern that was refused may be for another type.
        let cause = if is_refutable(pattern) { quote!(_) } else { quote!(#private::Killed) };
        branches.push(quote!({
            let __cause: #cause = ::core::unreachable!();
            match __cause {
                #pattern => #body,
                _ => ::core::unreachable!(),
            }
        }));
    }
    let numbers = 0..branches.len();
    let fragments = select.fragments.iter().filter(|fragment| compiles(fragment));
    let value = value(
        select,
        quote! {
            match 0_usize {
                #(#numbers => #branches,)*
                _ => {
                    #(let _ = #fragments;)*
                    ::core::unreachable!()
                }
            }
        },
    );
    // A statement such as `select! { … }?;` must not ask what the error could be.
    let typed = match &select.killed {
        Some(_) => quote!(#value),
        None => quote!({
            let __result: ::core::result::Result<_, #private::Killed> = #value;
            __result
        }),
    };
    quote!({
        #errors
        #[allow(unreachable_code, unreachable_patterns, unused_variables, clippy::let_and_return)]
        #typed
    })
}

/// One arm, waited for alone.
fn waiting(select: &Select, arm: &Arm) -> TokenStream {
    let private = select.coop.private();
    let (mode, armed, out) = (mode(select), armed(select, &arm.operation), local("__out"));
    let pattern = &arm.pattern;
    let guard = arm.guard.as_ref().filter(|guard| compiles(guard) && !binds(guard));
    let guard = guard.map(|condition| quote!(let _: ::core::primitive::bool = #condition;));
    let own_else = arm.own_else.as_ref().map(|own| {
        let block = &own.block;
        body_or_nothing(&syn::parse_quote!(#block))
    });
    let mismatch = own_else.unwrap_or_else(|| quote!(::core::unreachable!()));
    let body = body_or_nothing(&arm.body);
    quote!({
        #guard
        let #out = #private::select(#private::Cons(#armed, #private::Nil), #mode);
        match #out {
            #private::Selected::Arm(#private::Out::Here(#pattern)) => #body,
            #private::Selected::Arm(#private::Out::Here(_)) => #mismatch,
            _ => ::core::unreachable!(),
        }
    })
}

/// A body as an arm's body, unless the compiler would complain of it a second time.
fn body_or_nothing(body: &Expr) -> TokenStream {
    if compiles(body) { body.to_token_stream() } else { quote!(::core::unreachable!()) }
}

fn compiles(expr: &Expr) -> bool {
    walk::expression(expr).awaits.is_empty()
}

/// Whether a condition has a `let`.
fn binds(condition: &Expr) -> bool {
    match condition {
        Expr::Let(_) => true,
        Expr::Binary(binary) => binds(&binary.left) || binds(&binary.right),
        _ => false,
    }
}
