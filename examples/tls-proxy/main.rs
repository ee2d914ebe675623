//! A TLS proxy: takes TLS connections and passes on what is in them over plain TCP, or with `--client` the other way round.
//!
//! ```text
//! openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -addext subjectAltName=DNS:localhost \
//!     -keyout key.pem -out cert.pem
//! cargo run -p examples --bin tls-proxy -- --certificate cert.pem --key key.pem --upstream 127.0.0.1:8080
//! curl --cacert cert.pem https://localhost:7002/
//!
//! cargo run -p examples --bin tls-proxy -- --client --ca cert.pem --listen 127.0.0.1:7003 --upstream localhost:7002
//! curl http://localhost:7003/
//! ```
//!
//! ```text
//!   root ── scope ──┬── relay: handshake, then scope ──┬── open: TLS ──► plain
//!                   │                                  └── seal: plain ──► TLS
//!                   └── relay …
//! ```
//!
//! Ends are passed on as what they are: a close_notify as the end of a stream, and that as a close_notify, while the other
//! direction goes on. A connection that breaks off, by a reset or without a close_notify, becomes a reset: an end would tell the
//! other side that it had received everything. For the same reason the proxy says no close_notify when it is stopped: it
//! delivers what it has, and hangs up.

use std::{
    cell::Cell,
    fmt, io,
    net::{Shutdown, SocketAddr},
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use coop::{
    Cause, Killed,
    net::{TcpListener, TcpStream},
    op,
};
use examples::{Stop, deliver, discard, say, while_doing};

mod options;
mod tls;

use options::{Options, Side};
use tls::Tls;

/// What all connections share.
struct Proxy {
    options: Options,
    side: Side,
    statistics: Statistics,
}

/// What has happened.
#[derive(Default)]
struct Statistics {
    live: Cell<u64>,
    connections: Cell<u64>,
    /// Of those, the ones that were too many.
    turned_away: Cell<u64>,
    /// Of those, the ones for which the upstream could not be reached.
    unreachable: Cell<u64>,
    /// Of those, the ones with which no keys were agreed on.
    handshakes_failed: Cell<u64>,
    /// Of those, the ones that a reset, a missing close_notify or another error ended.
    broken: Cell<u64>,
    /// Of those, the ones on which nothing moved any more.
    idle: Cell<u64>,
    bytes_up: Cell<u64>,
    bytes_down: Cell<u64>,
}

#[coop::main]
fn main() -> ExitCode {
    examples::exit("tls-proxy", run(Options::parse()))
}

fn run(options: Options) -> io::Result<()> {
    let side = Side::new(&options)?;
    let listener = TcpListener::bind(options.listen);
    let listener = listener.map_err(while_doing(format!("cannot listen at {}", options.listen)))?;
    let stop = Stop::listen()?;
    say(format_args!("tls-proxy listens at {} for {}", listener.local_addr()?, options.upstream));

    let proxy = Proxy { options, side, statistics: Statistics::default() };
    let result = coop::scope(|s| {
        stop.accept_until(&listener, |(client, address)| {
            let Statistics { live, connections, turned_away, .. } = &proxy.statistics;
            add(connections, 1);
            if live.get() >= proxy.options.max_connections.into() {
                add(turned_away, 1);
                return reset(&client);
            }
            live.set(live.get() + 1);
            let proxy = &proxy;
            s.spawn(move || {
                relay(client, address, proxy);
                live.set(live.get() - 1);
            });
        })?;
        s.kill();
        Ok(())
    });
    // Only here have all relays ended, and the figures stopped moving.
    say(&proxy.statistics);
    result
}

/// Connects a client with the upstream, until both have closed.
fn relay(client: TcpStream, address: SocketAddr, proxy: &Proxy) {
    let Some((tls, plain)) = connect(client, proxy) else { return };
    let Proxy { options, side, statistics } = proxy;
    if options.verbose {
        say(format_args!("{address}: {tls}"));
    }
    let (opened, sealed) = match side {
        Side::Server(_) => (&statistics.bytes_up, &statistics.bytes_down),
        Side::Client(..) => (&statistics.bytes_down, &statistics.bytes_up),
    };
    let relay = Relay { tls, plain, options, moved: Cell::new(Instant::now()) };
    let ended = coop::scope(|s| {
        // The error of one direction kills the other.
        s.try_spawn(|| relay.open(opened));
        s.try_spawn(|| relay.seal(sealed));
        Ok(())
    });
    if let Err(error) = ended
        && !Killed::is(&error)
    {
        add(if Idle::is(&error) { &statistics.idle } else { &statistics.broken }, 1);
        if options.verbose {
            say(format_args!("{address}: {error}"));
        }
        reset(&relay.plain);
        if error.kind() == io::ErrorKind::InvalidData {
            // What is wrong with its records, the peer should know: rustls has an alert for it. There is no close_notify after
            // that, so that nobody takes it for an end.
            let _ = coop::timeout(options.grace, || relay.tls.flush());
        } else {
            reset(relay.tls.socket());
        }
    }
}

/// The connections to both sides, when there are.
fn connect(client: TcpStream, proxy: &Proxy) -> Option<(Tls, TcpStream)> {
    let Proxy { options, side, statistics } = proxy;
    // What comes in pieces goes on in pieces.
    let hurried = |conn: TcpStream| conn.set_nodelay(true).map(|()| conn);
    let upstream = || {
        let upstream = TcpStream::connect_timeout(&*options.upstream, options.connect_timeout).and_then(hurried);
        upstream.map_err(|error| turn_away(&statistics.unreachable, "the upstream cannot be reached", &error))
    };
    let handshake = |conn| {
        let limit = options.handshake_timeout;
        let tls = coop::timeout(limit, || Tls::handshake(hurried(conn)?, side.connection()?));
        tls.map_err(|error| turn_away(&statistics.handshakes_failed, "the handshake fails", &error))
    };
    match side {
        Side::Server(_) => {
            // The upstream is not bothered by those who do not finish the handshake.
            let tls = handshake(client).ok()?;
            match upstream() {
                Ok(upstream) => Some((tls, upstream)),
                Err(()) => {
                    reset(tls.socket());
                    None
                }
            }
        }
        Side::Client(..) => match upstream().and_then(handshake) {
            Ok(tls) => Some((tls, hurried(client).ok()?)),
            Err(()) => {
                reset(&client);
                None
            }
        },
    }
}

/// Counts and says why a client cannot be connected, unless it is that the proxy stops.
fn turn_away(counter: &Cell<u64>, what: &str, error: &io::Error) {
    if !Killed::is(error) {
        add(counter, 1);
        eprintln!("tls-proxy: a client is turned away, {what}: {error}");
    }
}

/// Two connections that are one.
struct Relay<'a> {
    tls: Tls,
    plain: TcpStream,
    options: &'a Options,
    /// When something last did, in either direction.
    moved: Cell<Instant>,
}

impl Relay<'_> {
    /// Passes on what comes in TLS, and then the end.
    fn open(&self, bytes: &Cell<u64>) -> io::Result<()> {
        let (mut records, mut plain) = (vec![0; 32 << 10], Vec::new());
        // Something may have come along with the handshake.
        let mut is_over = self.tls.decrypt(&[], &mut plain)?;
        loop {
            self.pass(&plain, self.options.grace, bytes)?;
            plain.clear();
            if is_over {
                // That the other side has gone meanwhile, the other direction finds out.
                let _ = self.plain.shutdown(Shutdown::Write);
                return Ok(());
            }
            let n = coop::select! {
                n = op::recv(self.tls.socket(), &mut records) => n?,
                _ = op::after(self.quiet_time()) => {
                    self.see_that_it_moves()?;
                    continue;
                }
                killed(cause) => return self.stop(cause, || self.open_the_rest(&mut records, bytes)),
            };
            is_over = self.decrypt(&records[..n], &mut plain)?;
        }
    }

    /// Passes on what has come in TLS by now, and waits for no more.
    fn open_the_rest(&self, records: &mut [u8], bytes: &Cell<u64>) -> io::Result<()> {
        let (mut plain, mut is_over, mut is_sending) = (Vec::new(), false, false);
        while !is_over {
            let n = coop::select! {
                n = op::recv(self.tls.socket(), records) => n?,
                default => 0,
            }?;
            if n == 0 {
                break;
            }
            is_over = self.tls.decrypt(&records[..n], &mut plain)?;
            is_sending |= !plain.is_empty();
            // Behind a shield already.
            self.pass(&plain, Duration::ZERO, bytes)?;
            plain.clear();
        }
        self.plain.shutdown(Shutdown::Write)?;
        // What it sends on must not make a reset of the close.
        if is_sending { discard(self.tls.socket()) } else { Ok(()) }
    }

    /// What is in `records`, which are none when the connection has ended.
    fn decrypt(&self, records: &[u8], plain: &mut Vec<u8>) -> io::Result<bool> {
        if records.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it breaks off without a close_notify"));
        }
        self.tls.decrypt(records, plain)
    }

    /// Sends on what was in TLS, and counts what was sent.
    fn pass(&self, plain: &[u8], grace: Duration, bytes: &Cell<u64>) -> io::Result<()> {
        if plain.is_empty() {
            return Ok(());
        }
        self.moved.set(Instant::now());
        self.sending(|| {
            let (sent, result) = deliver(&self.plain, plain, grace);
            add(bytes, sent as u64);
            result
        })
    }

    /// Passes on in TLS what comes plain, and then the end; and what rustls has to say.
    fn seal(&self, bytes: &Cell<u64>) -> io::Result<()> {
        let mut buf = vec![0; 32 << 10];
        loop {
            let n = coop::select! {
                n = op::recv(&self.plain, &mut buf) => n?,
                _ = op::wait(&self.tls.news) => {
                    self.insist(self.options.grace, || self.tls.flush())?;
                    continue;
                }
                _ = op::after(self.quiet_time()) => {
                    self.see_that_it_moves()?;
                    continue;
                }
                killed(cause) => return self.stop(cause, || self.seal_the_rest(&mut buf, bytes)),
            };
            if n == 0 {
                // The kernel tells of a reset once, and then it looks like an end. If it has told the other direction, that is
                // ready to run, and its error kills this one.
                let _ = coop::yield_now();
                if coop::kill_cause().is_some_and(|killed| killed.cause() == Cause::Sibling) {
                    return Ok(());
                }
                return self.insist(self.options.grace, || self.tls.send_end());
            }
            self.moved.set(Instant::now());
            self.send(&buf[..n], self.options.grace, bytes)?;
        }
    }

    /// Passes on in TLS what has come by now, and waits for no more.
    fn seal_the_rest(&self, buf: &mut [u8], bytes: &Cell<u64>) -> io::Result<()> {
        let mut is_sending = false;
        // What a kill has interrupted.
        self.tls.flush()?;
        loop {
            let n = coop::select! {
                n = op::recv(&self.plain, buf) => n?,
                default => break,
            }?;
            if n == 0 {
                // It did end, by itself.
                return self.tls.send_end();
            }
            is_sending = true;
            self.send(&buf[..n], Duration::ZERO, bytes)?;
        }
        // No close_notify: there might have been more.
        self.tls.socket().shutdown(Shutdown::Write)?;
        if is_sending { discard(&self.plain) } else { Ok(()) }
    }

    /// Sends in TLS, and counts.
    fn send(&self, mut plain: &[u8], grace: Duration, bytes: &Cell<u64>) -> io::Result<()> {
        let len = plain.len();
        self.insist(grace, || self.tls.send(&mut plain))?;
        add(bytes, len as u64);
        Ok(())
    }

    /// Sends by something that goes on where it was. When the task is killed meanwhile, the peer still has the time `grace` to
    /// read the rest.
    fn insist(&self, grace: Duration, mut send: impl FnMut() -> io::Result<()>) -> io::Result<()> {
        self.sending(|| match send() {
            Err(error) if Killed::of(&error).is_some_and(|killed| killed.cause() != Cause::Deadline) => {
                coop::shield(grace, send)
            }
            result => result,
        })
    }

    /// Sends, as long as it is not too long.
    fn sending(&self, send: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        coop::timeout(self.options.idle, send).map_err(no_time_left)?;
        self.moved.set(Instant::now());
        Ok(())
    }

    /// Ends a direction that was killed.
    fn stop(&self, killed: Killed, pass_on_the_rest: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        match killed.cause() {
            // The other direction is broken, and both ends will be reset. To close one before would tell it that all is well.
            Cause::Sibling => Ok(()),
            // The proxy stops. The kill would be told again at the next wait, but for the shield.
            _ => coop::shield(self.options.grace, pass_on_the_rest),
        }
    }

    /// How long nothing may move from now on.
    fn quiet_time(&self) -> Duration {
        self.options.idle.saturating_sub(self.moved.get().elapsed())
    }

    /// Ends the relay, unless something has moved in the other direction, while this one has waited.
    fn see_that_it_moves(&self) -> io::Result<()> {
        if self.quiet_time().is_zero() { Err(Idle.into()) } else { Ok(()) }
    }
}

/// Nothing has moved for too long.
#[derive(Debug)]
struct Idle;

impl Idle {
    fn is(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<Self>())
    }
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing moves any more")
    }
}

impl std::error::Error for Idle {}

impl From<Idle> for io::Error {
    fn from(idle: Idle) -> Self {
        Self::new(io::ErrorKind::TimedOut, idle)
    }
}

/// What the end of the time for sending is.
fn no_time_left(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::TimedOut { Idle.into() } else { error }
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
        let Self { live: _, connections, turned_away, unreachable, handshakes_failed, broken, idle, .. } = self;
        write!(
            f,
            "tls-proxy stops after {} connections ({} too many, {} without an upstream, {} without a handshake, {} broken, \
             {} idle): {} bytes up, {} bytes down",
            connections.get(),
            turned_away.get(),
            unreachable.get(),
            handshakes_failed.get(),
            broken.get(),
            idle.get(),
            self.bytes_up.get(),
            self.bytes_down.get()
        )
    }
}
