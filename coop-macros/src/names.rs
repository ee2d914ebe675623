//! What expansions may name: the crate's path, and the items of its `__private` module.
//!
//! Everything an expansion names is reached through `<coop>::__private` or `::core`, because user code may shadow `Ok`, `Some`,
//! `std` and all the rest. The items of `__private` that expansions use are listed in [`NAMES`]: the runtime must have each of
//! them, which `coop/tests/macros/names.rs` sees to, and a test here holds the list against what the snapshots contain.

use proc_macro2::{Group, TokenStream};
use quote::quote;
use syn::parse::ParseStream;

/// The items of `coop::__private` that expansions name.
#[cfg(test)]
pub const NAMES: &[&str] = &[
    // tasks
    "Description",
    "JoinHandle",
    "Options",
    "Remote",
    "RemoteJoinHandle",
    "Scope",
    "ScopedJoinHandle",
    "spawn",
    "spawn_in",
    "submit",
    // main and test
    "MainOptions",
    "TestOptions",
    "main",
    "test",
    // select!
    "CalledOperand",
    "Cons",
    "Killed",
    "Nil",
    "Operand",
    "Out",
    "SelectMode",
    "Selected",
    "all_arms_disabled",
    "select",
    // coordinate!
    "Acquired",
    "Coordination",
    "coordinate",
    // join!
    "join",
    // entries of lists
    "EmbeddedEntry",
];

/// The path of the crate `coop`, as it is called where a macro is used.
#[derive(Clone)]
pub struct Coop {
    path: TokenStream,
}

impl Coop {
    /// The crate under the name it has in the user's `Cargo.toml`, unless an option says otherwise.
    pub fn by_default() -> Self {
        Coop { path: quote!(::coop) }
    }

    /// The crate under the path that `crate = path` gives.
    pub fn at(path: &syn::Path) -> Self {
        Coop { path: quote!(#path) }
    }

    /// Takes the `[$crate]` that the `macro_rules!` wrappers in `coop` put before the user's tokens.
    pub fn from_wrapper(input: ParseStream) -> syn::Result<Self> {
        let group: Group = input.parse()?;
        Ok(Coop { path: group.stream() })
    }

    /// `<coop>::__private`.
    pub fn private(&self) -> TokenStream {
        let path = &self.path;
        quote!(#path::__private)
    }
}
