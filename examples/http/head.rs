//! The heads of answers.

use std::time::{Instant, SystemTime};

use crate::{
    facts::Facts,
    status::{Refusal, Status},
};

/// Appends text to a head. To a Vec that cannot fail.
macro_rules! put {
    ($head:expr, $($text:tt)*) => {{
        use std::io::Write as _;
        _ = write!($head, $($text)*);
    }};
}
pub(crate) use put;

pub fn status(head: &mut Vec<u8>, status: Status) {
    put!(head, "HTTP/1.1 {status}\r\nServer: coop\r\n");
}

/// What tells versions from each other.
pub fn validators(head: &mut Vec<u8>, facts: &Facts, is_gzip: bool) {
    put!(head, "ETag: {}\r\nLast-Modified: {}\r\n", facts.etag_of(is_gzip), facts.last_modified);
    if facts.is_compressible {
        head.extend(b"Vary: Accept-Encoding\r\n");
    }
}

/// The head of an answer with a whole file, up to its date. Without a length the body is chunked.
pub fn whole(head: &mut Vec<u8>, facts: &Facts, is_gzip: bool, len: Option<u64>) {
    status(head, Status::Ok);
    put!(head, "Content-Type: {}\r\nX-Content-Type-Options: nosniff\r\n", facts.mime);
    match len {
        Some(len) => put!(head, "Content-Length: {len}\r\n"),
        None => head.extend(b"Transfer-Encoding: chunked\r\n"),
    }
    if is_gzip {
        head.extend(b"Content-Encoding: gzip\r\n");
    } else {
        head.extend(b"Accept-Ranges: bytes\r\n");
    }
    validators(head, facts, is_gzip);
}

/// What ends every head.
pub fn end(head: &mut Vec<u8>, date: &mut Date, now: Instant, minor: u8, is_persistent: bool) {
    head.extend_from_slice(date.field(now));
    match (minor, is_persistent) {
        (_, false) => head.extend_from_slice(b"Connection: close\r\n\r\n"),
        (0, true) => head.extend_from_slice(b"Connection: keep-alive\r\n\r\n"),
        (_, true) => head.extend_from_slice(b"\r\n"),
    }
}

/// The body of an error page.
pub fn page(refusal: Refusal) -> String {
    let Refusal { status, why } = refusal;
    format!("<!DOCTYPE html>\n<title>{status}</title>\n<h1>{status}</h1>\n<p>{why}</p>\n")
}

/// The `Date` field, made anew when a second has passed.
pub struct Date {
    field: Vec<u8>,
    made: Option<Instant>,
}

impl Date {
    pub const fn new() -> Self {
        Self { field: Vec::new(), made: None }
    }

    fn field(&mut self, now: Instant) -> &[u8] {
        if self.made.is_none_or(|made| now.duration_since(made).as_millis() >= 500) {
            self.made = Some(now);
            self.field.clear();
            put!(self.field, "Date: {}\r\n", httpdate::HttpDate::from(SystemTime::now()));
        }
        &self.field
    }
}
