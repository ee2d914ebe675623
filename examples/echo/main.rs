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
    net::{Shutdown, SocketAddr},
    os::fd::AsFd,
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
use examples::{Stop, deliver, discard, say, while_doing};
use socket2::SockRef;

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

    /// Seconds that a client has, when the server stops, to read what is sent back to it
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = examples::seconds)]
    grace: Duration,
}

#[coop::main]
fn main() -> ExitCode {
    examples::exit("echo", run(Options::parse()))
}

fn run(options: Options) -> io::Result<()> {
    let Options { tcp, unix, idle, grace } = options;
    let stop = Stop::listen()?;
    match unix {
        None => {
            let listener = TcpListener::bind(tcp).map_err(while_doing(format_args!("cannot listen at {tcp}")))?;
            say(format_args!("echo listens at {}", listener.local_addr()?));
            stop.accept_until(&listener, |(conn, _)| {
                session::spawn(conn, idle, grace);
            })
        }
        Some(path) => {
            let cannot = || format!("cannot listen at {}", path.display());
            let listener = UnixListener::bind(&path).map_err(while_doing(cannot()))?;
            let _file = RemovedInTheEnd(&path);
            say(format_args!("echo listens at {}", path.display()));
            stop.accept_until(&listener, |(conn, _)| {
                session::spawn(conn, idle, grace);
            })
        }
    }
    // When the root returns, the sessions are killed and awaited.
}

/// Sends back what `conn` sends, until it hangs up, or neither sends nor reads for the time `idle`.
#[coop::task(stack = "64k")]
fn session<S: Stream + AsFd + 'static>(conn: S, idle: Duration, grace: Duration) -> io::Result<()> {
    let mut buf = [0; 16 * 1024];
    loop {
        let n = coop::select! {
            n = op::recv(&conn, &mut buf) => n?,
            _ = op::after(idle) => return Ok(()),
            // The server stops. The kill would be told again at the next wait, but for the shield.
            killed(_) => return coop::shield(grace, || send_the_rest(&conn, &mut buf)),
        };
        if n == 0 {
            return Ok(());
        }
        coop::timeout(idle, || deliver(&conn, &buf[..n], grace).1)?;
    }
}

/// Sends back what has come by now, and waits for no more.
fn send_the_rest<S: Stream + AsFd>(conn: &S, buf: &mut [u8]) -> io::Result<()> {
    let mut is_sending = false;
    loop {
        let n = coop::select! {
            n = op::recv(conn, buf) => n?,
            default => 0,
        }?;
        if n == 0 {
            break;
        }
        is_sending = true;
        op::send_all(conn, &buf[..n]).wait()?;
    }
    if is_sending {
        // It reads the rest, and the end, and closes too.
        SockRef::from(conn).shutdown(Shutdown::Write)?;
        discard(conn)?;
    }
    Ok(())
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
