//! Each message that the macros can give is shown by some case: one that nobody has seen is one that nobody has read.

use std::fs;
use std::path::Path;
use syn::visit::{self, Visit};
use syn::{Expr, ExprLit, Lit};

/// The texts of one function of the catalogue: what is wrong, and what to write instead; with `{}` where the program comes in.
struct Entry {
    name: String,
    what: Vec<String>,
}

/// The catalogue, as its source has it.
fn catalogue() -> Vec<Entry> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../coop-macros/src/messages.rs");
    let file = syn::parse_file(&fs::read_to_string(path).unwrap()).unwrap();
    let functions = file.items.into_iter().filter_map(|item| match item {
        syn::Item::Fn(function) if matches!(function.vis, syn::Visibility::Public(_)) => Some(function),
        _ => None,
    });
    functions
        .map(|function| {
            let mut calls = Calls(Vec::new());
            calls.visit_item_fn(&function);
            Entry { name: function.sig.ident.to_string(), what: calls.0 }
        })
        .collect()
}

/// The first arguments of calls of `message`.
struct Calls(Vec<String>);

impl<'ast> Visit<'ast> for Calls {
    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if matches!(&*call.func, Expr::Path(path) if path.path.is_ident("message")) {
            self.0.extend(template(&call.args[0]));
        }
        visit::visit_expr_call(self, call);
    }
}

/// The text of a literal, or that of a `format!`. `None`: made of something else.
fn template(text: &Expr) -> Option<String> {
    match text {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
        Expr::Macro(call) if call.mac.path.is_ident("format") => {
            let first = call.mac.tokens.clone().into_iter().next()?;
            let text: syn::LitStr = syn::parse2(first.into()).ok()?;
            Some(text.value())
        }
        _ => None,
    }
}

/// Whether `line` has the pieces of `template` between its `{…}`, in their order.
fn shows(line: &str, template: &str) -> bool {
    let mut rest = line;
    template.replace("{{", "\u{1}").replace("}}", "\u{2}").split('{').enumerate().all(|(index, piece)| {
        let piece = if index == 0 { piece } else { piece.split_once('}').map_or(piece, |(_, after)| after) };
        let piece = piece.replace('\u{1}', "{").replace('\u{2}', "}");
        match rest.find(&piece) {
            Some(at) => {
                rest = &rest[at + piece.len()..];
                true
            }
            None => false,
        }
    })
}

/// Everything that the compiler says in all cases.
fn said() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directories = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let files = directories.flat_map(|directory| fs::read_dir(directory).unwrap()).map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "stderr"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect()
}

#[test]
fn each_message_of_the_catalogue_is_shown_by_some_case() {
    let said = said();
    let catalogue = catalogue();
    assert!(catalogue.len() > 50 && said.len() > 100, "{} messages, {} cases", catalogue.len(), said.len());
    let is_shown = |text: &String| said.iter().flat_map(|said| said.lines()).any(|line| shows(line, text));
    let unseen: Vec<_> = catalogue
        .iter()
        // The words of `syntax` are the parser's.
        .filter(|entry| entry.name != "syntax")
        .filter(|entry| entry.what.is_empty() || !entry.what.iter().all(is_shown))
        .map(|entry| format!("{}: {}", entry.name, entry.what.join(" | ")))
        .collect();
    assert!(unseen.is_empty(), "no case shows\n{}", unseen.join("\n"));
}

#[test]
fn what_a_macro_says_takes_at_most_twelve_lines() {
    // Those of a catalogue; what the compiler itself has found is as long as it likes.
    let catalogue = catalogue();
    let templates: Vec<_> = catalogue.iter().flat_map(|entry| &entry.what).collect();
    let said = said();
    // The compiler's messages begin at the left margin.
    let messages = said.iter().flat_map(|said| {
        let lines: Vec<&str> = said.lines().collect();
        let begins = |line: &&str| line.starts_with("error") || line.starts_with("warning");
        let starts: Vec<usize> = (0..lines.len()).filter(|&at| begins(&lines[at])).chain([lines.len()]).collect();
        starts.windows(2).map(|range| lines[range[0]..range[1]].to_vec()).collect::<Vec<_>>()
    });
    let ours = |message: &Vec<&str>| {
        templates.iter().any(|template| shows(message[0], template)) || message[0].contains("of `select!`")
    };
    let (mut seen, mut long) = (0, Vec::new());
    for message in messages.filter(ours) {
        seen += 1;
        // The case itself has turned a warning into an error, and the compiler points that out.
        let text = message.join("\n");
        let text = text.split("note: the lint level is defined here").next().unwrap_or(&text).to_owned();
        if text.trim_end().lines().count() > 12 {
            long.push(text);
        }
    }
    assert!(seen > 75, "{seen} messages");
    assert!(long.is_empty(), "{}", long.join("\n\n"));
}

#[test]
fn a_template_is_found_where_it_stands() {
    assert!(shows("error: `x` is given twice", "`{name}` is given twice"));
    assert!(!shows("error: `x` is given once", "`{name}` is given twice"));
    assert!(shows("write `loop { f()?; }` now", "write `loop {{ {call}()?; }}`"));
}
