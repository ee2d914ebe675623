//! What the examples have in common: accepting connections until somebody stops them, and losing nothing then.

pub mod jobs;

use std::{
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use coop::{
    Arm, Cause, Killed, Operation,
    io::Partial,
    net::{Listener, Stream},
    op,
    signal::{self, Signal},
};

/// How long accepting rests when the process has no descriptor, or the machine no memory, for another connection.
const REST: Duration = Duration::from_millis(100);

/// The signals that end a program: ctrl-c, and SIGTERM, which is what service managers send.
pub struct Stop {
    ctrl_c: Signal,
    terminate: Signal,
}

impl Stop {
    /// Listens for both, until it is dropped. From then on they end the process at once, as they do by default: somebody
    /// who has pressed ctrl-c and finds the clean end too long can press it again.
    ///
    /// # Errors
    /// Those of [`signal::listen`].
    pub fn listen() -> io::Result<Self> {
        Ok(Self { ctrl_c: signal::ctrl_c()?, terminate: signal::terminate()? })
    }

    /// Runs `f` in a task of its own, until it returns or one of the signals comes; then it is killed, and awaited. Gives what it
    /// returned, and whether it was stopped. A wait point; kill-checked.
    ///
    /// # Errors
    /// [`coop::Killed`], and a panic of `f` that was joined.
    pub fn run<T>(self, f: impl FnOnce() -> T) -> io::Result<(T, bool)> {
        coop::scope(|s| {
            let mut task = s.spawn(f);
            coop::select! {
                biased;
                returned = &mut task => return Ok((returned?, false)),
                _ = op::signal(&self.ctrl_c) => {}
                _ = op::signal(&self.terminate) => {}
            }?;
            drop(self);
            task.kill();
            Ok((task.join()?, true))
        })
    }

    /// Waits until one of the signals comes. A wait point; kill-checked.
    ///
    /// # Errors
    /// [`Killed`].
    pub fn wait(self) -> Result<(), Killed> {
        self.wait_or(op::after(Duration::MAX))
    }

    /// Waits until one of the signals comes, or `other` is done. A wait point; kill-checked.
    ///
    /// # Errors
    /// [`Killed`].
    pub fn wait_or<A: Arm>(self, other: A) -> Result<(), Killed> {
        coop::select! {
            _ = op::signal(&self.ctrl_c) => {}
            _ = op::signal(&self.terminate) => {}
            _ = other => {}
        }
    }

    /// Accepts connections and gives them to `take`, until one of the signals comes. A wait point; kill-checked.
    ///
    /// # Errors
    /// Those of accept4(2) that do not pass, and [`coop::Killed`].
    pub fn accept_until<L: Listener>(self, listener: &L, mut take: impl FnMut(L::Accepted)) -> io::Result<()> {
        let mut is_resting = false;
        let mut was_said = false;
        loop {
            coop::select! {
                accepted = op::accept(listener), if !is_resting => match accepted {
                    Ok(connection) => {
                        was_said = false;
                        take(connection);
                    }
                    // The client stays in the queue: accepting it again at once would fail again at once, for ever.
                    Err(error) if passes(&error) => {
                        if !std::mem::replace(&mut was_said, true) {
                            eprintln!("no connection can be accepted for now: {error}");
                        }
                        is_resting = true;
                    }
                    Err(error) => return Err(error),
                },
                _ = op::after(REST), if is_resting => is_resting = false,
                _ = op::signal(&self.ctrl_c) => return Ok(()),
                _ = op::signal(&self.terminate) => return Ok(()),
            }?;
        }
    }
}

/// Accepts connections and gives them to `take`, until the task is killed, which is no error. A wait point; kill-checked.
///
/// # Errors
/// Those of accept4(2) that do not pass.
pub fn accept_all<L: Listener>(listener: &L, mut take: impl FnMut(L::Accepted)) -> io::Result<()> {
    let mut was_said = false;
    loop {
        match op::accept(listener).wait() {
            Ok(connection) => {
                was_said = false;
                take(connection);
            }
            Err(error) if Killed::is(&error) => return Ok(()),
            Err(error) if passes(&error) => {
                if !std::mem::replace(&mut was_said, true) {
                    eprintln!("no connection can be accepted for now: {error}");
                }
                // Told again by the next accept, if it is a kill.
                let _ = coop::sleep(REST);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether accepting may work again when others have closed something.
fn passes(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}

/// Sends all of `bytes`; gives how many were sent, and why not all. When the task is killed meanwhile, the peer still has
/// the time `grace` to read the rest. (When its time was up, it has had its time.) A wait point.
pub fn deliver<S: Stream>(conn: &S, bytes: &[u8], grace: Duration) -> (usize, io::Result<()>) {
    let (sent, result) = send_all(conn, bytes);
    match &result {
        Err(error) if Killed::of(error).is_some_and(|killed| killed.cause() != Cause::Deadline) => {
            // The kill would be told again at the next wait, but for the shield.
            let (more, result) = coop::shield(grace, || send_all(conn, &bytes[sent..]));
            (sent + more, result)
        }
        _ => (sent, result),
    }
}

/// Receives and forgets what the peer still sends, until it closes. To close with something unread is to reset the
/// connection, and a reset takes back what the peer has not received yet. A wait point; kill-checked.
///
/// # Errors
/// Those of recv(2), and [`Killed`].
pub fn discard<S: Stream>(conn: &S) -> io::Result<()> {
    let mut buf = [0; 4096];
    while op::recv(conn, &mut buf).wait()? > 0 {}
    Ok(())
}

fn send_all<S: Stream>(conn: &S, bytes: &[u8]) -> (usize, io::Result<()>) {
    let result = op::send_all(conn, bytes).wait();
    let sent = match &result {
        Ok(()) => bytes.len(),
        Err(error) => Partial::of(error).map_or(0, |partial| partial.done),
    };
    (sent, result)
}

/// The same error, with what was being done when it happened.
pub fn while_doing(what: impl Display) -> impl FnOnce(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{what}: {error}"))
}

/// The time that a number of seconds on a command line stands for.
///
/// # Errors
/// What is wrong with it.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds")?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("not a time to wait: it must be more than 0".into()),
    }
}

/// What `program` exits with. Says on standard error what went wrong, if anything did.
pub fn exit(program: &str, result: io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{program}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints a line. That nobody reads it, as behind `| head`, is no reason to stop.
pub fn say(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}
