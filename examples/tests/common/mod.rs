//! Starting a program of this crate, stopping it, and seeing how it ended. No wait here is without an end.

// Not every test uses everything.
#![allow(dead_code)]

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    os::fd::AsRawFd,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How long anything may take that should come at once. A machine that is busy may be slow; a program that hangs is
/// found in the end.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A program that was started. Dropping it kills it.
pub struct Program {
    child: Child,
    /// What it has printed as its first line, up to the address.
    pub place: String,
    lines: Receiver<String>,
    errors: Option<JoinHandle<String>>,
}

/// How a program ended.
pub struct Ended {
    pub status: ExitStatus,
    /// What it printed after the first line.
    pub printed: Vec<String>,
    /// What it wrote to standard error.
    pub errors: String,
}

impl Program {
    /// Starts a server, and waits for the line in which it says where it listens.
    pub fn start(path: &str, arguments: &[&str]) -> Self {
        Self::run(Command::new(path).args(arguments))
    }

    /// The same with a command of which more has been set.
    pub fn run(command: &mut Command) -> Self {
        let mut program = Self::spawn(command);
        match program.lines.recv_timeout(PATIENCE) {
            Ok(line) => {
                let place = line.split_once(" listens at ").map(|(_, place)| place);
                program.place = place.unwrap_or_else(|| panic!("not what a server says first: {line}")).to_owned();
                program
            }
            Err(_) => {
                let ended = program.kill_and_wait();
                panic!("it has not said where it listens, but: {}", ended.errors);
            }
        }
    }

    /// Starts a program that is no server.
    pub fn spawn(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program can be started");
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().expect("it is a pipe"));
        // They end with the program, which closes the pipes.
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut stderr = child.stderr.take().expect("it is a pipe");
        let errors = thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        Self { child, place: String::new(), lines, errors: Some(errors) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        let address = self.place.split(' ').next().unwrap_or_default();
        address.parse().unwrap_or_else(|_| panic!("it listens at no address: {}", self.place))
    }

    /// A connection to it, on which nothing waits for ever.
    pub fn connect(&self) -> TcpStream {
        connect(self.address())
    }

    /// The next line that it prints.
    pub fn next_line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("it prints another line")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: i32) {
        let pid = self.child.id().try_into().expect("a process number fits");
        // SAFETY: kill has no preconditions; the number is that of a child that has not been waited for.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }

    /// Waits until it has ended.
    pub fn wait(mut self) -> Ended {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return self.ended(status);
            }
            if start.elapsed() > PATIENCE {
                let ended = self.kill_and_wait();
                panic!("it does not end; it has printed {:?} and {}", ended.printed, ended.errors);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stops it by ctrl-c, and sees that it ends well.
    pub fn stop(self) -> Ended {
        self.signal(libc::SIGINT);
        let ended = self.wait();
        assert!(ended.status.success(), "{}: {}", ended.status, ended.errors);
        ended
    }

    fn kill_and_wait(&mut self) -> Ended {
        // It may have ended by itself.
        let _ = self.child.kill();
        let status = self.child.wait().expect("a child can be waited for");
        self.ended(status)
    }

    fn ended(&mut self, status: ExitStatus) -> Ended {
        let errors = self.errors.take().and_then(|thread| thread.join().ok());
        Ended { status, printed: self.lines.iter().collect(), errors: errors.unwrap_or_default() }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.errors.is_some() {
            self.kill_and_wait();
        }
    }
}

/// A connection on which nothing waits for ever.
pub fn connect(address: SocketAddr) -> TcpStream {
    let conn = TcpStream::connect_timeout(&address, PATIENCE).expect("somebody listens");
    limit(&conn);
    conn
}

/// Sees that nothing on `conn` waits for ever.
pub fn limit(conn: &TcpStream) {
    conn.set_read_timeout(Some(PATIENCE)).expect("a valid timeout");
    conn.set_write_timeout(Some(PATIENCE)).expect("a valid timeout");
    conn.set_nodelay(true).expect("an ordinary option");
}

/// Sends `pattern` again and again into `conn`, from which what comes is not read in the end, until not a byte more goes in. `pass` has a server do
/// something for somebody else, so that it has had its chance to take more. Returns how many bytes went in.
pub fn stuff(conn: &mut TcpStream, pattern: &[u8], mut pass: impl FnMut()) -> usize {
    let text = pattern.repeat(8192);
    conn.set_nonblocking(true).expect("an ordinary option");
    let (mut sent, mut passes) = (0, 0);
    while passes < 20 {
        match conn.write(&text[sent % pattern.len()..]) {
            Ok(n) => {
                sent += n;
                passes = 0;
                assert!(sent < 1 << 30, "somebody reads it");
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                pass();
                passes += 1;
            }
            Err(error) => panic!("the connection ends: {error}"),
        }
    }
    conn.set_nonblocking(false).expect("an ordinary option");
    sent
}

/// Of what was sent into `conn`, the number of bytes that have not arrived at the other end's kernel.
pub fn under_way(conn: &TcpStream) -> usize {
    let mut count: libc::c_int = 0;
    // SAFETY: this request writes one int.
    let result = unsafe { libc::ioctl(conn.as_raw_fd(), libc::TIOCOUTQ, &raw mut count) };
    assert_eq!(result, 0);
    count.try_into().expect("a number of bytes")
}

/// Reads to the end, sees that it is `pattern` again and again, and closes. Returns how many bytes came.
pub fn read_all_of(mut conn: TcpStream, pattern: &[u8]) -> usize {
    let (mut buf, mut came) = (vec![0; 1 << 16], 0);
    loop {
        match conn.read(&mut buf).expect("an end and no error") {
            0 => return came,
            n => {
                let expected = pattern.iter().cycle().skip(came % pattern.len());
                assert!(buf[..n].iter().eq(expected.take(n)), "something else comes");
                came += n;
            }
        }
    }
}

/// Runs a command that ends by itself; gives its exit code, and what it wrote to standard output and error.
pub fn output(path: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let ended = Program::spawn(Command::new(path).args(arguments)).wait();
    (ended.status.code(), ended.printed.join("\n"), ended.errors)
}

/// Whether a tool of this name is installed. If it is not, the test that wanted it says so and is over; under CI=true that
/// is a failure.
pub fn has_tool(name: &str) -> bool {
    let found = Command::new(name).arg("--version").output().is_ok();
    if !found {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{name} is not installed");
        eprintln!("skipped: {name} is not installed");
    }
    found
}

/// Bytes that look random, and are the same for the same seed.
pub struct Noise(u64);

impl Noise {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            // SplitMix64.
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.fill(&mut bytes);
        bytes
    }
}

/// Raises the number of descriptors that this process, and those it starts, may have.
pub fn allow_descriptors(wanted: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is valid for both calls.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0);
        if limit.rlim_cur < wanted {
            limit.rlim_cur = wanted.min(limit.rlim_max);
            assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0);
        }
    }
    assert!(limit.rlim_cur >= wanted, "at most {} descriptors are allowed here", limit.rlim_max);
}
