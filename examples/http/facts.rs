//! What is known of a file, and whether a client knows it already.

use std::time::{Duration, SystemTime};

use crate::{encoding, request::Conditions};

/// A file whose last change is younger may change again without its time showing that: the clock that stamps files goes
/// in steps.
const SETTLED: Duration = Duration::from_millis(50);

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    pub dev: u64,
    pub ino: u64,
    pub len: u64,
    /// Seconds and nanoseconds.
    pub modified: (i64, u32),
    pub changed: (i64, u32),
}

impl Version {
    /// As `fstat` gives it.
    pub fn of(stat: &rustix::fs::Stat) -> Self {
        Self {
            dev: stat.st_dev as _,
            ino: stat.st_ino as _,
            len: stat.st_size as _,
            modified: (stat.st_mtime as _, stat.st_mtime_nsec as _),
            changed: (stat.st_ctime as _, stat.st_ctime_nsec as _),
        }
    }

    /// When the contents changed last, as far as a date of HTTP can say it.
    fn modified(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(self.modified.0).unwrap_or(0))
    }

    /// Whether every later change will show.
    pub fn is_settled(&self, now: SystemTime) -> bool {
        let at = |(seconds, nanos): (i64, u32)| Duration::new(u64::try_from(seconds).unwrap_or(0), nanos);
        let last = SystemTime::UNIX_EPOCH + at(self.modified.max(self.changed));
        now.duration_since(last).is_ok_and(|age| age > SETTLED)
    }
}

/// What answers say of a file.
#[derive(Debug)]
pub struct Facts {
    pub version: Version,
    pub mime: String,
    pub is_compressible: bool,
    pub etag: String,
    /// Of the same in gzip, which is other bytes.
    pub etag_of_gzip: String,
    pub last_modified: String,
}

impl Facts {
    /// Of the file of this name in this version.
    pub fn new(path: &[u8], version: Version, now: SystemTime) -> Self {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let mime = mime_guess::from_path(String::from_utf8_lossy(name).as_ref()).first_raw();
        let mime = match mime.unwrap_or("application/octet-stream") {
            text if text.starts_with("text/") => format!("{text}; charset=utf-8"),
            other => other.to_owned(),
        };
        let Version { ino, len, modified: (seconds, nanos), .. } = version;
        // A weak one promises less than that every byte is the same.
        let weak = if version.is_settled(now) { "" } else { "W/" };
        let tag = format!("{ino:x}-{len:x}-{seconds:x}.{nanos:x}");
        Self {
            version,
            is_compressible: encoding::is_compressible(&mime) && len >= encoding::WORTH_IT,
            mime,
            etag: format!("{weak}\"{tag}\""),
            etag_of_gzip: format!("{weak}\"{tag}-gzip\""),
            last_modified: httpdate::fmt_http_date(version.modified()),
        }
    }

    pub fn etag_of(&self, is_gzip: bool) -> &str {
        if is_gzip { &self.etag_of_gzip } else { &self.etag }
    }
}

/// What the conditions of a request come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Go,
    NotModified,
    Failed,
}

impl Conditions<'_> {
    /// In the order of RFC 9110, section 13.2.2, for GET and HEAD.
    pub fn judge(&self, facts: &Facts, etag: &str) -> Verdict {
        let modified = facts.version.modified();
        if let Some(tags) = self.if_match {
            if !any(tags, |tag| is_same(tag, etag)) {
                return Verdict::Failed;
            }
        } else if date(self.if_unmodified_since).is_some_and(|date| modified > date) {
            return Verdict::Failed;
        }
        if let Some(tags) = self.if_none_match {
            if any(tags, |tag| opaque(tag) == opaque(etag.as_bytes())) {
                return Verdict::NotModified;
            }
        } else if date(self.if_modified_since).is_some_and(|date| modified <= date) {
            return Verdict::NotModified;
        }
        Verdict::Go
    }

    /// Whether a range may be answered: the client has the rest of this very version.
    pub fn range_holds(&self, facts: &Facts) -> bool {
        match self.if_range.map(<[u8]>::trim_ascii) {
            None => true,
            Some(tag) if tag.ends_with(b"\"") => is_same(tag, &facts.etag),
            // A date is as good as a tag once the file has settled; its seconds cannot tell more.
            Some(date) => date == facts.last_modified.as_bytes() && !facts.etag.starts_with('W'),
        }
    }
}

/// Whether both promise that every byte is the same.
fn is_same(tag: &[u8], etag: &str) -> bool {
    tag == etag.as_bytes() && !tag.starts_with(b"W/")
}

fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// Whether one of the tags of a list, or `*`, is meant.
fn any(tags: &[u8], is_meant: impl Fn(&[u8]) -> bool) -> bool {
    // Our own tags have no comma in them: what is torn apart at one is not ours.
    tags.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).any(|tag| tag == b"*" || is_meant(tag))
}

/// A date that is malformed counts as none.
fn date(value: Option<&[u8]>) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(value?).ok()?.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Modified at 1994-11-06 08:49:37.25, long ago.
    fn facts() -> Facts {
        let modified = (784_111_777, 250_000_000);
        Facts::new(b"a/b.html", Version { dev: 1, ino: 10, len: 300, modified, changed: modified }, SystemTime::now())
    }

    #[test]
    fn facts_of_a_file() {
        let facts = facts();
        assert_eq!(facts.mime, "text/html; charset=utf-8");
        assert_eq!(facts.last_modified, "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(facts.etag, format!("\"a-12c-{:x}.{:x}\"", 784_111_777, 250_000_000));
        assert!(facts.is_compressible && facts.etag_of(true).ends_with("-gzip\""));
        let now = SystemTime::UNIX_EPOCH + Duration::new(784_111_777, 260_000_000);
        assert!(Facts::new(b"x", facts.version, now).etag.starts_with("W/"), "it may change within the same tick");
        assert_eq!(Facts::new(b"x", facts.version, now).mime, "application/octet-stream");
    }

    #[test]
    fn conditions_in_their_order() {
        use Verdict::*;
        let facts = facts();
        let etag = facts.etag.as_bytes();
        let weak = [b"W/", etag].concat();
        let listed = [b"\"x\", ", &weak[..], b", \"y\""].concat();
        let (before, then, after) = (
            &b"Sun, 06 Nov 1994 08:49:36 GMT"[..],
            facts.last_modified.as_bytes(),
            &b"Sun, 06 Nov 1994 08:49:38 GMT"[..],
        );
        let none = Conditions::default;
        let cases = [
            (none(), Go),
            (Conditions { if_none_match: Some(etag), ..none() }, NotModified),
            (Conditions { if_none_match: Some(&listed), ..none() }, NotModified),
            (Conditions { if_none_match: Some(b"*"), ..none() }, NotModified),
            (Conditions { if_none_match: Some(b"\"x\""), ..none() }, Go),
            (Conditions { if_none_match: Some(b"\"x\""), if_modified_since: Some(after), ..none() }, Go),
            (Conditions { if_modified_since: Some(before), ..none() }, Go),
            (Conditions { if_modified_since: Some(then), ..none() }, NotModified),
            (Conditions { if_modified_since: Some(after), ..none() }, NotModified),
            (Conditions { if_modified_since: Some(b"yesterday"), ..none() }, Go),
            (Conditions { if_match: Some(etag), ..none() }, Go),
            (Conditions { if_match: Some(b"*"), ..none() }, Go),
            (Conditions { if_match: Some(&weak), ..none() }, Failed),
            (Conditions { if_match: Some(b"\"x\""), if_none_match: Some(etag), ..none() }, Failed),
            (Conditions { if_match: Some(etag), if_unmodified_since: Some(before), ..none() }, Go),
            (Conditions { if_unmodified_since: Some(before), ..none() }, Failed),
            (Conditions { if_unmodified_since: Some(then), ..none() }, Go),
        ];
        for (conditions, expected) in cases {
            assert_eq!(conditions.judge(&facts, &facts.etag), expected, "{conditions:?}");
        }
        for (if_range, holds) in
            [(None, true), (Some(etag), true), (Some(&weak[..]), false), (Some(then), true), (Some(after), false)]
        {
            assert_eq!(Conditions { if_range, ..none() }.range_holds(&facts), holds, "{if_range:?}");
        }
    }
}
