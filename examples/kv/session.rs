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

    /// Runs the complete requests in `input` and appends the replies to `out`, until the input is used up or `out` is
    /// long. All of them run at `now`.
    pub fn process(&mut self, input: &mut Input, now: Millis, out: &mut Vec<u8>) -> Flow {
        let server = &mut *self.server.borrow_mut();
        let received = input.data();
        let mut used = 0;
        let flow = loop {
            if out.len() >= BATCH {
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
            word.eq_ignore_ascii_case(section.as_bytes()) || all.iter().any(|all| word.eq_ignore_ascii_case(all.as_bytes()))
        };
        request.len() == 1 || request.args(1).any(matches)
    };
    resp::bulk(out, server.info(now, named).as_bytes());
}

/// `CONFIG GET`, by exact names or `*`.
fn config_get<M: Mailbox>(request: Request<'_>, server: &Server<M>, out: &mut Vec<u8>) {
    let mut settings = Vec::from(server.settings());
    settings.retain(|(name, _)| {
        request.args(2).any(|wanted| wanted == b"*" || wanted.eq_ignore_ascii_case(name.as_bytes()))
    });
    resp::array(out, settings.len() * 2);
    for (name, value) in settings {
        resp::bulk(out, name.as_bytes());
        resp::bulk(out, value.as_bytes());
    }
}
