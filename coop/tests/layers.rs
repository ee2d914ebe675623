//! The table of layers in ARCHITECTURE.md, held against the imports of the code: page and code cannot part.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules of `coop/src` in the table's order: each row's, from the lowest row up.
struct Layers(Vec<Vec<String>>);

impl Layers {
    /// Reads the table under the heading `## Layers`: the modules of a row are the names in its second column.
    fn read(page: &str) -> Self {
        let (_, section) = page.split_once("\n## Layers\n").expect("ARCHITECTURE.md has a section `## Layers`");
        let section = section.split("\n## ").next().unwrap_or(section);
        let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
        let rows: Vec<Vec<String>> = rows.map(|row| names(row.split('|').nth(2).unwrap_or(""))).collect();
        assert!(rows.iter().all(|row| !row.is_empty()), "every row of the table names a module: {rows:?}");
        Layers(rows)
    }

    /// Where a module stands: its row, and its place in the row.
    fn place(&self, module: &str) -> Option<(usize, usize)> {
        let in_row = |row: &Vec<String>| row.iter().position(|name| name == module);
        self.0.iter().enumerate().find_map(|(index, row)| in_row(row).map(|place| (index, place)))
    }

    fn modules(&self) -> impl Iterator<Item = &String> {
        self.0.iter().flatten()
    }
}

/// The names between backticks.
fn names(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// A path in the code that leads out of its module.
#[derive(Debug, PartialEq)]
struct Import {
    line: usize,
    /// The first name after `crate::`.
    name: String,
}

/// Every path in `code` that begins at the crate's root, in whatever position: `use`, a type, a call.
fn imports(code: &str) -> Vec<Import> {
    let code = without_comments_and_texts(code);
    let mut found = Vec::new();
    for root in ["crate::", "coop::"] {
        for (at, _) in code.match_indices(root) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':' || c == '$') {
                continue;
            }
            let line = code[..at].matches('\n').count() + 1;
            for name in first_names(&code[at + root.len()..]) {
                found.push(Import { line, name });
            }
        }
    }
    found.sort_by_key(|import| import.line);
    found
}

/// The first name of a path, or the first names of a group: `task::Task` gives `task`, `{chan, time::{self, sleep}}` gives `chan`, `time`.
fn first_names(path: &str) -> Vec<String> {
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(group) = path.strip_prefix('{') else {
        return vec![name(path)];
    };
    let (mut depth, mut all, mut piece) = (0, Vec::new(), String::new());
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => all.push(std::mem::take(&mut piece)),
            _ => {}
        }
        if c != ',' {
            piece.push(c);
        }
    }
    all.push(piece);
    all.iter().map(|piece| name(piece.trim())).filter(|name| !name.is_empty()).collect()
}

/// The code with comments, strings and characters blanked out, line by line as it was.
fn without_comments_and_texts(code: &str) -> String {
    let mut result = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(c) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if c == '"' {
            text_length(rest)
        } else if c == '\'' {
            // A lifetime is no text: `'a` has no closing quote two or more characters on.
            char_length(rest)
        } else {
            0
        };
        let (blank, kept) = rest.split_at(skipped);
        result.extend(blank.chars().filter(|c| *c == '\n'));
        rest = kept;
        if skipped == 0 {
            result.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    result
}

fn text_length(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn char_length(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some((_, '\''))) => text[3..].find('\'').map_or(0, |at| 3 + at + 1),
        (Some((_, '\\')), Some(_)) => text[2..].find('\'').map_or(0, |at| 2 + at + 1),
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

/// What `lib.rs` re-exports from its modules: `crate::Killed` is `crate::error::Killed`.
fn reexports(lib: &str) -> HashMap<String, String> {
    let lib = without_comments_and_texts(lib);
    let mut map = HashMap::new();
    for statement in lib.split(';').filter_map(|statement| statement.split_once("pub use ")) {
        let Some((module, names)) = statement.1.split_once("::") else {
            continue;
        };
        for name in first_names(names) {
            map.insert(name, module.to_owned());
        }
    }
    map
}

/// Files that `lib.rs` gives another module's name, by `#[path = "file.rs"] pub mod name;`.
fn renamed(lib: &str) -> HashMap<String, String> {
    let after_path = lib.split("#[path = \"").skip(1).filter_map(|text| text.split_once("\"]"));
    after_path
        .filter_map(|(file, rest)| {
            let name = rest.split_once("mod ")?.1.split_once(';')?.0;
            Some((file.to_owned(), name.to_owned()))
        })
        .collect()
}

fn lib() -> String {
    fs::read_to_string(sources().join("lib.rs")).unwrap()
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn layers() -> Layers {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ARCHITECTURE.md");
    Layers::read(&fs::read_to_string(page).expect("ARCHITECTURE.md stands at the top of the tree"))
}

/// Every source file with the module of the crate that it belongs to; `lib.rs` belongs to none.
fn files() -> Vec<(PathBuf, String)> {
    let renamed = renamed(&lib());
    let mut files = Vec::new();
    let mut directories = vec![sources()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && path != sources().join("lib.rs") {
                let relative = path.strip_prefix(sources()).unwrap();
                let first = relative.iter().next().unwrap().to_str().unwrap();
                let module = renamed.get(first).map_or(first.trim_end_matches(".rs"), String::as_str).to_owned();
                files.push((path, module));
            }
        }
    }
    files.sort();
    files
}

#[test]
fn every_module_has_its_place_in_the_table_and_every_place_a_module() {
    let layers = layers();
    let mut placed: Vec<&String> = layers.modules().collect();
    let mut modules: Vec<String> = files().into_iter().map(|(_, module)| module).collect();
    modules.sort();
    modules.dedup();
    placed.sort();
    assert_eq!(modules.iter().collect::<Vec<_>>(), placed, "modules of coop/src, and those in ARCHITECTURE.md");
}

#[test]
fn no_import_points_up() {
    let (layers, reexports) = (layers(), reexports(&lib()));
    let mut wrong = Vec::new();
    let mut looked_at = 0;
    for (path, module) in files() {
        let here = layers.place(&module);
        for Import { line, name } in imports(&fs::read_to_string(&path).unwrap()) {
            looked_at += 1;
            // `task` is a module and a macro: paths that go on mean the module.
            let is_module = layers.place(&name).is_some();
            let target = reexports.get(&name).filter(|_| !is_module).unwrap_or(&name);
            let place = format!("{}:{line}", path.strip_prefix(sources()).unwrap().display());
            match layers.place(target) {
                _ if *target == module => {}
                None => wrong.push(format!("{place}: `crate::{name}` is in no row of the table")),
                there if there > here => {
                    wrong.push(format!("{place}: `{module}` imports `{target}`, which stands above it"))
                }
                Some(_) => {}
            }
        }
    }
    assert!(wrong.is_empty(), "against the table in ARCHITECTURE.md:\n{}", wrong.join("\n"));
    assert!(looked_at > 150, "only {looked_at} imports were found: does the reader still read?");
}

#[test]
fn the_reader_sees_imports_wherever_they_stand() {
    let code = r#"
//! [`crate::comment`]
use crate::{chan, time::{self, sleep}};
pub(crate) use crate::handle::Handle; // crate::trailing
fn f<'a>(x: &'a crate::task::Task) -> Option<char> {
    let text = "crate::text \" crate::text";
    ($crate::macros, xcrate::other, '"', '\'', crate::error::panic_message(text)).2
}
"#;
    let seen: Vec<(usize, String)> = imports(code).into_iter().map(|import| (import.line, import.name)).collect();
    let expected = [(3, "chan"), (3, "time"), (4, "handle"), (5, "task"), (7, "error")];
    assert_eq!(seen, expected.map(|(line, name)| (line, name.to_owned())));
    let lib = "pub use error::{Cause, Killed};\npub use time::sleep;\n#[path = \"y.rs\"]\npub mod x;";
    assert_eq!(renamed(lib), HashMap::from([("y.rs".to_owned(), "x".to_owned())]));
    let mut map: Vec<(String, String)> = reexports(lib).into_iter().collect();
    map.sort();
    let expected = [("Cause", "error"), ("Killed", "error"), ("sleep", "time")];
    assert_eq!(map, expected.map(|(name, module)| (name.to_owned(), module.to_owned())));
}

#[test]
fn a_row_that_is_out_of_order_is_found() {
    let page = "# A\n\n## Layers\n\n| layer | modules | text |\n|---|---|---|\n| low | `a`, `b` | x |\n| high | `c` | `d` |\n\n## B\n";
    let layers = Layers::read(page);
    assert_eq!(layers.modules().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert!(layers.place("a") < layers.place("b") && layers.place("b") < layers.place("c"));
    assert_eq!(layers.place("d"), None);
}
