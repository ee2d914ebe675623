//! `conformance.txt`: what a client sends, and the exact bytes that come back.
//!
//! [`stories`] reads the table, [`replay`] plays it against a server. The answers are those of a real Redis, and this
//! checks that they still are:
//!
//! ```text
//! redis-server --port 6399 --save '' --appendonly no &
//! KV_REDIS=127.0.0.1:6399 cargo test -p examples --bin kv -- --ignored real_redis
//! ```

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

/// One conversation on one connection.
pub struct Story {
    /// What it shows.
    pub name: &'static str,
    /// What is sent and what is answered, in order.
    pub steps: Vec<Step>,
    /// Whether the server closes the connection after the last step.
    pub closed: bool,
}

/// One thing sent, and the whole answer to it.
pub struct Step {
    /// What is sent.
    pub request: Vec<u8>,
    /// What is answered.
    pub reply: Vec<u8>,
}

impl Story {
    /// Whether a real Redis answers differently, on purpose.
    pub fn only_kv(&self) -> bool {
        self.name.starts_with("(kv)")
    }
}

/// The stories of the table.
pub fn stories() -> Vec<Story> {
    let mut stories = Vec::<Story>::new();
    for line in include_str!("conformance.txt").lines() {
        let (mark, rest) = line.split_at_checked(2).unwrap_or((line, ""));
        if mark == "= " {
            stories.push(Story { name: rest, steps: Vec::new(), closed: false });
            continue;
        }
        let Some(story) = stories.last_mut() else { continue };
        match (mark, story.steps.last_mut()) {
            ("> ", _) => story.steps.push(Step { request: unescape(rest), reply: Vec::new() }),
            ("< ", Some(step)) => step.reply = unescape(rest),
            _ if line == "closed" => story.closed = true,
            _ => assert!(line.is_empty(), "not a line of the table: {line}"),
        }
    }
    stories
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let (kind, tail) = escape.split_at(1);
        rest = tail;
        match kind {
            "r" => bytes.push(b'\r'),
            "n" => bytes.push(b'\n'),
            "t" => bytes.push(b'\t'),
            "\\" => bytes.push(b'\\'),
            "x" => {
                bytes.push(u8::from_str_radix(&tail[..2], 16).expect("two hexadecimal digits"));
                rest = &tail[2..];
            }
            "{" => {
                let (times, what) = tail.split_once('*').expect("{times*what}");
                let (what, behind) = what.split_once('}').expect("{times*what}");
                bytes.extend(what.repeat(times.parse().expect("a number of times")).bytes());
                rest = behind;
            }
            other => panic!("unknown escape \\{other} in {text}"),
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

/// How what a story sends comes to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// One request, its answer, the next request.
    InTurn,
    /// The same, with a packet for each byte, as far as it is up to the sender.
    ByteByByte,
    /// All requests at once, then all answers.
    Pipelined,
}

/// Plays the stories that `wanted` picks against the server at `address`; panics, with the story's name, on the first
/// byte that differs, is missing, or is too many. Returns the number of requests.
pub fn replay(address: SocketAddr, delivery: Delivery, wanted: impl Fn(&Story) -> bool) -> usize {
    let mut requests = 0;
    for story in stories().iter().filter(|story| wanted(story)) {
        let mut conn = TcpStream::connect(address).expect("the server listens");
        let patience = Some(Duration::from_secs(60));
        conn.set_read_timeout(patience).expect("a valid timeout");
        conn.set_write_timeout(patience).expect("a valid timeout");
        conn.set_nodelay(true).expect("an ordinary option");
        let piece = if delivery == Delivery::ByteByByte { 1 } else { usize::MAX };
        exchange(&mut conn, story, piece, b"FLUSHALL\r\n", b"+OK\r\n");
        if delivery == Delivery::Pipelined {
            let sent: Vec<u8> = story.steps.iter().flat_map(|step| step.request.clone()).collect();
            let expected: Vec<u8> = story.steps.iter().flat_map(|step| step.reply.clone()).collect();
            exchange(&mut conn, story, piece, &sent, &expected);
        } else {
            for step in &story.steps {
                exchange(&mut conn, story, piece, &step.request, &step.reply);
            }
        }
        requests += story.steps.len();
        if !story.closed {
            conn.shutdown(Shutdown::Write).expect("still connected");
        }
        let mut more = Vec::new();
        match conn.read_to_end(&mut more) {
            Ok(_) => assert!(more.is_empty(), "{}: then also {}", story.name, more.escape_ascii()),
            // The server closed with requests of ours unread: a reset instead of an end.
            Err(error) => {
                assert!(story.closed && error.kind() == std::io::ErrorKind::ConnectionReset, "{}: {error}", story.name)
            }
        }
    }
    requests
}

/// Sends a request and reads the reply, at the same time: either may be more than the sockets hold.
fn exchange(conn: &mut TcpStream, story: &Story, piece: usize, request: &[u8], expected: &[u8]) {
    let mut reply = vec![0; expected.len()];
    let mut got = 0;
    std::thread::scope(|s| {
        let mut sender = conn.try_clone().expect("a socket can be shared");
        s.spawn(move || {
            for piece in request.chunks(piece) {
                // A server that closes in the middle of what it is sent does so because of what it was sent.
                let sent = sender.write_all(piece);
                assert!(sent.is_ok() || story.closed, "{}: {sent:?}", story.name);
            }
        });
        while got < reply.len() {
            match conn.read(&mut reply[got..]) {
                Ok(0) | Err(_) => break,
                Ok(n) => got += n,
            }
        }
    });
    assert_eq!(
        reply[..got].escape_ascii().to_string(),
        expected.escape_ascii().to_string(),
        "{}: after {}",
        story.name,
        request.escape_ascii()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_stand_for_their_bytes() {
        assert_eq!(unescape(r"a\r\n\t\\x\x00\xff\{3*z}b"), b"a\r\n\t\\x\x00\xffzzzb");
    }

    #[test]
    #[ignore = "needs the address of a Redis server in KV_REDIS"]
    fn real_redis_answers_as_the_table_says() {
        let address = std::env::var("KV_REDIS").expect("KV_REDIS is set");
        let address = address.parse().expect("KV_REDIS is an address and port");
        for delivery in [Delivery::InTurn, Delivery::ByteByByte, Delivery::Pipelined] {
            replay(address, delivery, |story| !story.only_kv());
        }
    }
}
