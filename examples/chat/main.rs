//! Rooms to talk in, for line clients over TCP and for WebSocket clients, together.
//!
//! ```text
//! cargo run -p examples --bin chat -- --lines 127.0.0.1:7090 --websockets 127.0.0.1:7091
//! nc 127.0.0.1 7090
//! websocat ws://127.0.0.1:7091
//! ```
//!
//! A client is one task. It waits for its client's bytes and for its room's messages at once; an arm of `select!` that
//! does not win has taken nothing, so neither is ever lost to the other. A room is a broadcast channel: all members get
//! the same messages in the same order, their own too. Sending into it never waits: a member that reads more slowly
//! than the others talk lags by a bounded number of messages, and is told how many it has missed; one that reads
//! nothing at all is dropped.
//!
//! | file | what it holds | waits |
//! |---|---|---|
//! | [`main`](self) | the root task: accepts until a signal comes | yes |
//! | [`session`] | a client's task | yes |
//! | [`wire`] | lines over TCP, and over WebSocket | yes |
//! | [`hub`] | rooms, members, commands | no |
//! | [`options`] | the command line | no |

mod hub;
mod options;
mod session;
mod wire;

use std::{io, process::ExitCode};

use clap::Parser;
use coop::{
    TaskBuilder,
    net::{TcpListener, TcpStream},
};
use examples::{Stop, accept_all, say, while_doing};
use hub::Hub;
use options::Options;

#[coop::main]
fn main() -> ExitCode {
    examples::exit("chat", run(Options::parse()))
}

fn run(options: Options) -> io::Result<()> {
    let listen = |address| TcpListener::bind(address).map_err(while_doing(format_args!("cannot listen at {address}")));
    let (lines, websockets) = (listen(options.lines)?, listen(options.websockets)?);
    let stop = Stop::listen()?;
    let (for_lines, for_websockets) = (lines.local_addr()?, websockets.local_addr()?);
    say(format_args!("chat listens at {for_lines} for lines, and at {for_websockets} for WebSocket clients"));

    let hub = Hub::new(options.backlog);
    let ended = coop::scope(|s| {
        let (hub, options) = (&hub, &options);
        let serve = move |conn: TcpStream, name, talk: fn(TcpStream, &Hub, &Options)| {
            TaskBuilder::new().name(name).stack(128 << 10).spawn_in(s, move || talk(conn, hub, options));
        };
        s.try_spawn(move || accept_all(&lines, |(conn, _)| serve(conn, "lines", session::lines)));
        s.try_spawn(move || accept_all(&websockets, |(conn, _)| serve(conn, "websocket", session::websocket)));
        stop.wait()?;
        hub.stop();
        s.kill();
        Ok(())
    });
    // Only here have all clients gone, and the figures stopped moving.
    say(format_args!("chat stops after {} messages of {} clients", hub.messages(), hub.clients()));
    ended
}
