//! Peers who send nonsense, stop in the middle, or hang up: each server goes on serving the others, and ends well.
//!
//! What they send is made of a corpus in `tests/fuzz/corpus`, mutated by chance; `COOP_FUZZ_SEED` and `COOP_FUZZ_COUNT` make other
//! peers, and more of them.

mod common;
#[allow(dead_code)]
#[path = "../../coop/tests/fuzz/generate.rs"]
mod generate;

use common::{Program, connect};
use generate::{Random, corpus, count, mutation, seed};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;
use tungstenite::Message;

/// Peers of each kind.
const PEERS: u64 = 150;

/// Sends what chance makes of a corpus, one connection after the other, a few of them open at the same time.
fn storm(address: SocketAddr, inputs: &str, words: &[&[u8]]) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(inputs);
    let inputs: Vec<Vec<u8>> = corpus(&directory).into_iter().map(|(_, input)| input).collect();
    let (seed, mut open) = (seed(), Vec::new());
    println!("COOP_FUZZ_SEED={seed}");
    for peer in 0..count(PEERS) {
        let mut random = Random::new(seed ^ peer.wrapping_mul(0xd6e8_feb8_6659_fd93));
        let mut conn = connect(address);
        // Some come as they are, or several behind one another.
        let mut bytes = Vec::new();
        for _ in 0..=random.below(3) {
            match random.below(4) {
                0 => bytes.extend_from_slice(random.pick::<Vec<u8>>(&inputs)),
                _ => bytes.extend(mutation(&mut random, &inputs, words)),
            }
        }
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(rest.len().min(1 + random.below(4096)));
            // Whoever is talked to like that may hang up.
            if conn.write_all(piece).is_err() {
                break;
            }
            rest = later;
        }
        match random.below(4) {
            // It hangs up at once, with what was answered unread.
            0 => drop(conn),
            1 => {
                let _ = conn.shutdown(Shutdown::Write);
                drain(&mut conn);
            }
            2 => drain(&mut conn),
            _ => open.push(conn),
        }
        if open.len() > 8 {
            open.remove(random.below(9));
        }
    }
}

/// Reads what comes, until nothing more does for a moment.
fn drain(conn: &mut TcpStream) {
    conn.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    while conn.read(&mut [0; 4096]).is_ok_and(|got| got > 0) {}
}

/// What a well-behaved peer is answered, up to so many bytes.
fn ask(address: SocketAddr, question: &[u8], len: usize) -> String {
    let mut conn = connect(address);
    conn.write_all(question).unwrap();
    let mut answer = vec![0; len];
    conn.read_exact(&mut answer).expect("it still answers");
    String::from_utf8_lossy(&answer).into_owned()
}

/// The server ends as it should, and nothing in it has panicked.
fn ends_well(server: Program) {
    let ended = server.stop();
    assert!(!ended.errors.contains("panicked"), "{}", ended.errors);
}

#[test]
fn the_store_serves_on() {
    let server = Program::start(env!("CARGO_BIN_EXE_kv"), &["--port", "0"]);
    let words: [&[u8]; 8] = [b"\r\n", b"*1\r\n", b"$4\r\nPING\r\n", b"SET", b"SUBSCRIBE a\r\n", b"-1", b"\0", b"\""];
    for _ in 0..2 {
        storm(server.address(), "resp", &words);
        assert_eq!(ask(server.address(), b"*1\r\n$4\r\nPING\r\n", 7), "+PONG\r\n");
    }
    ends_well(server);
}

#[test]
fn the_file_server_serves_on() {
    let site = std::env::temp_dir().join(format!("coop-hostile-{}", std::process::id()));
    std::fs::create_dir_all(&site).unwrap();
    std::fs::write(site.join("a"), "of the file\n").unwrap();
    let server = Program::start(env!("CARGO_BIN_EXE_http"), &["--listen", "127.0.0.1:0", site.to_str().unwrap()]);
    let words: [&[u8]; 8] = [
        b"\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: a\r\n",
        b"Range: bytes=0-\r\n",
        b"Content-Length: 9\r\n",
        b"%",
        b"\0",
        b"..",
        b" ",
    ];
    for _ in 0..2 {
        storm(server.address(), "request", &words);
        assert_eq!(ask(server.address(), b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n", 15), "HTTP/1.1 200 OK");
    }
    ends_well(server);
    std::fs::remove_dir_all(&site).unwrap();
}

#[test]
fn the_rooms_stay_open() {
    let options = ["--lines", "127.0.0.1:0", "--websockets", "127.0.0.1:0"];
    let server = Program::start(env!("CARGO_BIN_EXE_chat"), &options);
    let place = server.place.split(" and at ").nth(1).and_then(|rest| rest.split(' ').next());
    let websockets: SocketAddr = place.expect("it says both places").parse().unwrap();
    let words: [&[u8]; 8] = [b"\n", b"/nick a\n", b"/join b\n", b"\xff", b"/who\n", b"\r", b"\0", b"/"];
    for _ in 0..2 {
        storm(server.address(), "lines", &words);
        let words: [&[u8]; 7] =
            [b"\r\n\r\n", b"\x81\x85", b"\x88\x80\0\0\0\0", b"\x89\x80\0\0\0\0", b"\x80", b"\x01\x81", b"\xff"];
        storm(websockets, "websocket", &words);
        // A lobby may be full of guests that have not left yet; a room of one's own is not.
        let (mut socket, _) = tungstenite::client(format!("ws://{websockets}/"), connect(websockets)).unwrap();
        socket.send(Message::text("/join quiet")).unwrap();
        socket.send(Message::text("still here")).unwrap();
        let heard = |message: Message| message.to_text().is_ok_and(|text| text.ends_with("> still here"));
        while !heard(socket.read().expect("the room is open")) {}
    }
    ends_well(server);
}
