//! The `tls-proxy` program, between clients and upstreams: `openssl`, `curl`, and the tests' own.

mod common;

use common::{Ended, Noise, PATIENCE, Program, has_tool, limit, output};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{
    fs,
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

const TLS_PROXY: &str = env!("CARGO_BIN_EXE_tls-proxy");
const ECHO: &str = env!("CARGO_BIN_EXE_echo");

/// A directory with what a certificate authority has made. It goes away with the value.
struct Authority {
    directory: PathBuf,
}

impl Authority {
    /// One that nobody else uses, with a certificate for `localhost` and 127.0.0.1.
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("coop-tls-proxy-{}-{name}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory for temporary files");
        let authority = Self { directory };
        let mut params = CertificateParams::new([]).expect("no names at all");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        authority.write("ca.pem", &params.self_signed(&key).expect("a certificate").pem());
        let issuer = Issuer::new(params, key);

        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("good names");
        authority.write("cert.pem", &params.signed_by(&key, &issuer).expect("a certificate").pem());
        authority.write("key.pem", &key.serialize_pem());
        authority
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("the directory takes files");
    }

    fn path(&self, name: &str) -> String {
        self.directory.join(name).into_os_string().into_string().expect("a path of letters")
    }

    /// Starts the proxy that takes TLS connections.
    fn start(&self, upstream: SocketAddr, arguments: &[&str]) -> Program {
        let (certificate, key, upstream) = (self.path("cert.pem"), self.path("key.pem"), upstream.to_string());
        let own = ["--listen", "127.0.0.1:0", "--upstream", &upstream, "--certificate", &certificate, "--key", &key];
        Program::start(TLS_PROXY, &[&own, arguments].concat())
    }

    /// Starts the proxy that makes TLS connections.
    fn start_client(&self, upstream: SocketAddr, arguments: &[&str]) -> Program {
        let (ca, upstream) = (self.path("ca.pem"), upstream.to_string());
        let own = ["--client", "--listen", "127.0.0.1:0", "--upstream", &upstream, "--ca", &ca];
        Program::start(TLS_PROXY, &[&own, arguments].concat())
    }

    /// The state of a client that trusts it.
    fn client(&self) -> ClientConnection {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path("ca.pem")).expect("it was written")).expect("it is one");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().expect("rustls' own");
        let config = builder.with_root_certificates(roots).with_no_client_auth();
        ClientConnection::new(Arc::new(config), "localhost".try_into().expect("a name")).expect("a good configuration")
    }

    /// The state of a server that shows its certificate.
    fn server(&self) -> ServerConnection {
        let certificate = CertificateDer::from_pem_file(self.path("cert.pem")).expect("it was written");
        let key = PrivateKeyDer::from_pem_file(self.path("key.pem")).expect("it was written");
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().expect("rustls' own").with_no_client_auth();
        let config = builder.with_single_cert(vec![certificate], key).expect("they fit");
        ServerConnection::new(Arc::new(config)).expect("a good configuration")
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
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
        let start = Instant::now();
        loop {
            if let Some(conn) = self.try_accept() {
                return conn;
            }
            assert!(start.elapsed() < PATIENCE, "the proxy does not connect");
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn try_accept(&self) -> Option<TcpStream> {
        self.0.set_nonblocking(true).expect("an ordinary option");
        match self.0.accept() {
            Ok((conn, _)) => {
                conn.set_nonblocking(false).expect("an ordinary option");
                limit(&conn);
                Some(conn)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("the upstream cannot accept: {error}"),
        }
    }
}

type Client = StreamOwned<ClientConnection, TcpStream>;

/// A client that speaks TLS, and what the upstream has of it.
fn pair(authority: &Authority, proxy: &Program, upstream: &Upstream) -> (Client, TcpStream) {
    (handshake(authority, proxy.connect()), upstream.accept())
}

fn handshake(authority: &Authority, mut conn: TcpStream) -> Client {
    let mut client = authority.client();
    client.complete_io(&mut conn).expect("the handshake succeeds");
    StreamOwned::new(client, conn)
}

/// Says that this was all, and goes on reading.
fn end(client: &mut Client) {
    client.conn.send_close_notify();
    client.flush().expect("connected");
    client.sock.shutdown(Shutdown::Write).expect("connected");
}

fn expect(conn: &mut impl Read, text: &[u8]) {
    let mut got = vec![0; text.len()];
    conn.read_exact(&mut got).expect("it comes");
    assert!(got == text, "something else comes");
}

fn expect_end(conn: &mut impl Read) {
    assert_eq!(conn.read(&mut [0]).expect("an end and no error"), 0);
}

fn expect_error(conn: &mut impl Read, kind: ErrorKind) {
    assert_eq!(conn.read(&mut [0]).expect_err("an error and no end").kind(), kind);
}

/// What the proxy prints in the end.
fn counts(ended: &Ended) -> &str {
    let line = ended.printed.last().expect("it prints what has happened");
    line.strip_prefix("tls-proxy stops after ").expect("it stops")
}

/// Sends noise on a thread while it compares on this one what comes with other noise.
fn exchange(mut to: impl Write + Send, up: (u64, usize), mut from: impl Read, down: (u64, usize)) {
    thread::scope(|s| {
        s.spawn(move || {
            let noise = Noise::new(up.0).bytes(up.1);
            for piece in noise.chunks(61_440) {
                to.write_all(piece).expect("the other side reads");
            }
            to.flush().expect("the other side reads");
        });
        let mut got = vec![0; down.1];
        from.read_exact(&mut got).expect("all of it comes");
        assert!(got == Noise::new(down.0).bytes(down.1), "something else comes");
    });
}

// ---- other people's clients and servers

/// A tool that was started with pipes. Dropping it kills it.
struct Tool(Child);

impl Tool {
    fn start(program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.spawn().expect("it is installed"))
    }

    /// Waits until it has ended; whether it ended well.
    fn ends_well(mut self) -> bool {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.0.try_wait().expect("a child can be waited for") {
                return status.success();
            }
            thread::sleep(Duration::from_millis(2));
        }
        panic!("it does not end");
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn openssl_exchanges_megabytes_both_ways_at_once() {
    const UP: (u64, usize) = (1, 8_000_001);
    const DOWN: (u64, usize) = (2, 6_000_003);
    if !has_tool("openssl") {
        return;
    }
    for version in ["-tls1_2", "-tls1_3"] {
        let authority = Authority::new(&format!("openssl{version}"));
        let upstream = Upstream::listen();
        let proxy = authority.start(upstream.address(), &["--verbose", "--alpn", "h2,http/1.1"]);
        let (address, ca) = (proxy.address().to_string(), authority.path("ca.pem"));
        let trusted = ["-CAfile", &ca, "-verify_return_error", "-verify_hostname", "localhost"];
        let asked = ["-servername", "localhost", "-alpn", "http/1.1,h2"];
        let arguments = [&["s_client", "-quiet", version, "-connect", &address], &trusted[..], &asked].concat();
        let mut openssl = Tool::start("openssl", &arguments);
        let stdin = openssl.0.stdin.take().expect("it is a pipe");
        let stdout = openssl.0.stdout.take().expect("it is a pipe");
        let server = upstream.accept();
        thread::scope(|s| {
            s.spawn(|| exchange(&server, DOWN, &server, UP));
            exchange(stdin, UP, stdout, DOWN);
        });
        // It ends when it has received the end, and says so too.
        drop(server);
        assert!(openssl.ends_well());
        let ended = proxy.stop();
        let (suite, version) = match version {
            "-tls1_2" => ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLSv1_2"),
            _ => ("TLS13_AES_256_GCM_SHA384", "TLSv1_3"),
        };
        let agreed = ended.printed[0].split_once(": ").expect("the client's address, and more").1;
        assert_eq!(agreed, format!("{version}, {suite}, for localhost, speaking h2"));
        assert_eq!(
            counts(&ended),
            format!(
                "1 connections (0 too many, 0 without an upstream, 0 without a handshake, 0 broken, 0 idle): \
                 {} bytes up, {} bytes down",
                UP.1, DOWN.1
            )
        );
    }
}

#[test]
fn curl_downloads_and_uploads() {
    if !has_tool("curl") {
        return;
    }
    let authority = Authority::new("curl");
    let upstream = Upstream::listen();
    let proxy = authority.start(upstream.address(), &[]);
    let url = format!("https://localhost:{}/", proxy.address().port());
    let (ca, up, down) = (authority.path("ca.pem"), authority.path("up"), authority.path("down"));
    let content = Noise::new(3).bytes(3_000_000);
    fs::write(&up, &content).expect("the directory takes files");
    let curl = |arguments: &[&str]| {
        let arguments = [&["--silent", "--show-error", "--noproxy", "*", "--max-time", "60", &url], arguments].concat();
        Tool::start("curl", &arguments)
    };

    // The body has no length, so that only the end of the stream tells that it is whole.
    let downloading = curl(&["--cacert", &ca, "--output", &down]);
    let mut server = upstream.accept();
    assert!(head(&mut server).starts_with("GET / HTTP/1.1\r\n"));
    server.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").expect("connected");
    server.write_all(&content).expect("connected");
    drop(server);
    assert!(downloading.ends_well());
    assert!(fs::read(&down).expect("curl has written it") == content);

    let uploading = curl(&["--cacert", &ca, "--header", "Expect:", "--upload-file", &up]);
    let mut server = upstream.accept();
    assert!(head(&mut server).contains("\r\nContent-Length: 3000000\r\n"));
    expect(&mut server, &content);
    server.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").expect("connected");
    assert!(uploading.ends_well());

    // An upstream that breaks off in the middle of a body: curl can tell, although nobody said how long it would be.
    let cut_short = curl(&["--cacert", &ca, "--output", &down]);
    let mut server = upstream.accept();
    head(&mut server);
    server.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf of").expect("connected");
    reset(server);
    assert!(!cut_short.ends_well(), "half a body was taken for a whole one");

    // A client that does not know the authority.
    assert!(!curl(&[]).ends_well());
    assert!(upstream.try_accept().is_none(), "the upstream is bothered");
    let ended = proxy.stop();
    assert!(counts(&ended).starts_with("4 connections (0 too many, 0 without an upstream, 1 without a handshake, "));
    assert!(ended.errors.contains("the handshake fails: received fatal alert: "), "{}", ended.errors);
}

/// The head of a request.
fn head(conn: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        conn.read_exact(&mut byte).expect("it comes whole");
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("ASCII")
}

fn reset(conn: TcpStream) {
    socket2::SockRef::from(&conn).set_linger(Some(Duration::ZERO)).expect("an ordinary option");
}

#[test]
fn a_plain_client_reaches_an_openssl_server() {
    if !has_tool("openssl") {
        return;
    }
    let authority = Authority::new("s_server");
    let (certificate, key) = (authority.path("cert.pem"), authority.path("key.pem"));
    let arguments = ["s_server", "-accept", "127.0.0.1:0", "-cert", &certificate, "-key", &key, "-rev"];
    let mut openssl = Tool::start("openssl", &arguments);
    let mut stdout = io::BufReader::new(openssl.0.stdout.take().expect("it is a pipe"));
    let mut line = String::new();
    while !line.starts_with("ACCEPT ") {
        line.clear();
        assert_ne!(io::BufRead::read_line(&mut stdout, &mut line).expect("text"), 0, "it does not listen");
    }
    let address: SocketAddr = line["ACCEPT ".len()..].trim().parse().expect("an address");
    let proxy = authority.start_client(address, &["--server-name", "localhost", "--verbose"]);
    let mut client = proxy.connect();
    client.write_all(b"a line\nand more\n").expect("connected");
    expect(&mut client, b"enil a\nerom dna\n");
    // It answers the end with the end.
    client.shutdown(Shutdown::Write).expect("connected");
    expect_end(&mut client);
    let ended = proxy.stop();
    assert!(ended.printed[0].ends_with(": TLSv1_3, TLS13_AES_256_GCM_SHA384"), "{:?}", ended.printed);
    assert_eq!(
        counts(&ended),
        "1 connections (0 too many, 0 without an upstream, 0 without a handshake, 0 broken, 0 idle): \
         16 bytes up, 16 bytes down"
    );
}

// ---- ends

#[test]
fn half_a_close_is_passed_on_as_half_a_close() {
    let authority = Authority::new("half");
    let upstream = Upstream::listen();
    let proxy = authority.start(upstream.address(), &[]);

    // The client has said everything; the answer is still to come.
    let (mut client, mut server) = pair(&authority, &proxy, &upstream);
    client.write_all(b"everything").expect("connected");
    end(&mut client);
    expect(&mut server, b"everything");
    expect_end(&mut server);
    for n in 0..100 {
        server.write_all(&[n; 1000]).expect("this direction is open");
        expect(&mut client, &[n; 1000]);
    }
    drop(server);
    expect_end(&mut client);

    // The same the other way round.
    let (mut client, mut server) = pair(&authority, &proxy, &upstream);
    server.shutdown(Shutdown::Write).expect("connected");
    expect_end(&mut client);
    for _ in 0..100 {
        client.write_all(b"still here").expect("this direction is open");
        expect(&mut server, b"still here");
    }
    end(&mut client);
    expect_end(&mut server);

    let ended = proxy.stop();
    assert_eq!(
        counts(&ended),
        "2 connections (0 too many, 0 without an upstream, 0 without a handshake, 0 broken, 0 idle): \
         1010 bytes up, 100000 bytes down"
    );
}

#[test]
fn what_breaks_off_is_not_passed_on_as_an_end() {
    let authority = Authority::new("broken");
    let upstream = Upstream::listen();
    let proxy = authority.start(upstream.address(), &[]);

    // A client that hangs up without a close_notify: anybody between could have done that.
    let (mut client, mut server) = pair(&authority, &proxy, &upstream);
    client.write_all(b"transfer 100").expect("connected");
    expect(&mut server, b"transfer 100");
    client.sock.shutdown(Shutdown::Write).expect("connected");
    expect_error(&mut server, ErrorKind::ConnectionReset);
    expect_error(&mut client, ErrorKind::ConnectionReset);

    // A client that resets.
    let (client, mut server) = pair(&authority, &proxy, &upstream);
    reset(client.sock);
    expect_error(&mut server, ErrorKind::ConnectionReset);

    // An upstream that resets.
    let (mut client, server) = pair(&authority, &proxy, &upstream);
    reset(server);
    expect_error(&mut client, ErrorKind::ConnectionReset);

    // Records that somebody has changed. The client is told.
    let (mut client, mut server) = pair(&authority, &proxy, &upstream);
    client.sock.write_all(b"\x17\x03\x03\x00\x20 nobody has the key for this text.").expect("connected");
    expect_error(&mut server, ErrorKind::ConnectionReset);
    let told = client.read(&mut [0]).expect_err("an error and no end");
    assert_eq!(told.to_string(), "received fatal alert: BadRecordMac");

    let ended = proxy.stop();
    assert_eq!(
        counts(&ended),
        "4 connections (0 too many, 0 without an upstream, 0 without a handshake, 4 broken, 0 idle): \
         12 bytes up, 0 bytes down"
    );
}

#[test]
fn a_reset_that_meets_what_is_being_sent_is_no_end() {
    let authority = Authority::new("meets");
    let upstream = Upstream::listen();
    let proxy = authority.start(upstream.address(), &[]);
    let (mut other, mut others_server) = pair(&authority, &proxy, &upstream);
    for _ in 0..20 {
        // The proxy waits for room at the upstream, and for something from it. The kernel tells of the reset only once: to
        // whoever sends or receives first. The other sees what looks like an end.
        let (mut client, server) = pair(&authority, &proxy, &upstream);
        stuff(&mut client, || {
            other.write_all(b"x").expect("connected");
            expect(&mut others_server, b"x");
        });
        reset(server);
        let end = loop {
            match client.conn.read_tls(&mut client.sock) {
                Ok(0) => panic!("an end and no error"),
                // Nothing but what belongs to the handshake.
                Ok(_) => assert!(!client.conn.process_new_packets().expect("good records").peer_has_closed()),
                Err(error) => break error,
            }
        };
        assert_eq!(end.kind(), ErrorKind::ConnectionReset);
    }
    let ended = proxy.stop();
    assert!(counts(&ended).contains(" 20 broken, 0 idle): "), "{:?}", ended.printed);
}

#[test]
fn new_keys_are_agreed_on_while_the_peer_only_sends() {
    let authority = Authority::new("keys");
    let upstream = Upstream::listen();
    let proxy = authority.start(upstream.address(), &[]);
    let (mut client, mut server) = pair(&authority, &proxy, &upstream);
    // Each asks for an answer; nothing else is sent to the client, and it reads none of them.
    for round in 0..50_u8 {
        client.conn.refresh_traffic_keys().expect("TLS 1.3 can do that");
        client.write_all(&[round; 1000]).expect("connected");
        expect(&mut server, &[round; 1000]);
    }
    server.write_all(b"with the newest keys").expect("connected");
    expect(&mut client, b"with the newest keys");
    end(&mut client);
    expect_end(&mut server);
    drop(server);
    expect_end(&mut client);
    let ended = proxy.stop();
    assert!(counts(&ended).contains(" 0 broken, 0 idle): 50000 bytes up, 20 bytes down"), "{:?}", ended.printed);
}

// ---- the upstream's side

#[test]
fn two_proxies_in_a_row_are_as_none() {
    const UP: (u64, usize) = (5, 12_000_001);
    const DOWN: (u64, usize) = (6, 9_000_003);
    let authority = Authority::new("row");
    let upstream = Upstream::listen();
    let taking = authority.start(upstream.address(), &[]);
    let making = authority.start_client(taking.address(), &[]);
    let (client, mut server) = (making.connect(), upstream.accept());
    thread::scope(|s| {
        s.spawn(|| exchange(&server, DOWN, &server, UP));
        exchange(&client, UP, &client, DOWN);
    });
    // Half a close goes through both.
    client.shutdown(Shutdown::Write).expect("connected");
    expect_end(&mut server);
    server.write_all(b"the rest").expect("this direction is open");
    drop(server);
    expect(&mut &client, b"the rest");
    expect_end(&mut &client);
    for proxy in [making, taking] {
        let ended = proxy.stop();
        let moved = format!(" 0 broken, 0 idle): {} bytes up, {} bytes down", UP.1, DOWN.1 + 8);
        assert!(counts(&ended).ends_with(&moved), "{:?}", ended.printed);
    }
}

#[test]
fn an_upstream_with_a_bad_certificate_gets_nothing() {
    let authority = Authority::new("trusted");
    let other = Authority::new("unknown");
    let cases = [
        (&other, "127.0.0.1", "invalid peer certificate: UnknownIssuer"),
        (&authority, "example.org", "invalid peer certificate: certificate not valid for name \"example.org\""),
    ];
    for (shown, name, reason) in cases {
        let upstream = Upstream::listen();
        let proxy = authority.start_client(upstream.address(), &["--server-name", name]);
        let mut client = proxy.connect();
        // The last client's secret must not get out.
        client.write_all(b"secret").expect("connected");
        let mut server = StreamOwned::new(shown.server(), upstream.accept());
        let error = server.read(&mut [0]).expect_err("the proxy does not trust it");
        assert!(error.to_string().starts_with("received fatal alert: "), "{error}");
        expect_error(&mut client, ErrorKind::ConnectionReset);
        let ended = proxy.stop();
        assert!(ended.errors.contains(reason), "{}", ended.errors);
        assert_eq!(
            counts(&ended),
            "1 connections (0 too many, 0 without an upstream, 1 without a handshake, 0 broken, 0 idle): \
             0 bytes up, 0 bytes down"
        );
    }
}

#[test]
fn clients_are_turned_away_while_the_upstream_is_down() {
    let authority = Authority::new("down");
    let upstream = Upstream::listen();
    let address = upstream.address();
    let proxy = authority.start(address, &[]);
    drop(upstream);
    let mut client = handshake(&authority, proxy.connect());
    expect_error(&mut client, ErrorKind::ConnectionReset);
    // Up again, at the same place.
    let upstream = Upstream(TcpListener::bind(address).expect("nobody else has taken it"));
    let (mut client, mut server) = pair(&authority, &proxy, &upstream);
    client.write_all(b"hello").expect("connected");
    expect(&mut server, b"hello");
    let ended = proxy.stop();
    assert!(counts(&ended).starts_with("2 connections (0 too many, 1 without an upstream, 0 without a handshake, "));
    let said =
        "tls-proxy: a client is turned away, the upstream cannot be reached: Connection refused (os error 111)\n";
    assert_eq!(ended.errors, said);
}

// ---- limits

#[test]
fn who_does_not_finish_the_handshake_is_disconnected() {
    let authority = Authority::new("handshake");
    let upstream = Upstream::listen();
    let proxy = authority.start(upstream.address(), &["--handshake-timeout", "0.3"]);
    let start = Instant::now();
    let mut silent = proxy.connect();
    // The beginning of a first message, and then no more.
    let mut slow = proxy.connect();
    let mut hello = Vec::new();
    authority.client().write_tls(&mut hello).expect("a Vec takes it");
    slow.write_all(&hello[..hello.len() / 2]).expect("connected");
    // Goes on only after the hello.
    let mut half_way = proxy.connect();
    half_way.write_all(&hello).expect("connected");
    let mut answer = Vec::new();
    half_way.read_to_end(&mut answer).expect("an end and no error");
    assert!(!answer.is_empty(), "the server's part of the handshake");
    expect_end(&mut silent);
    expect_end(&mut slow);
    assert!(start.elapsed() >= Duration::from_millis(300), "after {:?}", start.elapsed());

    // Somebody who has mistaken the port.
    let mut mistaken = proxy.connect();
    mistaken.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("connected");
    let mut alert = Vec::new();
    mistaken.read_to_end(&mut alert).expect("an end and no error");
    assert_eq!(alert[..5], *b"\x15\x03\x03\x00\x02", "a fatal alert");

    assert!(upstream.try_accept().is_none(), "the upstream is bothered");
    let ended = proxy.stop();
    assert!(counts(&ended).starts_with("4 connections (0 too many, 0 without an upstream, 4 without a handshake, "));
    let said = "tls-proxy: a client is turned away, the handshake fails: timed out\n";
    assert!(ended.errors.starts_with(&said.repeat(3)), "{}", ended.errors);
}

#[test]
fn a_connection_on_which_nothing_moves_is_ended() {
    let authority = Authority::new("idle");
    let upstream = Upstream::listen();
    let proxy = authority.start(upstream.address(), &["--idle", "0.5"]);
    let start = Instant::now();
    let (mut client, mut server) = pair(&authority, &proxy, &upstream);
    expect_error(&mut server, ErrorKind::ConnectionReset);
    expect_error(&mut client, ErrorKind::ConnectionReset);
    assert!(start.elapsed() >= Duration::from_millis(500), "after {:?}", start.elapsed());

    // A peer that does not read is no better.
    let (_reads_nothing, mut server) = pair(&authority, &proxy, &upstream);
    let error = loop {
        if let Err(error) = server.write_all(&[0; 1 << 16]) {
            break error;
        }
    };
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
    let ended = proxy.stop();
    assert!(counts(&ended).contains(" 0 broken, 2 idle): 0 bytes up, "), "{:?}", ended.printed);
}

#[test]
fn more_connections_than_allowed_are_turned_away() {
    let authority = Authority::new("limit");
    let upstream = Upstream::listen();
    let proxy = authority.start(upstream.address(), &["--max-connections", "2"]);
    let (mut first, mut first_server) = pair(&authority, &proxy, &upstream);
    // One that has only begun counts, too.
    let second = proxy.connect();
    let mut third = proxy.connect();
    expect_error(&mut third, ErrorKind::ConnectionReset);
    let (mut second, mut second_server) = (handshake(&authority, second), upstream.accept());
    for (client, server) in [(&mut first, &mut first_server), (&mut second, &mut second_server)] {
        client.write_all(b"not disturbed").expect("connected");
        expect(server, b"not disturbed");
    }
    // When one has left, there is room for another.
    end(&mut first);
    expect_end(&mut first_server);
    drop(first_server);
    expect_end(&mut first);
    let mut turned_away = 1;
    let (mut client, mut server) = loop {
        let mut conn = proxy.connect();
        let mut client = authority.client();
        match client.complete_io(&mut conn) {
            Ok(_) => break (StreamOwned::new(client, conn), upstream.accept()),
            Err(_) => turned_away += 1,
        }
        thread::sleep(Duration::from_millis(10));
        assert!(turned_away < 1000, "no room is made");
    };
    client.write_all(b"there is room").expect("connected");
    expect(&mut server, b"there is room");
    let ended = proxy.stop();
    let expected = format!("{} connections ({turned_away} too many, 0 without an upstream, ", 3 + turned_away);
    assert!(counts(&ended).starts_with(&expected), "{:?}", ended.printed);
}

#[test]
fn two_hundred_clients_at_once() {
    let authority = Authority::new("many");
    let echo = Program::start(ECHO, &["--tcp", "127.0.0.1:0"]);
    let proxy = authority.start(echo.address(), &[]);
    // All have begun before the first goes on.
    let begun: Vec<_> = (0..200).map(|_| (authority.client(), proxy.connect())).collect();
    let begun: Vec<_> = begun
        .into_iter()
        .map(|(mut client, mut conn)| {
            client.write_tls(&mut conn).expect("connected");
            (client, conn)
        })
        .collect();
    let mut clients: Vec<_> = begun
        .into_iter()
        .map(|(mut client, mut conn)| {
            client.complete_io(&mut conn).expect("the handshake succeeds");
            StreamOwned::new(client, conn)
        })
        .collect();
    for round in 0..3 {
        let text = |client: usize| Noise::new(1000 * round + client as u64).bytes(50 * client + 1);
        for (client, conn) in clients.iter_mut().enumerate() {
            conn.write_all(&text(client)).expect("connected");
        }
        for (client, conn) in clients.iter_mut().enumerate() {
            expect(conn, &text(client));
        }
    }
    for mut client in clients {
        end(&mut client);
        expect_end(&mut client);
    }
    let bytes: usize = (0..200).map(|client| 3 * (50 * client + 1)).sum();
    let ended = proxy.stop();
    assert_eq!(
        counts(&ended),
        format!(
            "200 connections (0 too many, 0 without an upstream, 0 without a handshake, 0 broken, 0 idle): \
             {bytes} bytes up, {bytes} bytes down"
        )
    );
    echo.stop();
}

// ---- stopping

/// A text in which a lost or doubled piece shows.
const TEXT: &[u8] = b"0123456789 abcdefghijklmnopqrstuvwxyz, and all of it again: ";

/// Sends records of 1,200 bytes of `TEXT` until not a byte more goes in; gives how many bytes of them have reached the other end.
fn stuff(client: &mut Client, mut pass: impl FnMut()) -> usize {
    // In TLS 1.3: a header, the kind, and 16 bytes that authenticate.
    const RECORD: usize = 5 + 1200 + 1 + 16;
    let text = TEXT.repeat(20);
    client.sock.set_nonblocking(true).expect("an ordinary option");
    let (mut sent, mut passes) = (0, 0);
    while passes < 20 {
        if !client.conn.wants_write() {
            client.conn.writer().write_all(&text).expect("room for one");
        }
        match client.conn.write_tls(&mut client.sock) {
            Ok(n) => {
                sent += n;
                passes = 0;
                assert!(sent < 1 << 30, "somebody reads it");
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                pass();
                passes += 1;
            }
            Err(error) => panic!("the connection ends: {error}"),
        }
    }
    client.sock.set_nonblocking(false).expect("an ordinary option");
    (sent - common::under_way(&client.sock)) / RECORD * text.len()
}

#[test]
fn ctrl_c_delivers_what_had_reached_the_proxy() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let authority = Authority::new(&format!("stop-{signal}"));
        let upstream = Upstream::listen();
        let proxy = authority.start(upstream.address(), &["--grace", "60"]);
        let (mut client, mut server) = pair(&authority, &proxy, &upstream);
        let (mut other, mut others_server) = pair(&authority, &proxy, &upstream);
        // In both directions of one connection at once.
        let mut pass = || {
            other.write_all(b"x").expect("connected");
            expect(&mut others_server, b"x");
        };
        let arrived_up = stuff(&mut client, &mut pass);
        let sent_down = common::stuff(&mut server, TEXT, &mut pass);
        let arrived_down = sent_down - common::under_way(&server);
        proxy.signal(signal);
        expect_end(&mut others_server);
        let (up, down) = thread::scope(|s| {
            let up = s.spawn(move || common::read_all_of(server, TEXT));
            // Nobody has said that it was all.
            let mut down = Vec::new();
            let end = client.read_to_end(&mut down).expect_err("no close_notify");
            assert_eq!(end.kind(), ErrorKind::UnexpectedEof, "{end}");
            drop(client);
            assert!(down.iter().eq(TEXT.iter().cycle().take(down.len())), "something else comes");
            (up.join().expect("the reader does not fail"), down.len())
        });
        assert!(up >= arrived_up && down >= arrived_down, "{up} of {arrived_up}, {down} of {arrived_down}");
        let ended = proxy.wait();
        assert_eq!((ended.status.code(), ended.errors.as_str()), (Some(0), ""));
        assert!(counts(&ended).contains(" 0 broken, 0 idle): "), "{:?}", ended.printed);
    }
}

#[test]
fn ctrl_c_ends_connections_in_every_state() {
    let authority = Authority::new("states");
    let upstream = Upstream::listen();
    socket2::SockRef::from(&upstream.0).listen(1).expect("it listens");
    let proxy = authority.start(upstream.address(), &[]);
    let mut silent = proxy.connect();
    let mut idle = pair(&authority, &proxy, &upstream);
    let mut half_closed = pair(&authority, &proxy, &upstream);
    end(&mut half_closed.0);
    expect_end(&mut half_closed.1);
    let (mut stuck, _reads_nothing) = pair(&authority, &proxy, &upstream);
    let (mut client, mut server) = pair(&authority, &proxy, &upstream);
    stuff(&mut stuck, || {
        client.write_all(b"x").expect("connected");
        expect(&mut server, b"x");
    });
    // More than the upstream's queue takes, so that some are still being connected.
    let mut connecting: Vec<_> = (0..6).map(|_| handshake(&authority, proxy.connect())).collect();
    let ended = proxy.stop();
    assert_eq!(ended.errors, "");
    expect_end(&mut silent);
    for server in [&mut idle.1, &mut server] {
        expect_end(server);
    }
    for client in [&mut idle.0, &mut half_closed.0, &mut client] {
        expect_error(client, ErrorKind::UnexpectedEof);
    }
    for client in &mut connecting {
        let end = client.read(&mut [0]).expect_err("an error, and no waiting");
        assert!(matches!(end.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset), "{end}");
    }
}

#[test]
fn the_command_line_is_explained_and_its_mistakes_are_named() {
    let (code, printed, _) = output(TLS_PROXY, &["--help"]);
    assert_eq!(code, Some(0));
    let options = "--listen --upstream --client --certificate --key --ca --server-name --alpn --handshake-timeout \
                   --connect-timeout --idle --max-connections --grace --verbose";
    for option in options.split_whitespace() {
        assert!(printed.contains(option), "{printed}");
    }
    let authority = Authority::new("mistakes");
    let other = Authority::new("mistakes-other");
    let (ca, certificate, key) = (authority.path("ca.pem"), authority.path("cert.pem"), authority.path("key.pem"));
    let (others_key, nowhere) = (other.path("key.pem"), authority.path("nowhere.pem"));
    let to = ["--upstream", "a:1"];
    let cases: [(&[&str], i32, &str); 11] = [
        (&[], 2, "required arguments were not provided:\n  --upstream <HOST:PORT>"),
        (&["--upstream", "a"], 2, "not a host and a port, as in example.org:443"),
        (&to, 2, "required arguments were not provided:\n  --certificate <FILE>\n  --key <FILE>"),
        (&["--client"], 2, "--ca <FILE>"),
        (&["--client", "--ca", &ca, "--key", &key], 2, "'--client' cannot be used with '--key <FILE>'"),
        (
            &["--certificate", &certificate, "--key", &key, "--idle", "0"],
            2,
            "not a time to wait: it must be more than 0",
        ),
        (&["--certificate", &certificate, "--key", &key, "--alpn", "a,,b"], 2, "not of 1 to 255 bytes"),
        (&["--certificate", &certificate, "--key", &nowhere], 1, "nowhere.pem: "),
        (&["--certificate", &key, "--key", &key], 1, "key.pem: there is no certificate in it"),
        (&["--certificate", &certificate, "--key", &others_key], 1, "cert.pem: "),
        (&["--client", "--ca", &ca, "--server-name", "?"], 1, "tls-proxy: no name of a server: "),
    ];
    for (arguments, expected, reason) in cases {
        let upstream = if arguments.contains(&"--upstream") || arguments.is_empty() { &[][..] } else { &to };
        let arguments = [arguments, upstream].concat();
        let (code, printed, errors) = output(TLS_PROXY, &arguments);
        assert_eq!((code, printed), (Some(expected), String::new()), "{arguments:?}: {errors}");
        assert!(errors.contains(reason), "{arguments:?}: {errors}");
    }
    assert!(Path::new(&ca).exists(), "it was read and left alone");
}
