//! The `http` server: against curl and wrk, and over raw sockets for what those would never send.

mod common;

use common::{Noise, PATIENCE, Program, has_tool, output};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    os::unix::{ffi::OsStrExt, fs::symlink},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant, SystemTime},
};

const HTTP: &str = env!("CARGO_BIN_EXE_http");

/// A directory that a test fills, and that goes with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("http-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(path.join("site")).expect("it can be made");
        Self(path)
    }

    /// What is served.
    fn site(&self) -> PathBuf {
        self.0.join("site")
    }

    /// A file of the site, written some time ago.
    fn file(&self, name: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.site().join(name);
        fs::create_dir_all(path.parent().expect("it is in the site")).expect("they can be made");
        fs::write(&path, contents).expect("it can be written");
        age(&path, 1);
        path
    }

    /// A name for what a client writes.
    fn out(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("UTF-8").to_owned()
    }

    fn serve(&self, arguments: &[&str]) -> Program {
        let site = self.site();
        let site = site.to_str().expect("UTF-8");
        Program::start(HTTP, &[&["--listen", "127.0.0.1:0", site], arguments].concat())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Makes a file look as if it had been written so many hours ago; and waits until the change of its inode is no news
/// either.
fn age(path: &Path, hours: u32) {
    let file = File::options().write(true).open(path).expect("it is there");
    file.set_modified(SystemTime::now() - Duration::from_secs(3600) * hours).expect("it can be set");
    thread::sleep(Duration::from_millis(60));
}

/// A text that packs well, in which every part is another.
fn text(len: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(len + 8);
    for n in 0.. {
        if text.len() >= len {
            break;
        }
        text.extend(format!("{n}\n").bytes());
    }
    text.truncate(len);
    text
}

fn curl(arguments: &[&str]) -> String {
    let (code, printed, errors) =
        output("curl", &[&["--silent", "--show-error", "--max-time", "60"], arguments].concat());
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{arguments:?}");
    printed
}

/// A client over a plain socket.
struct Client(BufReader<TcpStream>);

#[derive(Debug)]
struct Answer {
    status: u16,
    /// By their names in small letters.
    fields: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Client {
    fn connect(server: &Program) -> Self {
        Self(BufReader::new(server.connect()))
    }

    /// One whose socket takes little that is not read.
    fn connect_narrow(server: &Program) -> Self {
        let client = Self::connect(server);
        socket2::SockRef::from(client.0.get_ref()).set_recv_buffer_size(64 << 10).expect("an ordinary option");
        client
    }

    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(bytes.as_ref()).expect("the server reads");
    }

    fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        match self.0.read_line(&mut line)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end_matches("\r\n").to_owned()),
        }
    }

    fn exactly(&mut self, len: usize) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.0.read_exact(&mut bytes).map(|()| bytes)
    }

    fn try_answer(&mut self, to_head: bool) -> std::io::Result<Answer> {
        let status = self.line()?;
        let status = status.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let mut answer = Answer { status: status.expect("a status line"), fields: BTreeMap::new(), body: Vec::new() };
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(": ").expect("a field");
            let before = answer.fields.insert(name.to_ascii_lowercase(), value.to_owned());
            assert_eq!(before, None, "each field once");
        }
        if to_head || answer.status == 304 {
            return Ok(answer);
        }
        match answer.fields.get("content-length") {
            Some(len) => answer.body = self.exactly(len.parse().expect("a number"))?,
            None => loop {
                assert_eq!(answer.field("transfer-encoding"), "chunked");
                let len = usize::from_str_radix(&self.line()?, 16).expect("the length of a chunk");
                let chunk = self.exactly(len + 2)?;
                assert!(chunk.ends_with(b"\r\n"));
                if len == 0 {
                    break;
                }
                answer.body.extend(&chunk[..len]);
            },
        }
        Ok(answer)
    }

    fn answer(&mut self) -> Answer {
        self.try_answer(false).expect("an answer")
    }

    /// Asks for a file, with these fields, each with its end of line.
    fn get(&mut self, target: &str, fields: &str) -> Answer {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n{fields}\r\n"));
        self.answer()
    }

    fn head(&mut self, target: &str, fields: &str) -> Answer {
        self.send(format!("HEAD {target} HTTP/1.1\r\nHost: x\r\n{fields}\r\n"));
        self.try_answer(true).expect("an answer")
    }

    /// Whether the server has closed, with nothing more sent.
    fn is_at_end(&mut self) -> bool {
        matches!(self.0.read(&mut [0]), Ok(0))
    }
}

impl Answer {
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", |value| value)
    }
}

fn unpack(packed: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(packed).read_to_end(&mut bytes).expect("gzip");
    bytes
}

/// What a server prints in the end.
fn stops_after(requests: u64, connections: u64, broken: u64) -> [String; 1] {
    [format!("http stops after {requests} requests over {connections} connections ({broken} broken)")]
}

/// Sizes on both sides of every border: of what is copied behind a head, kept in memory, sent by the kernel.
const SIZES: [usize; 9] = [0, 1, 255, 16_384, 16_385, 65_536, 65_537, 262_145, 3_000_001];

#[test]
fn curl_gets_files_of_every_size_as_they_are() {
    if !has_tool("curl") {
        return;
    }
    let scratch = Scratch::new();
    let server = scratch.serve(&[]);
    for size in SIZES {
        let contents = Noise::new(size as u64).bytes(size);
        scratch.file(format!("{size}.bin"), &contents);
        let url = format!("http://{}/{size}.bin", server.place);
        let out = scratch.out("got");
        // The second from memory, if it is small.
        for _ in 0..2 {
            let said = curl(&["-o", &out, "-w", "%{http_code} %{size_download} %{content_type}", &url]);
            assert_eq!(said, format!("200 {size} application/octet-stream"));
            assert!(fs::read(&out).expect("it was written") == contents, "{size} bytes");
        }
        let head = curl(&["--head", &url]);
        assert!(head.starts_with("HTTP/1.1 200 OK") && head.contains(&format!("Content-Length: {size}\n")), "{head}");
    }
    let count = SIZES.len() as u64 * 3;
    assert_eq!(server.stop().printed, stops_after(count, count, 0));
}

#[test]
fn curl_gets_the_same_bytes_compressed() {
    if !has_tool("curl") {
        return;
    }
    let scratch = Scratch::new();
    let server = scratch.serve(&[]);
    for size in SIZES {
        let contents = text(size);
        scratch.file(format!("{size}.txt"), &contents);
        let url = format!("http://{}/{size}.txt", server.place);
        let (out, heads) = (scratch.out("got"), scratch.out("heads"));
        for http in ["--http1.1", "--http1.0"] {
            for _ in 0..2 {
                let sent = curl(&["--compressed", http, "-D", &heads, "-o", &out, "-w", "%{size_download}", &url]);
                assert!(fs::read(&out).expect("it was written") == contents, "{size} bytes");
                let heads = fs::read_to_string(&heads).expect("it was written");
                let is_gzip = heads.contains("Content-Encoding: gzip\r\n");
                // Without chunks only what is packed in memory has a length.
                assert_eq!(is_gzip, size > 255 && (size <= 65_536 || http == "--http1.1"), "{size} bytes: {heads}");
                let sent: usize = sent.parse().expect("a number");
                assert!(if is_gzip { sent < size / 2 } else { sent == size }, "{sent} of {size} bytes");
            }
        }
        let plain = curl(&["-D", "-", "-o", &out, &url]);
        assert!(
            !plain.contains("Encoding: gzip") && plain.contains("Vary: Accept-Encoding") == (size > 255),
            "{plain}"
        );
        assert!(fs::read(&out).expect("it was written") == contents);
    }
    server.stop();
}

#[test]
fn curl_uses_one_connection_for_many_files() {
    if !has_tool("curl") {
        return;
    }
    let scratch = Scratch::new();
    let server = scratch.serve(&[]);
    scratch.file("small.txt", text(1000));
    scratch.file("large.txt", text(100_000));
    let out = scratch.out("got");
    let mut arguments = vec!["--compressed".to_owned(), "-w".into(), "%{http_code} %{num_connects}\\n".into()];
    for n in 0..30 {
        let name = ["small.txt", "large.txt", "missing"][n % 3];
        arguments.extend(["-o".into(), out.clone(), format!("http://{}/{name}", server.place)]);
    }
    let said = curl(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let expected: Vec<_> = (0..30).map(|n| format!("{} {}", [200, 200, 404][n % 3], u8::from(n == 0))).collect();
    assert_eq!(said, expected.join("\n"));
    assert_eq!(server.stop().printed, stops_after(30, 1, 0));
}

#[test]
fn curl_gets_ranges_and_goes_on_where_it_was() {
    if !has_tool("curl") {
        return;
    }
    let scratch = Scratch::new();
    let server = scratch.serve(&[]);
    for size in [1000, 3_000_001] {
        let contents = Noise::new(7).bytes(size);
        scratch.file(format!("{size}"), &contents);
        let url = format!("http://{}/{size}", server.place);
        let out = scratch.out("got");
        let last = size - 1;
        for (range, expected) in [
            ("0-0", 0..1),
            ("10-99", 10..100),
            ("500-", 500..size),
            ("-7", size - 7..size),
            (&format!("{last}-99999999"), last..size),
        ] {
            let said = curl(&["-r", range, "-o", &out, "-D", "-", &url]);
            let field = format!("Content-Range: bytes {}-{}/{size}\n", expected.start, expected.end - 1);
            assert!(said.starts_with("HTTP/1.1 206 ") && said.contains(&field), "{said}");
            assert!(fs::read(&out).expect("it was written") == contents[expected], "{range}");
        }
        // The beginning is there already.
        fs::write(&out, &contents[..600]).expect("it can be written");
        curl(&["-C", "-", "-o", &out, &url]);
        assert!(fs::read(&out).expect("it was written") == contents);

        let said = curl(&["-r", &format!("{size}-"), "-o", &out, "-D", "-", &url]);
        assert!(
            said.starts_with("HTTP/1.1 416 ") && said.contains(&format!("Content-Range: bytes */{size}\n")),
            "{said}"
        );
    }
    server.stop();
}

#[test]
fn curl_is_told_when_it_has_the_file_already() {
    if !has_tool("curl") {
        return;
    }
    let scratch = Scratch::new();
    let server = scratch.serve(&["--fresh", "0"]);
    for size in [1000, 100_000] {
        let path = scratch.file(format!("{size}.txt"), text(size));
        let url = format!("http://{}/{size}.txt", server.place);
        let (out, tag) = (scratch.out("got"), scratch.out("tag"));
        let _ = fs::remove_file(&tag);
        for encoding in ["--compressed", "--no-compressed"] {
            let ask = || {
                curl(&[encoding, "--etag-save", &tag, "--etag-compare", &tag, "-o", &out, "-w", "%{http_code}", &url])
            };
            assert_eq!((ask(), ask()), ("200".into(), "304".into()), "{encoding}");
            fs::write(&path, text(size + 1)).expect("it can be written");
            age(&path, 1);
            assert_eq!((ask(), ask()), ("200".into(), "304".into()), "{encoding}");
        }
        let since = |reference: &str| curl(&["-z", reference, "-o", &out, "-w", "%{http_code}", &url]);
        let path = path.to_str().expect("UTF-8");
        assert_eq!(since(path), "304");
        assert_eq!(since("Sun, 06 Nov 1994 08:49:37 GMT"), "200");
        assert_eq!(since("-Sun, 06 Nov 1994 08:49:37 GMT"), "412");
    }
    server.stop();
}

#[test]
fn conditions_and_ranges_together() {
    let scratch = Scratch::new();
    let server = scratch.serve(&[]);
    let mut client = Client::connect(&server);
    for size in [1000, 100_000] {
        let contents = text(size);
        scratch.file(format!("{size}.txt"), &contents);
        let target = format!("/{size}.txt");
        let plain = client.get(&target, "");
        let packed = client.get(&target, "Accept-Encoding: br, gzip\r\n");
        assert!(plain.body == contents && unpack(&packed.body) == contents);
        let (tag, tag_of_packed, date) = (plain.field("etag"), packed.field("etag"), plain.field("last-modified"));
        assert_ne!(tag, tag_of_packed, "these are other bytes");
        assert_eq!(date, packed.field("last-modified"));
        let cases = [
            (format!("Range: bytes=0-4\r\nIf-Range: {tag}\r\n"), 206),
            (format!("Range: bytes=0-4\r\nIf-Range: {date}\r\n"), 206),
            (format!("Range: bytes=0-4\r\nIf-Range: W/{tag}\r\n"), 200),
            ("Range: bytes=0-4\r\nIf-Range: \"other\"\r\n".into(), 200),
            ("Range: bytes=0-4\r\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n".into(), 200),
            (format!("Range: bytes=0-4\r\nIf-None-Match: {tag}\r\n"), 304),
            ("Range: bytes=0-4\r\nIf-Match: \"other\"\r\n".into(), 412),
            (format!("Range: bytes=0-4\r\nIf-Match: {tag}\r\n"), 206),
            ("Range: bytes=0-4\r\nRange: bytes=5-6\r\n".into(), 200),
            ("Range: lines=0-4\r\n".into(), 200),
            (format!("If-None-Match: {tag}, \"other\"\r\n"), 304),
            ("If-None-Match: *\r\n".into(), 304),
            (format!("If-Modified-Since: {date}\r\n"), 304),
            (format!("Accept-Encoding: gzip\r\nIf-None-Match: {tag_of_packed}\r\n"), 304),
            (format!("Accept-Encoding: gzip\r\nIf-None-Match: {tag}\r\n"), 200),
        ];
        for (fields, status) in cases {
            let got = client.get(&target, &fields);
            assert_eq!(got.status, status, "{fields}");
            match status {
                206 => assert!(got.body == contents[..5] && got.field("content-encoding").is_empty(), "{fields}"),
                304 => assert!(!got.field("etag").is_empty() && got.field("content-length").is_empty(), "{fields}"),
                200 if got.field("content-encoding") == "gzip" => assert!(unpack(&got.body) == contents),
                200 => assert!(got.body == contents, "{fields}"),
                _ => {}
            }
        }
        // A range is of the file's own bytes, whatever encodings are accepted; for HEAD it means nothing.
        let part = client.get(&target, "Accept-Encoding: gzip\r\nRange: bytes=-10\r\n");
        assert_eq!((part.status, &part.body[..]), (206, &contents[size - 10..]));
        let head = client.head(&target, "Range: bytes=0-4\r\n");
        assert_eq!((head.status, head.field("content-length")), (200, size.to_string().as_str()));
    }
    server.stop();
}

#[test]
fn several_ranges_come_in_one_answer() {
    let scratch = Scratch::new();
    let server = scratch.serve(&[]);
    let mut client = Client::connect(&server);
    for size in [1000, 1_000_000] {
        let contents = text(size);
        scratch.file(format!("{size}.txt"), &contents);
        let got = client.get(&format!("/{size}.txt"), "Range: bytes=990-, 0-9, 500-500, 99999999-\r\n");
        assert_eq!(got.status, 206);
        let boundary =
            got.field("content-type").strip_prefix("multipart/byteranges; boundary=").expect("several parts");
        let mut expected = Vec::new();
        for range in [990..size, 0..10, 500..501] {
            let (first, last) = (range.start, range.end - 1);
            let before = format!(
                "\r\n--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes {first}-{last}/{size}\r\n\r\n"
            );
            expected.extend(before.into_bytes());
            expected.extend(&contents[range]);
        }
        expected.extend(format!("\r\n--{boundary}--\r\n").into_bytes());
        // The first is nearly the whole file, with the others it is more than that.
        if size == 1000 {
            assert!(got.body == expected, "{}", String::from_utf8_lossy(&got.body));
        } else {
            assert!(got.body == expected);
        }
        let greedy = client.get(&format!("/{size}.txt"), "Range: bytes=0-, 0-, 0-, 0-\r\n");
        assert!(greedy.status == 200 && greedy.body == contents, "not four times the file");
    }
    server.stop();
}

#[test]
fn requests_may_come_together_and_in_pieces() {
    let scratch = Scratch::new();
    let server = scratch.serve(&[]);
    let sizes = [10, 5_000, 20_000, 70_000, 300_000];
    for size in sizes {
        scratch.file(format!("{size}.txt"), text(size));
    }
    let texts = BTreeMap::from(sizes.map(|size| (size, text(size))));
    let mut seed = 1;
    for pieces in [usize::MAX, 1000, 7, 1] {
        let mut client = Client::connect(&server);
        let mut requests = String::new();
        let mut expected = Vec::new();
        for n in 0..100 {
            let size = sizes[n % 5];
            match n % 7 {
                0 => requests += "\r\nGET /missing HTTP/1.1\r\nHost: x\r\n\r\n",
                1 => requests += &format!("HEAD /{size}.txt HTTP/1.1\r\nHost: x\r\n\r\n"),
                2 => requests += &format!("GET /{size}.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nGET /"),
                3 => requests += &format!("POST /{size}.txt HTTP/1.1\r\nHost: x\r\n\r\n"),
                _ => requests += &format!("GET /{size}.txt HTTP/1.1\nHost: x\n\n"),
            }
            expected.push((n % 7, size));
        }
        let mut writer = client.0.get_ref().try_clone().expect("there are descriptors");
        let writing = thread::spawn(move || {
            let mut rest = requests.as_bytes();
            while !rest.is_empty() {
                seed += 1;
                let len = if pieces == usize::MAX { rest.len() } else { 1 + seed * 7919 % pieces }.min(rest.len());
                writer.write_all(&rest[..len]).expect("the server reads");
                rest = &rest[len..];
            }
        });
        for (n, (kind, size)) in expected.into_iter().enumerate() {
            let got = client.try_answer(kind == 1).expect("an answer");
            match kind {
                0 => assert_eq!(got.status, 404, "request {n}"),
                1 => assert_eq!(got.field("content-length"), size.to_string(), "request {n}"),
                3 => assert_eq!((got.status, got.field("allow")), (405, "GET, HEAD"), "request {n}"),
                _ => assert!(got.status == 200 && got.body == texts[&size], "request {n}"),
            }
        }
        writing.join().expect("it does not fail");
        client.0.get_ref().shutdown(Shutdown::Write).expect("connected");
        assert!(client.is_at_end());
    }
    assert_eq!(server.stop().printed, stops_after(400, 4, 0));
}

#[test]
fn what_is_malformed_is_refused_and_ends_the_connection() {
    let scratch = Scratch::new();
    scratch.file("a.txt", "a");
    let server = scratch.serve(&[]);
    let long = "x".repeat(20_000);
    let with = |fields: &str| format!("GET /a.txt HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n");
    let cases: [(u16, String); 22] = [
        (400, "nonsense\r\n\r\n".into()),
        (400, "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03".into()),
        (400, "GET  /a.txt HTTP/1.1\r\nHost: x\r\n\r\n".into()),
        (400, "GET /a.txt\r\n\r\n".into()),
        (400, "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n".into()),
        (505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into()),
        (505, "GET /a.txt HTTP/3.9\r\nHost: x\r\n\r\n".into()),
        (400, "GET /a.txt HTTP/1.1\r\n\r\n".into()),
        (400, with("Host: y")),
        (400, with("no colon")),
        (400, with("Space : x")),
        (400, with("A: b\r\n folded: c")),
        (400, with("Nul: \0")),
        (400, with("Content-Length: many")),
        (400, with("Content-Length: -1")),
        (400, with("Content-Length: 1\r\nContent-Length: 2")),
        (400, with("Content-Length: 4\r\nTransfer-Encoding: chunked")),
        (411, with("Transfer-Encoding: chunked")),
        (413, with("Content-Length: 1000000")),
        (417, with("Expect: 200-ok")),
        (431, with(&format!("Long: {long}"))),
        (414, format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n")),
    ];
    let count = cases.len() as u64;
    for (status, request) in cases {
        let mut client = Client::connect(&server);
        // What follows must not be taken for a request.
        client.send(format!("{request}GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n"));
        let got = client.answer();
        assert_eq!((got.status, got.field("connection")), (status, "close"), "{request:?}");
        assert!(got.body.starts_with(format!("<!DOCTYPE html>\n<title>{status} ").as_bytes()), "{request:?}");
        assert!(client.is_at_end(), "{request:?}");
    }
    // These leave no doubt where the next request begins.
    let mut client = Client::connect(&server);
    for (status, request) in [
        (501, "BREW /a.txt HTTP/1.1\r\nHost: x\r\n\r\n".to_owned()),
        (405, "DELETE /a.txt HTTP/1.1\r\nHost: x\r\n\r\n".into()),
        (405, format!("POST /a.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 65536\r\n\r\n{}", "x".repeat(65_536))),
        (400, "GET /../a.txt HTTP/1.1\r\nHost: x\r\n\r\n".into()),
        (400, "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n".into()),
        (400, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n".replace("OPTIONS", "GET")),
        (200, "GET http://elsewhere/a.txt?q HTTP/1.1\r\nHost: x\r\n\r\n".into()),
    ] {
        client.send(&request);
        assert_eq!(client.answer().status, status, "{:?}", &request[..40.min(request.len())]);
    }
    // Who asks whether to send a body is told not to, and may have sent it nevertheless.
    client.send("PUT /a.txt HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    assert_eq!(client.answer().status, 405);
    assert!(client.is_at_end());
    assert_eq!(server.stop().printed, stops_after(count + 8, count + 1, 0));
}

#[test]
fn noise_between_requests_harms_nobody() {
    let scratch = Scratch::new();
    scratch.file("a.txt", "a");
    scratch.file("large.txt", text(100_000));
    let server = scratch.serve(&["--head", "0.2", "--idle", "0.2"]);
    let requests = [
        "GET /a.txt HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip, *;q=0.5\r\nIf-None-Match: \"a\", W/\"b\"\r\n\r\n",
        "GET /large.txt HTTP/1.1\r\nHost: x\r\nRange: bytes=0-9, 50-, -7\r\nIf-Range: \"x\"\r\n\r\n",
        "POST /%61.txt?x HTTP/1.0\r\nContent-Length: 12\r\nConnection: keep-alive\r\n\r\nHello, world",
        "HEAD http://x/sub/../a.txt HTTP/1.1\r\nHost: x\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n",
    ];
    for seed in 0..400 {
        let random = Noise::new(seed).bytes(64);
        let mut bytes = requests.map(str::as_bytes).concat();
        // Up to eight bytes are replaced, lost, or doubled.
        for change in random.chunks(8).take(1 + seed as usize % 8) {
            let place = usize::from(u16::from_le_bytes([change[0], change[1]])) % bytes.len();
            match change[2] % 4 {
                0 => bytes[place] = change[3],
                1 => drop(bytes.remove(place)),
                2 => bytes.insert(place, bytes[place]),
                _ => bytes[place] = b" \r\n:%/-,"[usize::from(change[3]) % 8],
            }
        }
        let mut client = Client::connect(&server);
        client.send(&bytes);
        if seed % 8 > 0 {
            // The server may have closed by now.
            let _ = client.0.get_ref().shutdown(Shutdown::Write);
        }
        let mut said = Vec::new();
        // An end by the server's choice, or by its patience; nothing waits for ever.
        let end = client.0.read_to_end(&mut said);
        assert!(end.is_ok() || end.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset), "seed {seed}");
        assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 "), "seed {seed}");
    }
    assert_eq!(Client::connect(&server).get("/a.txt", "").body, b"a");
    assert_eq!(server.stop().errors, "");
}

#[test]
fn older_clients_are_understood() {
    let scratch = Scratch::new();
    scratch.file("a.txt", "a");
    let server = scratch.serve(&[]);
    let mut client = Client::connect(&server);
    client.send("GET /a.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let got = client.answer();
    assert_eq!((got.status, got.field("connection"), &got.body[..]), (200, "keep-alive", &b"a"[..]));
    client.send("GET /a.txt HTTP/1.0\r\n\r\n");
    let got = client.answer();
    assert_eq!((got.status, got.field("connection")), (200, "close"));
    assert!(client.is_at_end());
    server.stop();
}

#[test]
fn no_name_leads_out_of_the_directory() {
    let scratch = Scratch::new();
    fs::write(scratch.0.join("secret"), "secret").expect("it can be written");
    scratch.file("in.txt", "in");
    scratch.file("sub/deep.txt", "deep");
    scratch.file(".hidden/a.txt", "hidden");
    let site = scratch.site();
    let links = [
        ("relative", PathBuf::from("in.txt")),
        ("sub/up", PathBuf::from("../in.txt")),
        ("around", PathBuf::from("sub/../sub/deep.txt")),
        ("out", PathBuf::from("../secret")),
        ("sub/out", PathBuf::from("../../secret")),
        ("absolute", scratch.0.join("secret")),
        ("absolute-in", site.join("in.txt")),
        ("root", PathBuf::from("/")),
        ("proc", PathBuf::from("/proc/self/root/etc/passwd")),
        ("loop", PathBuf::from("loop")),
        ("dangling", PathBuf::from("nothing")),
    ];
    for (name, to) in links {
        symlink(to, site.join(name)).expect("it can be made");
    }
    let status = Command::new("mkfifo").arg(site.join("pipe")).status().expect("coreutils are there");
    assert!(status.success());

    let server = scratch.serve(&[]);
    let mut client = Client::connect(&server);
    for (target, expected) in [("/relative", "in"), ("/sub/up", "in"), ("/around", "deep"), ("//sub//deep.txt", "deep")]
    {
        let got = client.get(target, "");
        assert_eq!((got.status, &got.body[..]), (200, expected.as_bytes()), "{target}");
    }
    for (target, status) in [
        ("/out", 404),
        ("/sub/out", 404),
        ("/absolute", 404),
        ("/absolute-in", 404),
        ("/root/etc/passwd", 404),
        ("/proc", 404),
        ("/loop", 404),
        ("/dangling", 404),
        ("/in.txt/", 404),
        ("/in.txt/x", 404),
        ("/nothing", 404),
        ("/../secret", 400),
        ("/%2e%2e/secret", 400),
        ("/sub/..%2f..%2fsecret", 404),
        ("/sub/%2e%2e/%2e%2e/secret", 400),
        ("/..\\secret", 404),
        ("/.hidden/a.txt", 404),
        ("/%2ehidden/a.txt", 404),
        ("/in.txt%00.html", 400),
        ("/pipe", 403),
        (&format!("/{}", "x".repeat(300)), 404),
        (&format!("/{}", "x/".repeat(3000)), 404),
    ] {
        let got = client.get(target, "");
        assert_eq!(got.status, status, "{target}");
        assert!(!got.body.windows(6).any(|text| text == b"secret"), "{target}");
    }
    server.stop();
    let server = scratch.serve(&["--hidden"]);
    assert_eq!(Client::connect(&server).get("/.hidden/a.txt", "").body, b"hidden");
    server.stop();
}

#[test]
fn directories_are_listed_and_every_link_leads_somewhere() {
    let scratch = Scratch::new();
    let names: [&[u8]; 9] = [
        b"plain.txt",
        b"with space & ampersand.txt",
        b"<script>alert('x')",
        b"\"quoted\"",
        b"100%25.txt",
        b"question?mark#hash",
        b"javascript:alert(1)",
        "gr\u{fc}\u{df}e".as_bytes(),
        b"not \xff unicode",
    ];
    for name in names {
        scratch.file(Path::new("dir").join(std::ffi::OsStr::from_bytes(name)), name);
    }
    scratch.file("dir/inner/index.html", "<p>inner</p>");
    scratch.file("dir/.hidden", "");
    let server = scratch.serve(&[]);
    let mut client = Client::connect(&server);
    let moved = client.get("/dir", "");
    assert_eq!((moved.status, moved.field("location")), (301, "/dir/"));
    assert_eq!(client.get("//dir//inner", "").field("location"), "/dir/inner/", "no way to another host");

    let listing = client.get("/dir/", "");
    assert_eq!((listing.status, listing.field("content-type")), (200, "text/html; charset=utf-8"));
    let html = String::from_utf8(listing.body).expect("UTF-8");
    assert!(!html.contains("<script") && !html.contains("alert('") && !html.contains(".hidden"), "{html}");
    let links: Vec<_> = html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(links.len(), names.len() + 2);
    assert_eq!(links[..2], ["../", "./inner/"], "directories come first");
    let mut found = Vec::new();
    for link in &links[2..] {
        let got = client.get(&format!("/dir/{}", link.strip_prefix("./").expect("relative")), "");
        assert_eq!(got.status, 200, "{link}");
        found.push(got.body);
    }
    let mut expected = names.map(<[u8]>::to_vec);
    expected.sort();
    assert_eq!(found, expected, "each file holds its own name");
    assert_eq!(client.get("/dir/inner/", "").body, b"<p>inner</p>", "an index is the directory's page");
    assert_eq!(client.head("/dir/", "").field("content-length"), html.len().to_string());
    assert!(String::from_utf8_lossy(&client.get("/", "").body).contains("<a href=\"./dir/\">dir/</a>"));
    server.stop();

    let server = scratch.serve(&["--no-listing"]);
    let mut client = Client::connect(&server);
    assert_eq!((client.get("/dir/", "").status, client.get("/dir/inner/", "").status), (403, 200));
    server.stop();
}

#[test]
fn changes_are_seen() {
    let scratch = Scratch::new();
    let server = scratch.serve(&["--fresh", "0"]);
    let mut client = Client::connect(&server);
    let path = scratch.file("a.txt", "one");
    let first = client.get("/a.txt", "");
    assert_eq!(first.body, b"one");
    let tag = first.field("etag").to_owned();
    assert_eq!(client.get("/a.txt", "").field("etag"), tag);

    // In place, of the same length and with the same time.
    let modified = fs::metadata(&path).and_then(|metadata| metadata.modified()).expect("it is there");
    fs::write(&path, "two").expect("it can be written");
    File::options().write(true).open(&path).and_then(|file| file.set_modified(modified)).expect("it can be set");
    assert_eq!(client.get("/a.txt", "").body, b"two", "the inode's own time tells");
    // By another, as editors do it.
    fs::rename(scratch.file("b.txt", "three"), &path).expect("it can be renamed");
    let third = client.get("/a.txt", "");
    assert_eq!(third.body, b"three");
    assert_ne!(third.field("etag"), tag);
    // It grows beyond what is kept, and shrinks again.
    for size in [100_000, 10] {
        scratch.file("a.txt", text(size));
        assert!(client.get("/a.txt", "").body == text(size));
    }
    // One that was changed this very moment may change again without showing it: its tag promises less.
    fs::write(&path, "four").expect("it can be written");
    let fourth = client.get("/a.txt", "");
    assert_eq!((&fourth.body[..], &fourth.field("etag")[..2]), (&b"four"[..], "W/"));
    fs::write(&path, "five").expect("it can be written");
    assert_eq!(client.get("/a.txt", "").body, b"five");
    fs::remove_file(&path).expect("it is there");
    assert_eq!(client.get("/a.txt", "").status, 404);
    fs::create_dir(&path).expect("it can be made");
    assert_eq!(client.get("/a.txt", "").status, 301);
    server.stop();
}

#[test]
fn slow_requests_are_ended() {
    let scratch = Scratch::new();
    scratch.file("a.txt", "a");
    let server = scratch.serve(&["--head", "0.3", "--idle", "0.6"]);
    let start = Instant::now();
    // Before the first request, in the middle of a head, and of a body; and one that keeps a head going, byte by byte.
    let mut silent = Client::connect(&server);
    let mut half = Client::connect(&server);
    half.send("GET /a.txt HTTP/1.1\r\nHos");
    let mut bodiless = Client::connect(&server);
    bodiless.send("GET /a.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345");
    let mut dripping = Client::connect(&server);
    let mut drops = dripping.0.get_ref().try_clone().expect("there are descriptors");
    let dripping_on = thread::spawn(move || {
        let _ = drops.write_all(b"GET /a.txt HTTP/1.1\r\n");
        let mut count = 0;
        while start.elapsed() < PATIENCE && drops.write_all(b"a").is_ok() {
            count += 1;
            thread::sleep(Duration::from_millis(10));
        }
        count
    });
    assert_eq!(half.answer().status, 408);
    assert!(half.is_at_end() && start.elapsed() >= Duration::from_millis(300));
    assert_eq!(dripping.answer().status, 408);
    drop(dripping);
    assert!(dripping_on.join().expect("it does not fail") > 0);
    assert_eq!(bodiless.answer().status, 200);
    assert!(bodiless.is_at_end());
    assert!(silent.is_at_end() && start.elapsed() >= Duration::from_millis(600));
    server.stop();
}

/// Whether the server has not closed its end of a connection: what is under way hides that from the client.
fn is_established(server: &Program, client: &Client) -> bool {
    let port = |address: std::io::Result<std::net::SocketAddr>| address.expect("connected").port();
    let conn = client.0.get_ref();
    let ends = format!(" 0100007F:{:04X} 0100007F:{:04X} 01 ", server.address().port(), port(conn.local_addr()));
    fs::read_to_string("/proc/net/tcp").expect("it can be read").contains(&ends)
}

#[test]
fn slow_readers_are_waited_for_and_those_that_stop_are_not() {
    let scratch = Scratch::new();
    scratch.file("large.bin", Noise::new(1).bytes(20_000_000));
    // Called a text, so that it is packed, but none that gets smaller.
    scratch.file("large.txt", Noise::new(2).bytes(20_000_000));
    scratch.file("a.txt", "a");
    let server = scratch.serve(&["--stall", "0.5"]);
    for request in [
        "GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /large.bin HTTP/1.1\r\nHost: x\r\nRange: bytes=5-\r\n\r\n",
        "GET /large.txt HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n",
    ] {
        let mut deaf = Client::connect_narrow(&server);
        deaf.send(request);
        let start = Instant::now();
        let mut other = Client::connect(&server);
        while is_established(&server, &deaf) {
            assert_eq!(other.get("/a.txt", "").body, b"a", "nobody else waits for it");
            assert!(start.elapsed() < PATIENCE, "it is not dropped");
            thread::sleep(Duration::from_millis(20));
        }
        assert!(start.elapsed() >= Duration::from_millis(500));
        // It has the whole of it coming, and gets less.
        let mut rest = Vec::new();
        let end = deaf.0.read_to_end(&mut rest);
        assert!(end.is_ok() || end.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
        assert!(!rest.ends_with(b"0\r\n\r\n") && rest.len() < 19_999_000, "{} bytes", rest.len());
    }
    // Longer than the stall in all, but never that long without a byte.
    let mut slow = Client::connect(&server);
    slow.send("GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n");
    let start = Instant::now();
    let mut piece = vec![0; 1_000_000];
    for _ in 0..15 {
        slow.0.read_exact(&mut piece).expect("it goes on");
        thread::sleep(Duration::from_millis(100));
    }
    assert!(start.elapsed() > Duration::from_millis(1500));
    let mut rest = Vec::new();
    slow.0.get_mut().shutdown(Shutdown::Write).expect("connected");
    slow.0.read_to_end(&mut rest).expect("an end and no error");
    assert!(rest.len() > 5_000_000 && Noise::new(1).bytes(20_000_000).ends_with(&rest[rest.len() - 1000..]));
    assert!(server.stop().printed[0].ends_with("(3 broken)"));
}

#[test]
fn a_thousand_connections_at_once() {
    common::allow_descriptors(4096);
    let scratch = Scratch::new();
    scratch.file("a.txt", text(10_000));
    for cooperators in ["1", "3"] {
        let server = scratch.serve(&["--cooperators", cooperators]);
        let mut clients: Vec<_> = (0..1000).map(|_| Client::connect(&server)).collect();
        for round in 0..3 {
            for client in &mut clients {
                client.send("GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n");
            }
            for client in &mut clients {
                let got = client.answer();
                assert!(got.status == 200 && got.body == text(10_000), "round {round}");
            }
        }
        drop(clients);
        assert_eq!(server.stop().printed, stops_after(3000, 1000, 0));
    }
}

#[test]
fn too_many_connections_are_told_so() {
    let scratch = Scratch::new();
    scratch.file("a.txt", "a");
    let server = scratch.serve(&["--connections", "2"]);
    let mut one = Client::connect(&server);
    assert_eq!(one.get("/a.txt", "").status, 200);
    let mut two = Client::connect(&server);
    assert_eq!(two.get("/a.txt", "").status, 200);
    let mut three = Client::connect(&server);
    assert_eq!(three.answer().status, 503);
    assert!(three.is_at_end());
    drop((two, three));
    let start = Instant::now();
    loop {
        let mut again = Client::connect(&server);
        again.send("GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n");
        if again.try_answer(false).is_ok_and(|answer| answer.status == 200) {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "its place is never free again");
    }
    server.stop();
}

#[test]
fn ctrl_c_lets_answers_come_to_their_end() {
    let scratch = Scratch::new();
    let (noise, words) = (Noise::new(5).bytes(30_000_000), Noise::new(6).bytes(8_000_000));
    scratch.file("large.bin", &noise);
    scratch.file("large.txt", &words);
    for (signal, cooperators) in [(libc::SIGINT, "1"), (libc::SIGTERM, "2")] {
        let server = scratch.serve(&["--grace", "60", "--cooperators", cooperators]);
        let [mut plain, mut part, mut packed, mut idle, mut asking] = [(); 5].map(|()| Client::connect_narrow(&server));
        assert_eq!(idle.get("/missing", "").status, 404);
        plain.send("GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n");
        part.send("GET /large.bin HTTP/1.1\r\nHost: x\r\nRange: bytes=1000-\r\n\r\n");
        packed.send("GET /large.txt HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n");
        for client in [&mut plain, &mut part, &mut packed] {
            assert_ne!(client.0.fill_buf().expect("it begins").len(), 0);
        }
        asking.send("GET /large.bin HTTP/1.1\r\nHost: x\r\nRange: bytes=0-9\r\n");
        server.signal(signal);
        // The idle are closed at once, also one in the middle of a request, the others when they have got everything.
        assert!(idle.is_at_end() && asking.is_at_end());
        let readers = [(plain, &noise[..]), (part, &noise[1000..])].map(|(mut client, expected)| {
            let expected = expected.to_vec();
            thread::spawn(move || {
                assert!(client.answer().body == expected);
                assert!(client.is_at_end());
            })
        });
        assert!(unpack(&packed.answer().body) == words);
        assert!(packed.is_at_end());
        for reader in readers {
            reader.join().expect("it gets everything");
        }
        let ended = server.wait();
        assert_eq!((ended.status.code(), ended.errors.as_str()), (Some(0), ""));
        assert_eq!(ended.printed, stops_after(4, 5, 0));
    }
}

#[test]
fn ctrl_c_waits_no_longer_than_its_grace() {
    let scratch = Scratch::new();
    scratch.file("large.bin", Noise::new(5).bytes(30_000_000));
    scratch.file("large.txt", Noise::new(6).bytes(20_000_000));
    let server = scratch.serve(&["--grace", "0.5"]);
    let [mut plain, mut packed] = [(); 2].map(|()| Client::connect_narrow(&server));
    plain.send("GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n");
    packed.send("GET /large.txt HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n");
    for client in [&mut plain, &mut packed] {
        assert_ne!(client.0.fill_buf().expect("it begins").len(), 0);
    }
    // Until nothing more goes into the sockets.
    thread::sleep(Duration::from_millis(300));
    let start = Instant::now();
    let ended = server.stop();
    assert!(start.elapsed() >= Duration::from_millis(500));
    assert_eq!(ended.printed, stops_after(2, 2, 2));
}

#[test]
fn the_log_has_a_line_for_each_request() {
    let scratch = Scratch::new();
    scratch.file("a.txt", text(1000));
    let server = scratch.serve(&["--log"]);
    let mut client = Client::connect(&server);
    client.get("/a.txt", "");
    client.head("/a.txt", "");
    client.get("/\"quoted\"", "Referer: \x7f\r\n".replace('\x7f', "x").as_str());
    client.send("bad\r\n\r\n");
    assert_eq!(client.answer().status, 400);
    let ended = server.stop();
    let lines: Vec<_> = ended.errors.lines().collect();
    let expected = ["\"GET /a.txt HTTP/1.1\" 200 1000", "\"HEAD /a.txt HTTP/1.1\" 200 0", "404 106", "\"-\" 400 "];
    assert_eq!(lines.len(), expected.len(), "{lines:?}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with("127.0.0.1 - - [") && line.contains(expected), "{line}");
    }
}

#[test]
fn wrk_finds_no_error() {
    if !has_tool("wrk") {
        return;
    }
    let scratch = Scratch::new();
    scratch.file("small.txt", text(1000));
    scratch.file("large.txt", text(300_000));
    for (cooperators, connections, name) in
        [("1", "64", "small.txt"), ("2", "200", "small.txt"), ("2", "20", "large.txt")]
    {
        let server = scratch.serve(&["--cooperators", cooperators]);
        let url = format!("http://{}/{name}", server.place);
        let (code, report, errors) = output("wrk", &["-t2", &format!("-c{connections}"), "-d2s", &url]);
        assert_eq!((code, errors.as_str()), (Some(0), ""), "{report}");
        let requests =
            report.split(" requests in ").next().and_then(|text| text.rsplit(' ').next()?.parse::<u64>().ok());
        assert!(requests.is_some_and(|count| count > 100), "{report}");
        assert!(!report.contains("Non-2xx") && !report.contains("Socket errors"), "{report}");
        let ended = server.stop();
        assert_eq!(ended.errors, "");
    }
}

#[test]
fn the_command_line_is_explained_and_its_mistakes_are_named() {
    let (code, printed, _) = output(HTTP, &["--help"]);
    assert_eq!(code, Some(0));
    let options = [
        "[DIRECTORY]",
        "--listen",
        "--cooperators",
        "--connections",
        "--idle",
        "--head",
        "--stall",
        "--grace",
        "--fresh",
        "--cache",
        "--hidden",
        "--no-listing",
        "--log",
    ];
    for option in options {
        assert!(printed.contains(option), "{option}: {printed}");
    }
    let busy = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let busy = busy.local_addr().map(|address| (busy, address.to_string())).expect("it is bound");
    let cases: [(&[&str], i32, &str); 6] = [
        (&["--listen", "80"], 2, "'80' for '--listen <ADDRESS:PORT>': invalid socket address"),
        (&["--cooperators", "none"], 2, "neither a number from 1 to 1024 nor per-core"),
        (&["--port", "80"], 2, "unexpected argument '--port'"),
        (&["/no/such/directory"], 1, "http: cannot serve /no/such/directory: No such file or directory"),
        (&["/etc/passwd"], 1, "http: cannot serve /etc/passwd: Not a directory"),
        (&["--listen", &busy.1, "/"], 1, "cannot listen at 127.0.0.1:"),
    ];
    for (arguments, expected, reason) in cases {
        let (code, printed, errors) = output(HTTP, arguments);
        assert_eq!((code, printed), (Some(expected), String::new()), "{arguments:?}");
        assert!(errors.contains(reason), "{arguments:?}: {errors}");
    }
    drop(busy.0);
}
