//! The `Range` field.

use std::ops::Range;

use crate::request::number;

/// More ranges than this are not answered one by one: it would cost more than the whole.
const MAX_RANGES: usize = 16;

/// What to send of a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Selection {
    /// There is no range, or one that may be ignored.
    Whole,
    /// At least one, none of them empty, in the order of the request.
    Parts(Vec<Range<u64>>),
    /// None of them is in the file.
    Unsatisfiable,
}

/// What the value of a `Range` field selects of a file of `len` bytes.
pub fn select(value: &[u8], len: u64) -> Selection {
    let mut parts: Vec<Range<u64>> = Vec::new();
    let Some(ranges) = value.split_at_checked(6).filter(|(unit, _)| unit.eq_ignore_ascii_case(b"bytes=")) else {
        return Selection::Whole;
    };
    let mut count = 0;
    for range in ranges.1.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|range| !range.is_empty()) {
        count += 1;
        let Some(part) = part(range, len) else { return Selection::Whole };
        if !part.is_empty() {
            parts.push(part);
        }
    }
    let sum: u64 = parts.iter().map(|part| part.end - part.start).fold(0, u64::saturating_add);
    match parts.len() {
        _ if count == 0 || count > MAX_RANGES => Selection::Whole,
        0 => Selection::Unsatisfiable,
        // Ranges that overlap could ask for the same bytes many times.
        2.. if sum > len => Selection::Whole,
        _ => Selection::Parts(parts),
    }
}

/// One range, empty if it is outside of the file. `None`: it is malformed.
fn part(range: &[u8], len: u64) -> Option<Range<u64>> {
    let dash = range.iter().position(|byte| *byte == b'-')?;
    let (first, last) = (range[..dash].trim_ascii(), range[dash + 1..].trim_ascii());
    match (first, last) {
        (b"", last) => Some(len.saturating_sub(number(last)?)..len),
        (first, b"") => Some(number(first)?.min(len)..len),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then(|| first.min(len)..last.saturating_add(1).min(len))
        }
    }
}

#[cfg(test)]
#[path = "../tests/fuzz/range.rs"]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str, len: u64) -> String {
        match select(value.as_bytes(), len) {
            Selection::Parts(parts) => {
                let parts: Vec<_> = parts.iter().map(|part| format!("{}..{}", part.start, part.end)).collect();
                parts.join(" ")
            }
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn ranges_are_cut_to_the_file() {
        let cases = [
            ("bytes=0-0", "0..1"),
            ("bytes=2-5", "2..6"),
            ("Bytes=2-", "2..10"),
            ("bytes=-3", "7..10"),
            ("bytes=-30", "0..10"),
            ("bytes=9-100", "9..10"),
            ("bytes=0-18446744073709551615", "0..10"),
            ("bytes=0-1,4-5", "0..2 4..6"),
            ("bytes= 4-5 , , 0-1 ", "4..6 0..2"),
            ("bytes=0-1, 99-", "0..2"),
            ("bytes=10-", "Unsatisfiable"),
            ("bytes=-0", "Unsatisfiable"),
            ("bytes=99-100,11-", "Unsatisfiable"),
        ];
        for (value, expected) in cases {
            assert_eq!(text(value, 10), expected, "{value}");
        }
        assert_eq!(text("bytes=0-", 0), "Unsatisfiable");
        assert_eq!(text("bytes=-5", 0), "Unsatisfiable");
    }

    #[test]
    fn what_makes_no_sense_is_ignored() {
        let many = format!("bytes={}", "0-0,".repeat(17));
        for value in
            ["", "bytes", "bytes=", "bytes=,", "bytes=a-b", "bytes=5", "bytes=5-4", "bytes=--1", "bytes=-", "lines=1-2"]
        {
            assert_eq!(select(value.as_bytes(), 10), Selection::Whole, "{value}");
        }
        assert_eq!(select(many.as_bytes(), 10), Selection::Whole);
        assert_eq!(text("bytes=0-8,1-9", 10), "Whole", "more than there is");
        assert_eq!(text("bytes=0-99999999999999999999", 10), "Whole", "no number of 64 bits");
    }
}
