//! hyper, unchanged, over coop's streams: an HTTP/1.1 and HTTP/2 server that ends without losing a request.
//!
//! ```text
//! cargo run --release -p examples --bin hyper &
//! curl localhost:7380/
//! curl --http2-prior-knowledge -d hello localhost:7380/echo
//! curl localhost:7380/tasks
//! ```
//!
//! Each connection is a task, in which `block_on` runs hyper's future; each stream of an HTTP/2 connection is a task below it,
//! spawned by hyper through [`Executor`]. The handlers are `async`, as hyper wants them; one of them awaits a task that blocks.
//! hyper's timers run on the Cooperator's clock ([`Timer`]).
//!
//! Ctrl-c: no more connections; those there are answer what they have been asked and close (`hyper_util`'s graceful shutdown);
//! after a grace they are killed, which drops their futures.

mod handlers;
mod options;

use std::{io, process::ExitCode};

use clap::Parser;
use coop::{
    block_on,
    future::{Async, Executor, Timer},
    net::{TcpListener, TcpStream},
};
use examples::{Stop, say, while_doing};
use hyper::service::service_fn;
use hyper_util::server::{
    conn::auto,
    graceful::{GracefulShutdown, Watcher},
};
use options::Options;

#[coop::main]
fn main() -> ExitCode {
    examples::exit("hyper", run(Options::parse()))
}

fn run(options: Options) -> io::Result<()> {
    let cannot = format!("cannot listen at {}", options.address());
    let listener = TcpListener::bind(options.address()).map_err(while_doing(cannot))?;
    let stop = Stop::listen()?;
    say(format_args!("hyper listens at {}", listener.local_addr()?));

    let connections = GracefulShutdown::new();
    coop::scope(|s| {
        let listener = listener;
        stop.accept_until(&listener, |(conn, _)| {
            serve::spawn_in(s, conn, connections.watcher(), options.clone());
        })?;
        drop(listener);
        let count = connections.count();
        let ended = coop::timeout(options.grace, || Ok(block_on(connections.shutdown())?));
        match &ended {
            Err(error) if io::Error::kind(error) == io::ErrorKind::TimedOut => {
                say(format_args!("hyper stops; not all of {count} connections have ended in time"));
            }
            _ => say(format_args!("hyper stops; {count} connections have ended")),
        }
        s.kill();
        Ok(())
    })
}

/// A client's task.
#[coop::task(name = "connection")]
fn serve(conn: TcpStream, watcher: Watcher, options: Options) {
    // Who connects and says nothing is not waited for. Up to here this is coop, from here on it is hyper.
    let said_something = coop::timeout(options.patience, || conn.peek(&mut [0]));
    if !matches!(said_something, Ok(1)) || conn.set_nodelay(true).is_err() {
        return;
    }
    let mut builder = auto::Builder::new(Executor::new());
    builder.http1().timer(Timer).header_read_timeout(options.patience);
    builder.http2().timer(Timer);
    let connection = builder.serve_connection(Async::new(conn), service_fn(handlers::answer));
    match block_on(watcher.watch(connection)) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => eprintln!("a connection fails: {error}"),
        // Killed: the grace is over.
        Err(_) => {}
    }
}
