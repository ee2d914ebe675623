//! Which encodings a client takes, and which files are worth it.

use std::io::{self, Write};

use flate2::{Compression, write::GzEncoder};

/// Smaller files do not get smaller enough.
pub const WORTH_IT: u64 = 256;
/// A middle way between time and size; zlib's own default is 6.
const LEVEL: Compression = Compression::new(5);

/// What `Accept-Encoding` says of gzip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    gzip: Option<bool>,
    /// What `*` says, which counts for what is not named.
    others: Option<bool>,
}

impl Accepted {
    /// Adds a field's value.
    pub fn add(&mut self, value: &[u8]) {
        for item in value.split(|byte| *byte == b',') {
            let mut parts = item.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let name = parts.next().unwrap_or_default();
            // Zero, in any of its spellings, is a refusal.
            let is_refused = parts.any(|part| {
                let weight = part.strip_prefix(b"q=").or(part.strip_prefix(b"Q="));
                weight.is_some_and(|weight| !weight.is_empty() && weight.iter().all(|b| matches!(b, b'0' | b'.')))
            });
            match name {
                _ if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") => {
                    self.gzip = Some(!is_refused);
                }
                b"*" => self.others = Some(!is_refused),
                _ => {}
            }
        }
    }

    pub fn gzip(self) -> bool {
        self.gzip.or(self.others).unwrap_or(false)
    }
}

/// Whether files of this type get smaller. Images, sounds, films and archives do not.
pub fn is_compressible(mime: &str) -> bool {
    let (kind, subtype) = mime.split(';').next().and_then(|essence| essence.split_once('/')).unwrap_or(("", ""));
    let is_text = ["json", "xml", "javascript", "ecmascript", "wasm", "x-sh", "sql", "rtf", "toml", "yaml"];
    match kind {
        "text" => true,
        "application" => is_text.contains(&subtype) || subtype.ends_with("+json") || subtype.ends_with("+xml"),
        "image" => matches!(subtype, "svg+xml" | "bmp"),
        "font" => matches!(subtype, "ttf" | "otf"),
        _ => false,
    }
}

/// Everything at once.
pub fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut packer = Packer::new();
    packer.0.write_all(bytes)?;
    packer.0.finish()
}

/// Piece by piece.
pub struct Packer(GzEncoder<Vec<u8>>);

impl Packer {
    pub fn new() -> Self {
        Self(GzEncoder::new(Vec::new(), LEVEL))
    }

    /// Takes a piece, the last one maybe; gives what can be sent by now.
    pub fn pack(&mut self, piece: &[u8], is_last: bool) -> io::Result<Vec<u8>> {
        self.0.write_all(piece)?;
        if is_last {
            self.0.try_finish()?;
        }
        Ok(std::mem::take(self.0.get_mut()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn clients_may_refuse() {
        let cases = [
            ("gzip", true),
            ("deflate, GZIP;q=0.5, br", true),
            ("x-gzip", true),
            ("*", true),
            ("br", false),
            ("", false),
            ("gzip;q=0", false),
            ("gzip; q=0.000, *", false),
            ("*;q=0", false),
            ("gzip, *;q=0", true),
        ];
        for (value, expected) in cases {
            let mut accepted = Accepted::default();
            accepted.add(value.as_bytes());
            assert_eq!(accepted.gzip(), expected, "{value:?}");
        }
        let mut two_fields = Accepted::default();
        two_fields.add(b"br");
        two_fields.add(b"gzip");
        assert!(two_fields.gzip());
    }

    #[test]
    fn texts_are_compressible() {
        for mime in ["text/plain; charset=utf-8", "application/json", "image/svg+xml", "application/ld+json"] {
            assert!(is_compressible(mime), "{mime}");
        }
        for mime in ["image/png", "application/zip", "application/octet-stream", "video/mp4", "nonsense"] {
            assert!(!is_compressible(mime), "{mime}");
        }
    }

    #[test]
    fn pieces_make_a_whole() {
        let text = "some text, and more of it. ".repeat(10_000);
        let mut packer = Packer::new();
        let mut packed = Vec::new();
        for piece in text.as_bytes().chunks(1000) {
            packed.extend(packer.pack(piece, false).expect("a Vec takes everything"));
        }
        packed.extend(packer.pack(&[], true).expect("a Vec takes everything"));
        for packed in [packed, gzip(text.as_bytes()).expect("a Vec takes everything")] {
            let mut unpacked = String::new();
            flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut unpacked).expect("gzip");
            assert!(unpacked == text && packed.len() < text.len() / 10);
        }
    }
}
