//! Texts that are to be addresses. A part of `net::resolve`.

// Each module that has something to try brings it along.
#[allow(clippy::duplicate_mod)]
#[path = "generate.rs"]
mod generate;

use super::Target;
use super::sealed::Sealed;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// Holds what is made of a text against what std makes of it, which looks up what is no number.
fn address(input: &[u8]) -> &'static str {
    let Ok(text) = std::str::from_utf8(input) else { return "no text" };
    let target = text.target();
    assert_eq!(text.to_owned().target().ok(), target.as_ref().ok().cloned(), "a String is as good as a str");
    if let Ok(address) = text.parse::<SocketAddr>() {
        assert_eq!(target.ok(), Some(Target::One(address)));
        return "an address in digits";
    }
    match target {
        // As `("::1", 80)` and "::1:80" are, which std takes, too.
        Ok(Target::One(address)) => {
            let (host, port) = text.rsplit_once(':').unwrap();
            assert_eq!((host.parse::<IpAddr>().unwrap(), port.parse().unwrap()), (address.ip(), address.port()));
            "a host in digits"
        }
        Ok(Target::Named(host, port)) => {
            assert!(!host.is_empty() && !host.contains('\0'), "the resolver takes no such name");
            let (before, after) = text.rsplit_once(':').unwrap();
            assert_eq!((before, after.parse::<u16>().unwrap()), (host.as_str(), port));
            assert_eq!((host.as_str(), port).target().unwrap(), Target::Named(host.clone(), port));
            "a name"
        }
        Ok(Target::Several(_)) => panic!("a text is one address"),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            "no address"
        }
    }
}

#[test]
fn a_text_is_an_address_a_name_or_an_error() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus/addresses");
    let words: [&[u8]; 10] = [b":", b"[", b"]", b"%", b"::", b"0", b"65535", b"127.0.0.1", b"\0", b"\xc3\xbc"];
    let kinds = generate::hunt(&corpus, &words, 50_000, address);
    let all = ["a host in digits", "a name", "an address in digits", "no address", "no text"];
    assert_eq!(kinds.keys().copied().collect::<Vec<_>>(), all, "{kinds:?}");
}
