//! Three impls: where the link is, that the entry leaves its list when it is dropped, and that it never moves.
//!
//! ```text
//! unsafe impl EmbeddedEntry for Waiter { const LINK_OFFSET: usize = offset_of!(Self, link); }
//! impl Drop for Waiter { fn drop(&mut self) { <Self as EmbeddedEntry>::leave(&self.link) } }
//! impl Unpin for Waiter where for<'never> PhantomPinned: Unpin {}
//! ```
//!
//! * The `Drop` comes before that of every field: with a destructor of the link's own instead, the fields declared before it
//!   would be gone while the list still hands out the entry. And there can be no other: a `Drop` of the user's would have a
//!   `&mut` to the link.
//! * The call in it, generic over what it is given a reference to, makes sure that the field is a `Link` and that there can be
//!   a reference to it, whatever another macro does to the struct after this one has seen it.
//! * The `Unpin` holds for nothing, and keeps the user from writing one that does.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use super::parse::{Field, Parsed};
use crate::diagnostics::Diagnostics;

/// Writes the impls; after a mistake only what keeps the users of the type from complaining too.
pub fn expand(parsed: &Parsed, link: Option<&Field>, diagnostics: Diagnostics) -> TokenStream {
    let private = parsed.coop.private();
    let name = &parsed.name;
    let (parameters, arguments, where_clause) = parsed.generics.split_for_impl();
    let (Some(Field { member, ty, .. }), true) = (link, diagnostics.is_clean()) else {
        let errors = diagnostics.into_tokens();
        return quote! {
            #errors
            #[automatically_derived]
            unsafe impl #parameters #private::EmbeddedEntry for #name #arguments #where_clause {
                const LINK_OFFSET: ::core::primitive::usize = ::core::unreachable!();
            }
        };
    };
    // A field that is no link is reported where its type stands.
    let leave = quote_spanned!(ty.span()=> <Self as #private::EmbeddedEntry>::leave(&self.#member));
    let predicates = where_clause.map(|clause| &clause.predicates).into_iter().flatten();
    quote! {
        // SAFETY: that the field is a `Link` and aligned the `Drop` below makes sure of, which is also the only one, and comes
        // before the fields'; the `Unpin` below holds for nothing.
        #[automatically_derived]
        unsafe impl #parameters #private::EmbeddedEntry for #name #arguments #where_clause {
            const LINK_OFFSET: ::core::primitive::usize = ::core::mem::offset_of!(Self, #member);
        }

        #[automatically_derived]
        impl #parameters ::core::ops::Drop for #name #arguments #where_clause {
            fn drop(&mut self) {
                #leave
            }
        }

        #[automatically_derived]
        impl #parameters ::core::marker::Unpin for #name #arguments
        where
            #(#predicates,)*
            for<'__never> ::core::marker::PhantomPinned: ::core::marker::Unpin,
        {
        }
    }
}
