//! Sends everything back.
//!
//! ```text
//! cargo run -p examples --bin echo -- --tcp 127.0.0.1:7000 --idle 30
//! nc 127.0.0.1 7000
//!
//! cargo run -p examples --bin echo -- --unix /tmp/echo.sock
//! nc -U /tmp/echo.sock
//! ```
//!
//! A client is a task. It waits for bytes and for a timer at once, and lends the kernel a buffer on its own stack. When
//! the server is stopped, what clients have sent by then still comes back to them.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use coop::{
    Operation,
    net::{Stream, TcpListener, UnixListener},
    op,
};
use examples::{Stop, say, while_doing};

/// How long a client may take to read what is sent back to it when the server stops.
const GRACE: Duration = Duration::from_secs(2);

/// Sends everything back.
#[derive(Parser, Clone, Debug)]
#[command(name = "echo")]
struct Options {
    /// TCP address to listen at; port 0 lets the kernel choose
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7000")]
    tcp: SocketAddr,

    /// Path of a Unix socket to listen at, instead of TCP. It must not exist, and is removed in the end
    #[arg(long, value_name = "PATH", conflicts_with = "tcp")]
    unix: Option<PathBuf>,

    /// Seconds after which a silent client is disconnected; fractions are allowed
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = examples::seconds)]
    idle: Duration,
}

#[coop::main]
fn main() -> ExitCode {
    examples::exit("echo", run(Options::parse()))
}

fn run(options: Options) -> io::Result<()> {
    let Options { tcp, unix, idle } = options;
    let stop = Stop::listen()?;
    match unix {
        None => {
            let listener = TcpListener::bind(tcp).map_err(while_doing(format_args!("cannot listen at {tcp}")))?;
            say(format_args!("echo listens at {}", listener.local_addr()?));
            stop.accept_until(&listener, |(conn, _)| {
                session::spawn(conn, idle);
            })
        }
        Some(path) => {
            let cannot = || format!("cannot listen at {}", path.display());
            let listener = UnixListener::bind(&path).map_err(while_doing(cannot()))?;
            let _file = RemovedInTheEnd(&path);
            say(format_args!("echo listens at {}", path.display()));
            stop.accept_until(&listener, |(conn, _)| {
                session::spawn(conn, idle);
            })
        }
    }
    // When the root returns, the sessions are killed and awaited.
}

/// Sends back what `conn` sends, until it hangs up, or neither sends nor reads for the time `idle`.
#[coop::task(stack = "64k")]
fn session<S: Stream + 'static>(conn: S, idle: Duration) -> io::Result<()> {
    let mut buf = [0; 16 * 1024];
    loop {
        let n = coop::select! {
            n = op::recv(&conn, &mut buf) => n?,
            _ = op::after(idle) => return Ok(()),
            // The server stops. For once the kill does not end a wait early: the shield keeps it out.
            killed(_) => return coop::shield(GRACE, || send_the_rest(&conn, &mut buf)),
        };
        if n == 0 {
            return Ok(());
        }
        coop::shield(GRACE, || coop::timeout(idle, || op::send_all(&conn, &buf[..n]).wait()))?;
    }
}

/// Sends back what has come by now, and waits for no more.
fn send_the_rest<S: Stream>(conn: &S, buf: &mut [u8]) -> io::Result<()> {
    loop {
        let n = coop::select! {
            n = op::recv(conn, buf) => n?,
            default => 0,
        }?;
        if n == 0 {
            return Ok(());
        }
        op::send_all(conn, &buf[..n]).wait()?;
    }
}

/// The file of a Unix socket, which stays behind when the socket is closed.
struct RemovedInTheEnd<'a>(&'a Path);

impl Drop for RemovedInTheEnd<'_> {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(self.0) {
            eprintln!("echo: cannot remove {}: {error}", self.0.display());
        }
    }
}
