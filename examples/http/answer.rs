//! From a request to an answer.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    io,
    ops::Range,
    rc::Rc,
    time::{Instant, SystemTime},
};

use coop::fs;

use crate::{
    cache::{Ready, SMALL, Small},
    encoding,
    facts::{Facts, Verdict, Version},
    head::{self, put},
    listing,
    range::{self, Selection},
    request::{Method, Request},
    server::Server,
    site::{Found, Opened, entries_of},
    status::{Refusal, Status},
    target::Target,
};

/// Bodies of memory up to this size are copied behind their heads, and go out with them and with their neighbours.
const INLINE: usize = 16 * 1024;

/// An answer, of which the head stands where it was asked for.
pub struct Answer {
    pub status: Status,
    /// Bytes of the body, as far as they are known; for the log.
    pub len: u64,
    pub body: Body,
}

/// What is to be sent behind the head.
pub enum Body {
    /// Nothing, or it stands behind the head already.
    Done,
    Memory(Rc<Small>, Encoding),
    File(fs::File, Parts),
    /// A file as gzip, in chunks.
    Packed(fs::File),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Plain,
    Gzip,
}

/// Parts of a file, each with what comes before it, and what comes after all.
pub struct Parts {
    pub parts: Vec<(Vec<u8>, Range<u64>)>,
    pub end: Vec<u8>,
}

/// What a target stands for.
enum Resource {
    Small(Rc<Small>),
    Large(Facts, fs::File),
    /// A directory's listing.
    Page(String),
    /// A directory, by a name without the slash at its end.
    Moved(String),
}

impl Small {
    /// The bytes to send for an encoding.
    pub fn ready(&self, encoding: Encoding) -> &Ready {
        match (encoding, self.gzip.get()) {
            (Encoding::Gzip, Some(Some(ready))) => ready,
            _ => &self.plain,
        }
    }
}

/// Where an answer is written to.
pub struct Writer<'a> {
    pub server: &'a Server,
    pub out: &'a mut Vec<u8>,
    pub now: Instant,
    pub minor: u8,
    /// Whether the connection stays.
    pub is_persistent: bool,
    pub is_head: bool,
}

/// Answers a request. A wait point, unless the file is in memory.
pub fn answer(request: &Request<'_>, mut writer: Writer<'_>) -> Answer {
    let server = writer.server;
    let allowed = match request.method {
        Method::Get | Method::Head => Ok(()),
        Method::Known => Err(Refusal::new(Status::MethodNotAllowed, "Files can only be read.")),
        Method::Unknown => Err(Refusal::new(Status::NotImplemented, "There is no such method.")),
    };
    let found = allowed.and_then(|()| {
        let cached = server.cache.borrow().get(request.target);
        match cached {
            Some(small) if writer.now.duration_since(small.checked()) < server.options.fresh => {
                Ok(Resource::Small(small))
            }
            cached => server.patience.step(|| find(server, request.target, cached, writer.now)),
        }
    });
    match found {
        Err(refusal) => writer.refuse(refusal),
        Ok(Resource::Page(html)) => writer.page(Status::Ok, "Cache-Control: no-cache\r\n", &html),
        Ok(Resource::Moved(location)) => {
            let html = head::page(Refusal::new(Status::MovedPermanently, "It is a directory."));
            writer.page(Status::MovedPermanently, &format!("Location: {location}\r\n"), &html)
        }
        Ok(Resource::Small(small)) => writer.file(request, &small.facts, Content::Memory(&small)),
        Ok(Resource::Large(facts, file)) => writer.file(request, &facts, Content::File(file)),
    }
}

enum Content<'a> {
    Memory(&'a Rc<Small>),
    File(fs::File),
}

impl Writer<'_> {
    /// An error page.
    pub fn refuse(&mut self, refusal: Refusal) -> Answer {
        let allow = if refusal.status == Status::MethodNotAllowed { "Allow: GET, HEAD\r\n" } else { "" };
        self.page(refusal.status, allow, &head::page(refusal))
    }

    fn page(&mut self, status: Status, fields: &str, html: &str) -> Answer {
        head::status(self.out, status);
        put!(self.out, "Content-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n{fields}", html.len());
        self.end();
        self.inline(status, html.as_bytes())
    }

    fn end(&mut self) {
        head::end(self.out, &mut self.server.date.borrow_mut(), self.now, self.minor, self.is_persistent);
    }

    /// Puts the body behind the head.
    fn inline(&mut self, status: Status, body: &[u8]) -> Answer {
        let len = if self.is_head { 0 } else { body.len() };
        self.out.extend_from_slice(&body[..len]);
        Answer { status, len: len as u64, body: Body::Done }
    }

    fn empty(&mut self, status: Status) -> Answer {
        self.end();
        Answer { status, len: 0, body: Body::Done }
    }

    fn file(&mut self, request: &Request<'_>, facts: &Facts, content: Content<'_>) -> Answer {
        let conditions = &request.conditions;
        let len = match &content {
            Content::Memory(small) => small.plain.body.len() as u64,
            Content::File(_) => facts.version.len,
        };
        let selection = match conditions.range {
            Some(range) if !self.is_head && conditions.range_holds(facts) => range::select(range, len),
            _ => Selection::Whole,
        };
        let wants_gzip = facts.is_compressible && request.accepted.gzip() && selection == Selection::Whole;
        let encoding = match &content {
            Content::Memory(small) if wants_gzip && self.has_gzip(small) => Encoding::Gzip,
            // Chunks are not for HTTP/1.0.
            Content::File(_) if wants_gzip && self.minor > 0 => Encoding::Gzip,
            _ => Encoding::Plain,
        };
        let is_gzip = encoding == Encoding::Gzip;
        if conditions.any {
            match conditions.judge(facts, facts.etag_of(is_gzip)) {
                Verdict::Go => {}
                Verdict::NotModified => {
                    head::status(self.out, Status::NotModified);
                    head::validators(self.out, facts, is_gzip);
                    return self.empty(Status::NotModified);
                }
                Verdict::Failed => {
                    return self.refuse(Refusal::new(Status::PreconditionFailed, "The file is another than expected."));
                }
            }
        }
        match (selection, content) {
            (Selection::Whole, Content::Memory(small)) => {
                let ready = small.ready(encoding);
                self.out.extend_from_slice(&ready.head);
                self.end();
                if self.is_head || ready.body.len() <= INLINE {
                    return self.inline(Status::Ok, &ready.body);
                }
                Answer { status: Status::Ok, len: ready.body.len() as u64, body: Body::Memory(small.clone(), encoding) }
            }
            (Selection::Whole, Content::File(file)) => {
                head::whole(self.out, facts, is_gzip, (!is_gzip).then_some(len));
                self.end();
                let body = match encoding {
                    _ if self.is_head => Body::Done,
                    Encoding::Gzip => Body::Packed(file),
                    Encoding::Plain => Body::File(file, Parts { parts: vec![(Vec::new(), 0..len)], end: Vec::new() }),
                };
                let len = if self.is_head { 0 } else { len };
                Answer { status: Status::Ok, len, body }
            }
            (Selection::Unsatisfiable, _) => {
                let page = head::page(Refusal::new(Status::RangeNotSatisfiable, "The file is shorter."));
                let field = format!("Content-Range: bytes */{len}\r\n");
                self.page(Status::RangeNotSatisfiable, &field, &page)
            }
            (Selection::Parts(ranges), content) => self.parts(facts, ranges, len, content),
        }
    }

    fn parts(&mut self, facts: &Facts, ranges: Vec<Range<u64>>, whole: u64, content: Content<'_>) -> Answer {
        let range_field =
            |range: &Range<u64>| format!("Content-Range: bytes {}-{}/{whole}\r\n", range.start, range.end - 1);
        let mime = &facts.mime;
        head::status(self.out, Status::PartialContent);
        let parts = match &ranges[..] {
            [range] => {
                put!(self.out, "Content-Type: {mime}\r\nX-Content-Type-Options: nosniff\r\n{}", range_field(range));
                Parts { parts: vec![(Vec::new(), range.clone())], end: Vec::new() }
            }
            _ => {
                let random = || RandomState::new().build_hasher().finish();
                let boundary = format!("{:016x}{:016x}", random(), random());
                put!(self.out, "Content-Type: multipart/byteranges; boundary={boundary}\r\n");
                let before = |range| format!("\r\n--{boundary}\r\nContent-Type: {mime}\r\n{}\r\n", range_field(range));
                let parts = ranges.iter().map(|range| (before(range).into_bytes(), range.clone())).collect();
                Parts { parts, end: format!("\r\n--{boundary}--\r\n").into_bytes() }
            }
        };
        let of_part = |(before, range): &(Vec<u8>, Range<u64>)| before.len() as u64 + (range.end - range.start);
        let len = parts.parts.iter().map(of_part).sum::<u64>() + parts.end.len() as u64;
        put!(self.out, "Content-Length: {len}\r\n");
        head::validators(self.out, facts, false);
        self.end();
        let body = match content {
            Content::File(file) => Body::File(file, parts),
            Content::Memory(small) => {
                for (before, range) in parts.parts {
                    self.out.extend(before);
                    self.out.extend_from_slice(&small.plain.body[range.start as usize..range.end as usize]);
                }
                self.out.extend(parts.end);
                Body::Done
            }
        };
        Answer { status: Status::PartialContent, len, body }
    }

    /// Whether there is a gzip of it, which is made now if nobody has asked before. A wait point then.
    fn has_gzip(&self, small: &Rc<Small>) -> bool {
        if small.gzip.get().is_none() {
            let bytes = small.plain.body.clone();
            let packed = self.server.patience.step(|| coop::compute(move || encoding::gzip(&bytes)));
            let Ok(Ok(packed)) = packed else { return false };
            let is_smaller = packed.len() < small.plain.body.len();
            // Another task may have been faster.
            let _ = small.gzip.set(is_smaller.then(|| Ready::new(&small.facts, true, packed)));
        }
        matches!(small.gzip.get(), Some(Some(_)))
    }
}

/// Looks a target up. `cached` is what it stood for the last time. A wait point; kill-checked.
fn find(server: &Server, target: &str, cached: Option<Rc<Small>>, now: Instant) -> Result<Resource, Refusal> {
    let options = &server.options;
    let name = target;
    let mut target = Target::of(name, options.hidden)?;
    let file = match server.site.find(&target.path)? {
        // No file's name ends in a slash.
        Found::File(_) if target.is_directory => return Err(Refusal::not_found()),
        Found::File(file) => file,
        Found::Directory(_) if !target.is_directory => return Ok(Resource::Moved(target.location())),
        Found::Directory(directory) => match server.site.find_in(&target.path, "index.html")? {
            Some(file) => {
                target.path.extend(b"/index.html");
                file
            }
            None if options.no_listing => {
                return Err(Refusal::new(Status::Forbidden, "Directories are not listed here."));
            }
            None => {
                let entries = fs::read_dir(entries_of(&directory))?;
                return Ok(Resource::Page(listing::page(&target, entries, options.hidden)?));
            }
        },
    };
    if let Some(small) = cached.filter(|small| small.facts.version == file.version) {
        small.set_checked(now);
        return Ok(Resource::Small(small));
    }
    if file.version.len > SMALL {
        let facts = Facts::new(&target.path, file.version, SystemTime::now());
        return Ok(Resource::Large(facts, file.into_file()?));
    }
    let (version, body) = read(file)?;
    let clock = SystemTime::now();
    let small = Rc::new(Small::new(Facts::new(&target.path, version, clock), body, now));
    if version.is_settled(clock) {
        server.cache.borrow_mut().insert(name, small.clone());
    }
    Ok(Resource::Small(small))
}

/// Reads a small file; gives which version it is that was read. Of a file that does not keep still that is the last.
fn read(file: Opened) -> io::Result<(Version, Vec<u8>)> {
    let mut version = file.version;
    let file = file.into_file()?;
    for _ in 0..3 {
        let mut body = vec![0; version.len.min(SMALL) as usize];
        let mut len = 0;
        while len < body.len() {
            match file.read_at(&mut body[len..], len as u64)? {
                0 => break,
                n => len += n,
            }
        }
        body.truncate(len);
        let after = Version::of(&rustix::fs::fstat(&file)?);
        if after == version && len as u64 == version.len {
            return Ok((version, body));
        }
        version = after;
    }
    Err(io::Error::other("the file changes all the time"))
}
