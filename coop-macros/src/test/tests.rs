use quote::quote;

use super::expand;
use crate::snapshots::{assert_items, mistakes};

#[test]
fn options_and_attributes() {
    let options = quote!(seed = 7, schedules = 100, real_time, stack = 65536);
    let item = quote! {
        #[should_panic(expected = "twice")]
        #[ignore]
        fn joining_twice() -> io::Result<()> {
            run()
        }
    };
    assert_items("test", expand(options, item));
}

#[test]
fn without_options() {
    assert_items(
        "test_plain",
        expand(
            quote!(),
            quote!(
                fn r#true() {
                    assert!(works());
                }
            ),
        ),
    );
}

#[test]
fn a_second_test_attribute_is_reported() {
    for attribute in [quote!(#[test]), quote!(#[core::prelude::v1::test])] {
        let expansion = expand(quote!(), quote!(#attribute fn a() {}));
        assert_eq!(mistakes(&expansion), ["`#[coop::test]` already makes the function a test"]);
    }
    assert_eq!(
        mistakes(&expand(
            quote!(),
            quote!(
                #[other::test]
                fn a() {}
            )
        )),
        [""; 0]
    );
}

#[test]
fn values_of_the_wrong_type_are_reported() {
    let options = quote!(seed = -1, schedules = 0, real_time = true, stack = "1k", sed = 4);
    assert_eq!(
        mistakes(&expand(
            options,
            quote!(
                fn a() {}
            )
        )),
        [
            "`#[coop::test]` has no option `sed`",
            "`seed` does not take this value",
            "`schedules` does not take this value",
            "`real_time` does not take this value",
            "a stack of 1024 bytes is below the minimum of 32k: a panic alone needs most of that",
        ]
    );
}

#[test]
fn after_a_mistake_there_is_still_a_function() {
    assert_items(
        "test_mistake",
        expand(
            quote!(),
            quote!(
                #[test]
                fn a(x: u8) {
                    b(x);
                }
            ),
        ),
    );
}
