//! The `kv` server, from outside: over sockets, and with the clients that come with Redis.

mod common;
#[path = "../kv/conformance.rs"]
mod conformance;

use common::{PATIENCE, Program, connect, has_tool, output};
use conformance::{Delivery, replay, stories};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
    sync::{
        Barrier,
        mpsc::{Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

const KV: &str = env!("CARGO_BIN_EXE_kv");

fn start(arguments: &[&str]) -> Program {
    Program::start(KV, &[&["--port", "0"], arguments].concat())
}

/// A client that writes and reads text.
struct Client {
    conn: BufReader<TcpStream>,
}

impl Client {
    fn connect(address: SocketAddr) -> Self {
        Self { conn: BufReader::new(connect(address)) }
    }

    fn send(&mut self, line: &str) {
        write!(self.conn.get_mut(), "{line}\r\n").expect("the server reads");
    }

    /// The next reply, on one line: `+OK`, `:1`, `*2 $1 a :3`; an error if there is none.
    fn try_reply(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        if self.conn.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end().to_owned();
        let number = line[1..].parse::<usize>();
        match (&line[..1], number) {
            ("$", Ok(len)) => {
                let mut bulk = vec![0; len + 2];
                self.conn.read_exact(&mut bulk)?;
                let text = String::from_utf8_lossy(&bulk[..len]).into_owned();
                Ok(format!("{line} {text}"))
            }
            ("*", Ok(count)) => {
                let items: std::io::Result<Vec<_>> = (0..count).map(|_| self.try_reply()).collect();
                Ok(format!("{line} {}", items?.join(" ")))
            }
            _ => Ok(line),
        }
    }

    fn reply(&mut self) -> String {
        self.try_reply().expect("the server answers")
    }

    fn ask(&mut self, line: &str) -> String {
        self.send(line);
        self.reply()
    }

    /// Whether the server has closed the connection, with nothing more sent.
    fn is_at_end(&mut self) -> bool {
        let mut rest = Vec::new();
        matches!(self.conn.read_to_end(&mut rest), Ok(0))
    }

    /// Asks until the answer is this one.
    fn ask_until(&mut self, line: &str, wanted: &str) {
        let start = Instant::now();
        loop {
            let reply = self.ask(line);
            if reply == wanted {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{line}: still {reply}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// A figure of INFO.
    fn figure(&mut self, name: &str) -> u64 {
        let info = self.ask("INFO");
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("no {name} in {info}"))
    }
}

#[test]
fn every_story_of_the_table_over_a_socket() {
    let server = start(&[]);
    let steps: usize = stories().iter().map(|story| story.steps.len()).sum();
    assert_eq!((stories().len(), steps), (70, 384), "the table is all there");
    for delivery in [Delivery::InTurn, Delivery::ByteByByte, Delivery::Pipelined] {
        assert_eq!(replay(server.address(), delivery, |_| true), steps);
    }
    let ended = server.stop();
    assert_eq!(ended.errors, "");
}

#[test]
fn stories_of_many_clients_at_once_do_not_get_into_each_other() {
    // Each has a server's data for itself only as long as nobody else flushes it: so, stories without data.
    let server = start(&[]);
    let quiet = |name: &str| name.contains("quote") || name.contains("inline") || name.contains("PING");
    let count = stories().iter().filter(|story| quiet(story.name)).count();
    assert!(count >= 3, "there are such stories");
    let address = server.address();
    thread::scope(|s| {
        for _ in 0..16 {
            s.spawn(move || {
                for delivery in [Delivery::InTurn, Delivery::ByteByByte, Delivery::Pipelined] {
                    replay(address, delivery, |story| quiet(story.name));
                }
            });
        }
    });
    server.stop();
}

#[test]
fn a_message_reaches_the_subscribers_of_its_channel_in_order() {
    let server = start(&[]);
    let [mut news, mut both, mut writer] = [(); 3].map(|()| Client::connect(server.address()));
    assert_eq!(news.ask("SUBSCRIBE news"), "*3 $9 subscribe $4 news :1");
    both.send("SUBSCRIBE news sport");
    assert_eq!(both.reply(), "*3 $9 subscribe $4 news :1");
    assert_eq!(both.reply(), "*3 $9 subscribe $5 sport :2");

    assert_eq!(writer.ask("PUBLISH news one"), ":2");
    assert_eq!(writer.ask("PUBLISH sport two"), ":1");
    assert_eq!(writer.ask("PUBLISH weather three"), ":0");
    for n in 0..1000 {
        assert_eq!(writer.ask(&format!("PUBLISH news n{n:03}")), ":2");
    }
    assert_eq!(news.reply(), "*3 $7 message $4 news $3 one");
    assert_eq!(both.reply(), "*3 $7 message $4 news $3 one");
    assert_eq!(both.reply(), "*3 $7 message $5 sport $3 two");
    for n in 0..1000 {
        let message = format!("*3 $7 message $4 news $4 n{n:03}");
        assert_eq!((news.reply(), both.reply()), (message.clone(), message));
    }

    // A subscriber may still send, while messages come.
    assert_eq!(news.ask("PING"), "*2 $4 pong $0 ");
    assert_eq!(
        news.ask("GET a"),
        "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
    );
    assert_eq!(news.ask("UNSUBSCRIBE"), "*3 $11 unsubscribe $4 news :0");
    assert_eq!(writer.ask("PUBLISH news unheard"), ":1");
    assert_eq!(news.ask("GET a"), "$-1");

    drop(both);
    writer.ask_until("PUBLISH news nobody", ":0");
    server.stop();
}

#[test]
fn a_subscriber_that_does_not_read_is_disconnected_and_the_others_miss_nothing() {
    let server = start(&[]);
    let [mut slow, mut fast, mut writer] = [(); 3].map(|()| Client::connect(server.address()));
    slow.ask("SUBSCRIBE news");
    fast.ask("SUBSCRIBE news");
    let text = "x".repeat(1 << 20);
    let mut published = 0;
    loop {
        published += 1;
        let publish = format!("*3\r\n$7\r\nPUBLISH\r\n$4\r\nnews\r\n${}\r\n{text}", text.len());
        let receivers = writer.ask(&publish);
        assert_eq!(fast.reply().len(), "*3 $7 message $4 news $1048576 ".len() + text.len());
        if receivers == ":1" {
            break;
        }
        // 32 MB may wait in the server, and what the sockets hold in the kernel.
        assert!(published < 200, "it is never disconnected");
    }
    assert!(published > 32, "after {published} MB");
    // Its socket is shut down at once; its task, which waits in a send, ends.
    writer.ask_until("PUBLISH news after", ":1");
    assert_eq!(fast.reply(), "*3 $7 message $4 news $5 after");
    let start = Instant::now();
    while writer.figure("connected_clients") != 2 {
        assert!(start.elapsed() < PATIENCE, "the slow subscriber's task does not end");
    }
    // What had been sent before can still be read, in order; then comes the end, whole messages or not.
    let mut rest = Vec::new();
    let end = slow.conn.read_to_end(&mut rest);
    assert!(end.is_ok() || end.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset));
    assert!(rest.starts_with(b"*3\r\n$7\r\nmessage\r\n"));
    assert!(rest.len() < published * (text.len() + 50), "not all of it came");
    server.stop();
}

#[test]
fn messages_too_many_disconnect_as_well_as_messages_too_large() {
    let server = start(&[]);
    let [mut slow, mut writer] = [(); 2].map(|()| Client::connect(server.address()));
    slow.ask("SUBSCRIBE news");
    // 20 MB are more than the sockets of one connection hold, and less than the 32 that may wait: the task of `slow` waits in
    // a send from here on.
    let text = "x".repeat(1 << 20);
    for _ in 0..20 {
        let publish = format!("*3\r\n$7\r\nPUBLISH\r\n$4\r\nnews\r\n${}\r\n{text}", text.len());
        assert_eq!(writer.ask(&publish), ":1");
    }
    let small = "PUBLISH news x\r\n".repeat(5000);
    writer.conn.get_mut().write_all(small.as_bytes()).expect("the server reads");
    let receivers: Vec<String> = (0..5000).map(|_| writer.reply()).collect();
    let heard = receivers.iter().position(|receivers| receivers == ":0").expect("4096 may wait, and no more");
    assert!((4096 - 20..=4096).contains(&heard), "{heard}");
    assert!(receivers[heard..].iter().all(|receivers| receivers == ":0"), "it is gone for good");
    server.stop();
}

/// What a client saw that counts up until its connection ends.
struct Counted {
    last: u64,
    hung: bool,
}

/// Increments one key, some requests in flight at a time, until the connection ends.
fn count_up(address: SocketAddr, key: usize, started: &Barrier, under_way: &Sender<()>) -> Counted {
    let mut client = Client::connect(address);
    let mut counted = Counted { last: 0, hung: false };
    started.wait();
    loop {
        let batch = format!("INCR key{key}\r\n").repeat(8);
        if client.conn.get_mut().write_all(batch.as_bytes()).is_err() {
            return counted;
        }
        for _ in 0..8 {
            match client.try_reply() {
                Ok(reply) => {
                    counted.last += 1;
                    assert_eq!(reply, format!(":{}", counted.last), "every answer, in order, until the end");
                }
                Err(error) => {
                    counted.hung = error.kind() == std::io::ErrorKind::WouldBlock;
                    return counted;
                }
            }
        }
        if counted.last == 800 {
            under_way.send(()).expect("the test waits for it");
        }
    }
}

#[test]
fn ctrl_c_in_the_middle_of_the_traffic_of_50_clients_ends_everything_well() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let server = start(&[]);
        let address = server.address();
        let started = Barrier::new(50);
        let (under_way, all_under_way) = channel();
        thread::scope(|s| {
            let clients: Vec<_> = (0..50)
                .map(|key| {
                    let (started, under_way) = (&started, under_way.clone());
                    s.spawn(move || count_up(address, key, started, &under_way))
                })
                .collect();
            for _ in 0..50 {
                all_under_way.recv_timeout(PATIENCE).expect("all clients get along");
            }
            // A subscriber and a silent client wait in other places.
            let mut subscriber = Client::connect(address);
            subscriber.ask("SUBSCRIBE news");
            let mut silent = Client::connect(address);
            silent.ask("PING");

            server.signal(signal);
            let ended = server.wait();
            assert_eq!(ended.status.code(), Some(0), "{}", ended.errors);
            assert_eq!(ended.errors, "");
            let commands: u64 = ended.printed[0]
                .strip_prefix("kv stops after ")
                .and_then(|rest| rest.strip_suffix(" commands of 52 clients")?.parse().ok())
                .unwrap_or_else(|| panic!("{:?}", ended.printed));
            assert!(subscriber.is_at_end() && silent.is_at_end());
            let mut answered = 2;
            for client in clients {
                let counted = client.join().expect("the client's thread does not fail");
                assert!(!counted.hung, "a client hangs");
                answered += counted.last;
            }
            assert_eq!(commands, answered, "whatever was done was answered, and what was not was not done");
        });
        let again = TcpStream::connect(address).map(drop).expect_err("nobody listens any more");
        assert_eq!(again.kind(), std::io::ErrorKind::ConnectionRefused);
    }
}

#[test]
fn one_client_too_many_is_told_so() {
    let server = start(&["--maxclients", "2"]);
    let mut first = Client::connect(server.address());
    let mut second = Client::connect(server.address());
    assert_eq!((first.ask("PING"), second.ask("PING")), ("+PONG".into(), "+PONG".into()));
    let mut third = Client::connect(server.address());
    assert_eq!(third.reply(), "-ERR max number of clients reached");
    assert!(third.is_at_end());
    assert_eq!(first.ask("QUIT"), "+OK");
    assert!(first.is_at_end());
    let start = Instant::now();
    while second.figure("connected_clients") != 1 {
        assert!(start.elapsed() < PATIENCE, "the place is never free again");
    }
    assert_eq!(Client::connect(server.address()).ask("PING"), "+PONG");
    server.stop();
}

#[test]
fn without_a_descriptor_left_clients_wait_until_another_leaves() {
    let limited = format!("ulimit -n 24; exec {KV} --port 0");
    let server = Program::run(Command::new("sh").args(["-c", &limited]));
    // All of them are connected as far as the kernel is concerned; some the server cannot accept.
    let mut clients: Vec<Client> = (0..40).map(|_| Client::connect(server.address())).collect();
    for client in &mut clients {
        client.send("PING");
    }
    // From the first on: the queue is served in order, and each that leaves makes room for one that waits.
    for mut client in clients {
        assert_eq!(client.reply(), "+PONG");
    }
    let ended = server.stop();
    assert_eq!(ended.printed, ["kv stops after 40 commands of 40 clients"]);
    let said = ended.errors.matches("no connection can be accepted for now: ").count();
    assert!((1..=40).contains(&said), "said, but not at each attempt: {}", ended.errors);
}

#[test]
fn keys_that_nobody_asks_for_are_removed_when_their_time_is_up() {
    let server = start(&[]);
    let mut client = Client::connect(server.address());
    let sets: String = (0..1000).map(|n| format!("SET key{n} v PX 30\r\n")).collect();
    client.conn.get_mut().write_all(sets.as_bytes()).expect("the server reads");
    for _ in 0..1000 {
        assert_eq!(client.reply(), "+OK");
    }
    assert_eq!(client.ask("SET stays v EX 1000"), "+OK");
    client.ask_until("DBSIZE", ":1");
    assert_eq!(client.figure("expired_keys"), 1000);
    assert_eq!(client.ask("GET stays"), "$1 v");
    server.stop();
}

#[test]
fn a_value_of_64_mb_goes_there_and_back() {
    let server = start(&[]);
    let mut client = Client::connect(server.address());
    let value = common::Noise::new(9).bytes(64 << 20);
    let conn = client.conn.get_mut();
    write!(conn, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n", value.len()).expect("the server reads");
    conn.write_all(&value).expect("the server reads");
    conn.write_all(b"\r\n").expect("the server reads");
    assert_eq!(client.reply(), "+OK");
    assert_eq!(client.ask("STRLEN k"), format!(":{}", value.len()));
    client.send("GET k");
    let mut line = String::new();
    client.conn.read_line(&mut line).expect("the server answers");
    assert_eq!(line, format!("${}\r\n", value.len()));
    let mut back = vec![0; value.len() + 2];
    client.conn.read_exact(&mut back).expect("all of it comes");
    assert!(back[..value.len()] == value[..] && back.ends_with(b"\r\n"));
    server.stop();
}

#[test]
fn a_request_beyond_the_query_buffer_ends_the_connection() {
    let server = start(&["--max-query-buffer", "1mb"]);
    let mut client = Client::connect(server.address());
    assert_eq!(client.ask(&format!("SET k {}", "v".repeat(60_000))), "+OK");
    let conn = client.conn.get_mut();
    write!(conn, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$9000000\r\n").expect("the server reads");
    // The server closes at some point, and all that remains is an error or an end.
    let sent = conn.write_all(&vec![b'v'; 9_000_000]);
    assert!(sent.is_err() || client.try_reply().is_err());
    assert_eq!(Client::connect(server.address()).ask("STRLEN k"), ":60000");
    server.stop();
}

#[test]
fn a_client_that_pipelines_and_reads_nothing_blocks_only_itself() {
    let server = start(&[]);
    let mut writer = Client::connect(server.address());
    assert_eq!(writer.ask(&format!("SET k {}", "v".repeat(10_000))), "+OK");
    let mut deaf = connect(server.address());
    // Each of these 8 bytes asks for 10,000: the server stops reading when it cannot send.
    let mut n = 0;
    common::stuff(&mut deaf, b"GET k\r\n\n", || {
        n += 1;
        assert_eq!(writer.ask("INCR n"), format!(":{n}"));
    });
    assert!(n >= 20);
    // It is still there, and reads what it is owed, in order.
    let mut client = Client { conn: BufReader::new(deaf) };
    for _ in 0..10_000 {
        assert_eq!(client.reply().len(), "$10000 ".len() + 10_000);
    }
    server.stop();
}

#[test]
fn redis_cli_works() {
    if !has_tool("redis-cli") {
        return;
    }
    let server = start(&[]);
    let port = server.address().port().to_string();
    let cli = |arguments: &[&str]| output("redis-cli", &[&["-p", &port], arguments].concat());
    let said = |text: &str| (Some(0), text.to_owned(), String::new());
    assert_eq!(cli(&["SET", "greeting", "hello there"]), said("OK"));
    assert_eq!(cli(&["GET", "greeting"]), said("hello there"));
    assert_eq!(cli(&["MSET", "a", "1", "b", "2"]), said("OK"));
    assert_eq!(cli(&["MGET", "a", "b", "c"]), said("1\n2\n"));
    assert_eq!(cli(&["INCRBY", "a", "41"]), said("42"));
    assert_eq!(cli(&["-r", "3", "INCR", "n"]), said("1\n2\n3"));
    assert_eq!(cli(&["--no-raw", "GET", "nothing"]), said("(nil)"));
    assert_eq!(cli(&["-x", "SET", "empty"]), said("OK"), "the value comes from standard input, which is empty");
    let (code, text, _) = cli(&["INFO", "server"]);
    assert_eq!((code, text.contains("redis_version:7.0.15")), (Some(0), true), "{text}");
    let (_, text, _) = cli(&["NOSUCHCOMMAND"]);
    assert!(text.starts_with("ERR unknown command 'NOSUCHCOMMAND'"), "{text}");

    // A subscriber, and a publisher once it listens.
    let subscriber = Program::spawn(Command::new("redis-cli").args(["-p", &port, "SUBSCRIBE", "news"]));
    for line in ["subscribe", "news", "1"] {
        assert_eq!(subscriber.next_line(), line);
    }
    assert_eq!(cli(&["PUBLISH", "news", "it works"]), said("1"));
    for line in ["message", "news", "it works"] {
        assert_eq!(subscriber.next_line(), line);
    }
    // It ends with the server, at once or when it has tried to connect again.
    drop(subscriber);
    server.stop();
}

#[test]
fn redis_benchmark_works_with_and_without_pipelining() {
    if !has_tool("redis-benchmark") {
        return;
    }
    let server = start(&[]);
    let port = server.address().port().to_string();
    let mut commands = 0;
    for pipeline in ["1", "16"] {
        let arguments = ["-p", &port, "-t", "get,set,incr,mset,ping", "-c", "50", "-n", "20000", "-q", "-P", pipeline];
        let (code, printed, errors) = output("redis-benchmark", &arguments);
        assert_eq!(code, Some(0), "{printed}{errors}");
        for test in ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET (10 keys)"] {
            let is_line = |part: &str| part.trim().starts_with(test) && part.contains(" requests per second");
            assert!(printed.split(['\r', '\n']).any(is_line), "{test}: {printed}");
        }
        assert!(!format!("{printed}{errors}").to_lowercase().contains("err"), "{printed}{errors}");
        commands += 6 * 20_000;
    }
    let ended = server.stop();
    let answered: u64 = ended.printed[0]
        .strip_prefix("kv stops after ")
        .and_then(|rest| rest.split(' ').next()?.parse().ok())
        .unwrap_or_default();
    assert!(answered >= commands, "{:?}", ended.printed);
}

#[test]
fn the_command_line_is_explained_and_its_mistakes_are_named() {
    let (code, printed, _) = output(KV, &["--help"]);
    assert_eq!(code, Some(0));
    for option in ["--port", "--bind", "--maxclients", "--max-query-buffer"] {
        assert!(printed.contains(option), "{printed}");
    }
    let (code, printed, errors) = output(KV, &["--port", "many"]);
    assert_eq!((code, printed), (Some(2), String::new()));
    assert!(errors.contains("invalid value 'many' for '--port <PORT>'"), "{errors}");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it is bound");
    let (code, printed, errors) = output(KV, &["--port", &address.port().to_string()]);
    assert_eq!((code, printed), (Some(1), String::new()));
    assert_eq!(errors, format!("kv: cannot listen at {address}: Address already in use (os error 98)\n"));
}
