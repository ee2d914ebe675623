//! A key-value store that speaks the Redis protocol: `redis-cli`, `redis-benchmark` and client libraries work with it.
//!
//! ```text
//! cargo run --release -p examples --bin kv &
//! redis-cli -p 7379 set greeting hello
//! redis-benchmark -p 7379 -t get,set -P 16 -q
//! ```
//!
//! Each client is a task, which reads as if it were alone; all of them are on one thread, so a command is atomic without
//! a lock.
//!
//! | file | what it holds | waits |
//! |---|---|---|
//! | [`main`](self) | the root task: accepts until a signal comes | yes |
//! | [`connection`] | a client's task | yes |
//! | [`expiry`] | the task that removes old keys | yes |
//! | [`outbox`] | from a publisher to a subscriber's task | no |
//! | [`session`] | received bytes to bytes to send | no |
//! | [`server`] | what all sessions share | no |
//! | [`commands`], [`pubsub`], [`store`] | what the commands do | no |
//! | [`input`], [`resp`], [`bytes`], [`options`] | buffer, protocol, strings, command line | no |

mod bytes;
mod commands;
#[cfg(test)]
mod conformance;
mod connection;
mod expiry;
mod input;
mod options;
mod outbox;
mod pubsub;
mod resp;
mod server;
mod session;
mod store;
#[cfg(test)]
mod testing;

use std::{io, process::ExitCode};

use clap::Parser;
use coop::net::TcpListener;
use examples::{Stop, say, while_doing};
use options::Options;
use outbox::Outbox;
use server::Server;

#[coop::main]
fn main() -> ExitCode {
    examples::exit("kv", run(Options::parse()))
}

fn run(mut options: Options) -> io::Result<()> {
    let cannot = format!("cannot listen at {}", options.address());
    let listener = TcpListener::bind(options.address()).map_err(while_doing(cannot))?;
    let stop = Stop::listen()?;
    let address = listener.local_addr()?;
    options.port = address.port();
    let server = Server::<Outbox>::new(options, connection::now());
    say(format_args!("kv listens at {address}"));

    let ended = coop::scope(|s| {
        expiry::remove_expired::spawn_in(s, server.clone());
        stop.accept_until(&listener, |(conn, _)| {
            connection::serve::spawn_in(s, conn, server.clone());
        })?;
        s.kill();
        Ok(())
    });
    // Only here have all connections ended, and the figures stopped moving.
    let stats = &server.borrow().stats;
    say(format_args!("kv stops after {} commands of {} clients", stats.commands, stats.connections));
    ended
}
