use proc_macro2::TokenStream;
use quote::quote;

use super::expand;
use crate::snapshots::{assert_items, messages, mistakes};

fn wrong(item: TokenStream) -> Vec<String> {
    mistakes(&expand(item))
}

// ---- expansions

#[test]
fn a_plain_entry() {
    assert_items(
        "entry",
        expand(quote! {
            struct Waiter {
                name: &'static str,
                #[embedded]
                link: Link,
            }
        }),
    );
}

#[test]
fn an_entry_with_everything() {
    assert_items(
        "entry_full",
        expand(quote! {
            #[repr(C, align(64))]
            pub(crate) struct Waiter<'a, T: Clone = u8, const N: usize = 2>(
                [&'a T; N],
                #[embedded(crate = my::coop)] coop::list::Link,
            )
            where
                T: Debug;
        }),
    );
}

#[test]
fn after_a_mistake_it_is_still_an_entry() {
    assert_items(
        "entry_mistake",
        expand(quote!(
            enum Waiter<T: Clone> {
                One(T),
            }
        )),
    );
}

// ---- mistakes

#[test]
fn only_a_struct_is_an_entry() {
    assert_eq!(
        wrong(quote!(
            enum Waiter {
                #[embedded]
                One(Link),
            }
        )),
        ["`#[derive(EmbeddedEntry)]` stands on a struct, not on an enum"]
    );
    assert_eq!(
        wrong(quote!(
            union Waiter {
                #[embedded]
                link: ManuallyDrop<Link>,
            }
        )),
        ["`#[derive(EmbeddedEntry)]` stands on a struct, not on a union"]
    );
}

#[test]
fn exactly_one_field_is_the_link() {
    let expansions = [
        quote!(
            struct Waiter;
        ),
        quote!(
            struct Waiter {
                name: u8,
            }
        ),
        quote!(
            struct Waiter {
                name: u8,
                place: list::Link,
            }
        ),
        quote!(
            struct Waiter {
                #[embedded]
                a: Link,
                #[embedded]
                b: Link,
            }
        ),
        quote!(
            struct Waiter {
                #[embedded]
                #[embedded]
                a: Link,
            }
        ),
    ]
    .map(expand);
    let texts: Vec<String> = expansions.iter().flat_map(messages).collect();
    assert_eq!(
        texts,
        [
            "no field is marked as the link\nhelp: give the struct a field `#[embedded] link: coop::list::Link`",
            "no field is marked as the link\nhelp: give the struct a field `#[embedded] link: coop::list::Link`",
            "no field is marked as the link\nhelp: mark this one: write `#[embedded]` before it",
            "two fields are marked `#[embedded]`: an entry has one link, and is in one list at a time\n\
             help: keep one of them; for a second list, put a `coop::list::Entry` into it that refers to this struct",
            "`#[embedded]` is given twice\nhelp: keep one of them",
        ]
    );
}

#[test]
fn a_packed_struct_is_refused() {
    for representation in [quote!(packed), quote!(C, packed(2))] {
        let item = quote! {
            #[repr(#representation)]
            struct Waiter {
                #[embedded]
                link: Link,
            }
        };
        assert_eq!(wrong(item), ["the link of a packed struct cannot be referred to"]);
    }
}

#[test]
fn options_are_checked() {
    let item = quote! {
        struct Waiter {
            #[embedded(krate = coop, crate)]
            link: Link,
        }
    };
    assert_eq!(
        messages(&expand(item)),
        [
            "`#[embedded]` has no option `krate`\nhelp: did you mean `crate`?",
            "`crate` does not take this value\nhelp: write `crate = path::to::coop`",
        ]
    );
    let item = quote! {
        struct Waiter {
            #[embedded = "link"]
            link: Link,
        }
    };
    assert_eq!(wrong(item), ["`#[embedded]` takes no value"]);
}
