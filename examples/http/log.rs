//! The access log: a line for each request, in the Common Log Format.
//!
//! Standard error may be a pipe that nobody reads. So a task of its own writes to it, through the ring, and the
//! connections never wait for that: what does not fit the channel is counted, and the count written instead.

use std::{
    cell::Cell,
    fmt::{self, Write as _},
    io::{self, Write as _},
    net::SocketAddr,
    os::fd::AsFd,
    rc::Rc,
    time::{Duration, SystemTime},
};

use coop::{TryScope, chan, fs};

/// Lines that may wait.
const CAPACITY: usize = 4096;
/// What is written at once at most: as much as no other writer to the same pipe can tear apart.
const BATCH: usize = 4096;
/// How long whoever reads the log may take to read its end.
const GRACE: Duration = Duration::from_secs(2);

/// Where connections leave their lines.
pub struct Log {
    lines: chan::Sender<String>,
    lost: Rc<Cell<u64>>,
}

impl Log {
    /// Starts the task that writes. It ends when this is dropped.
    ///
    /// # Errors
    /// Those of dup(2).
    pub fn start<'scope>(scope: &'scope TryScope<'scope, '_, io::Error>) -> io::Result<Self> {
        let stderr = fs::File::from(io::stderr().as_fd().try_clone_to_owned()?);
        let (lines, received) = chan::bounded(CAPACITY);
        let lost = Rc::new(Cell::new(0));
        let ours = lost.clone();
        scope.spawn(move || {
            // Nobody is there to be told that the log cannot be written.
            let _ = write(stderr, &received, &ours);
        });
        Ok(Self { lines, lost })
    }

    /// Leaves a line. Not a wait point.
    pub fn request(&self, peer: SocketAddr, request: fmt::Arguments<'_>, status: u16, len: u64) {
        let mut line = String::with_capacity(128);
        let date = httpdate::HttpDate::from(SystemTime::now());
        // To a String that cannot fail.
        let _ = write!(line, "{} - - [{date}] \"", peer.ip());
        let _ = write!(Escaped(&mut line), "{request}");
        let _ = writeln!(line, "\" {status} {len}");
        if self.lines.try_send(line).is_err() {
            self.lost.set(self.lost.get() + 1);
        }
    }
}

/// What a client sends must not look like a line of ours, nor command a terminal.
struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '"' | '\\' => self.0.extend(['\\', c]),
                c if c.is_control() => write!(self.0, "{}", c.escape_default())?,
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}

fn write(mut stderr: fs::File, lines: &chan::Receiver<String>, lost: &Cell<u64>) -> io::Result<()> {
    let mut batch = String::new();
    let mut next: Option<String> = None;
    loop {
        let first = match next.take() {
            Some(line) => line,
            None => match lines.next()? {
                Some(line) => line,
                None => return Ok(()),
            },
        };
        batch.push_str(&first);
        while let Ok(line) = lines.try_recv() {
            if batch.len() + line.len() > BATCH {
                next = Some(line);
                break;
            }
            batch.push_str(&line);
        }
        if lost.get() > 0 {
            let _ = writeln!(batch, "http: {} lines of the log are lost", lost.take());
        }
        coop::shield(GRACE, || stderr.write_all(batch.as_bytes()))?;
        batch.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_a_line() {
        let mut line = String::new();
        Escaped(&mut line).write_str("GET /\"\\\n\x1b[31m\u{9b}é").expect("a String takes everything");
        assert_eq!(line, "GET /\\\"\\\\\\n\\u{1b}[31m\\u{9b}é");
    }
}
