//! One client, without its socket: from received bytes to bytes to send.
//!
//! A connection's task receives into an [`Input`], lets [`Session::process`] run what is complete in it, and sends what
//! that has written; [`Flow`] says what to do next:
//!
//! ```text
//!          ┌────────────── Read ──────────────┐
//!          ▼                                  │
//!   receive into input.space() ──► process ──► send out ──► Close: the end
//!                                     ▲       │
//!                                     └ Flush ┘     more requests wait in input, but out is long enough
//! ```
//!
//! While `out` is being sent nothing more is processed, so a client that pipelines a million GETs and reads no answer
//! makes the server hold one batch of them, not all.

use crate::{
    bytes::Bytes,
    commands::{self, Outcome},
    input::Input,
    pubsub::{self, Mailbox, SubscriberId},
    resp::{self, Args, Parsed, Request},
    server::{REDIS_VERSION, Server, Shared},
    store::Millis,
};

/// As many bytes of replies are sent before more requests are run.
const BATCH: usize = 64 * 1024;

/// Empties `out` once it has been sent, and gives the memory of a long reply back.
pub fn sent(out: &mut Vec<u8>) {
    out.clear();
    out.shrink_to(2 * BATCH);
}

/// What a client that is one too many is told.
pub const FULL: &[u8] = b"-ERR max number of clients reached\r\n";

/// What a connection does when it has sent the replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Receive more.
    Read,
    /// Process more: the input holds further requests.
    Flush,
    /// Close.
    Close,
}

/// One client. Dropping it ends its subscriptions and lets another client in.
pub struct Session<M: Mailbox + Clone> {
    args: Args,
    client: Client<M>,
    server: Shared<M>,
}

/// What the server knows about a client.
struct Client<M> {
    id: u64,
    name: Bytes,
    mailbox: M,
    /// Who the client is in the table of subscribers, while it listens to anything.
    subscriber: Option<SubscriberId>,
}

impl<M: Mailbox + Clone> Session<M> {
    /// Lets a client in, whose published messages go to `mailbox`. `None` when there are too many: send [`FULL`] and
    /// close.
    pub fn open(server: &Shared<M>, mailbox: M) -> Option<Self> {
        let Server { stats, options, .. } = &mut *server.borrow_mut();
        if stats.connected >= options.maxclients {
            stats.rejected += 1;
            return None;
        }
        stats.connected += 1;
        stats.connections += 1;
        let client = Client { id: stats.connections, name: Bytes::from(&b""[..]), mailbox, subscriber: None };
        Some(Self { args: Args::default(), client, server: server.clone() })
    }

    /// Whether messages can come for this client.
    pub fn subscribed(&self) -> bool {
        self.client.subscriber.is_some()
    }

    /// Runs the complete requests in `input` and appends the replies to `out`, until the input is used up or the replies
    /// are long. All of them run at `now`.
    pub fn process(&mut self, input: &mut Input, now: Millis, out: &mut Vec<u8>) -> Flow {
        let server = &mut *self.server.borrow_mut();
        let received = input.data();
        let mut used = 0;
        // Messages that are in `out` already do not keep a client's requests from being run.
        let enough = out.len() + BATCH;
        let flow = loop {
            if out.len() >= enough {
                break Flow::Flush;
            }
            match resp::parse(&received[used..], &mut self.args) {
                Parsed::Complete { consumed } => {
                    let request = self.args.request(&received[used..]);
                    used += consumed;
                    if !request.is_empty() && self.client.run(request, server, now, out) == Flow::Close {
                        break Flow::Close;
                    }
                }
                Parsed::Incomplete => break Flow::Read,
                Parsed::Error(malformed) => {
                    malformed.reply(out);
                    break Flow::Close;
                }
            }
        };
        input.consume(used);
        flow
    }
}

impl<M: Mailbox + Clone> Drop for Session<M> {
    fn drop(&mut self) {
        let server = &mut *self.server.borrow_mut();
        server.stats.connected -= 1;
        if let Some(subscriber) = self.client.subscriber {
            server.pubsub.leave(subscriber);
        }
    }
}

impl<M: Mailbox + Clone> Client<M> {
    #[inline]
    fn run(&mut self, request: Request<'_>, server: &mut Server<M>, now: Millis, out: &mut Vec<u8>) -> Flow {
        let Some(command) = commands::resolve(request, out) else {
            return Flow::Read;
        };
        if self.subscriber.is_some() && !pubsub::allowed_while_subscribed(command.name, out) {
            return Flow::Read;
        }
        server.stats.commands += 1;
        match command.run(request, &mut server.store, now, out) {
            Outcome::Continue => Flow::Read,
            outcome => self.act(outcome, request, server, now, out),
        }
    }

    /// Does what a command asks of the connection, and replies.
    fn act(
        &mut self,
        outcome: Outcome,
        request: Request<'_>,
        server: &mut Server<M>,
        now: Millis,
        out: &mut Vec<u8>,
    ) -> Flow {
        match outcome {
            Outcome::Continue => {}
            Outcome::Quit => {
                resp::ok(out);
                return Flow::Close;
            }
            Outcome::Reset => {
                self.name = Bytes::from(&b""[..]);
                if let Some(subscriber) = self.subscriber.take() {
                    server.pubsub.leave(subscriber);
                }
                resp::simple(out, "RESET");
            }
            Outcome::Ping => self.ping(request, out),
            Outcome::Subscribe => {
                let id = *self.subscriber.get_or_insert_with(|| server.pubsub.join(self.mailbox.clone()));
                for channel in request.args(1) {
                    server.pubsub.subscribe(id, channel, out);
                }
            }
            Outcome::Unsubscribe => self.unsubscribe(request, server, out),
            Outcome::Publish => {
                let receivers = server.pubsub.publish(request.arg(1), request.arg(2));
                resp::number(out, receivers as i64);
            }
            Outcome::Info => info(request, server, now, out),
            Outcome::ConfigGet => config_get(request, server, out),
            Outcome::Hello => self.hello(request, out),
            Outcome::ClientId => resp::number(out, self.id as i64),
            Outcome::ClientGetName if self.name.is_empty() => resp::null(out),
            Outcome::ClientGetName => resp::bulk(out, &self.name),
            Outcome::ClientSetName => {
                if self.set_name(request.arg(2), out) {
                    resp::ok(out);
                }
            }
        }
        Flow::Read
    }

    fn ping(&self, request: Request<'_>, out: &mut Vec<u8>) {
        if request.len() > 2 {
            return resp::error(out, &[b"ERR wrong number of arguments for 'ping' command"]);
        }
        let message = request.args(1).next();
        if self.subscriber.is_some() {
            // Among messages, which are arrays, the answer is one too.
            resp::array(out, 2);
            resp::bulk(out, b"pong");
            resp::bulk(out, message.unwrap_or_default());
        } else if let Some(message) = message {
            resp::bulk(out, message);
        } else {
            resp::simple(out, "PONG");
        }
    }

    /// `UNSUBSCRIBE`: from the channels named, or from all.
    fn unsubscribe(&mut self, request: Request<'_>, server: &mut Server<M>, out: &mut Vec<u8>) {
        let Some(id) = self.subscriber else {
            if request.len() == 1 {
                pubsub::confirm(b"unsubscribe", None, 0, out);
            }
            for channel in request.args(1) {
                pubsub::confirm(b"unsubscribe", Some(channel), 0, out);
            }
            return;
        };
        if request.len() == 1 {
            for channel in server.pubsub.subscriptions(id) {
                server.pubsub.unsubscribe(id, &channel, out);
            }
        }
        for channel in request.args(1) {
            server.pubsub.unsubscribe(id, channel, out);
        }
        if server.pubsub.subscriptions(id).is_empty() {
            server.pubsub.leave(id);
            self.subscriber = None;
        }
    }

    /// `HELLO [2 [SETNAME name]]`. Version 3 is refused, and clients that prefer it go on with 2.
    fn hello(&mut self, request: Request<'_>, out: &mut Vec<u8>) {
        let mut arguments = request.args(1);
        match arguments.next().map(resp::integer) {
            None | Some(Some(2)) => {}
            Some(Some(_)) => return resp::error(out, &[b"NOPROTO unsupported protocol version"]),
            Some(None) => return resp::error(out, &[b"ERR Protocol version is not an integer or out of range"]),
        }
        while let Some(option) = arguments.next() {
            match arguments.next() {
                Some(name) if option.eq_ignore_ascii_case(b"setname") => {
                    if !self.set_name(name, out) {
                        return;
                    }
                }
                _ => return resp::error(out, &[b"ERR Syntax error in HELLO option '", option, b"'"]),
            }
        }
        resp::array(out, 14);
        for (name, value) in [("server", "redis"), ("version", REDIS_VERSION)] {
            resp::bulk(out, name.as_bytes());
            resp::bulk(out, value.as_bytes());
        }
        for (name, value) in [("proto", 2), ("id", self.id as i64)] {
            resp::bulk(out, name.as_bytes());
            resp::number(out, value);
        }
        for (name, value) in [("mode", "standalone"), ("role", "master")] {
            resp::bulk(out, name.as_bytes());
            resp::bulk(out, value.as_bytes());
        }
        resp::bulk(out, b"modules");
        resp::array(out, 0);
    }

    /// Whether the name is one; if not, the error is the reply.
    fn set_name(&mut self, name: &[u8], out: &mut Vec<u8>) -> bool {
        let valid = name.iter().all(u8::is_ascii_graphic);
        if valid {
            self.name = name.into();
        } else {
            resp::error(out, &[b"ERR Client names cannot contain spaces, newlines or special characters."]);
        }
        valid
    }
}

/// `INFO`, with the sections named, or with all.
fn info<M: Mailbox>(request: Request<'_>, server: &Server<M>, now: Millis, out: &mut Vec<u8>) {
    let named = |section: &str| {
        let all = ["all", "default", "everything"];
        let matches = |word: &[u8]| {
            word.eq_ignore_ascii_case(section.as_bytes())
                || all.iter().any(|all| word.eq_ignore_ascii_case(all.as_bytes()))
        };
        request.len() == 1 || request.args(1).any(matches)
    };
    resp::bulk(out, server.info(now, named).as_bytes());
}

/// `CONFIG GET`, by exact names, which come back as they were written, or `*`.
fn config_get<M: Mailbox>(request: Request<'_>, server: &Server<M>, out: &mut Vec<u8>) {
    let mut found = Vec::new();
    for (name, value) in server.settings() {
        let wanted = |asked: &&[u8]| *asked == b"*" || asked.eq_ignore_ascii_case(name.as_bytes());
        match request.args(2).find(wanted) {
            Some(b"*") => found.push((name.as_bytes(), value)),
            Some(asked) => found.push((asked, value)),
            None => {}
        }
    }
    resp::array(out, found.len() * 2);
    for (name, value) in found {
        resp::bulk(out, name);
        resp::bulk(out, value.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{conformance, testing::Random};
    use clap::Parser;
    use std::{cell::RefCell, rc::Rc};

    const NOW: Millis = 1_700_000_000_000;

    type Letters = Rc<RefCell<Vec<u8>>>;

    impl Mailbox for Letters {
        fn deliver(&self, message: &Rc<[u8]>) -> bool {
            self.borrow_mut().extend_from_slice(message);
            true
        }
    }

    fn server(line: &str) -> Shared<Letters> {
        Server::new(crate::options::Options::parse_from(line.split_whitespace()), NOW)
    }

    /// A client without a network.
    struct Peer {
        session: Session<Letters>,
        input: Input,
        mailbox: Letters,
        closed: bool,
    }

    impl Peer {
        fn connect(server: &Shared<Letters>) -> Self {
            let mailbox = Letters::default();
            let session = Session::open(server, mailbox.clone()).expect("there is room");
            Self { session, input: Input::new(1 << 30), mailbox, closed: false }
        }

        /// What the server answers to `sent`, received in pieces of the lengths that `piece` gives.
        fn send(&mut self, mut sent: &[u8], mut piece: impl FnMut() -> usize) -> Vec<u8> {
            let mut replies = Vec::new();
            while !sent.is_empty() && !self.closed {
                let space = self.input.space().expect("within the limit");
                let n = piece().min(sent.len()).min(space.len());
                space[..n].copy_from_slice(&sent[..n]);
                self.input.filled(n);
                sent = &sent[n..];
                loop {
                    let mut out = Vec::new();
                    let flow = self.session.process(&mut self.input, NOW, &mut out);
                    replies.append(&mut out);
                    self.closed = flow == Flow::Close;
                    if flow != Flow::Flush {
                        break;
                    }
                }
            }
            replies
        }

        fn ask(&mut self, line: &str) -> String {
            let reply = self.send(format!("{line}\r\n").as_bytes(), || usize::MAX);
            String::from_utf8_lossy(&reply).replace("\r\n", " ").trim_end().to_owned()
        }
    }
    /// Plays each story, with what it sends cut into pieces.
    fn play(pieces: impl Fn(usize) -> Vec<Vec<usize>>) {
        for story in conformance::stories() {
            let requests: Vec<u8> = story.steps.iter().flat_map(|step| step.request.clone()).collect();
            let expected: Vec<u8> = story.steps.iter().flat_map(|step| step.reply.clone()).collect();
            for cut in pieces(requests.len()) {
                let mut lengths = cut.iter().copied();
                let mut peer = Peer::connect(&server("kv"));
                let replies = peer.send(&requests, || lengths.next().unwrap_or(usize::MAX));
                let shown = |bytes: &[u8]| bytes.escape_ascii().to_string();
                assert_eq!(shown(&replies), shown(&expected), "{}, cut {cut:?}", story.name);
                assert_eq!(peer.closed, story.closed, "{}, cut {cut:?}", story.name);
            }
        }
    }

    #[test]
    fn stories_step_by_step() {
        for story in conformance::stories() {
            let mut peer = Peer::connect(&server("kv"));
            for step in &story.steps {
                let reply = peer.send(&step.request, || usize::MAX);
                assert_eq!(reply.escape_ascii().to_string(), step.reply.escape_ascii().to_string(), "{}", story.name);
            }
            assert_eq!(peer.closed, story.closed, "{}", story.name);
        }
    }

    #[test]
    fn stories_in_one_piece() {
        play(|_| vec![vec![]]);
    }

    /// The long stories, of which most is one long argument, are left to the random pieces.
    #[test]
    fn stories_cut_in_two_anywhere() {
        play(|len| (1..if len < 1500 { len } else { 1 }).map(|at| vec![at]).collect());
    }

    #[test]
    fn stories_byte_by_byte() {
        play(|len| vec![vec![1; len]]);
    }

    #[test]
    fn stories_in_random_pieces() {
        let random = RefCell::new(Random::new(11));
        let pieces = |len: usize, most: usize| (0..len).map(|_| 1 + random.borrow_mut().below(most)).collect();
        play(|len| [2, 7, 40, 3000].map(|most| pieces(len, most)).to_vec());
    }

    #[test]
    fn a_message_comes_to_who_listens_until_it_no_longer_does() {
        let server = server("kv");
        let (mut reader, mut writer) = (Peer::connect(&server), Peer::connect(&server));
        assert_eq!(writer.ask("PUBLISH news one"), ":0");
        reader.ask("SUBSCRIBE news");
        assert!(reader.session.subscribed());
        assert_eq!(writer.ask("PUBLISH news two"), ":1");
        assert_eq!(reader.mailbox.take(), b"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$3\r\ntwo\r\n");
        reader.ask("UNSUBSCRIBE news");
        assert!(!reader.session.subscribed());
        assert_eq!(writer.ask("PUBLISH news three"), ":0");
        reader.ask("SUBSCRIBE news");
        drop(reader);
        assert_eq!(writer.ask("PUBLISH news four"), ":0", "a closed connection listens to nothing");
    }

    #[test]
    fn clients_beyond_the_limit_are_turned_away_until_one_leaves() {
        let server = server("kv --maxclients 2");
        let first = Peer::connect(&server);
        let _second = Peer::connect(&server);
        assert!(Session::open(&server, Letters::default()).is_none());
        drop(first);
        let mut third = Peer::connect(&server);
        assert_eq!(third.ask("CLIENT ID"), ":3");
        let info = third.ask("INFO");
        for figure in ["connected_clients:2 ", "rejected_connections:1 ", "total_connections_received:3 "] {
            assert!(info.contains(figure), "{info}");
        }
    }

    #[test]
    fn replies_are_sent_before_they_pile_up() {
        let mut peer = Peer::connect(&server("kv"));
        let value = "v".repeat(20_000);
        peer.ask(&format!("SET k {value}"));
        let requests = [&b"GET k\r\n".repeat(100)[..], b"GET"].concat();
        peer.input.space().expect("empty")[..requests.len()].copy_from_slice(&requests);
        peer.input.filled(requests.len());
        let mut total = 0;
        loop {
            let mut out = Vec::new();
            let flow = peer.session.process(&mut peer.input, NOW, &mut out);
            assert!(out.len() < BATCH + 21_000);
            total += out.len();
            if flow == Flow::Read {
                break;
            }
        }
        assert_eq!(total, 100 * "$20000\r\n\r\n".len() + 100 * 20_000, "nothing is lost");
        assert_eq!(peer.input.data(), b"GET", "the last request is incomplete");
    }

    #[test]
    fn many_messages_do_not_keep_requests_waiting() {
        let mut peer = Peer::connect(&server("kv"));
        peer.input.space().expect("empty")[..6].copy_from_slice(b"PING\r\n");
        peer.input.filled(6);
        let mut out = vec![b'm'; 10 * BATCH];
        assert_eq!(peer.session.process(&mut peer.input, NOW, &mut out), Flow::Read);
        assert_eq!(&out[10 * BATCH..], b"+PONG\r\n", "behind the messages");
    }

    #[test]
    fn info_has_sections() {
        let mut peer = Peer::connect(&server("kv"));
        peer.ask("SET a 1 EX 100");
        peer.ask("SET b 1");
        assert!(peer.ask("INFO keyspace").ends_with("# Keyspace db0:keys=2,expires=1,avg_ttl=0"));
        assert!(peer.ask("INFO server stats").contains("# Server redis_version:7.0.15"));
        for all in ["INFO", "INFO all", "INFO everything", "INFO default"] {
            let text = peer.ask(all);
            let sections = ["# Server", "# Clients", "# Stats", "# Keyspace"];
            assert!(sections.iter().all(|section| text.contains(section)), "{text}");
        }
    }

    #[test]
    fn hello_introduces_the_server() {
        let mut peer = Peer::connect(&server("kv"));
        let expected = "*14 $6 server $5 redis $7 version $6 7.0.15 $5 proto :2 $2 id :1 \
                        $4 mode $10 standalone $4 role $6 master $7 modules *0";
        for hello in ["HELLO", "HELLO 2", "HELLO 2 SETNAME me"] {
            assert_eq!(peer.ask(hello), expected);
        }
        assert_eq!(peer.ask("CLIENT GETNAME"), "$2 me");
    }
}
