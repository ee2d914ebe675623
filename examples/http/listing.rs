//! Directories as pages.

use std::{fmt::Write, io, os::unix::ffi::OsStrExt, time::SystemTime};

use coop::fs;

use crate::target::{Target, encode};

/// More entries than this are not listed.
const MAX_ENTRIES: usize = 10_000;

struct Entry {
    name: Vec<u8>,
    is_directory: bool,
    len: u64,
    modified: Option<SystemTime>,
}

/// A page with the entries of a directory that was found by this target. `entries` is where to read them. A wait point;
/// kill-checked.
///
/// # Errors
/// Those of reading the directory.
pub fn page(target: &Target, entries: fs::ReadDir, serve_hidden: bool) -> io::Result<String> {
    let mut listed = Vec::new();
    let mut is_cut = false;
    for entry in entries {
        let entry = entry?;
        if !serve_hidden && entry.file_name().as_bytes().starts_with(b".") {
            continue;
        }
        if listed.len() == MAX_ENTRIES {
            is_cut = true;
            break;
        }
        // One that has gone meanwhile is none.
        let Ok(metadata) = entry.metadata() else { continue };
        listed.push(Entry {
            is_directory: metadata.is_dir(),
            len: metadata.len(),
            modified: metadata.modified().ok(),
            name: entry.into_file_name().into_encoded_bytes(),
        });
    }
    listed.sort_by(|a, b| (!a.is_directory, &a.name).cmp(&(!b.is_directory, &b.name)));
    let title = match &target.path[..] {
        b"." => "/".to_owned(),
        path => format!("/{}/", escape(&String::from_utf8_lossy(path))),
    };
    let mut html = format!(
        "<!DOCTYPE html>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n<h1>{title}</h1>\n<table>\n\
         <tr><th>Name<th>Bytes<th>Modified\n"
    );
    if title != "/" {
        html.push_str("<tr><td><a href=\"../\">../</a><td><td>\n");
    }
    for entry in &listed {
        let slash = if entry.is_directory { "/" } else { "" };
        // `./`: a name with a colon is no scheme.
        html.push_str("<tr><td><a href=\"./");
        encode(&entry.name, &mut html);
        let name = escape(&String::from_utf8_lossy(&entry.name));
        let len = if entry.is_directory { String::new() } else { entry.len.to_string() };
        let modified = entry.modified.map_or_else(String::new, httpdate::fmt_http_date);
        // To a String that cannot fail.
        let _ = writeln!(html, "{slash}\">{name}{slash}</a><td>{len}<td>{modified}");
    }
    html.push_str("</table>\n");
    if is_cut {
        let _ = writeln!(html, "<p>There are more than {MAX_ENTRIES}.</p>");
    }
    Ok(html)
}

/// Text as HTML.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() => escaped.push(char::REPLACEMENT_CHARACTER),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_is_markup() {
        assert_eq!(escape("<a href='x'>\"&\n"), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;\u{FFFD}");
    }
}
