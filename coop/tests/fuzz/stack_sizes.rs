//! Texts that are to be sizes of stacks, as in `#[coop::task(stack = "64k")]`. A part of `options` in `coop-macros`.

// Each module that has something to try brings it along.
#[allow(clippy::duplicate_mod)]
#[path = "generate.rs"]
mod generate;

use super::size;
use std::path::Path;

/// Holds what is made of a text against a slow and simple reading of it.
fn read(input: &[u8]) -> &'static str {
    let Ok(text) = std::str::from_utf8(input) else { return "no text" };
    let bytes = size(text);
    let (digits, unit) = match text.char_indices().next_back() {
        Some((at, 'k' | 'K')) => (&text[..at], 1u128 << 10),
        Some((at, 'm' | 'M')) => (&text[..at], 1 << 20),
        Some((at, 'g' | 'G')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    // Leading zeros mean nothing; more digits than these are too many.
    let number = digits.trim_start_matches('0');
    let wanted = if !is_number || number.len() > 20 {
        None
    } else {
        let number: u128 = if number.is_empty() { 0 } else { number.parse().unwrap() };
        u64::try_from(number * unit).ok()
    };
    assert_eq!(bytes, wanted, "{text:?}");
    match (bytes, is_number) {
        (Some(_), _) if unit == 1 => "bytes",
        (Some(_), _) => "with a unit",
        (None, true) => "too large",
        (None, false) => "no size",
    }
}

#[test]
fn a_text_is_a_size_or_an_error() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../coop/tests/fuzz/corpus/stack-sizes");
    let words: [&[u8]; 9] = [b"k", b"m", b"g", b"0", b"+", b"-", b".", b"18446744073709551615", b"\xd9\xa6"];
    let kinds = generate::hunt(&corpus, &words, 50_000, read);
    let all = ["bytes", "no size", "no text", "too large", "with a unit"];
    assert_eq!(kinds.keys().copied().collect::<Vec<_>>(), all, "{kinds:?}");
}
