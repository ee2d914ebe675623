//! Bytes that are to be requests of the store. A part of `kv::resp`.

// Each module that has something to try brings it along.
#[allow(clippy::duplicate_mod)]
#[path = "../../../coop/tests/fuzz/generate.rs"]
mod generate;

use super::{Args, Malformed, Parsed, array, bulk, parse};
use generate::Random;
use std::path::Path;

/// What one request is: its arguments and its length.
type Outcome = Option<Result<(Vec<Vec<u8>>, usize), Malformed>>;

/// Parses what comes in pieces that end at `ends`.
fn outcome(bytes: &[u8], ends: impl Iterator<Item = usize>) -> Outcome {
    let mut args = Args::default();
    for end in ends {
        match parse(&bytes[..end], &mut args) {
            Parsed::Incomplete => {}
            Parsed::Error(malformed) => return Some(Err(malformed)),
            Parsed::Complete { consumed } => {
                assert!(0 < consumed && consumed <= end, "a request is of bytes that have come");
                let request = args.request(&bytes[..end]);
                return Some(Ok((request.args(0).map(<[u8]>::to_vec).collect(), consumed)));
            }
        }
    }
    None
}

/// However a request comes in, it is the same; and what was understood can be said again in so many words.
fn request(bytes: &[u8]) -> &'static str {
    let whole = outcome(bytes, [bytes.len()].into_iter());
    let mut random = Random::new(bytes.len() as u64);
    let by_one = outcome(bytes, 0..=bytes.len());
    let mut end = 0;
    let pieces = std::iter::from_fn(|| {
        (end < bytes.len()).then(|| {
            end = bytes.len().min(end + 1 + random.below(9));
            end
        })
    });
    let in_pieces = outcome(bytes, pieces);
    for other in [by_one, in_pieces] {
        // An error may show before all has come, or another request may have ended by then.
        assert_eq!(other, whole);
    }
    match whole {
        None => "goes on",
        Some(Err(malformed)) => {
            let mut reply = Vec::new();
            malformed.reply(&mut reply);
            assert!(reply.starts_with(b"-ERR Protocol error: ") && reply.ends_with(b"\r\n"));
            match malformed {
                Malformed::UnbalancedQuotes => "unbalanced quotes",
                Malformed::Count => "no count",
                Malformed::Length => "no length",
                Malformed::NotBulk(_) => "no string",
                _ => "too long",
            }
        }
        Some(Ok((arguments, _))) if arguments.is_empty() => "nothing",
        Some(Ok((arguments, _))) => {
            let mut again = Vec::new();
            array(&mut again, arguments.len());
            arguments.iter().for_each(|argument| bulk(&mut again, argument));
            let len = again.len();
            again.extend_from_slice(bytes);
            assert_eq!(outcome(&again, [again.len()].into_iter()), Some(Ok((arguments, len))));
            "a request"
        }
    }
}

#[test]
fn requests_are_the_same_however_they_come() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus/resp");
    let words: [&[u8]; 12] =
        [b"\r\n", b"*", b"$", b"*1\r\n", b"$3\r\nGET\r\n", b"\"", b"'", b"\\x41", b"-1", b"536870913", b" ", b"\0"];
    let kinds = generate::hunt(&corpus, &words, 8_000, request);
    let all =
        ["a request", "goes on", "no count", "no length", "no string", "nothing", "too long", "unbalanced quotes"];
    assert_eq!(kinds.keys().copied().collect::<Vec<_>>(), all, "{kinds:?}");
}
