use proc_macro2::TokenStream;
use quote::quote;

use crate::snapshots::{assert_expression, mistakes};

fn expand(input: TokenStream) -> TokenStream {
    super::expand(quote!([::coop] #input))
}

#[test]
fn expansions() {
    assert_expression("join", expand(quote!(first::<A, B>(&x), { second() },)));
    assert_expression("join_mistake", expand(quote!()));
}

#[test]
fn mistakes_are_reported_together() {
    assert_eq!(mistakes(&expand(quote!())), ["`join!` has nothing to run"]);
    assert_eq!(
        mistakes(&expand(quote!(a+, b, c().await, async { d.await }))),
        ["expected an expression", "`.await` in `join!`: coop runs ordinary functions, not futures"]
    );
}

#[test]
fn twelve_and_no_more() {
    let operands = |count: usize| std::iter::repeat_n(quote!(a(),), count).collect();
    assert!(mistakes(&expand(operands(12))).is_empty());
    assert_eq!(mistakes(&expand(operands(13))), ["`join!` takes at most 12 expressions"]);
}
