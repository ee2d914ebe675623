//! The `proxy` program, between clients and upstreams of the tests'.

mod common;

use common::{Noise, PATIENCE, Program, connect, limit, output};
use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

const PROXY: &str = env!("CARGO_BIN_EXE_proxy");
const ECHO: &str = env!("CARGO_BIN_EXE_echo");

fn start(upstream: SocketAddr, arguments: &[&str]) -> Program {
    let upstream = upstream.to_string();
    Program::start(PROXY, &[&["--listen", "127.0.0.1:0", "--upstream", &upstream], arguments].concat())
}

/// An upstream that the test itself plays.
struct Upstream(TcpListener);

impl Upstream {
    fn listen() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").expect("a port is free"))
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("it is bound")
    }

    /// The next connection, which must come in time.
    fn accept(&self) -> TcpStream {
        self.0.set_nonblocking(true).expect("an ordinary option");
        let start = Instant::now();
        loop {
            match self.0.accept() {
                Ok((conn, _)) => {
                    conn.set_nonblocking(false).expect("an ordinary option");
                    limit(&conn);
                    return conn;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock && start.elapsed() < PATIENCE => {
                    thread::sleep(Duration::from_millis(1));
                }
                Err(error) => panic!("the proxy does not connect: {error}"),
            }
        }
    }
}

/// A client and what the upstream has of it, connected through the proxy.
fn pair(proxy: &Program, upstream: &Upstream) -> (TcpStream, TcpStream) {
    let client = proxy.connect();
    (client, upstream.accept())
}

fn expect(conn: &mut TcpStream, text: &[u8]) {
    let mut got = vec![0; text.len()];
    conn.read_exact(&mut got).expect("it comes");
    assert!(got == text, "something else comes");
}

fn expect_end(conn: &mut TcpStream) {
    assert_eq!(conn.read(&mut [0]).expect("an end and no error"), 0);
}

fn expect_reset(conn: &mut TcpStream) {
    let error = conn.read(&mut [0]).expect_err("an error and no end");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

/// FNV-1a, 64 bits.
fn checksum(sum: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(sum, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// Sends so many bytes of noise, then the end; gives their checksum.
fn send_noise(mut conn: &TcpStream, seed: u64, len: usize) -> u64 {
    let mut noise = Noise::new(seed);
    let mut buf = vec![0; 61_440];
    let (mut sum, mut left) = (0, len);
    while left > 0 {
        let piece = &mut buf[..left.min(61_440)];
        noise.fill(piece);
        conn.write_all(piece).expect("the other side reads");
        sum = checksum(sum, piece);
        left -= piece.len();
    }
    conn.shutdown(Shutdown::Write).expect("connected");
    sum
}

/// Reads to the end; gives how much came, and its checksum.
fn receive_all(mut conn: &TcpStream) -> (usize, u64) {
    let mut buf = vec![0; 50_000];
    let (mut len, mut sum) = (0, 0);
    loop {
        match conn.read(&mut buf).expect("no error before the end") {
            0 => return (len, sum),
            n => {
                len += n;
                sum = checksum(sum, &buf[..n]);
            }
        }
    }
}

#[test]
fn it_passes_on_in_both_directions_and_counts() {
    let upstream = Upstream::listen();
    let proxy = start(upstream.address(), &[]);
    let (mut client, mut server) = pair(&proxy, &upstream);
    client.write_all(b"question").expect("connected");
    expect(&mut server, b"question");
    server.write_all(b"the answer").expect("connected");
    expect(&mut client, b"the answer");
    drop(client);
    expect_end(&mut server);
    drop(server);
    let ended = proxy.stop();
    assert_eq!(
        ended.printed,
        ["proxy stops after 1 connections (0 without an upstream, 0 broken): 8 bytes up, 10 bytes down"]
    );
}

#[test]
fn half_a_close_is_passed_on_as_half_a_close() {
    let upstream = Upstream::listen();
    let proxy = start(upstream.address(), &[]);

    // The client has said everything; the answer is still to come.
    let (mut client, mut server) = pair(&proxy, &upstream);
    client.write_all(b"everything").expect("connected");
    client.shutdown(Shutdown::Write).expect("connected");
    expect(&mut server, b"everything");
    expect_end(&mut server);
    for n in 0..100 {
        server.write_all(&[n; 1000]).expect("this direction is open");
        expect(&mut client, &[n; 1000]);
    }
    drop(server);
    expect_end(&mut client);

    // The same the other way round.
    let (mut client, mut server) = pair(&proxy, &upstream);
    server.shutdown(Shutdown::Write).expect("connected");
    expect_end(&mut client);
    client.write_all(b"still here").expect("this direction is open");
    drop(client);
    expect(&mut server, b"still here");
    expect_end(&mut server);

    let ended = proxy.stop();
    assert_eq!(
        ended.printed,
        ["proxy stops after 2 connections (0 without an upstream, 0 broken): 20 bytes up, 100000 bytes down"]
    );
}

/// The kernel tells of a reset once: here the direction that sends hears of it, while the other sees an end.
#[test]
fn a_reset_that_finds_the_proxy_sending_is_passed_on_as_a_reset() {
    let upstream = Upstream::listen();
    let proxy = start(upstream.address(), &[]);
    for _ in 0..5 {
        let (mut client, server) = pair(&proxy, &upstream);
        // Until nothing goes any more: the proxy waits for room towards the upstream.
        client.set_nonblocking(true).unwrap();
        let mut stuck = 0;
        while stuck < 10 {
            match client.write(&[7; 1 << 16]) {
                Ok(_) => stuck = 0,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    stuck += 1;
                    thread::sleep(Duration::from_millis(10));
                }
                Err(error) => panic!("{error}"),
            }
        }
        client.set_nonblocking(false).unwrap();
        socket2::SockRef::from(&server).set_linger(Some(Duration::ZERO)).unwrap();
        drop(server);
        expect_reset(&mut client);
    }
    proxy.stop();
}

#[test]
fn a_reset_is_passed_on_as_a_reset() {
    let upstream = Upstream::listen();
    let proxy = start(upstream.address(), &[]);
    let reset = |conn: TcpStream| {
        socket2::SockRef::from(&conn).set_linger(Some(Duration::ZERO)).expect("an ordinary option");
    };
    let (mut client, server) = pair(&proxy, &upstream);
    reset(server);
    expect_reset(&mut client);
    let (client, mut server) = pair(&proxy, &upstream);
    reset(client);
    expect_reset(&mut server);
    let ended = proxy.stop();
    assert_eq!(
        ended.printed,
        ["proxy stops after 2 connections (0 without an upstream, 2 broken): 0 bytes up, 0 bytes down"]
    );
}

#[test]
fn big_transfers_both_ways_at_once_arrive_whole() {
    const UP: usize = 64_000_001;
    const DOWN: usize = 48_000_003;
    let upstream = Upstream::listen();
    let proxy = start(upstream.address(), &[]);
    let (client, server) = pair(&proxy, &upstream);
    thread::scope(|s| {
        let up = s.spawn(|| send_noise(&client, 1, UP));
        let down = s.spawn(|| send_noise(&server, 2, DOWN));
        let at_server = s.spawn(|| receive_all(&server));
        let at_client = receive_all(&client);
        let [up, down] = [up, down].map(|thread| thread.join().expect("the sender does not fail"));
        assert_eq!(at_client, (DOWN, down));
        assert_eq!(at_server.join().expect("the receiver does not fail"), (UP, up));
    });
    let ended = proxy.stop();
    assert_eq!(
        ended.printed,
        [format!(
            "proxy stops after 1 connections (0 without an upstream, 0 broken): {UP} bytes up, {DOWN} bytes down"
        )]
    );
}

#[test]
fn two_hundred_clients_through_it_to_another_program() {
    let echo = Program::start(ECHO, &["--tcp", "127.0.0.1:0"]);
    let proxy = start(echo.address(), &[]);
    let mut conns: Vec<_> = (0..200).map(|_| proxy.connect()).collect();
    for round in 0..5 {
        let text = |client: usize| Noise::new(1000 * round + client as u64).bytes(10 * client + 1);
        for (client, conn) in conns.iter_mut().enumerate() {
            conn.write_all(&text(client)).expect("connected");
        }
        for (client, conn) in conns.iter_mut().enumerate() {
            expect(conn, &text(client));
        }
    }
    let bytes: usize = (0..200).map(|client| 5 * (10 * client + 1)).sum();
    for mut conn in conns {
        conn.shutdown(Shutdown::Write).expect("connected");
        expect_end(&mut conn);
    }
    let ended = proxy.stop();
    assert_eq!(
        ended.printed,
        [format!(
            "proxy stops after 200 connections (0 without an upstream, 0 broken): {bytes} bytes up, {bytes} bytes down"
        )]
    );
    echo.stop();
}

#[test]
fn clients_are_turned_away_while_the_upstream_is_down() {
    let upstream = Upstream::listen();
    let address = upstream.address();
    let proxy = start(address, &[]);
    drop(upstream);
    for _ in 0..3 {
        // The reset may come so soon that it is the answer to the connect.
        match TcpStream::connect(proxy.address()) {
            Ok(mut client) => {
                limit(&client);
                expect_reset(&mut client);
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
    // Up again, at the same place.
    let upstream = Upstream(TcpListener::bind(address).expect("nobody else has taken it"));
    let (mut client, mut server) = pair(&proxy, &upstream);
    client.write_all(b"hello").expect("connected");
    expect(&mut server, b"hello");
    drop((client, server));
    let ended = proxy.stop();
    assert_eq!(
        ended.printed,
        ["proxy stops after 4 connections (3 without an upstream, 0 broken): 5 bytes up, 0 bytes down"]
    );
    let said = "proxy: a client is turned away, the upstream cannot be reached: Connection refused (os error 111)\n";
    assert_eq!(ended.errors, said.repeat(3));
}

#[test]
fn an_upstream_that_does_not_answer_is_waited_for_so_long_and_no_longer() {
    // A listener whose queue is full, and from which nobody accepts: the kernel ignores further connections.
    let upstream = Upstream::listen();
    socket2::SockRef::from(&upstream.0).listen(0).expect("it listens");
    let _first = connect(upstream.address());
    let full = TcpStream::connect_timeout(&upstream.address(), Duration::from_millis(200));
    let full = full.expect_err("the queue is full");
    assert_eq!(full.kind(), ErrorKind::TimedOut);

    let proxy = start(upstream.address(), &["--connect-timeout", "0.3"]);
    let start = Instant::now();
    let mut client = proxy.connect();
    expect_reset(&mut client);
    assert!(start.elapsed() >= Duration::from_millis(300), "after {:?}", start.elapsed());
    let ended = proxy.stop();
    assert_eq!(ended.errors, "proxy: a client is turned away, the upstream cannot be reached: timed out\n");
    assert_eq!(
        ended.printed,
        ["proxy stops after 1 connections (1 without an upstream, 0 broken): 0 bytes up, 0 bytes down"]
    );
}

/// A text in which a lost or doubled piece shows.
const TEXT: &[u8] = b"0123456789 abcdefghijklmnopqrstuvwxyz, and all of it again: ";

#[test]
fn ctrl_c_delivers_what_had_reached_the_proxy() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let upstream = Upstream::listen();
        let proxy = start(upstream.address(), &["--grace", "60"]);
        let (mut client, mut server) = pair(&proxy, &upstream);
        let (mut other, mut others_server) = pair(&proxy, &upstream);
        // In both directions of one connection at once.
        let mut pass = || {
            other.write_all(b"x").expect("connected");
            expect(&mut others_server, b"x");
        };
        let sent_up = common::stuff(&mut client, TEXT, &mut pass);
        let sent_down = common::stuff(&mut server, TEXT, &mut pass);
        let arrived_up = sent_up - common::under_way(&client);
        let arrived_down = sent_down - common::under_way(&server);
        proxy.signal(signal);
        expect_end(&mut other);
        let (up, down) = thread::scope(|s| {
            let up = s.spawn(move || common::read_all_of(server, TEXT));
            let down = common::read_all_of(client, TEXT);
            (up.join().expect("the reader does not fail"), down)
        });
        assert!(up >= arrived_up && down >= arrived_down, "{up} of {arrived_up}, {down} of {arrived_down}");
        let ended = proxy.wait();
        assert_eq!((ended.status.code(), ended.errors.as_str()), (Some(0), ""));
        assert!(ended.printed[0].contains(" (0 without an upstream, 0 broken): "), "{:?}", ended.printed);
        assert!(ended.printed[0].ends_with(&format!(" bytes up, {down} bytes down")), "{:?}", ended.printed);
    }
}

#[test]
fn ctrl_c_ends_connections_in_every_state() {
    let upstream = Upstream::listen();
    socket2::SockRef::from(&upstream.0).listen(1).expect("it listens");
    let proxy = start(upstream.address(), &[]);
    let idle = pair(&proxy, &upstream);
    let half_closed = pair(&proxy, &upstream);
    half_closed.0.shutdown(Shutdown::Write).expect("connected");
    let (mut stuck, _reads_nothing) = pair(&proxy, &upstream);
    let (mut client, mut server) = pair(&proxy, &upstream);
    common::stuff(&mut stuck, b"x", || {
        client.write_all(b"x").expect("connected");
        expect(&mut server, b"x");
    });
    // More than the upstream's queue takes, so that some are still being connected.
    let mut connecting: Vec<_> = (0..6).map(|_| proxy.connect()).collect();
    let ended = proxy.stop();
    assert_eq!(ended.errors, "");
    assert!(ended.printed[0].starts_with("proxy stops after "), "{:?}", ended.printed);
    for mut conn in [idle.0, idle.1, half_closed.0, half_closed.1, client, server] {
        expect_end(&mut conn);
    }
    for conn in &mut connecting {
        // An end or a reset, but no waiting.
        let end = conn.read(&mut [0]);
        assert!(end.as_ref().is_ok_and(|n| *n == 0) || end.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset));
    }
}

#[test]
fn the_command_line_is_explained_and_its_mistakes_are_named() {
    let (code, printed, _) = output(PROXY, &["--help"]);
    assert_eq!(code, Some(0));
    for option in ["--listen", "--upstream", "--connect-timeout", "--grace"] {
        assert!(printed.contains(option), "{printed}");
    }
    let cases: [(&[&str], i32, &str); 5] = [
        (&[], 2, "required arguments were not provided:\n  --upstream <HOST:PORT>"),
        (&["--upstream", "a:1", "--listen", "7001"], 2, "'7001' for '--listen <ADDRESS:PORT>': invalid socket address"),
        (&["--upstream", "a:1", "--connect-timeout", "0"], 2, "not a time to wait: it must be more than 0"),
        (&["--upstream", "127.0.0.1"], 1, "proxy: cannot use 127.0.0.1 as upstream: invalid socket address\n"),
        (&["--upstream", "127.0.0.1:1", "--listen", "192.0.2.1:1"], 1, "proxy: cannot listen at 192.0.2.1:1: "),
    ];
    for (arguments, expected, reason) in cases {
        let (code, printed, errors) = output(PROXY, arguments);
        assert_eq!((code, printed), (Some(expected), String::new()), "{arguments:?}");
        assert!(errors.contains(reason), "{arguments:?}: {errors}");
    }
}
