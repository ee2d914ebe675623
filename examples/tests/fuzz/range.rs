//! Values of `Range`. A part of `http::range`.

// Each module that has something to try brings it along.
#[allow(clippy::duplicate_mod)]
#[path = "../../../coop/tests/fuzz/generate.rs"]
mod generate;

use super::{MAX_RANGES, Selection, select};
use std::path::Path;

/// What is selected is in the file, and never more than all of it.
fn value(value: &[u8]) -> &'static str {
    let mut kind = "";
    // No file is longer than the last.
    for len in [0, 1, 10, 5_000, i64::MAX as u64] {
        kind = match select(value, len) {
            Selection::Whole => "ignored",
            Selection::Unsatisfiable => "outside",
            Selection::Parts(parts) => {
                assert!(!parts.is_empty() && parts.len() <= MAX_RANGES);
                assert!(parts.iter().all(|part| part.start < part.end && part.end <= len), "{parts:?} of {len}");
                let sum: u128 = parts.iter().map(|part| u128::from(part.end - part.start)).sum();
                assert!(sum <= u128::from(len), "{parts:?} are more than {len}");
                if parts.len() == 1 { "one part" } else { "parts" }
            }
        };
        if len == 5_000 && kind != "ignored" {
            return kind;
        }
    }
    kind
}

#[test]
fn what_is_selected_is_in_the_file() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus/range");
    let words: [&[u8]; 9] =
        [b"bytes=", b"-", b",", b"0-", b"-1", b"18446744073709551615", b"18446744073709551616", b" ", b"0-0,"];
    let kinds = generate::hunt(&corpus, &words, 50_000, value);
    assert_eq!(kinds.keys().copied().collect::<Vec<_>>(), ["ignored", "one part", "outside", "parts"], "{kinds:?}");
}
