//! Heads of requests. A part of `http::request`.

// Each module that has something to try brings it along.
#[allow(clippy::duplicate_mod)]
#[path = "../../../coop/tests/fuzz/generate.rs"]
mod generate;

use super::parse;
use std::path::Path;

/// What was understood of the first bytes stays true whatever comes behind them.
fn head(bytes: &[u8]) -> &'static str {
    let shown = |bytes: &[u8]| match parse(bytes) {
        Ok(None) => None,
        Ok(Some((request, len))) => {
            assert!(0 < len && len <= bytes.len());
            Some(Ok((format!("{request:?}"), len)))
        }
        Err(refusal) => Some(Err(format!("{refusal:?}"))),
    };
    let whole = shown(bytes);
    let mut more = bytes.to_vec();
    more.extend_from_slice(b"GET / HTTP/1.1\r\n");
    if let Some(known) = &whole {
        assert_eq!(shown(&more).as_ref(), Some(known), "what comes behind has changed it");
    }
    match whole {
        None => "goes on",
        Some(Err(_)) => "refused",
        Some(Ok((_, len))) => {
            for end in len.saturating_sub(40)..len {
                assert_eq!(shown(&bytes[..end]).map(|known| known.is_ok()), None, "it ends at {len}, and not at {end}");
            }
            "a request"
        }
    }
}

#[test]
fn a_head_is_what_it_is_whatever_follows() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus/request");
    let words: [&[u8]; 12] = [
        b"\r\n",
        b"\n",
        b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n",
        b"Host: a\r\n",
        b"Content-Length: ",
        b"Transfer-Encoding: chunked\r\n",
        b"Range: bytes=0-\r\n",
        b"Connection: close\r\n",
        b"HTTP/1.0",
        b"\0",
        b": ",
    ];
    let kinds = generate::hunt(&corpus, &words, 30_000, head);
    assert_eq!(kinds.keys().copied().collect::<Vec<_>>(), ["a request", "goes on", "refused"], "{kinds:?}");
}
