//! Commands about the server and the commands themselves: what a client library asks before it starts.

use super::{Action, COMMANDS, Call, Command, find};
use crate::resp;

pub(super) fn echo(call: &mut Call<'_>) {
    resp::bulk(call.out, call.request.arg(1));
}

/// `SELECT`: there is database 0 and no other.
pub(super) fn select(call: &mut Call<'_>) {
    match resp::integer(call.request.arg(1)).map(i32::try_from) {
        Some(Ok(0)) => resp::ok(call.out),
        Some(Ok(_)) => resp::error(call.out, &[b"ERR DB index is out of range"]),
        Some(Err(_)) => {
            resp::error(call.out, &[b"ERR value is out of range, value must between -2147483648 and 2147483647"])
        }
        None => resp::error(call.out, &[b"ERR value is not an integer or out of range"]),
    }
}

/// Says OK to what has no effect here.
pub(super) fn accept(call: &mut Call<'_>) {
    resp::ok(call.out);
}

pub(super) fn command_count(call: &mut Call<'_>) {
    resp::number(call.out, COMMANDS.len() as i64);
}

/// `COMMAND DOCS`, from which redis-cli would make its hints: there are no docs.
pub(super) fn command_docs(call: &mut Call<'_>) {
    resp::array(call.out, 0);
}

pub(super) fn command_list(call: &mut Call<'_>) {
    resp::array(call.out, COMMANDS.len());
    for command in COMMANDS {
        resp::bulk(call.out, command.name.as_bytes());
    }
}

pub(super) fn command_info(call: &mut Call<'_>) {
    if call.request.len() == 2 {
        return command_all(call.out);
    }
    resp::array(call.out, call.request.len() - 2);
    for name in call.request.args(2) {
        match find(COMMANDS, name) {
            Some(command) => describe(command, call.out),
            None => resp::null(call.out),
        }
    }
}

pub(super) fn command_all(out: &mut Vec<u8>) {
    resp::array(out, COMMANDS.len());
    for command in COMMANDS {
        describe(command, out);
    }
}

/// Name, arity, flags, first key, last key, step; then what is empty here: ACL categories, tips, key specifications;
/// then the subcommands.
fn describe(command: &Command, out: &mut Vec<u8>) {
    resp::array(out, 10);
    resp::bulk(out, command.name.as_bytes());
    resp::number(out, command.arity.into());
    resp::array(out, command.flags.len());
    for flag in command.flags {
        resp::simple(out, flag);
    }
    let (first, last, step) = command.keys;
    for position in [first, last, step] {
        resp::number(out, position.into());
    }
    for _ in ["categories", "tips", "key specifications"] {
        resp::array(out, 0);
    }
    let subcommands = match command.action {
        Action::Container(subcommands) => subcommands,
        _ => &[],
    };
    resp::array(out, subcommands.len());
    for subcommand in subcommands {
        describe(subcommand, out);
    }
}
