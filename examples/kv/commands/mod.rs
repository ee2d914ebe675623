//! The commands: one table of them, the way from a request to its entry, and running it.
//!
//! Commands on data run here, against the [`Store`]. The others need the connection or the server; for those,
//! [`Command::run`] returns an [`Outcome`] that the [session](crate::session) acts on.

mod about;
mod expiry;
mod keys;
mod strings;

use crate::{
    resp::{self, Request},
    store::{Millis, Store},
};

/// What a command asks of the connection. The arguments are in the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing: the reply has been written.
    Continue,
    /// `QUIT`: say OK, then close.
    Quit,
    /// `RESET`: forget what this connection has set.
    Reset,
    /// `SUBSCRIBE channel …`.
    Subscribe,
    /// `UNSUBSCRIBE [channel …]`.
    Unsubscribe,
    /// `PUBLISH channel message`.
    Publish,
    /// `PING [message]`, whose reply depends on whether the client is subscribed.
    Ping,
    /// `HELLO [version …]`.
    Hello,
    /// `INFO [section …]`.
    Info,
    /// `CONFIG GET name …`.
    ConfigGet,
    /// `CLIENT ID`.
    ClientId,
    /// `CLIENT GETNAME`.
    ClientGetName,
    /// `CLIENT SETNAME name`.
    ClientSetName,
}

/// A command that a client can name.
pub struct Command {
    /// Its name, in lower case; that of a subcommand is `config|get`.
    pub name: &'static str,
    /// Its name folded for comparison.
    word: u128,
    /// The number of arguments, the name (and the subcommand's) included; `-n` means n or more.
    arity: i8,
    flags: &'static [&'static str],
    /// Where its keys are: first, last (-1: the last argument), step.
    keys: (i8, i8, i8),
    action: Action,
}

#[derive(Clone, Copy)]
enum Action {
    /// Runs against the store.
    Data(fn(&mut Call<'_>)),
    /// Needs the connection.
    Connection(Outcome),
    /// Its second argument names one of these.
    Container(&'static [Command]),
}

/// A command being run: its arguments, what it works on, and where its reply goes.
struct Call<'a> {
    request: Request<'a>,
    store: &'a mut Store,
    now: Millis,
    out: &'a mut Vec<u8>,
}

const READ: &[&str] = &["readonly", "fast"];
const WRITE: &[&str] = &["write", "denyoom"];
const DELETE: &[&str] = &["write"];
const OTHER: &[&str] = &["loading", "stale", "fast"];
const PUBSUB: &[&str] = &["pubsub", "loading", "stale"];
const ADMIN: &[&str] = &["admin", "loading", "stale"];

const NO_KEYS: (i8, i8, i8) = (0, 0, 0);
const ONE_KEY: (i8, i8, i8) = (1, 1, 1);
const ALL_KEYS: (i8, i8, i8) = (1, -1, 1);
const KEYS_AND_VALUES: (i8, i8, i8) = (1, -1, 2);

/// All commands. They are searched from the top, so the busy ones come first.
static COMMANDS: &[Command] = &[
    Command::data("get", 2, READ, ONE_KEY, strings::get),
    Command::data("set", -3, WRITE, ONE_KEY, strings::set),
    Command::data("incr", 2, WRITE, ONE_KEY, strings::incr),
    Command::data("mget", -2, READ, ALL_KEYS, strings::mget),
    Command::data("mset", -3, WRITE, KEYS_AND_VALUES, strings::mset),
    Command::data("del", -2, DELETE, ALL_KEYS, keys::del),
    Command::data("exists", -2, READ, ALL_KEYS, keys::exists),
    Command::data("expire", -3, DELETE, ONE_KEY, expiry::expire),
    Command::data("ttl", 2, READ, ONE_KEY, expiry::ttl),
    Command::connection("publish", 3, PUBSUB, Outcome::Publish),
    Command::connection("ping", -1, OTHER, Outcome::Ping),
    Command::data("incrby", 3, WRITE, ONE_KEY, strings::incrby),
    Command::data("decr", 2, WRITE, ONE_KEY, strings::decr),
    Command::data("decrby", 3, WRITE, ONE_KEY, strings::decrby),
    Command::data("append", 3, WRITE, ONE_KEY, strings::append),
    Command::data("strlen", 2, READ, ONE_KEY, strings::strlen),
    Command::data("setex", 4, WRITE, ONE_KEY, strings::setex),
    Command::data("psetex", 4, WRITE, ONE_KEY, strings::psetex),
    Command::data("setnx", 3, WRITE, ONE_KEY, strings::setnx),
    Command::data("getset", 3, WRITE, ONE_KEY, strings::getset),
    Command::data("getdel", 2, WRITE, ONE_KEY, strings::getdel),
    Command::data("pexpire", -3, DELETE, ONE_KEY, expiry::pexpire),
    Command::data("expireat", -3, DELETE, ONE_KEY, expiry::expireat),
    Command::data("pexpireat", -3, DELETE, ONE_KEY, expiry::pexpireat),
    Command::data("pttl", 2, READ, ONE_KEY, expiry::pttl),
    Command::data("persist", 2, DELETE, ONE_KEY, expiry::persist),
    Command::data("unlink", -2, DELETE, ALL_KEYS, keys::del),
    Command::data("type", 2, READ, ONE_KEY, keys::kind),
    Command::data("dbsize", 1, READ, NO_KEYS, keys::dbsize),
    Command::data("flushall", -1, DELETE, NO_KEYS, keys::flush),
    Command::data("flushdb", -1, DELETE, NO_KEYS, keys::flush),
    Command::connection("subscribe", -2, PUBSUB, Outcome::Subscribe),
    Command::connection("unsubscribe", -1, PUBSUB, Outcome::Unsubscribe),
    Command::data("echo", 2, OTHER, NO_KEYS, about::echo),
    Command::data("select", 2, OTHER, NO_KEYS, about::select),
    Command::connection("quit", -1, OTHER, Outcome::Quit),
    Command::connection("reset", 1, OTHER, Outcome::Reset),
    Command::connection("hello", -1, OTHER, Outcome::Hello),
    Command::connection("info", -1, OTHER, Outcome::Info),
    Command::container("command", -1, OTHER, COMMAND),
    Command::container("config", -2, ADMIN, CONFIG),
    Command::container("client", -2, ADMIN, CLIENT),
];

static COMMAND: &[Command] = &[
    Command::data("command|count", 2, OTHER, NO_KEYS, about::command_count),
    Command::data("command|docs", -2, OTHER, NO_KEYS, about::command_docs),
    Command::data("command|info", -2, OTHER, NO_KEYS, about::command_info),
    Command::data("command|list", 2, OTHER, NO_KEYS, about::command_list),
];

static CONFIG: &[Command] = &[
    Command::connection("config|get", -3, ADMIN, Outcome::ConfigGet),
    Command::data("config|resetstat", 2, ADMIN, NO_KEYS, about::accept),
];

static CLIENT: &[Command] = &[
    Command::connection("client|id", 2, OTHER, Outcome::ClientId),
    Command::connection("client|getname", 2, OTHER, Outcome::ClientGetName),
    Command::connection("client|setname", 3, OTHER, Outcome::ClientSetName),
    Command::data("client|setinfo", 4, OTHER, NO_KEYS, about::accept),
    Command::data("client|no-evict", 3, ADMIN, NO_KEYS, about::accept),
];

impl Command {
    const fn data(
        name: &'static str,
        arity: i8,
        flags: &'static [&'static str],
        keys: (i8, i8, i8),
        run: fn(&mut Call<'_>),
    ) -> Self {
        Self { name, word: own_word(name), arity, flags, keys, action: Action::Data(run) }
    }

    const fn connection(name: &'static str, arity: i8, flags: &'static [&'static str], outcome: Outcome) -> Self {
        Self { name, word: own_word(name), arity, flags, keys: NO_KEYS, action: Action::Connection(outcome) }
    }

    const fn container(
        name: &'static str,
        arity: i8,
        flags: &'static [&'static str],
        subcommands: &'static [Command],
    ) -> Self {
        Self { name, word: own_word(name), arity, flags, keys: NO_KEYS, action: Action::Container(subcommands) }
    }

    /// Runs the command. The reply is appended to `out`, unless the outcome leaves that to the connection.
    #[inline]
    pub fn run(&self, request: Request<'_>, store: &mut Store, now: Millis, out: &mut Vec<u8>) -> Outcome {
        match self.action {
            Action::Data(run) => run(&mut Call { request, store, now, out }),
            Action::Connection(outcome) => return outcome,
            // Only a bare `COMMAND` is not resolved to a subcommand.
            Action::Container(_) => about::command_all(out),
        }
        Outcome::Continue
    }

    fn takes(&self, arguments: usize) -> bool {
        match usize::from(self.arity.unsigned_abs()) {
            exactly if self.arity > 0 => arguments == exactly,
            at_least => arguments >= at_least,
        }
    }
}

/// The command that `request`, which must not be empty, names, if the number of its arguments is right. If not, the
/// error is appended to `out`.
#[inline]
pub fn resolve(request: Request<'_>, out: &mut Vec<u8>) -> Option<&'static Command> {
    let Some(command) = find(COMMANDS, request.arg(0)) else {
        unknown_command(request, out);
        return None;
    };
    if let Action::Container(subcommands) = command.action
        && request.len() > 1
    {
        return resolve_in(command, subcommands, request, out);
    }
    if !command.takes(request.len()) {
        wrong_arity(command.name, out);
        return None;
    }
    Some(command)
}

fn resolve_in(
    container: &Command,
    subcommands: &'static [Command],
    request: Request<'_>,
    out: &mut Vec<u8>,
) -> Option<&'static Command> {
    let Some(command) = find(subcommands, request.arg(1)) else {
        let name = container.name.to_ascii_uppercase();
        let given = printable(request.arg(1), 128);
        resp::error(out, &[b"ERR unknown subcommand '", given, b"'. Try ", name.as_bytes(), b" HELP."]);
        return None;
    };
    if !command.takes(request.len()) {
        wrong_arity(command.name, out);
        return None;
    }
    Some(command)
}

#[inline]
fn find(commands: &'static [Command], name: &[u8]) -> Option<&'static Command> {
    if name.len() > size_of::<u128>() {
        return None;
    }
    let word = fold(name);
    commands.iter().find(|command| command.word == word)
}

/// A name of up to 16 bytes as a number that is the same in upper and lower case.
///
/// Setting bit 5 makes `G` and `g` the same and nothing else a letter, and leaves no byte zero, so that names of
/// different lengths differ.
#[inline]
const fn fold(name: &[u8]) -> u128 {
    let mut word = 0;
    let mut i = 0;
    while i < name.len() {
        word = word << 8 | (name[i] | 0x20) as u128;
        i += 1;
    }
    word
}

/// The folded name, without the `config|` of a subcommand's.
const fn own_word(name: &str) -> u128 {
    let mut own = name.as_bytes();
    let mut rest = own;
    while let [byte, tail @ ..] = rest {
        if *byte == b'|' {
            own = tail;
        }
        rest = tail;
    }
    assert!(own.len() <= size_of::<u128>());
    fold(own)
}

#[cold]
fn unknown_command(request: Request<'_>, out: &mut Vec<u8>) {
    let mut arguments = Vec::new();
    for argument in request.args(1) {
        if arguments.len() >= 128 {
            break;
        }
        let shown = printable(argument, 128 - arguments.len());
        arguments.extend(b"'".iter().chain(shown).chain(b"' "));
    }
    let name = printable(request.arg(0), 128);
    resp::error(out, &[b"ERR unknown command '", name, b"', with args beginning with: ", &arguments]);
}

/// What C's `%.{limit}s` prints of `text`.
fn printable(text: &[u8], limit: usize) -> &[u8] {
    let end = text.iter().take(limit).position(|&byte| byte == 0).unwrap_or(text.len().min(limit));
    &text[..end]
}

#[cold]
fn wrong_arity(name: &str, out: &mut Vec<u8>) {
    resp::error(out, &[b"ERR wrong number of arguments for '", name.as_bytes(), b"' command"]);
}

#[cold]
fn syntax_error(out: &mut Vec<u8>) {
    resp::error(out, &[b"ERR syntax error"]);
}

/// Argument `index` as an integer; if it is none, the error is the reply.
fn integer(call: &mut Call<'_>, index: usize) -> Option<i64> {
    let value = resp::integer(call.request.arg(index));
    if value.is_none() {
        resp::error(call.out, &[b"ERR value is not an integer or out of range"]);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case_and_only_whole() {
        for command in COMMANDS {
            for name in [command.name.to_owned(), command.name.to_uppercase()] {
                assert_eq!(find(COMMANDS, name.as_bytes()).map(|found| found.name), Some(command.name));
            }
            for wrong in [format!("{} ", command.name), format!(" {}", command.name), format!("\0{}", command.name)] {
                assert!(find(COMMANDS, wrong.as_bytes()).is_none(), "{wrong:?}");
            }
        }
        for wrong in [&b""[..], b"ge", b"gett", b"GE\x14", b"subscribesubscribe", &[b'g'; 1000]] {
            assert!(find(COMMANDS, wrong).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn names_are_distinct() {
        for commands in [COMMANDS, COMMAND, CONFIG, CLIENT] {
            for (i, command) in commands.iter().enumerate() {
                assert!(commands[i + 1..].iter().all(|other| other.word != command.word), "{}", command.name);
            }
        }
    }
}
