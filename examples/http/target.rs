//! From a request's target to the name of a file.
//!
//! A name is taken apart before it is decoded, and each segment looked at after: no `..`, however written, gets
//! through. The kernel would not follow one either (see [`site`](crate::site)).

use std::fmt::Write;

use crate::status::Refusal;

/// What a request asks for, below the directory that is served.
#[derive(Debug, PartialEq, Eq)]
pub struct Target {
    /// Its segments, with a slash between them; `.` for the directory itself.
    pub path: Vec<u8>,
    /// Whether the client has written a slash at the end.
    pub is_directory: bool,
}

impl Target {
    /// Of the target of a request.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of(target: &str, serve_hidden: bool) -> Result<Self, Refusal> {
        let target = match target.split_once("://") {
            // A proxy's form. Whose name it is does not matter: there is only one site.
            Some((scheme, rest)) if !scheme.is_empty() && !scheme.starts_with('/') => {
                let is_known = ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
                let begin = rest.find(['/', '?']).unwrap_or(rest.len());
                if !is_known || begin == 0 {
                    return Err(Refusal::bad("The target is malformed."));
                }
                match &rest[begin..] {
                    rest if rest.starts_with('/') => rest,
                    _ => "/",
                }
            }
            _ => target,
        };
        let path = target.split('?').next().unwrap_or_default();
        let Some(path) = path.strip_prefix('/').filter(|path| !path.contains('#')) else {
            return Err(Refusal::bad("The target is malformed."));
        };
        let mut decoded = Vec::with_capacity(path.len());
        // Several slashes are as good as one.
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            if !decoded.is_empty() {
                decoded.push(b'/');
            }
            let begin = decoded.len();
            decode(segment, &mut decoded)?;
            match &decoded[begin..] {
                b"." | b".." => return Err(Refusal::bad("The target leads through a dot segment.")),
                name if name.contains(&0) => return Err(Refusal::bad("The target has a NUL in it.")),
                // A file's name has no slash.
                name if name.contains(&b'/') => return Err(Refusal::not_found()),
                [b'.', ..] if !serve_hidden => return Err(Refusal::not_found()),
                _ => {}
            }
        }
        let is_directory = decoded.is_empty() || path.ends_with('/');
        if decoded.is_empty() {
            decoded.push(b'.');
        }
        Ok(Self { path: decoded, is_directory })
    }

    /// The target of the same directory, with the slash at the end.
    pub fn location(&self) -> String {
        let mut location = String::from("/");
        encode(&self.path, &mut location);
        location.push('/');
        location
    }
}

fn decode(segment: &str, decoded: &mut Vec<u8>) -> Result<(), Refusal> {
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || (bytes.next()? as char).to_digit(16);
                match (digit(), digit()) {
                    (Some(high), Some(low)) => (high * 16 + low) as u8,
                    _ => return Err(Refusal::bad("The target has a malformed escape.")),
                }
            }
            byte => byte,
        });
    }
    Ok(())
}

/// Appends a path with all that has a meaning in a URL escaped.
pub fn encode(path: &[u8], url: &mut String) {
    for byte in path {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => url.push(*byte as char),
            // To a String that cannot fail.
            byte => _ = write!(url, "%{byte:02X}"),
        }
    }
}

#[cfg(test)]
#[path = "../tests/fuzz/target.rs"]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

    fn path(target: &str) -> String {
        let target = Target::of(target, false).expect(target);
        let slash = if target.is_directory { "/" } else { "" };
        format!("{}{slash}", String::from_utf8_lossy(&target.path))
    }

    #[test]
    fn names() {
        let cases = [
            ("/", "./"),
            ("/a", "a"),
            ("/a/b.txt?x=/../y", "a/b.txt"),
            ("//a///b//", "a/b/"),
            ("/a%20b%3f%23", "a b?#"),
            ("/%e4%BD%a0", "你"),
            ("/a..b/...", "a..b/..."),
            ("http://host:80/a", "a"),
            ("HTTPS://host", "./"),
            ("http://host?a=/b", "./"),
            ("/a://b", "a:/b"),
        ];
        for (target, expected) in cases.into_iter().filter(|(target, _)| !target.contains("...")) {
            assert_eq!(path(target), expected, "{target}");
        }
        // What begins with a dot is hidden.
        assert_eq!(Target::of("/a..b/...", false), Err(Refusal::not_found()));
        assert_eq!(Target::of("/a..b/...", true).map(|target| target.path), Ok(b"a..b/...".to_vec()));
    }

    #[test]
    fn what_leads_elsewhere_is_refused() {
        let cases = [
            ("/..", 400),
            ("/a/../b", 400),
            ("/%2e%2e/etc/passwd", 400),
            ("/%2E./x", 400),
            ("/.", 400),
            ("/a/./b", 400),
            ("/..%2f..%2fetc", 404),
            ("/a%2fb", 404),
            ("/a%00b", 400),
            ("/a%", 400),
            ("/a%4", 400),
            ("/a%zz", 400),
            ("/a%+1", 400),
            ("/a#b", 400),
            ("*", 400),
            ("", 400),
            ("a", 400),
            ("http:///a", 400),
            ("ftp://a/b", 400),
            ("/.git/config", 404),
        ];
        for (target, status) in cases {
            let refusal = Target::of(target, false).expect_err(target);
            assert_eq!(refusal.status.code(), status, "{target}");
        }
    }

    #[test]
    fn a_location_leads_back() {
        let target = Target::of("//evil.example//a%20%22%3cb", false).expect("well formed");
        assert_eq!(target.location(), "/evil.example/a%20%22%3Cb/");
        assert_eq!(path(&target.location()), "evil.example/a \"<b/");
    }
}
