//! A TCP proxy: what comes to one address goes to another, and back.
//!
//! ```text
//! cargo run -p examples --bin proxy -- --listen 127.0.0.1:7001 --upstream 127.0.0.1:7379
//! redis-cli -p 7001 ping
//! ```
//!
//! ```text
//!   root ── scope ──┬── relay ── scope ──┬── pump: client ──► upstream
//!                   │                    └── pump: upstream ──► client
//!                   └── relay …
//! ```
//!
//! The tasks borrow: the relays what the root has made, the pumps both sockets of their relay. Nothing is counted, cloned or
//! locked for that, since a scope does not return before its tasks have ended.
//!
//! Ends are passed on as what they are. When one side closes its sending half, so does the proxy on the other side, and the
//! other direction goes on. When one side resets the connection, so does the proxy: an end would tell the other side
//! that it had received everything.

use std::{
    cell::Cell,
    fmt, io,
    net::{Shutdown, SocketAddr, ToSocketAddrs},
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use coop::{
    Cause, Killed, TaskBuilder,
    net::{TcpListener, TcpStream},
    op,
};
use examples::{Stop, deliver, discard, say, while_doing};

/// Passes TCP connections on to another address.
#[derive(Parser, Clone, Debug)]
#[command(name = "proxy")]
struct Options {
    /// Address to listen at; port 0 lets the kernel choose
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7001")]
    listen: SocketAddr,

    /// Where connections go. A name is looked up once, at the start; of several addresses the first that answers is used
    #[arg(long, value_name = "HOST:PORT")]
    upstream: String,

    /// Seconds to wait for the upstream to answer; fractions are allowed
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = examples::seconds)]
    connect_timeout: Duration,

    /// Seconds that a peer has, when the proxy stops, to read what was on its way to it
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = examples::seconds)]
    grace: Duration,
}

/// What all connections share.
struct Proxy {
    options: Options,
    upstream: Vec<SocketAddr>,
    statistics: Statistics,
}

/// What has happened.
#[derive(Default)]
struct Statistics {
    connections: Cell<u64>,
    /// Of those, the ones for which the upstream could not be reached.
    refused: Cell<u64>,
    /// Of those, the ones that a reset or another error ended.
    broken: Cell<u64>,
    bytes_up: Cell<u64>,
    bytes_down: Cell<u64>,
}

#[coop::main]
fn main() -> ExitCode {
    examples::exit("proxy", run(Options::parse()))
}

fn run(options: Options) -> io::Result<()> {
    let upstream = options.upstream.to_socket_addrs();
    let upstream = upstream.map_err(while_doing(format!("cannot use {} as upstream", options.upstream)))?;
    let listener = TcpListener::bind(options.listen);
    let listener = listener.map_err(while_doing(format!("cannot listen at {}", options.listen)))?;
    let stop = Stop::listen()?;
    say(format_args!("proxy listens at {} for {}", listener.local_addr()?, options.upstream));

    let proxy = Proxy { options, upstream: upstream.collect(), statistics: Statistics::default() };
    let result = coop::scope(|s| {
        stop.accept_until(&listener, |(client, _)| {
            let relay = || relay(client, &proxy);
            TaskBuilder::new().name("relay").stack(32 << 10).spawn_in(s, relay);
        })?;
        s.kill();
        Ok(())
    });
    // Only here have all relays ended, and the figures stopped moving.
    say(&proxy.statistics);
    result
}

/// Connects a client with the upstream, until both have closed.
fn relay(client: TcpStream, proxy: &Proxy) {
    let Proxy { options, statistics, .. } = proxy;
    add(&statistics.connections, 1);
    let connected = coop::timeout(options.connect_timeout, || -> io::Result<_> {
        let upstream = TcpStream::connect(&proxy.upstream[..])?;
        // What comes in pieces goes on in pieces.
        upstream.set_nodelay(true)?;
        client.set_nodelay(true)?;
        Ok(upstream)
    });
    let upstream = match connected {
        Ok(upstream) => upstream,
        Err(error) => {
            if !Killed::is(&error) {
                add(&statistics.refused, 1);
                eprintln!("proxy: a client is turned away, the upstream cannot be reached: {error}");
            }
            return reset(&client);
        }
    };
    let ended = coop::scope(|s| {
        for (from, to, bytes) in
            [(&client, &upstream, &statistics.bytes_up), (&upstream, &client, &statistics.bytes_down)]
        {
            // The error of one direction kills the other.
            s.try_spawn(move || pump(from, to, bytes, options.grace));
        }
        Ok(())
    });
    if let Err(error) = ended
        && !Killed::is(&error)
    {
        add(&statistics.broken, 1);
        reset(&client);
        reset(&upstream);
    }
}

/// Passes on what comes from `from`, and then the end.
fn pump(from: &TcpStream, to: &TcpStream, bytes: &Cell<u64>, grace: Duration) -> io::Result<()> {
    let mut buf = [0; 32 * 1024];
    loop {
        let n = match from.recv(&mut buf) {
            Err(error) if Killed::is(&error) => {
                // The other direction is broken, and both ends will be reset. To end one before would tell it that all is well.
                if other_is_broken() {
                    return Ok(());
                }
                // The proxy stops. The kill would be told again at the next wait, but for the shield.
                return coop::shield(grace, || pump_the_rest(from, to, &mut buf, bytes));
            }
            result => result?,
        };
        if n == 0 {
            // The kernel tells of a reset once, and then it looks like an end. If it has told the other direction, that is ready
            // to run, and its error kills this one.
            let _ = coop::yield_now();
            if other_is_broken() {
                return Ok(());
            }
            // That the other side has gone meanwhile, the other direction finds out.
            let _ = to.shutdown(Shutdown::Write);
            return Ok(());
        }
        pass(&buf[..n], to, bytes, grace)?;
    }
}

/// Whether the error of the other direction has killed this one.
fn other_is_broken() -> bool {
    coop::kill_cause().is_some_and(|killed| killed.cause() == Cause::Sibling)
}

/// Passes on what has come by now, and waits for no more.
fn pump_the_rest(from: &TcpStream, to: &TcpStream, buf: &mut [u8], bytes: &Cell<u64>) -> io::Result<()> {
    let mut is_sending = false;
    loop {
        let n = coop::select! {
            n = op::recv(from, buf) => n?,
            default => 0,
        }?;
        if n == 0 {
            break;
        }
        is_sending = true;
        // Behind a shield already.
        pass(&buf[..n], to, bytes, Duration::ZERO)?;
    }
    to.shutdown(Shutdown::Write)?;
    // What it sends on must not make a reset of the close. It sees an end too, when the other direction has come to it.
    if is_sending { discard(from) } else { Ok(()) }
}

/// Sends what was received, and counts what was sent.
fn pass(received: &[u8], to: &TcpStream, bytes: &Cell<u64>, grace: Duration) -> io::Result<()> {
    let (sent, result) = deliver(to, received, grace);
    add(bytes, sent as u64);
    result
}

/// Lets the close that comes reset the connection, so that its peer sees an error and no end.
fn reset(conn: &TcpStream) {
    // A connection that is gone already needs no reset.
    let _ = socket2::SockRef::from(conn).set_linger(Some(Duration::ZERO));
}

fn add(counter: &Cell<u64>, more: u64) {
    counter.set(counter.get() + more);
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, refused, broken, bytes_up, bytes_down } = self;
        write!(
            f,
            "proxy stops after {} connections ({} without an upstream, {} broken): {} bytes up, {} bytes down",
            connections.get(),
            refused.get(),
            broken.get(),
            bytes_up.get(),
            bytes_down.get()
        )
    }
}
