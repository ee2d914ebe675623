//! The lint `blocking`: calls of `std` that stop the whole thread.
//!
//! Only paths that begin with `std::`, and those of its module `thread`, which coop has not, are taken for the standard library's:
//! `fs::read` may as well be coop's own.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::Path;

use crate::messages::{self, Message};

/// The beginnings of paths that block, and what to use instead.
const BLOCKING: &[(&[&str], &str)] = &[
    (&["std", "thread", "sleep"], "`coop::sleep`"),
    (&["std", "thread", "sleep_until"], "`coop::sleep`"),
    (&["std", "thread", "yield_now"], "`coop::yield_now`"),
    (&["std", "thread", "park"], "a Coordinator or a channel of coop's"),
    (&["std", "thread", "park_timeout"], "a Coordinator or a channel of coop's"),
    (&["std", "net", "TcpStream"], "`coop::net::TcpStream`"),
    (&["std", "net", "TcpListener"], "`coop::net::TcpListener`"),
    (&["std", "net", "UdpSocket"], "`coop::net::UdpSocket`"),
    (&["std", "os", "unix", "net"], "`coop::net`"),
    (&["std", "fs"], "`coop::fs`"),
    (&["std", "process", "Command"], "`coop::process::Command`"),
    (&["std", "io", "stdin"], "`coop::io`"),
    (&["std", "io", "read_to_string"], "`coop::io`"),
    (&["std", "sync", "Barrier"], "`coop::sync`"),
    (&["std", "sync", "Condvar"], "`coop::sync`"),
    (&["std", "sync", "mpsc"], "`coop::chan`"),
];

/// A blocking call in a body.
pub struct Finding<'a> {
    path: &'a Path,
    instead: &'static str,
}

/// The blocking calls among the paths of a body.
pub fn find(paths: &[Path]) -> impl Iterator<Item = Finding<'_>> {
    paths.iter().filter_map(|path| {
        let mut names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if path.leading_colon.is_none() && names.len() == 2 && names[0] == "thread" {
            names.insert(0, "std".to_owned());
        }
        let begins_with = |known: &[&str]| known.len() <= names.len() && known.iter().zip(&names).all(|(a, b)| a == b);
        let (_, instead) = BLOCKING.iter().find(|(known, _)| begins_with(known))?;
        Some(Finding { path, instead })
    })
}

impl Finding<'_> {
    /// The tokens to point at.
    pub fn place(&self) -> &Path {
        self.path
    }

    /// What is wrong with it.
    pub fn message(&self) -> Message {
        let path = self.path.to_token_stream().to_string().replace(' ', "");
        messages::blocking_call(&path, self.instead)
    }

    /// A warning on the path. A macro cannot warn, but the compiler does when a deprecated constant is used, at the place where
    /// that use is said to stand: here the name of the function.
    pub fn warning(&self) -> TokenStream {
        let note = self.message().to_string();
        let place = self.path.segments.last().map_or_else(Span::call_site, |segment| segment.ident.span());
        let constant = Ident::new("blocking_call", place);
        quote! {
            const _: () = {
                #[deprecated(note = #note)]
                #[allow(non_upper_case_globals)]
                const blocking_call: () = ();
                #constant
            };
        }
    }
}
