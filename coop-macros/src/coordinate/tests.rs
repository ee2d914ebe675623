use proc_macro2::TokenStream;
use quote::quote;

use crate::snapshots::{assert_expression, mistakes};

fn expand(input: TokenStream) -> TokenStream {
    super::expand(quote!([$crate] #input))
}

fn expand_here(input: TokenStream) -> TokenStream {
    super::expand(quote!([::coop] #input))
}

#[test]
fn expansions() {
    assert_expression("coordinate", expand_here(quote!(&a, &self.b,)));
    assert_expression("coordinate_timeout", expand_here(quote!(&a, timeout = Duration::from_secs(1))));
    assert_expression("coordinate_mistake", expand_here(quote!(&a, timeout = 5)));
}

#[test]
fn mistakes_are_reported_together() {
    let expansion = expand(quote!(timeot = d, timeout = 5, timeout = d, 7, &a +, f().await));
    assert_eq!(
        mistakes(&expansion),
        [
            "`coordinate!` has no option `timeot`",
            "`timeout` is given twice",
            "unexpected end of input, expected an expression",
            "`timeout` is a `Duration`, not `5`",
            "this is not a reference to a Coordinator",
            "`.await` in `coordinate!`: coop runs ordinary functions, not futures",
        ]
    );
}

#[test]
fn nothing_to_wait_for() {
    assert_eq!(mistakes(&expand(quote!())), ["`coordinate!` has nothing to wait for"]);
    assert_eq!(mistakes(&expand(quote!(timeout = d))), ["`coordinate!` has nothing to wait for"]);
}

#[test]
fn a_timeout_has_a_value() {
    for input in [quote!(&a, timeout), quote!(&a, timeout =), quote!(&a, timeout 5)] {
        assert_eq!(mistakes(&expand(input)), ["`timeout` has no value"]);
    }
}
