//! The `echo` server, from outside.

mod common;

use common::{Noise, PATIENCE, Program, allow_descriptors, connect, output};
use std::{
    io::{ErrorKind, Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

const ECHO: &str = env!("CARGO_BIN_EXE_echo");

fn start(arguments: &[&str]) -> Program {
    Program::start(ECHO, &[&["--tcp", "127.0.0.1:0"], arguments].concat())
}

/// A path of its own for a test's socket.
fn socket_path(test: &str) -> PathBuf {
    std::env::temp_dir().join(format!("echo-{test}-{}.sock", std::process::id()))
}

fn expect_back(conn: &mut impl Read, sent: &[u8]) {
    let mut back = vec![0; sent.len()];
    conn.read_exact(&mut back).expect("it comes back");
    assert!(back == sent, "something else comes back");
}

/// Sends and receives at the same time, since neither the server nor the sockets hold so much.
fn exchange<C: Read + Write + Send>(mut receiver: C, mut sender: C, text: &[u8]) {
    thread::scope(|s| {
        s.spawn(move || sender.write_all(text).expect("the server reads"));
        expect_back(&mut receiver, text);
    });
}

#[test]
fn what_is_sent_comes_back_until_the_client_hangs_up() {
    let server = start(&[]);
    let mut conn = server.connect();
    for text in [&b"hello"[..], b"\0", b"and again\r\n"] {
        conn.write_all(text).expect("the server reads");
        expect_back(&mut conn, text);
    }
    conn.write_all(b"the last").expect("the server reads");
    conn.shutdown(Shutdown::Write).expect("connected");
    let mut rest = Vec::new();
    conn.read_to_end(&mut rest).expect("an end and no error");
    assert_eq!(rest, b"the last");
    server.stop();
}

#[test]
fn a_thousand_clients_at_once() {
    allow_descriptors(1100);
    let server = start(&[]);
    let mut conns: Vec<_> = (0..1000).map(|_| server.connect()).collect();
    for round in 0..3 {
        // All of them have sent before the first reads.
        let text = |client: usize| format!("{client} says {round} {}", "x".repeat(client)).into_bytes();
        for (client, conn) in conns.iter_mut().enumerate() {
            conn.write_all(&text(client)).expect("the server reads");
        }
        for (client, conn) in conns.iter_mut().enumerate() {
            expect_back(conn, &text(client));
        }
    }
    for conn in &conns {
        conn.shutdown(Shutdown::Write).expect("connected");
    }
    for mut conn in conns {
        assert_eq!(conn.read(&mut [0]).expect("an end and no error"), 0);
    }
    server.stop();
}

#[test]
fn a_hundred_megabytes_both_ways() {
    let server = start(&[]);
    let conn = server.connect();
    let text = Noise::new(1).bytes(100 << 20);
    exchange(&conn, &conn, &text);
    server.stop();
}

#[test]
fn over_a_unix_socket_whose_file_is_gone_in_the_end() {
    let path = socket_path("unix");
    let shown = path.display().to_string();
    let server = Program::start(ECHO, &["--unix", &shown]);
    assert_eq!(server.place, shown);
    let conn = UnixStream::connect(&path).expect("the server listens");
    conn.set_read_timeout(Some(PATIENCE)).expect("a valid timeout");
    exchange(&conn, &conn, &Noise::new(2).bytes(10 << 20));

    let (code, _, errors) = output(ECHO, &["--unix", &shown]);
    assert_eq!(code, Some(1));
    assert_eq!(errors, format!("echo: cannot listen at {shown}: Address already in use (os error 98)\n"));
    assert!(path.exists(), "the file is the first server's, and still there");

    server.stop();
    assert!(!path.exists());
    assert_eq!((&conn).read(&mut [0]).expect("an end and no error"), 0);
}

#[test]
fn the_silent_and_the_deaf_are_disconnected() {
    let server = start(&["--idle", "0.3"]);
    let mut silent = server.connect();
    silent.write_all(b"hello").expect("the server reads");
    expect_back(&mut silent, b"hello");
    let start = Instant::now();
    assert_eq!(silent.read(&mut [0]).expect("an end and no error"), 0);
    assert!(start.elapsed() >= Duration::from_millis(250), "after {:?}", start.elapsed());

    // Sends without end and reads nothing: the server's send waits, and then the connection ends.
    let mut deaf = server.connect();
    let text = vec![b'x'; 1 << 20];
    let error = loop {
        if let Err(error) = deaf.write_all(&text) {
            break error;
        }
    };
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
    server.stop();
}

/// Longer than a number: a text in which a lost or doubled piece shows.
const TEXT: &[u8] = b"0123456789 abcdefghijklmnopqrstuvwxyz, and all of it again: ";

#[test]
fn ctrl_c_loses_nothing_that_had_reached_the_server() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let server = start(&["--grace", "60"]);
        let [mut slow, mut other] = [(); 2].map(|()| server.connect());
        let sent = common::stuff(&mut slow, TEXT, || {
            other.write_all(b"hello").expect("the server reads");
            expect_back(&mut other, b"hello");
        });
        // The session waits in a send; behind what it sends, more waits to be received.
        let arrived = sent - common::under_way(&slow);
        server.signal(signal);
        assert_eq!(other.read(&mut [0]).expect("an end and no error"), 0, "the sessions have been told");
        let came = common::read_all_of(slow, TEXT);
        assert!(came >= arrived, "{came} of {arrived}");
        let ended = server.wait();
        assert_eq!((ended.status.code(), ended.errors.as_str()), (Some(0), ""));
    }
}

#[test]
fn ctrl_c_does_not_wait_long_for_a_client_that_reads_nothing() {
    let server = start(&[]);
    let mut deaf = server.connect();
    let mut other = server.connect();
    common::stuff(&mut deaf, TEXT, || {
        other.write_all(b"hello").expect("the server reads");
        expect_back(&mut other, b"hello");
    });
    server.stop();
}

#[test]
fn a_second_ctrl_c_ends_it_at_once() {
    let server = start(&[]);
    let mut deaf = server.connect();
    let mut other = server.connect();
    common::stuff(&mut deaf, TEXT, || {
        other.write_all(b"hello").expect("the server reads");
        expect_back(&mut other, b"hello");
    });
    server.signal(libc::SIGINT);
    // The first one has arrived when its other client has been let go; the deaf one takes two seconds.
    assert_eq!(other.read(&mut [0]).expect("an end and no error"), 0);
    server.signal(libc::SIGINT);
    let ended = server.wait();
    let by_signal = std::os::unix::process::ExitStatusExt::signal(&ended.status);
    assert_eq!(by_signal, Some(libc::SIGINT));
}

#[test]
fn the_command_line_is_explained_and_its_mistakes_are_named() {
    let (code, printed, _) = output(ECHO, &["--help"]);
    assert_eq!(code, Some(0));
    for option in ["--tcp", "--unix", "--idle", "--grace"] {
        assert!(printed.contains(option), "{printed}");
    }
    let cases: [(&[&str], &str); 6] = [
        (&["--idle", "0"], "'0' for '--idle <SECONDS>': not a time to wait: it must be more than 0"),
        (&["--idle", "-1"], "unexpected argument '-1'"),
        (&["--idle", "soon"], "'soon' for '--idle <SECONDS>': not a number of seconds"),
        (&["--tcp", "localhost"], "'localhost' for '--tcp <ADDRESS:PORT>': invalid socket address syntax"),
        (&["--tcp", "127.0.0.1:0", "--unix", "x"], "'--tcp <ADDRESS:PORT>' cannot be used with '--unix <PATH>'"),
        (&["7000"], "unexpected argument '7000'"),
    ];
    for (arguments, reason) in cases {
        let (code, printed, errors) = output(ECHO, arguments);
        assert_eq!((code, printed), (Some(2), String::new()), "{arguments:?}");
        assert!(errors.contains(reason), "{arguments:?}: {errors}");
    }
    let (code, _, errors) = output(ECHO, &["--tcp", "192.0.2.1:7000"]);
    assert_eq!(code, Some(1));
    assert_eq!(errors, "echo: cannot listen at 192.0.2.1:7000: Cannot assign requested address (os error 99)\n");
}

#[test]
fn without_a_descriptor_left_clients_wait_until_another_leaves() {
    let limited = format!("ulimit -n 24; exec {ECHO} --tcp 127.0.0.1:0");
    let server = Program::run(Command::new("sh").args(["-c", &limited]));
    let mut conns: Vec<_> = (0..40).map(|_| connect(server.address())).collect();
    for conn in &mut conns {
        conn.write_all(b"hello").expect("the kernel takes it");
    }
    for mut conn in conns {
        expect_back(&mut conn, b"hello");
    }
    let ended = server.stop();
    assert!(ended.errors.starts_with("no connection can be accepted for now: "), "{}", ended.errors);
}
