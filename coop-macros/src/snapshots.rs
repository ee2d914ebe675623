//! Expansions as golden files in `tests/snapshots`, formatted as a reader would have written them.
//!
//! `UPDATE=1 cargo test -p coop-macros` rewrites them; the difference is to be read before it is committed. They end in
//! `.expanded.rs`, because cargo would take `tests/snapshots/main.rs` for a test.

use std::path::PathBuf;
use std::{env, fs};

use proc_macro2::TokenStream;
use quote::quote;

use crate::names::NAMES;

/// Compares items with their golden file.
pub fn assert_items(name: &str, expansion: TokenStream) {
    let text = match syn::parse2(expansion.clone()) {
        Ok(file) => prettyplease::unparse(&file),
        Err(error) => panic!("{name}: the expansion does not parse: {error}\n{expansion}"),
    };
    let path = directory().join(name).with_extension("expanded.rs");
    if env::var_os("UPDATE").is_some() {
        fs::create_dir_all(directory()).unwrap();
        fs::write(&path, &text).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert!(golden == text, "{} differs; run with UPDATE=1 to accept:\n{text}", path.display());
}

/// Compares an expression with its golden file.
pub fn assert_expression(name: &str, expansion: TokenStream) {
    assert_items(name, quote!(fn expression() { let _ = #expansion; }));
}

/// The messages in an expansion, in order, each without its help.
pub fn mistakes(expansion: &TokenStream) -> Vec<String> {
    messages(expansion).into_iter().map(|text| text.lines().next().unwrap_or_default().to_owned()).collect()
}

/// The messages in an expansion, in order.
pub fn messages(expansion: &TokenStream) -> Vec<String> {
    let mut found = Vec::new();
    let mut after_name = false;
    for token in expansion.clone() {
        match token {
            proc_macro2::TokenTree::Ident(ident) => after_name = ident == "compile_error",
            proc_macro2::TokenTree::Group(group) if after_name => {
                let text: syn::LitStr = syn::parse2(group.stream()).expect("compile_error! holds one string");
                found.push(text.value());
                after_name = false;
            }
            proc_macro2::TokenTree::Group(group) => found.extend(messages(&group.stream())),
            _ => {}
        }
    }
    found
}

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots")
}

/// What the runtime is told to provide is what the expansions use: no less, and no more.
#[test]
fn the_list_of_names_is_what_expansions_use() {
    if env::var_os("UPDATE").is_some() {
        return; // the other tests are still writing
    }
    let mut used: Vec<String> = Vec::new();
    for entry in fs::read_dir(directory()).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        for after in text.split("__private::").skip(1) {
            used.push(after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    used.sort();
    used.dedup();
    let mut listed = NAMES.to_vec();
    listed.sort_unstable();
    assert_eq!(used, listed);
}
