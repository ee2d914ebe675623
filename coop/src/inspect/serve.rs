//! The status page's server: as little of HTTP as a browser and `curl` need.

use super::metrics::metrics;
use super::page;
use crate::error::Killed;
use crate::net::{TcpListener, TcpStream, ToSocketAddrs};
use crate::sync::Semaphore;
use crate::task::{JoinHandle, TaskBuilder, timeout};
use crate::time::sleep;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

/// The longest request that is read.
const LONGEST: usize = 8192;

/// How many requests are answered at a time.
const AT_ONCE: usize = 8;

/// How long a client may take to ask, and to read the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A status page that is being served: see [`serve`]. Dropping this leaves it.
#[derive(Debug)]
pub struct StatusPage {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl StatusPage {
    /// Where it is to be found.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Ends it. Not a wait point.
    pub fn stop(self) {
        self.task.kill();
    }
}

/// Serves a page about this process to browsers on this machine: the tree of its tasks, what they wait for, their stacks, the figures of
/// Cooperators and rings, and a picture of the last tenth of a second. Also `/metrics` for Prometheus, `/dump` with the tree as text, and
/// `/timeline.json` for Perfetto: what a [`Timeline`](super::Timeline) has recorded, or the next tenth of a second.
///
/// The page is served by a daemon of the calling task, over coop's own sockets: it shows in its own tree and costs what such a task costs, and
/// nothing while nobody asks. It ends with the calling task.
///
/// What a process does is nobody else's business: it listens at loopback addresses only, and answers only requests whose `Host` is one, so that no
/// page of somebody else's can read it by way of a name that leads here. It only answers GET and HEAD; neither changes anything. Whoever can
/// reach the loopback interface can read it, though: other users of the machine too.
///
/// A wait point only if `address` is a name that must be looked up.
///
/// ```
/// use coop::net::TcpStream;
/// use std::io::{self, Read};
/// coop::run(|| -> io::Result<()> {
///     let page = coop::inspect::serve("127.0.0.1:0")?;
///     let mut conn = TcpStream::connect(page.local_addr())?;
///     conn.send_all(b"GET /dump HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
///     let mut answer = String::new();
///     conn.read_to_string(&mut answer)?;
///     assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("status-page #2: accept"), "{answer}");
///     page.stop();
///     Ok(())
/// }).unwrap();
/// ```
///
/// # Errors
/// Those of [`TcpListener::bind`]; `InvalidInput` when the address is not a loopback address.
///
/// # Panics
/// On a thread without a Cooperator.
#[track_caller]
pub fn serve(address: impl ToSocketAddrs) -> io::Result<StatusPage> {
    let listener = TcpListener::bind(address)?;
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() {
        let text = format!("the status page is for this machine only, and {address} is not a loopback address");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let task = TaskBuilder::new().name("status-page").daemon().spawn(move || accept(&listener));
    Ok(StatusPage { address, task })
}

/// Until it is killed.
fn accept(listener: &TcpListener) {
    let free = Rc::new(Semaphore::new(AT_ONCE));
    loop {
        let conn = match listener.accept() {
            Ok((conn, _)) => conn,
            Err(error) if Killed::is(&error) => return,
            // No descriptor left, most likely.
            Err(_) if sleep(Duration::from_millis(100)).is_ok() => continue,
            Err(_) => return,
        };
        let free = free.clone();
        TaskBuilder::new().name("status-request").daemon().spawn(move || {
            let Ok(_permit) = free.acquire() else { return };
            // Whatever goes wrong is the client's.
            let _ = timeout(PATIENCE, || answer(&conn));
        });
    }
}

/// Why there is no answer.
struct Refusal(&'static str, &'static str);

fn answer(conn: &TcpStream) -> io::Result<()> {
    let mut request = Vec::with_capacity(1024);
    let head = loop {
        if let Some(end) = end_of_head(&request) {
            request.truncate(end);
            break read(&request);
        }
        if request.len() >= LONGEST {
            break Err(Refusal("431 Request Header Fields Too Large", "the request is too long\n"));
        }
        let mut buf = [0; 1024];
        let room = buf.len().min(LONGEST - request.len());
        match conn.recv(&mut buf[..room])? {
            0 => return Ok(()),
            n => request.extend_from_slice(&buf[..n]),
        }
    };
    let (is_head, status, kind, body) = match head {
        Ok((is_head, path)) => match body(&path)? {
            Some((kind, body)) => (is_head, "200 OK", kind, body),
            None => (is_head, "404 Not Found", TEXT, "there is no such page\n".to_owned()),
        },
        Err(Refusal(status, text)) => (false, status, TEXT, text.to_owned()),
    };
    let allow = if status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" };
    let mut text = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n{allow}Cache-Control: no-store\r\nConnection: close\r\n\
         X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\nReferrer-Policy: no-referrer\r\n\
         Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'\r\n\r\n",
        body.len()
    );
    if !is_head {
        text.push_str(&body);
    }
    conn.send_all(text.as_bytes())?;
    conn.shutdown(std::net::Shutdown::Write)?;
    // What is still unread when a socket is closed resets the connection, and the client never sees the answer.
    let mut rest = [0; 1024];
    for _ in 0..64 {
        if conn.recv(&mut rest)? == 0 {
            break;
        }
    }
    Ok(())
}

const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

fn body(path: &str) -> Result<Option<(&'static str, String)>, Killed> {
    Ok(Some(match path.split('?').next().unwrap_or(path) {
        "/" => (HTML, page::page()?),
        "/state" => (HTML, page::state()?),
        "/metrics" => ("text/plain; version=0.0.4; charset=utf-8", metrics().to_prometheus()),
        "/dump" => (TEXT, page::dump()?),
        "/timeline.json" => ("application/json", page::trace()?.to_json()),
        _ => return Ok(None),
    }))
}

fn end_of_head(request: &[u8]) -> Option<usize> {
    request.windows(4).position(|window| window == b"\r\n\r\n")
}

/// Whether it is a HEAD, and the path. The head of a request, without the empty line.
fn read(head: &[u8]) -> Result<(bool, String), Refusal> {
    const BAD: Refusal = Refusal("400 Bad Request", "this is not a request of HTTP/1\n");
    let head = std::str::from_utf8(head).map_err(|_| BAD)?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(path), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(BAD);
    };
    if !version.starts_with("HTTP/1.") || !path.starts_with('/') {
        return Err(BAD);
    }
    let mut hosts = lines.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("host").then(|| value.trim())
    });
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_loopback(host) => {}
        (Some(_), None) => {
            return Err(Refusal("403 Forbidden", "the Host of a request must be this machine's loopback\n"));
        }
        _ => return Err(BAD),
    }
    match method {
        "GET" => Ok((false, path.to_owned())),
        "HEAD" => Ok((true, path.to_owned())),
        _ => Err(Refusal("405 Method Not Allowed", "only GET and HEAD\n")),
    }
}

/// Whether a `Host` is `localhost` or a loopback address, with or without a port.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) if port.is_empty() || port.starts_with(':') => address,
        Some(_) => return false,
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(request: &str) -> Result<(bool, String), &'static str> {
        read(request.as_bytes()).map_err(|refusal| &refusal.0[..3])
    }

    #[test]
    fn a_request_names_its_path_and_this_machine() {
        assert_eq!(status("GET /dump?x HTTP/1.1\r\nAccept: */*\r\nhOST: 127.0.0.1:80"), Ok((false, "/dump?x".into())));
        assert_eq!(status("HEAD / HTTP/1.0\r\nHost: localhost"), Ok((true, "/".into())));
        for host in ["localhost:8080", "LOCALHOST", "[::1]", "[::1]:1", "127.8.9.10"] {
            assert!(status(&format!("GET / HTTP/1.1\r\nHost: {host}")).is_ok(), "{host}");
        }
        for host in
            ["example.org", "localhost.example.org", "10.0.0.1", "[::2]", "[::1]x", "", "127.0.0.1.nip.io", "0.0.0.0"]
        {
            assert_eq!(status(&format!("GET / HTTP/1.1\r\nHost: {host}")), Err("403"), "{host}");
        }
        assert_eq!(status("POST / HTTP/1.1\r\nHost: localhost"), Err("405"));
        for bad in [
            "GET / HTTP/1.1",
            "GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost",
            "GET  / HTTP/1.1\r\nHost: localhost",
            "GET / HTTP/2\r\nHost: localhost",
            "GET http://localhost/ HTTP/1.1\r\nHost: localhost",
            "",
            "\u{1}",
        ] {
            assert_eq!(status(bad), Err("400"), "{bad:?}");
        }
    }
}
