//! From received bytes to a request.

use std::mem::MaybeUninit;

use httparse::{Error, Header};

use crate::{
    encoding::Accepted,
    status::{Refusal, Status},
};

/// Header fields that a request may have.
const MAX_FIELDS: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    /// One that is known, but not for files.
    Known,
    Unknown,
}

/// A request, in the bytes it came in.
#[derive(Debug)]
pub struct Request<'a> {
    pub method: Method,
    /// As the client has written it.
    pub method_name: &'a str,
    pub target: &'a str,
    /// The 1 of HTTP/1.1.
    pub minor: u8,
    /// Whether the connection may be used again.
    pub is_persistent: bool,
    /// Length of the body; `Err` if that is told in another way.
    pub body: Result<u64, Refusal>,
    /// Whether the client waits for leave to send its body.
    pub expects_continue: bool,
    pub accepted: Accepted,
    pub conditions: Conditions<'a>,
}

/// The fields on which an answer may depend.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Conditions<'a> {
    pub range: Option<&'a [u8]>,
    pub if_range: Option<&'a [u8]>,
    pub if_match: Option<&'a [u8]>,
    pub if_none_match: Option<&'a [u8]>,
    pub if_modified_since: Option<&'a [u8]>,
    pub if_unmodified_since: Option<&'a [u8]>,
    /// Whether there is any: most requests have none.
    pub any: bool,
}

/// The request at the beginning of `bytes`, and how many of them are its head. `None`: it is not complete yet.
///
/// # Errors
/// What is wrong with it. Where the next request would begin is then unknown.
pub fn parse(bytes: &[u8]) -> Result<Option<(Request<'_>, usize)>, Refusal> {
    let mut fields = [const { MaybeUninit::<Header<'_>>::uninit() }; MAX_FIELDS];
    let mut head = httparse::Request::new(&mut []);
    let len = match head.parse_with_uninit_headers(bytes, &mut fields) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(Error::Version) if !names_a_version(bytes) => {
            return Err(Refusal::bad("The request line is malformed."));
        }
        Err(error) => return Err(refusal(error)),
    };
    let (Some(method_name), Some(target), Some(minor)) = (head.method, head.path, head.version) else {
        return Err(Refusal::bad("The request line is incomplete."));
    };
    let mut request = Request {
        method: method(method_name),
        method_name,
        target,
        minor,
        is_persistent: minor > 0,
        body: Ok(0),
        expects_continue: false,
        accepted: Accepted::default(),
        conditions: Conditions::default(),
    };
    let mut hosts = 0;
    let mut length = None;
    let mut is_encoded = false;
    for Header { name, value } in head.headers.iter() {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        let conditions = &mut request.conditions;
        // By length first: most fields are none of these.
        match name.len() {
            4 if is("host") => hosts += 1,
            5 if is("range") => {
                // Two of them contradict each other; the field may be ignored.
                conditions.range = if conditions.range.is_none() { Some(value) } else { Some(b"") };
                conditions.any = true;
            }
            6 if is("expect") => match value.eq_ignore_ascii_case(b"100-continue") {
                true => request.expects_continue = true,
                false => return Err(Refusal::new(Status::ExpectationFailed, "The expectation cannot be met.")),
            },
            8 if is("if-match") => set(&mut conditions.if_match, value, &mut conditions.any),
            8 if is("if-range") => set(&mut conditions.if_range, value, &mut conditions.any),
            10 if is("connection") => {
                for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    if option.eq_ignore_ascii_case(b"close") {
                        request.is_persistent = false;
                        // Nothing takes that back.
                        break;
                    } else if option.eq_ignore_ascii_case(b"keep-alive") {
                        request.is_persistent = true;
                    }
                }
            }
            13 if is("if-none-match") => set(&mut conditions.if_none_match, value, &mut conditions.any),
            14 if is("content-length") => {
                let number = number(value).ok_or(Refusal::bad("The Content-Length is no number."))?;
                if length.replace(number).is_some_and(|before| before != number) {
                    return Err(Refusal::bad("There are two different Content-Lengths."));
                }
            }
            15 if is("accept-encoding") => request.accepted.add(value),
            17 if is("if-modified-since") => set(&mut conditions.if_modified_since, value, &mut conditions.any),
            17 if is("transfer-encoding") => is_encoded = true,
            19 if is("if-unmodified-since") => set(&mut conditions.if_unmodified_since, value, &mut conditions.any),
            _ => {}
        }
    }
    if hosts > 1 || hosts == 0 && minor > 0 {
        return Err(Refusal::bad("There must be one Host field."));
    }
    request.body = match (length, is_encoded) {
        // Two ways to tell where the next request begins: somebody on the way may have taken the other.
        (Some(_), true) => return Err(Refusal::bad("There are both a Content-Length and a Transfer-Encoding.")),
        (None, true) => Err(Refusal::new(Status::LengthRequired, "A body needs a Content-Length.")),
        (length, false) => Ok(length.unwrap_or(0)),
    };
    Ok(Some((request, len)))
}

/// Takes the first of several.
fn set<'a>(field: &mut Option<&'a [u8]>, value: &'a [u8], any: &mut bool) {
    field.get_or_insert(value);
    *any = true;
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" | "PUT" | "DELETE" | "PATCH" | "OPTIONS" | "TRACE" | "CONNECT" => Method::Known,
        _ => Method::Unknown,
    }
}

/// Digits only: `parse` alone would take `+1`.
pub fn number(text: &[u8]) -> Option<u64> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| is_number)?.parse().ok()
}

/// Whether what stands in a version's place is one.
fn names_a_version(bytes: &[u8]) -> bool {
    let line = bytes.trim_ascii_start().split(|byte| *byte == b'\n').next().unwrap_or_default();
    line.splitn(3, |byte| *byte == b' ').nth(2).is_some_and(|version| version.starts_with(b"HTTP/"))
}

fn refusal(error: Error) -> Refusal {
    match error {
        Error::HeaderName => Refusal::bad("The name of a header field is malformed."),
        Error::HeaderValue => Refusal::bad("The value of a header field is malformed."),
        Error::NewLine => Refusal::bad("A line ends in a wrong way."),
        Error::Status | Error::Token => Refusal::bad("The request line is malformed."),
        Error::TooManyHeaders => Refusal::new(Status::HeaderFieldsTooLarge, "There are too many header fields."),
        Error::Version => Refusal::new(Status::VersionNotSupported, "This server speaks HTTP/1.1."),
    }
}

#[cfg(test)]
#[path = "../tests/fuzz/request.rs"]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> Request<'_> {
        let (request, len) = parse(text.as_bytes()).expect("well formed").expect("complete");
        assert_eq!(len, text.len());
        request
    }

    fn status(text: &str) -> u16 {
        parse(text.as_bytes()).expect_err(text).status.code()
    }

    #[test]
    fn a_request_comes_in_pieces() {
        let text = "GET /a?b HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\nContent-Length: 3\r\n\r\n";
        for len in 0..text.len() {
            assert!(matches!(parse(&text.as_bytes()[..len]), Ok(None)), "{len} bytes");
        }
        let request = request(text);
        assert_eq!((request.method, request.target, request.minor), (Method::Get, "/a?b", 1));
        assert_eq!((request.conditions.range, request.conditions.any), (Some(&b"bytes=0-1"[..]), true));
        assert_eq!(request.body, Ok(3));
    }

    #[test]
    fn connections_persist_unless_it_is_said_otherwise() {
        let cases = [
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", true),
            ("GET / HTTP/1.1\r\nHost: x\r\nConnection: Close\r\n\r\n", false),
            ("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade, close\r\n\r\n", false),
            ("GET / HTTP/1.0\r\n\r\n", false),
            ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true),
        ];
        for (text, is_persistent) in cases {
            assert_eq!(request(text).is_persistent, is_persistent, "{text}");
        }
    }

    #[test]
    fn what_is_malformed_is_named() {
        let with = |fields: &str| format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
        let cases = [
            ("\x16\x03\x01\x02\x00".to_owned(), 400),
            ("GET /\r\n\r\n".to_owned(), 400),
            ("GET / HTTP/2.0\r\n\r\n".to_owned(), 505),
            ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
            (with("Host: y\r\n"), 400),
            (with("A B: c\r\n"), 400),
            (with("A: \x01\r\n"), 400),
            (with("Content-Length: +1\r\n"), 400),
            (with("Content-Length: 1\r\nContent-Length: 2\r\n"), 400),
            (with("Content-Length: 99999999999999999999999\r\n"), 400),
            (with("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), 400),
            (with("Expect: a miracle\r\n"), 417),
            (with(&"a: b\r\n".repeat(64)), 431),
        ];
        for (text, expected) in cases {
            assert_eq!(status(&text), expected, "{text}");
        }
        let chunked = with("Transfer-Encoding: chunked\r\n");
        assert_eq!(request(&chunked).body.map_err(|refusal| refusal.status.code()), Err(411));
        assert_eq!(request(&with("Content-Length: 7\r\nContent-Length: 7\r\n")).body, Ok(7));
    }
}
