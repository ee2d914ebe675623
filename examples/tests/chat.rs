//! The `chat` server: many clients of both kinds, who must all see the same.

mod common;

use common::{Noise, PATIENCE, Program, connect, limit, output, under_way};
use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    process::Command,
    thread,
    time::{Duration, Instant},
};
use tungstenite::{
    Error, Message, WebSocket,
    protocol::{
        CloseFrame, Role,
        frame::{
            Frame,
            coding::{CloseCode, Data, OpCode},
        },
    },
};

const CHAT: &str = env!("CARGO_BIN_EXE_chat");

fn start(arguments: &[&str]) -> Program {
    Program::start(CHAT, &[&["--lines", "127.0.0.1:0", "--websockets", "127.0.0.1:0"], arguments].concat())
}

/// Where WebSocket clients go.
fn websockets(server: &Program) -> SocketAddr {
    let place = server.place.split(" and at ").nth(1).and_then(|rest| rest.split(' ').next());
    place.and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("no second address: {}", server.place))
}

/// What both kinds of clients can do.
trait Talker {
    fn try_hear(&mut self) -> Option<String>;
    fn say(&mut self, line: &str);

    /// The next line from the server.
    fn hear(&mut self) -> String {
        self.try_hear().expect("the server has more to say")
    }

    fn expect(&mut self, lines: &[&str]) {
        for line in lines {
            assert_eq!(self.hear(), *line);
        }
    }

    /// Lines up to one that is this.
    fn hear_until(&mut self, last: &str) -> Vec<String> {
        let mut heard = Vec::new();
        while heard.last().is_none_or(|line| line != last) {
            heard.push(self.hear());
        }
        heard
    }

    /// Takes a name, and goes to a room; hears everything up to there.
    fn enter(&mut self, name: &str, room: &str) {
        self.say(&format!("/nick {name}"));
        self.say(&format!("/join {room}"));
        self.hear_until(&format!("* {name} has joined {room}"));
    }

    /// Waits until so many are in the room. What is heard meanwhile is forgotten.
    fn wait_for(&mut self, count: usize) {
        let start = Instant::now();
        loop {
            self.say("/who");
            let members = loop {
                let line = self.hear();
                if line.starts_with("* in ") {
                    break line.split(", ").count();
                }
            };
            if members == count {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "only {members} have come");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A client that sends lines.
struct Lines(BufReader<TcpStream>);

impl Lines {
    fn connect(server: &Program) -> Self {
        Self(BufReader::new(server.connect()))
    }

    /// One whose socket takes little that is not read.
    fn connect_narrow(server: &Program) -> Self {
        let client = Self::connect(server);
        narrow(client.0.get_ref());
        client
    }

    fn conn(&mut self) -> &mut TcpStream {
        self.0.get_mut()
    }
}

impl Talker for Lines {
    fn try_hear(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(line.strip_suffix("\r\n").expect("an end of line").to_owned()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("it hears nothing: {error}"),
        }
    }

    fn say(&mut self, line: &str) {
        self.conn().write_all(format!("{line}\n").as_bytes()).expect("the server reads");
    }
}

/// A WebSocket client. How it was ended comes in `closed`.
struct Socket {
    socket: WebSocket<TcpStream>,
    closed: Option<(u16, String)>,
}

impl Socket {
    fn connect(server: &Program) -> Self {
        let address = websockets(server);
        let (socket, _) = tungstenite::client(format!("ws://{address}/"), connect(address)).expect("hands are shaken");
        Self { socket, closed: None }
    }

    /// The server's reason for closing.
    fn closing(mut self) -> (u16, String) {
        while self.try_hear().is_some() {}
        self.closed.expect("it has said why")
    }
}

impl Talker for Socket {
    fn try_hear(&mut self) -> Option<String> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => return Some(text.to_string()),
                Ok(Message::Close(frame)) => {
                    self.closed = frame.map(|frame| (frame.code.into(), frame.reason.to_string()));
                }
                Ok(_) => {}
                Err(Error::ConnectionClosed) => return None,
                Err(Error::Io(error)) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("it hears nothing: {error}"),
            }
        }
    }

    fn say(&mut self, line: &str) {
        self.socket.send(Message::text(line)).expect("the server reads");
    }
}

#[test]
fn a_conversation() {
    let server = start(&[]);
    let mut anna = Lines::connect(&server);
    anna.expect(&["* guest1 has joined lobby", "* you are guest1; /help says what you can say"]);
    anna.say("/nick anna");
    anna.expect(&["* guest1 is now anna"]);
    let mut ben = Socket::connect(&server);
    ben.expect(&["* guest2 has joined lobby", "* you are guest2; /help says what you can say"]);
    anna.expect(&["* guest2 has joined lobby"]);
    ben.say("/nick ben");
    ben.say("hello, anna");
    let of_ben = ["* guest2 is now ben", "<ben> hello, anna"];
    anna.expect(&of_ben);
    ben.expect(&of_ben);
    // In one piece, and with every end of line there is; a WebSocket message may have several lines, too.
    anna.conn().write_all(b"one\r\n\r\ntwo\nthree\n").expect("the server reads");
    ben.say("four\r\nfive\n");
    let of_anna = ["<anna> one", "<anna> two", "<anna> three"];
    for talker in [&mut anna as &mut dyn Talker, &mut ben] {
        // Who of both was first is not known.
        let mut heard: Vec<_> = (0..5).map(|_| talker.hear()).collect();
        heard.sort();
        assert_eq!(heard, [&of_anna[..1], &of_anna[2..], &of_anna[1..2], &["<ben> five", "<ben> four"]].concat());
    }
    ben.say("/who");
    ben.expect(&["* in lobby: anna, ben"]);
    ben.say("/join tea");
    ben.expect(&["* ben has joined tea"]);
    anna.expect(&["* ben has left lobby"]);
    anna.say("/rooms");
    anna.expect(&["* rooms: lobby, tea"]);
    ben.say("nobody hears this in the lobby");
    ben.expect(&["<ben> nobody hears this in the lobby"]);
    anna.say("/join tea");
    anna.expect(&["* anna has joined tea"]);
    ben.expect(&["* anna has joined tea"]);
    anna.say("\x1b]0;title\x07");
    ben.expect(&["<anna> \u{fffd}]0;title\u{fffd}"]);
    ben.say("/quit");
    ben.expect(&["* goodbye"]);
    assert_eq!(ben.closing(), (1000, "goodbye".into()));
    anna.expect(&["<anna> \u{fffd}]0;title\u{fffd}", "* ben has left tea"]);
    // One that goes without a word.
    let carl = Lines::connect(&server);
    drop(carl);
    let dora = Socket::connect(&server);
    drop(dora.socket);
    anna.say("/quit");
    anna.expect(&["* goodbye"]);
    assert_eq!(anna.try_hear(), None);
    let ended = server.stop();
    assert_eq!(ended.printed, ["chat stops after 8 messages of 4 clients"]);
}

/// Sees that all have heard the same, that every message was in it once, and each sender's in order.
fn check(heard: &[(String, Vec<String>)], senders: &[String], each: usize) {
    let (first, expected) = &heard[0];
    for (name, lines) in heard {
        assert!(lines == expected, "{name} and {first} have heard different things");
    }
    assert_eq!(expected.len(), senders.len() * each);
    for sender in senders {
        let prefix = format!("<{sender}> ");
        let said: Vec<_> = expected.iter().filter_map(|line| line.strip_prefix(&prefix)).collect();
        let in_order: Vec<_> = (0..each).map(|n| n.to_string()).collect();
        assert_eq!(said, in_order, "{sender}");
    }
}

/// A client that says so many things to a room of so many, and hears out everybody.
fn talk(mut talker: impl Talker, name: &str, members: usize, each: usize) -> (String, Vec<String>) {
    talker.enter(name, "crowd");
    talker.wait_for(members);
    let mut heard = Vec::new();
    for n in 0..each {
        talker.say(&n.to_string());
    }
    while heard.len() < members * each {
        let line = talker.hear();
        // All else are notices.
        if line.starts_with('<') {
            heard.push(line);
        }
    }
    (name.into(), heard)
}

impl Talker for Box<dyn Talker + Send> {
    fn try_hear(&mut self) -> Option<String> {
        (**self).try_hear()
    }

    fn say(&mut self, line: &str) {
        (**self).say(line);
    }
}

/// As its talker, but nobody begins before all are there: who waits in `wait_for` would miss what others say already.
struct Together<T> {
    talker: T,
    gate: std::sync::Arc<std::sync::Barrier>,
}

impl<T: Talker> Talker for Together<T> {
    fn try_hear(&mut self) -> Option<String> {
        self.talker.try_hear()
    }

    fn say(&mut self, line: &str) {
        self.talker.say(line);
    }

    fn wait_for(&mut self, count: usize) {
        self.talker.wait_for(count);
        self.gate.wait();
    }
}

#[test]
fn everybody_in_a_crowd_hears_everything_once_and_in_the_same_order() {
    let server = start(&["--backlog", "100000"]);
    let (lines, sockets, each) = (60, 30, 20);
    let all = lines + sockets;
    let gate = std::sync::Arc::new(std::sync::Barrier::new(all));
    let names: Vec<_> = (0..all).map(|n| format!("n{n}")).collect();
    let heard: Vec<_> = thread::scope(|s| {
        let tasks: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(n, name)| {
                let talker: Box<dyn Talker + Send> = match n < lines {
                    true => Box::new(Lines::connect(&server)),
                    false => Box::new(Socket::connect(&server)),
                };
                let together = Together { talker, gate: gate.clone() };
                s.spawn(move || talk(together, name, all, each))
            })
            .collect();
        tasks.into_iter().map(|task| task.join().expect("it hears everything")).collect()
    });
    check(&heard, &names, each);
    let ended = server.stop();
    assert_eq!(ended.printed, [format!("chat stops after {} messages of {all} clients", all * each)]);
    assert_eq!(ended.errors, "");
}

/// Clients of the `websockets` package. Arguments: address, how many, members in all, messages of each, of all. Says
/// `ready` when all members are there, waits for the file `go`, then prints what each has heard.
const CLIENTS: &str = r#"
import asyncio, os, sys, websockets
address, count, members, each, total, go = sys.argv[1], *map(int, sys.argv[2:6]), sys.argv[6]

async def until(socket, text):
    while True:
        line = await socket.recv()
        if line.startswith(text):
            return line

async def enter(number):
    socket = await websockets.connect(address, ping_interval=0.2)
    name = f"py{number}"
    await socket.send(f"/nick {name}")
    await socket.send("/join crowd")
    await until(socket, f"* {name} has joined crowd")
    while True:
        await socket.send("/who")
        if len((await until(socket, "* in crowd: ")).split(", ")) == members:
            return name, socket
        await asyncio.sleep(0.02)

async def talk(name, socket):
    async def say():
        for n in range(each):
            await socket.send(str(n))
    saying = asyncio.create_task(say())
    heard = [await until(socket, "<") for _ in range(total)]
    await saying
    await asyncio.wait_for(await socket.ping(), 30)
    await socket.send("/quit")
    try:
        while True:
            await socket.recv()
    except websockets.ConnectionClosed as closed:
        return name, heard, f"{closed.rcvd.code} {closed.rcvd.reason}"

async def main():
    talkers = await asyncio.gather(*map(enter, range(count)))
    print("ready", flush=True)
    while not os.path.exists(go):
        await asyncio.sleep(0.01)
    for name, heard, closed in await asyncio.gather(*(talk(*talker) for talker in talkers)):
        print(f"{name}|{closed}|" + "|".join(heard), flush=True)

asyncio.run(main())
"#;

/// A Python that has `websockets`; Debian's is not always the first on the path. Without one the test is over; under
/// CI=true that is a failure.
fn python() -> Option<&'static str> {
    let has_it = |path: &&str| {
        let imported = Command::new(path).args(["-c", "import websockets"]).output();
        imported.is_ok_and(|output| output.status.success())
    };
    let found = ["python3", "/usr/bin/python3"].into_iter().find(has_it);
    if found.is_none() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "python3-websockets is not installed");
        eprintln!("skipped: python3-websockets is not installed");
    }
    found
}

#[test]
fn clients_of_pythons_websockets_and_line_clients_hear_the_same() {
    let Some(python) = python() else { return };
    let server = start(&["--backlog", "100000"]);
    let (of_python, lines, each) = (10, 20, 30);
    let all = of_python + lines;
    let go = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("chat-go-{}", std::process::id()));
    let _ = std::fs::remove_file(&go);
    let address = format!("ws://{}/", websockets(&server));
    let numbers = [of_python, all, each, all * each].map(|n| n.to_string());
    let mut command = Command::new(python);
    command.args(["-c", CLIENTS, &address]).args(&numbers).arg(&go);
    let clients = Program::spawn(&mut command);

    let gate = std::sync::Arc::new(std::sync::Barrier::new(lines + 1));
    let names: Vec<_> = (0..lines).map(|n| format!("n{n}")).collect();
    let mut heard: Vec<_> = thread::scope(|s| {
        let tasks: Vec<_> = names
            .iter()
            .map(|name| {
                let together = Together { talker: Lines::connect(&server), gate: gate.clone() };
                s.spawn(move || talk(together, name, all, each))
            })
            .collect();
        assert_eq!(clients.next_line(), "ready");
        // Not before: who still waits for the last to come forgets what it hears.
        gate.wait();
        std::fs::write(&go, "").expect("it can be written");
        tasks.into_iter().map(|task| task.join().expect("it hears everything")).collect()
    });
    let ended = clients.wait();
    let _ = std::fs::remove_file(&go);
    assert!(ended.status.success(), "{}", ended.errors);
    let mut senders = names.clone();
    for line in &ended.printed {
        let mut parts = line.split('|').map(str::to_owned);
        let name = parts.next().expect("a name");
        assert_eq!(parts.next().as_deref(), Some("1000 goodbye"), "{name}");
        senders.push(name.clone());
        heard.push((name, parts.collect()));
    }
    assert_eq!(heard.len(), all);
    check(&heard, &senders, each);
    server.stop();
}

#[test]
fn websocket_messages_may_come_in_any_shape() {
    let server = start(&[]);
    let mut listener = Lines::connect(&server);
    listener.enter("listener", "lobby2");
    let mut odd = Socket::connect(&server);
    odd.enter("odd", "lobby2");
    listener.expect(&["* odd has joined lobby2"]);
    // A ping between the fragments of a message.
    let piece =
        |text: &str, opcode, is_last| Message::Frame(Frame::message(text.to_owned(), OpCode::Data(opcode), is_last));
    odd.socket.send(piece("three ", Data::Text, false)).expect("the server reads");
    odd.socket.send(Message::Ping(b"still there?".to_vec().into())).expect("the server reads");
    odd.socket.send(piece("pieces ", Data::Continue, false)).expect("the server reads");
    assert_eq!(odd.socket.read().expect("a pong"), Message::Pong(b"still there?".to_vec().into()));
    odd.socket.send(piece("in all", Data::Continue, true)).expect("the server reads");
    listener.expect(&["<odd> three pieces in all"]);
    odd.expect(&["<odd> three pieces in all"]);

    // Byte by byte, while the room talks: neither the message nor what is said is torn.
    let mut frames = Vec::new();
    {
        struct Kept<'a>(&'a mut Vec<u8>);
        impl Read for Kept<'_> {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(ErrorKind::WouldBlock.into())
            }
        }
        impl Write for Kept<'_> {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.write(bytes)
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let mut kept = WebSocket::from_raw_socket(Kept(&mut frames), Role::Client, None);
        for n in 0..20 {
            kept.send(Message::text(format!("drop {n}"))).expect("a Vec takes everything");
        }
    }
    let (mut said, mut dropped) = (Vec::new(), Vec::new());
    for (n, byte) in frames.iter().enumerate() {
        odd.socket.get_mut().write_all(&[*byte]).expect("the server reads");
        listener.say(&n.to_string());
        loop {
            let line = odd.hear();
            match line.strip_prefix("<odd> ") {
                Some(text) => dropped.push(text.to_owned()),
                None => {
                    said.push(line);
                    break;
                }
            }
        }
    }
    while dropped.len() < 20 {
        dropped.push(odd.hear().strip_prefix("<odd> ").expect("its own").to_owned());
    }
    assert_eq!(said, (0..frames.len()).map(|n| format!("<listener> {n}")).collect::<Vec<_>>());
    assert_eq!(dropped, (0..20).map(|n| format!("drop {n}")).collect::<Vec<_>>());
    drop(odd);

    // What is not understood is refused with the code for it.
    let expect_close = |what: &str, message: Message, code: u16| {
        let mut client = Socket::connect(&server);
        client.enter(what, "lobby3");
        client.socket.send(message).expect("the server reads");
        assert_eq!(client.closing().0, code, "{what}");
    };
    expect_close("binary", Message::binary(b"x".to_vec()), 1003);
    expect_close("long", Message::text("x".repeat(5000)), 1009);
    let invalid = Frame::message(b"\xff\xfe".to_vec(), OpCode::Data(Data::Text), true);
    expect_close("invalid", Message::Frame(invalid), 1007);
    let orphan = Frame::message(b"x".to_vec(), OpCode::Data(Data::Continue), true);
    expect_close("orphan", Message::Frame(orphan), 1002);
    // One that says goodbye itself is answered.
    let mut polite = Socket::connect(&server);
    polite.enter("polite", "lobby3");
    let frame = CloseFrame { code: CloseCode::Normal, reason: "bye".into() };
    polite.socket.close(Some(frame)).expect("the server reads");
    assert_eq!(polite.closing(), (1000, "bye".into()));
    server.stop();
}

#[test]
fn long_lines_are_refused_and_what_follows_is_not() {
    let server = start(&[]);
    let mut lines = Lines::connect(&server);
    let mut socket = Socket::connect(&server);
    lines.enter("lines", "a");
    socket.enter("socket", "b");
    for talker in [&mut lines as &mut dyn Talker, &mut socket] {
        talker.say(&"x".repeat(1025));
        talker.expect(&["* a line has at most 1024 bytes"]);
        talker.say(&"x".repeat(1024));
        assert!(talker.hear().ends_with(&"x".repeat(1024)));
    }
    // Without an end to it, the server keeps nothing of it.
    lines.conn().write_all(&vec![b'y'; 10_000_000]).expect("the server reads");
    lines.say("");
    lines.expect(&["* a line has at most 1024 bytes"]);
    lines.say("z");
    lines.expect(&["<lines> z"]);
    server.stop();
}

fn narrow(conn: &TcpStream) {
    socket2::SockRef::from(conn).set_recv_buffer_size(64 << 10).expect("an ordinary option");
}

/// How many bytes the server's socket and that of a narrow client can hold, and more rather than less.
fn sockets_take() -> usize {
    let sizes = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_wmem").expect("it can be read");
    let largest = sizes.split_whitespace().last().and_then(|size| size.parse::<usize>().ok());
    largest.expect("three numbers") + (1 << 20)
}

#[test]
fn who_reads_slowly_is_told_what_it_has_missed_and_who_does_not_read_is_dropped() {
    let server = start(&["--backlog", "50", "--stall", "600"]);
    let (mut slow, mut fast) = (Lines::connect_narrow(&server), Lines::connect(&server));
    slow.enter("slow", "room");
    fast.enter("fast", "room");
    slow.expect(&["* fast has joined room"]);
    let text = "x".repeat(1000);
    let mut said = 0;
    // More than the sockets take, and then more than is kept for it.
    while said < sockets_take() / 1000 + 1000 {
        fast.say(&format!("{said} {text}"));
        assert!(fast.hear().starts_with(&format!("<fast> {said} ")), "the fast one is not held up");
        said += 1;
    }
    fast.say("the end");
    fast.expect(&["<fast> the end"]);
    let (mut next, mut missed) = (0, 0);
    loop {
        let line = slow.hear();
        if line == "<fast> the end" {
            break;
        }
        if let Some(count) =
            line.strip_prefix("* you have missed ").and_then(|rest| rest.split(' ').next()?.parse::<u32>().ok())
        {
            missed += count;
            next += count as usize;
            continue;
        }
        assert_eq!(line, format!("<fast> {next} {text}"), "in order, and none without a word");
        next += 1;
    }
    assert_eq!(next, said);
    assert!(missed > 0, "the sockets take {said} messages");
    server.stop();

    let server = start(&["--backlog", "50", "--stall", "0.3"]);
    let (mut deaf, mut socket, mut fast) =
        (Lines::connect_narrow(&server), Socket::connect(&server), Lines::connect(&server));
    narrow(socket.socket.get_ref());
    deaf.enter("deaf", "room");
    socket.enter("deafsocket", "room");
    fast.enter("fast", "room");
    let start = Instant::now();
    let mut left = Vec::new();
    while left.len() < 2 {
        fast.say(&text);
        loop {
            let line = fast.hear();
            if line.starts_with("<fast>") {
                break;
            }
            left.push(line);
        }
        assert!(start.elapsed() < PATIENCE, "they are not dropped");
    }
    left.sort();
    assert_eq!(left, ["* deaf has left room", "* deafsocket has left room"]);
    server.stop();
}

#[test]
fn ctrl_c_loses_nothing_and_says_goodbye() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let server = start(&["--grace", "30"]);
        let mut lines: Vec<_> = (0..5).map(|_| Lines::connect(&server)).collect();
        let mut sockets: Vec<_> = (0..5).map(|_| Socket::connect(&server)).collect();
        for (n, talker) in lines.iter_mut().enumerate() {
            talker.enter(&format!("n{n}"), "room");
        }
        for (n, talker) in sockets.iter_mut().enumerate() {
            talker.enter(&format!("s{n}"), "room");
        }
        for talker in &mut lines {
            talker.wait_for(10);
        }
        for talker in &mut sockets {
            talker.wait_for(10);
        }
        // And one that has not even shaken hands, and one in the middle of a line.
        let mut mute = connect(websockets(&server));
        let mut half = server.connect();
        half.write_all(b"half a li").expect("the server reads");

        for n in 0..50 {
            for talker in &mut lines {
                talker.say(&n.to_string());
            }
            for talker in &mut sockets {
                talker.say(&n.to_string());
            }
        }
        // Until it has all come to the server's side of the sockets.
        let conns =
            lines.iter_mut().map(|lines| lines.conn() as &TcpStream).chain(sockets.iter().map(|s| s.socket.get_ref()));
        let start = Instant::now();
        for conn in conns {
            while under_way(conn) > 0 {
                assert!(start.elapsed() < PATIENCE, "it does not come");
                thread::sleep(Duration::from_millis(1));
            }
        }
        server.signal(signal);
        let mut heard = Vec::new();
        for (n, mut talker) in lines.into_iter().enumerate() {
            let mut said = Vec::new();
            while let Some(line) = talker.try_hear() {
                said.push(line);
            }
            assert_eq!(said.pop().as_deref(), Some("* the server stops; goodbye"));
            said.retain(|line| line.starts_with('<'));
            heard.push((format!("n{n}"), said));
        }
        for (n, mut talker) in sockets.into_iter().enumerate() {
            let mut said = Vec::new();
            while let Some(line) = talker.try_hear() {
                said.push(line);
            }
            assert_eq!(talker.closed, Some((1001, "the server stops".into())));
            said.retain(|line| line.starts_with('<'));
            heard.push((format!("s{n}"), said));
        }
        let names: Vec<_> = heard.iter().map(|(name, _)| name.clone()).collect();
        check(&heard, &names, 50);
        let mut rest = Vec::new();
        half.read_to_end(&mut rest).expect("an end and no error");
        assert!(rest.ends_with(b"* the server stops; goodbye\r\n"));
        assert_eq!(mute.read(&mut [0]).expect("an end and no error"), 0);
        drop((half, mute));
        let ended = server.wait();
        assert_eq!((ended.status.code(), ended.errors.as_str()), (Some(0), ""));
        assert_eq!(ended.printed, ["chat stops after 500 messages of 11 clients"]);
    }
}

#[test]
fn ctrl_c_waits_no_longer_than_its_grace() {
    let server = start(&["--grace", "0.4"]);
    let (mut deaf, mut other) = (Lines::connect_narrow(&server), Lines::connect(&server));
    deaf.enter("deaf", "room");
    other.enter("other", "room");
    let text = "x".repeat(1000);
    for _ in 0..sockets_take() / 1000 + 1000 {
        other.say(&text);
        other.hear();
    }
    let start = Instant::now();
    server.signal(libc::SIGINT);
    assert_eq!(other.hear(), "* the server stops; goodbye");
    let ended = server.wait();
    assert!(ended.status.success() && start.elapsed() >= Duration::from_millis(400), "{:?}", start.elapsed());
}

#[test]
fn who_is_no_websocket_client_is_told_so() {
    let server = start(&[]);
    let mut client = connect(websockets(&server));
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("the server reads");
    let mut said = String::new();
    client.read_to_string(&mut said).expect("an end and no error");
    let (head, body) = said.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 426 Upgrade Required\r\n"), "{said}");
    assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{said}");
    drop(client);
    let mut client = connect(websockets(&server));
    client.write_all(b"nonsense\r\n\r\n").expect("the server reads");
    client.shutdown(Shutdown::Write).expect("connected");
    limit(&client);
    said.clear();
    client.read_to_string(&mut said).expect("an end and no error");
    assert_eq!(server.stop().printed, ["chat stops after 0 messages of 0 clients"]);
}

#[test]
fn noise_harms_nobody() {
    let server = start(&[]);
    let mut listener = Lines::connect(&server);
    listener.enter("listener", "quiet");
    for seed in 0..100 {
        let noise = Noise::new(seed).bytes(2000);
        let mut lines = Lines::connect(&server);
        lines.conn().write_all(&noise).expect("the server reads");
        lines.conn().shutdown(Shutdown::Write).expect("connected");
        let mut said = Vec::new();
        lines.0.read_to_end(&mut said).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert!(std::str::from_utf8(&said).is_ok(), "seed {seed}");
        // The same where frames are expected. The server closes, or waits for the rest of what looks like one.
        let mut socket = Socket::connect(&server);
        let conn = socket.socket.get_mut();
        conn.write_all(&noise).expect("the server reads");
        // It may have closed by now.
        let _ = conn.shutdown(Shutdown::Write);
        let end = conn.read_to_end(&mut said);
        assert!(end.is_ok() || end.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset), "seed {seed}");
    }
    listener.say("still here");
    listener.expect(&["<listener> still here"]);
    let ended = server.stop();
    assert_eq!(ended.errors, "");
}

#[test]
fn too_many_clients_are_told_so() {
    let server = start(&["--clients", "1"]);
    let mut first = Lines::connect(&server);
    first.expect(&["* guest1 has joined lobby"]);
    let mut second = Lines::connect(&server);
    second.expect(&["* there are too many clients"]);
    assert_eq!(second.try_hear(), None);
    let mut third = Socket::connect(&server);
    third.expect(&["* there are too many clients"]);
    drop((second, third));
    first.say("/quit");
    first.hear_until("* goodbye");
    assert_eq!(first.try_hear(), None);
    Lines::connect(&server).expect(&["* guest2 has joined lobby"]);
    server.stop();
}

#[test]
fn the_command_line_is_explained_and_its_mistakes_are_named() {
    let (code, printed, _) = output(CHAT, &["--help"]);
    assert_eq!(code, Some(0));
    for option in ["--lines", "--websockets", "--clients", "--backlog", "--stall", "--grace"] {
        assert!(printed.contains(option), "{printed}");
    }
    let cases: [(&[&str], i32, &str); 4] = [
        (&["--lines", "7090"], 2, "'7090' for '--lines <ADDRESS:PORT>': invalid socket address"),
        (&["--backlog", "0"], 2, "0 is not in 1..="),
        (&["lobby"], 2, "unexpected argument 'lobby'"),
        (&["--lines", "192.0.2.1:1"], 1, "chat: cannot listen at 192.0.2.1:1: "),
    ];
    for (arguments, expected, reason) in cases {
        let (code, printed, errors) = output(CHAT, arguments);
        assert_eq!((code, printed), (Some(expected), String::new()), "{arguments:?}");
        assert!(errors.contains(reason), "{arguments:?}: {errors}");
    }
}
