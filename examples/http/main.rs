//! A file server for HTTP/1.1: ranges, conditional requests, gzip, directory listings; one thread or many.
//!
//! ```text
//! cargo run --release -p examples --bin http -- --listen 127.0.0.1:7080 --cooperators per-core /usr/share/doc
//! curl --compressed http://127.0.0.1:7080/
//! ```
//!
//! A connection is a task, which reads as if it were alone. Each Cooperator has a listener of its own at the same port
//! (SO_REUSEPORT), and shares nothing with the others but the directory.
//!
//! | file | what it holds | waits |
//! |---|---|---|
//! | [`main`](self) | the root task: starts the Cooperators' servers, waits for a signal | yes |
//! | [`server`] | one Cooperator: accepts, and what its connections share | yes |
//! | [`connection`] | a client's task | yes |
//! | [`answer`] | from a request to an answer | for disk and pool |
//! | [`site`] | the directory: no name leads out of it | for the disk |
//! | [`listing`], [`log`] | directories as pages; the access log | yes |
//! | [`patience`] | what is still done when the server stops | no |
//! | [`cache`] | small files, ready to be sent | no |
//! | [`request`], [`target`], [`range`], [`encoding`] | what a client wants | no |
//! | [`facts`], [`head`], [`status`] | what it is told | no |
//! | [`input`], [`options`] | buffer, command line | no |
//!
//! What it does not do: methods other than GET and HEAD, bodies of requests (short ones are received and forgotten),
//! ranges of compressed files (a request for a range gets the file's own bytes), TLS (see the example `tls-proxy`).

mod answer;
mod cache;
mod connection;
mod encoding;
mod facts;
mod head;
mod input;
mod listing;
mod log;
mod options;
mod patience;
mod range;
mod request;
mod server;
mod site;
mod status;
mod target;

use std::{convert::Infallible, io, net::SocketAddr, process::ExitCode, sync::Arc};

use clap::Parser;
use coop::{
    Builder,
    chan::passage,
    net::{TcpListener, TcpSocket},
    op,
};
use examples::{Stop, say, while_doing};
use options::Options;
use server::Statistics;
use site::Site;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;

fn main() -> ExitCode {
    let options = Options::parse();
    let ended = Builder::new().cooperators(options.cooperators).run(|| run(options));
    examples::exit("http", ended.map_err(io::Error::other).flatten())
}

fn run(options: Options) -> io::Result<()> {
    let site = Site::open(&options.root);
    let site = Arc::new(site.map_err(while_doing(format_args!("cannot serve {}", options.root.display())))?);
    let listeners = listen(options.listen, options.cooperators);
    let listeners = listeners.map_err(while_doing(format_args!("cannot listen at {}", options.listen)))?;
    let signals = Stop::listen()?;
    say(format_args!("http listens at {}", listeners[0].local_addr()?));

    let options = Arc::new(options);
    let (go_on, stop) = passage::<Infallible>(1);
    let (ended, an_end) = passage(options.cooperators);
    let mut servers = Vec::new();
    for (remote, listener) in coop::cooperators().iter().zip(listeners) {
        let (options, site, stop, ended) = (options.clone(), site.clone(), stop.clone(), ended.clone());
        let serve = move || {
            let result = server::serve(&listener, options, site, &stop);
            // There is room for one of each.
            let _ = ended.try_send(());
            result
        };
        let server = remote.submit(serve);
        servers.push(server.map_err(|_| io::Error::other("a Cooperator has ended"))?);
    }
    let stopped = signals.wait_or(op::receive(&an_end));
    // That nobody holds it is the sign to stop.
    drop(go_on);
    let results = servers.iter_mut().map(|server| server.join()?);
    let results: Vec<io::Result<Statistics>> = results.collect();
    let Statistics { connections, requests, broken } = results.iter().flatten().copied().sum();
    say(format_args!("http stops after {requests} requests over {connections} connections ({broken} broken)"));
    stopped?;
    results.into_iter().try_for_each(|result| result.map(drop))
}

/// So many listeners at one address.
fn listen(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    let mut address = address;
    let mut listeners = Vec::new();
    for _ in 0..count {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        // One alone does not share its address with whoever comes.
        socket.set_reuseport(count > 1)?;
        socket.bind(address)?;
        // The first may have been given a port.
        address = socket.local_addr()?;
        listeners.push(socket.listen(BACKLOG)?);
    }
    Ok(listeners)
}
