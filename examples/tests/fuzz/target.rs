//! Targets of requests. A part of `http::target`.

// Each module that has something to try brings it along.
#[allow(clippy::duplicate_mod)]
#[path = "../../../coop/tests/fuzz/generate.rs"]
mod generate;

use super::Target;
use std::path::Path;

/// No name leads out of the directory, and each can be asked for again.
fn target(input: &[u8]) -> &'static str {
    let Ok(text) = std::str::from_utf8(input) else { return "no text" };
    let (shown, hidden) = (Target::of(text, false), Target::of(text, true));
    let Ok(target) = hidden else {
        assert!(shown.is_err(), "what may be hidden is no more than what may be shown");
        return "refused";
    };
    if target.path == b"." {
        assert!(target.is_directory);
        return "the directory";
    }
    let mut is_hidden = false;
    for segment in target.path.split(|byte| *byte == b'/') {
        assert!(!segment.is_empty() && segment != b"." && segment != b"..", "{}", target.path.escape_ascii());
        assert!(!segment.contains(&0));
        is_hidden |= segment[0] == b'.';
    }
    assert_eq!(shown.is_err(), is_hidden);
    let again = Target::of(&target.location(), true).ok();
    assert_eq!(again.map(|again| (again.path, again.is_directory)), Some((target.path, true)));
    if is_hidden { "hidden" } else { "a name" }
}

#[test]
fn no_target_leads_out_of_the_directory() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus/target");
    let words: [&[u8]; 12] =
        [b"/", b".", b"..", b"%2e", b"%2F", b"%00", b"%", b"?", b"#", b"http://", b"//", b"\xc3\xbc"];
    let kinds = generate::hunt(&corpus, &words, 50_000, target);
    assert_eq!(
        kinds.keys().copied().collect::<Vec<_>>(),
        ["a name", "hidden", "no text", "refused", "the directory"],
        "{kinds:?}"
    );
}
