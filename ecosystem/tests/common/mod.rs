//! Peers for other people's crates: programs, and this test's own tasks. No wait here is without an end.

// Not every test uses everything.
#![allow(dead_code)]

use coop::net::{TcpListener, TcpStream, UnixStream};
use coop::{Cause, Killed};
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take that should come at once. A machine that is busy may be slow; what hangs is found in the end.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a story on a Cooperator of its own. One that hangs is killed in the end, wherever it waits, and has failed.
#[track_caller]
pub fn run(story: impl FnOnce() -> io::Result<()>) {
    coop::run(|| coop::timeout(PATIENCE, story)).expect("the story goes well");
}

/// Both ends of a TCP connection.
pub fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    Ok((client, listener.accept()?.0))
}

/// Has a task of its own do something with a connection over which nothing comes, and kills it when it waits. Gives what it
/// returned.
pub fn killed<R: 'static>(what: impl FnOnce(TcpStream) -> R + 'static) -> io::Result<R> {
    let (ours, theirs) = pair()?;
    let result = killed_while(move || what(ours))?;
    drop(theirs);
    Ok(result)
}

/// The same, when `what` has a connection already.
pub fn killed_while<R: 'static>(what: impl FnOnce() -> R + 'static) -> io::Result<R> {
    let mut task = coop::spawn(what);
    // Long enough for whatever it does before it waits for what never comes; a kill before that would tell the same.
    coop::sleep(Duration::from_millis(50))?;
    task.kill();
    Ok(task.join()?)
}

/// Whether an error of some crate's was caused by the kill that [`killed`] makes.
pub fn tells_of_the_kill(error: &(dyn std::error::Error + 'static)) -> bool {
    Killed::find(error).is_some_and(|killed| matches!(killed.cause(), Cause::Explicit(_)))
}

/// A program that was started, and is killed when this is dropped.
pub struct Program {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Program {
    /// Starts a server. What it writes to standard output and error are its [lines](Self::line_with).
    pub fn start(command: &mut Command) -> Program {
        let (reader, writer) = io::pipe().expect("a pipe");
        command.stdin(Stdio::null()).stdout(writer.try_clone().expect("a descriptor")).stderr(writer);
        let child = command.spawn().expect("the program is installed");
        // The program alone has the other end of the pipe now.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || BufReader::new(reader).lines().map_while(Result::ok).try_for_each(|l| sender.send(l)));
        Program { child, lines }
    }

    /// Starts a program whose standard input and output are the connection that comes back.
    pub fn connected(command: &mut Command) -> (Program, UnixStream) {
        // The program's end blocks, as programs expect.
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("two descriptors");
        let output = OwnedFd::from(theirs.try_clone().expect("a descriptor"));
        command.stdin(OwnedFd::from(theirs)).stdout(output);
        let child = command.spawn().expect("the program is installed");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        (Program { child, lines: mpsc::channel().1 }, UnixStream::from(ours))
    }

    /// The first line from here on that contains `text`. Not to be called in a task: it blocks the thread.
    pub fn line_with(&self, text: &str) -> String {
        let mut said = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            if line.contains(text) {
                return line;
            }
            said.push(line);
        }
        panic!("it does not say {text:?}, but {said:?}");
    }

    /// Sends it a signal, and waits until it has ended. Not to be called in a task: it blocks the thread.
    pub fn end_by(&mut self, signal: i32) {
        let pid = self.child.id().try_into().expect("a process number fits");
        // SAFETY: kill has no preconditions; the number is that of a child that has not been waited for.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
        let start = Instant::now();
        while self.child.try_wait().is_ok_and(|status| status.is_none()) && start.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until it has ended. Blocks only the task.
    pub fn ended(&mut self) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            coop::sleep(Duration::from_millis(2))?;
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until `path` exists. Not to be called in a task: it blocks the thread.
pub fn appears(path: &Path) {
    let start = Instant::now();
    while !path.exists() {
        assert!(start.elapsed() < PATIENCE, "{} does not appear", path.display());
        thread::sleep(Duration::from_millis(5));
    }
}

/// An address in a server's line.
pub fn address_in(line: &str) -> SocketAddr {
    let words = line.split(|c: char| c.is_whitespace() || c == ',');
    words.filter_map(|word| word.parse().ok()).next().unwrap_or_else(|| panic!("no address in {line:?}"))
}

/// Whether a tool is there: whether this command ends well. If it does not, the test that wanted it says so and is over; under
/// CI=true that is a failure.
pub fn has_tool(command: &[&str]) -> bool {
    let found = Command::new(command[0]).args(&command[1..]).stdin(Stdio::null()).output();
    let found = found.is_ok_and(|output| output.status.success());
    if !found {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "this fails here: {}", command.join(" "));
        eprintln!("skipped, since this fails here: {}", command.join(" "));
    }
    found
}

/// A directory for temporary files, which goes away with the value.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new() -> Directory {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("coop-ecosystem-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory for temporary files");
        Directory(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).into_os_string().into_string().expect("a path of letters")
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).expect("the directory takes files");
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Bytes that look random, and are the same for the same seed. Half of the time they repeat, so that they can be compressed.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let (mut state, mut bytes) = (seed, Vec::with_capacity(len + 16));
    while bytes.len() < len {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let word = (mixed ^ (mixed >> 31)).to_le_bytes();
        bytes.extend_from_slice(&word);
        bytes.extend_from_slice(&[word[0]; 8]);
    }
    bytes.truncate(len);
    bytes
}
