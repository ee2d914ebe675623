//! One story for each opcode that the runtime submits: what is asked of the kernel, what lets it succeed, and which of the kernel's
//! errors are no errors to the caller, since the operation is done again or in another way.

use coop::fs::File;
use coop::net::{TcpListener, TcpStream, UnixStream};
use coop::{Operation, Scope, op};
use std::cell::Cell;
use std::io::{self, IoSlice, IoSliceMut, Write as _};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// So much time does not pass.
pub const LONG: Duration = Duration::from_secs(3600);

/// What the operation stands in when its fault comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// In nothing: a call.
    Plain,
    /// In a timeout that does not expire.
    Timeout,
    /// In a timeout that expires, and cancels it.
    Expired,
    /// In a `select!`, against a timer.
    Select,
    /// In a task that is killed.
    Killed,
    /// In a Handle that is dropped.
    Dropped,
}

impl Way {
    pub const ALL: [Way; 6] = [Way::Plain, Way::Timeout, Way::Expired, Way::Select, Way::Killed, Way::Dropped];

    /// Whether the fault is what a cancel brings about.
    pub fn cancels(self) -> bool {
        matches!(self, Way::Expired | Way::Killed | Way::Dropped)
    }
}

/// An operation, with what it works on.
pub trait Story: Sized + 'static {
    const NAME: &'static str;
    const OPCODE: u8;
    /// Errors after which it is tried again, or in another way: the caller does not hear of them.
    const RETRIED: &'static [i32];
    /// Those that there are.
    const WAYS: &'static [Way] = &Way::ALL;
    /// Whether the caller hears of what it says to a cancel.
    const IS_TOLD: bool = true;

    fn begin() -> io::Result<Self>;

    /// Does it, and panics unless a success has had the whole of its effect. (A Handle that is dropped succeeds with nothing.)
    fn run(&self, way: Way) -> io::Result<()>;

    /// Lets it succeed, if that depends on anybody.
    fn help(&self) {}
}

/// An operation by each of the ways.
fn by<'a, O, W, J>(way: Way, operation: O) -> io::Result<()>
where
    O: Operation<Waited = io::Result<W>, Started = io::Result<J>> + 'a,
{
    match way {
        Way::Plain | Way::Killed => operation.wait().map(drop),
        Way::Timeout => coop::timeout(LONG, || operation.wait().map(drop)),
        Way::Expired => coop::timeout(SHORT, || operation.wait().map(drop)),
        Way::Select => coop::wait_all(|s: &Scope<'_, 'a>| select(s, operation)),
        Way::Dropped => {
            coop::wait_all(|s: &Scope<'_, 'a>| drop(s.start(operation)));
            Ok(())
        }
    }
}

/// Long enough to submit something, most times.
const SHORT: Duration = Duration::from_micros(100);

fn select<'scope, O, J>(s: &'scope Scope<'scope, '_>, operation: O) -> io::Result<()>
where
    O: Operation<Started = io::Result<J>> + 'scope,
{
    let mut handle = s.start(operation);
    coop::select! {
        result = &mut handle => result.map(drop),
        _ = op::after(LONG) => panic!("an hour has passed"),
    }?
}

/// A call for which there is no operation: a child of a scope stands in a `select!` for it.
fn call(way: Way, f: impl Fn() -> io::Result<()>) -> io::Result<()> {
    match way {
        Way::Plain | Way::Killed => f(),
        Way::Timeout => coop::timeout(LONG, f),
        Way::Expired => coop::timeout(SHORT, f),
        Way::Select => coop::wait_all(|s| {
            let mut child = s.spawn(&f);
            coop::select! {
                result = &mut child => result.expect("it does not panic"),
                _ = op::after(LONG) => panic!("an hour has passed"),
            }?
        }),
        Way::Dropped => unreachable!("it has no Handle"),
    }
}

const NO_HANDLE: &[Way] = &[Way::Plain, Way::Timeout, Way::Expired, Way::Select, Way::Killed];

// Errors of calls that the ring makes: a signal, and a descriptor that somebody has made non-blocking.
const RESTARTED: i32 = 512;
const BY_PATH: &[i32] = &[libc::EINTR, RESTARTED];
const BY_DESCRIPTOR: &[i32] = &[libc::EINTR, RESTARTED, libc::EAGAIN];

// ---- sockets

pub struct Recv(UnixStream, UnixStream);

impl Story for Recv {
    const NAME: &'static str = "recv";
    const OPCODE: u8 = 27;
    const RETRIED: &'static [i32] = &[libc::EINTR, RESTARTED];

    fn begin() -> io::Result<Self> {
        let (near, far) = UnixStream::pair()?;
        Ok(Recv(near, far))
    }

    fn run(&self, way: Way) -> io::Result<()> {
        let mut buffer = [0; 8];
        by(way, op::recv(&self.0, &mut buffer))?;
        assert!(way == Way::Dropped || &buffer == b"ping\0\0\0\0");
        Ok(())
    }

    fn help(&self) {
        self.1.send_all(b"ping").expect("there is room");
    }
}

/// By one operation for all that comes, into buffers that the kernel is provided with.
pub struct RecvAhead(UnixStream, UnixStream);

impl Story for RecvAhead {
    const NAME: &'static str = "recv, multishot";
    const OPCODE: u8 = 27;
    /// What says that there is no buffer, or no such receive, and what ends one after which another is begun.
    const RETRIED: &'static [i32] = &[libc::EINTR, libc::ECANCELED, libc::ENOBUFS, libc::EINVAL];
    const WAYS: &'static [Way] = NO_HANDLE;
    /// A wait that ends lets it go on.
    const IS_TOLD: bool = false;

    fn begin() -> io::Result<Self> {
        let (near, far) = UnixStream::pair()?;
        Ok(RecvAhead(near, far))
    }

    fn run(&self, way: Way) -> io::Result<()> {
        call(way, || {
            let received = self.0.recv_ahead();
            assert_eq!(&received.recv()?[..], b"ping");
            Ok(())
        })
    }

    fn help(&self) {
        self.1.send_all(b"ping").expect("there is room");
    }
}

/// Into a socket that is full.
pub struct Send {
    near: UnixStream,
    far: UnixStream,
    /// Bytes that it was given and that nobody has taken.
    inside: Cell<usize>,
}

impl Story for Send {
    const NAME: &'static str = "send";
    const OPCODE: u8 = 26;
    const RETRIED: &'static [i32] = &[libc::EINTR, RESTARTED];

    fn begin() -> io::Result<Self> {
        let (near, far) = std::os::unix::net::UnixStream::pair()?;
        near.set_nonblocking(true)?;
        let small: libc::c_int = 4096;
        // SAFETY: an integer, as the length says.
        let result = unsafe {
            let size = size_of::<libc::c_int>() as libc::socklen_t;
            libc::setsockopt(near.as_raw_fd(), libc::SOL_SOCKET, libc::SO_SNDBUF, (&raw const small).cast(), size)
        };
        assert_eq!(result, 0);
        let mut inside = 0;
        while let Ok(n) = (&near).write(&[1; 1024]) {
            inside += n;
        }
        near.set_nonblocking(false)?;
        Ok(Send { near: near.into(), far: far.into(), inside: Cell::new(inside) })
    }

    fn run(&self, way: Way) -> io::Result<()> {
        by(way, op::send(&self.near, &[2; 5]))?;
        if way != Way::Dropped {
            self.inside.set(self.inside.get() + 5);
            self.help();
            assert_eq!(self.inside.get(), 0, "what was sent and not what was received");
        }
        Ok(())
    }

    fn help(&self) {
        let mut buffer = [0; 65536];
        let flags = libc::MSG_DONTWAIT;
        // SAFETY: a buffer of the length that is given.
        let receive = |buffer: &mut [u8]| unsafe {
            libc::recv(self.far.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), flags)
        };
        while let n @ 1.. = receive(&mut buffer) {
            let left = self.inside.get().checked_sub(n as usize);
            self.inside.set(left.expect("no more comes out than was sent"));
        }
    }
}

/// From where the bytes are, which the kernel may go on reading.
pub struct SendZeroCopy(TcpStream, TcpStream);

impl Story for SendZeroCopy {
    const NAME: &'static str = "send, zero copy";
    const OPCODE: u8 = 47;
    /// Then the bytes are copied.
    const RETRIED: &'static [i32] =
        &[libc::EINTR, libc::ENOMEM, libc::ENOBUFS, libc::EINVAL, libc::EACCES, libc::EOPNOTSUPP];
    const WAYS: &'static [Way] = NO_HANDLE;

    fn begin() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let near = TcpStream::connect(listener.local_addr()?)?;
        Ok(SendZeroCopy(near, listener.accept()?.0))
    }

    fn run(&self, way: Way) -> io::Result<()> {
        call(way, || {
            let sender = self.0.zero_copy().above(1);
            sender.send_all(vec![7; 5])?;
            let mut buffer = [0; 5];
            self.1.recv_exact(&mut buffer)?;
            assert_eq!(buffer, [7; 5]);
            // Now that the peer has them, the kernel says so soon.
            while sender.outstanding() > 0 {
                coop::yield_now()?;
            }
            Ok(())
        })
    }
}

/// As an arm: a poll, and a call that does not block.
pub struct Poll(UnixStream, UnixStream);

impl Story for Poll {
    const NAME: &'static str = "poll";
    const OPCODE: u8 = 6;
    const RETRIED: &'static [i32] = &[];
    const WAYS: &'static [Way] = NO_HANDLE;
    /// It has no effect.
    const IS_TOLD: bool = false;

    fn begin() -> io::Result<Self> {
        let (near, far) = UnixStream::pair()?;
        Ok(Poll(near, far))
    }

    fn run(&self, way: Way) -> io::Result<()> {
        let arm = || {
            let mut buffer = [0; 8];
            coop::select! {
                n = op::recv(&self.0, &mut buffer) => assert_eq!(&buffer[..n?], b"ping"),
                _ = op::after(LONG) => panic!("an hour has passed"),
            }?;
            Ok(())
        };
        match way {
            // Already.
            Way::Select => arm(),
            _ => call(way, arm),
        }
    }

    fn help(&self) {
        self.1.send_all(b"ping").expect("there is room");
    }
}

/// Connections that are accepted ahead.
pub struct Accept(TcpListener, SocketAddr);

impl Story for Accept {
    const NAME: &'static str = "accept";
    const OPCODE: u8 = 13;
    /// What the peer's connection died of, what says that the kernel has no such operation, and what ends one after which another is
    /// begun.
    const RETRIED: &'static [i32] = &[
        libc::EINTR,
        libc::ECONNABORTED,
        libc::ENETDOWN,
        libc::EPROTO,
        libc::ENOPROTOOPT,
        libc::EHOSTDOWN,
        libc::ENONET,
        libc::EHOSTUNREACH,
        libc::ENETUNREACH,
        libc::EINVAL,
        libc::ECANCELED,
    ];
    const WAYS: &'static [Way] = NO_HANDLE;
    const IS_TOLD: bool = false;

    fn begin() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        Ok(Accept(listener, address))
    }

    fn run(&self, way: Way) -> io::Result<()> {
        call(way, || {
            let connections = self.0.accept_ahead();
            let mut buffer = [0; 4];
            connections.accept()?.recv_exact(&mut buffer)?;
            assert_eq!(&buffer, b"ping");
            Ok(())
        })
    }

    fn help(&self) {
        let mut stream = std::net::TcpStream::connect(self.1).expect("it listens");
        stream.write_all(b"ping").expect("there is room");
    }
}

pub struct Connect(std::net::TcpListener, SocketAddr);

impl Story for Connect {
    const NAME: &'static str = "connect";
    const OPCODE: u8 = 16;
    const RETRIED: &'static [i32] = &[];

    fn begin() -> io::Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        Ok(Connect(listener, address))
    }

    fn run(&self, way: Way) -> io::Result<()> {
        by(way, op::connect(self.1))?;
        if way != Way::Dropped {
            self.0.accept()?;
        }
        Ok(())
    }
}

/// A file over a socket, by way of a pipe.
pub struct Splice {
    near: UnixStream,
    far: UnixStream,
    file: std::fs::File,
}

impl Story for Splice {
    const NAME: &'static str = "splice";
    const OPCODE: u8 = 30;
    /// It goes by hand where the kernel does not know how.
    const RETRIED: &'static [i32] = &[libc::EINTR, RESTARTED, libc::EAGAIN, libc::EINVAL];
    const WAYS: &'static [Way] = NO_HANDLE;

    fn begin() -> io::Result<Self> {
        let ((near, far), file) = (UnixStream::pair()?, std::fs::File::open("/proc/self/exe")?);
        Ok(Splice { near, far, file })
    }

    fn run(&self, way: Way) -> io::Result<()> {
        call(way, || {
            assert_eq!(coop::net::sendfile(&self.near, &self.file, 1, 3)?, 3);
            let mut buffer = [0; 8];
            assert_eq!(self.far.recv(&mut buffer)?, 3);
            assert_eq!(&buffer[..3], b"ELF");
            Ok(())
        })
    }
}

/// A cancel: of a receive.
pub struct Cancel(Recv);

impl Story for Cancel {
    const NAME: &'static str = "cancel";
    const OPCODE: u8 = 14;
    /// Nobody hears what a cancel says.
    const RETRIED: &'static [i32] = &[];
    const WAYS: &'static [Way] = &[Way::Expired, Way::Killed, Way::Dropped];
    const IS_TOLD: bool = false;

    fn begin() -> io::Result<Self> {
        Recv::begin().map(Cancel)
    }

    fn run(&self, way: Way) -> io::Result<()> {
        self.0.run(way)
    }

    fn help(&self) {
        self.0.help();
    }
}

// ---- files

/// A directory of one's own, with a file of ten bytes in it.
pub struct Scratch {
    path: PathBuf,
    file: File,
}

impl Scratch {
    pub fn new() -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Where there is memory to be had for a disk: thousands of these are made.
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let path = base.join(format!("coop-faults-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        std::fs::write(path.join("file"), b"0123456789")?;
        let file = std::fs::File::options().read(true).write(true).open(path.join("file"))?.into();
        Ok(Scratch { path, file })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn content(&self) -> Vec<u8> {
        std::fs::read(self.path("file")).expect("it is there")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// From a pipe: a file would be read from the page cache, without the ring.
pub struct Read {
    file: File,
    far: OwnedFd,
}

impl Story for Read {
    const NAME: &'static str = "read";
    const OPCODE: u8 = 22;
    const RETRIED: &'static [i32] = BY_DESCRIPTOR;

    fn begin() -> io::Result<Self> {
        let (near, far) = io::pipe()?;
        Ok(Read { file: OwnedFd::from(near).into(), far: far.into() })
    }

    fn run(&self, way: Way) -> io::Result<()> {
        let mut buffer = [0; 8];
        by(way, op::read(&self.file, &mut buffer))?;
        assert!(way == Way::Dropped || &buffer == b"ping\0\0\0\0");
        Ok(())
    }

    fn help(&self) {
        let mut far = std::fs::File::from(self.far.try_clone().expect("there are descriptors"));
        far.write_all(b"ping").expect("there is room");
    }
}

/// From a file of which there is no page cache.
pub struct ReadVectored(File);

impl Story for ReadVectored {
    const NAME: &'static str = "readv";
    const OPCODE: u8 = 1;
    const RETRIED: &'static [i32] = BY_DESCRIPTOR;

    fn begin() -> io::Result<Self> {
        Ok(ReadVectored(std::fs::File::open("/proc/self/comm")?.into()))
    }

    fn run(&self, way: Way) -> io::Result<()> {
        let (mut one, mut two) = ([0; 2], [0; 64]);
        let mut pieces = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
        by(way, op::read_vectored_at(&self.0, &mut pieces, 0))?;
        assert!(way == Way::Dropped || (one[0] != 0 && two.contains(&b'\n')));
        Ok(())
    }
}

pub struct Write(Scratch);

impl Story for Write {
    const NAME: &'static str = "write";
    const OPCODE: u8 = 23;
    const RETRIED: &'static [i32] = BY_DESCRIPTOR;

    fn begin() -> io::Result<Self> {
        Scratch::new().map(Write)
    }

    fn run(&self, way: Way) -> io::Result<()> {
        let result = by(way, op::write_all_at(&self.0.file, b"ab", 3));
        let is_done = result.is_ok() && way != Way::Dropped;
        assert_eq!(self.0.content(), if is_done { b"012ab56789" } else { b"0123456789" });
        result
    }
}

pub struct WriteVectored(Scratch);

impl Story for WriteVectored {
    const NAME: &'static str = "writev";
    const OPCODE: u8 = 2;
    const RETRIED: &'static [i32] = BY_DESCRIPTOR;

    fn begin() -> io::Result<Self> {
        Scratch::new().map(WriteVectored)
    }

    fn run(&self, way: Way) -> io::Result<()> {
        let pieces = [IoSlice::new(b"a"), IoSlice::new(b"b")];
        let result = by(way, op::write_vectored_at(&self.0.file, &pieces, 3));
        let is_done = result.is_ok() && way != Way::Dropped;
        assert_eq!(self.0.content(), if is_done { b"012ab56789" } else { b"0123456789" });
        result
    }
}

pub struct Sync(Scratch);

impl Story for Sync {
    const NAME: &'static str = "fsync";
    const OPCODE: u8 = 3;
    const RETRIED: &'static [i32] = BY_DESCRIPTOR;

    fn begin() -> io::Result<Self> {
        Scratch::new().map(Sync)
    }

    fn run(&self, way: Way) -> io::Result<()> {
        by(way, op::sync_all(&self.0.file))
    }
}

pub struct Allocate(Scratch);

impl Story for Allocate {
    const NAME: &'static str = "fallocate";
    const OPCODE: u8 = 17;
    const RETRIED: &'static [i32] = BY_DESCRIPTOR;

    fn begin() -> io::Result<Self> {
        Scratch::new().map(Allocate)
    }

    fn run(&self, way: Way) -> io::Result<()> {
        let result = by(way, op::allocate(&self.0.file, 0, 20));
        let is_done = result.is_ok() && way != Way::Dropped;
        assert_eq!(self.0.content().len(), if is_done { 20 } else { 10 });
        result
    }
}

pub struct Truncate(Scratch);

impl Story for Truncate {
    const NAME: &'static str = "ftruncate";
    const OPCODE: u8 = 55;
    /// A kernel before 6.9 says EINVAL: then a thread does it.
    const RETRIED: &'static [i32] = &[libc::EINTR, RESTARTED, libc::EAGAIN, libc::EINVAL];
    const WAYS: &'static [Way] = NO_HANDLE;

    fn begin() -> io::Result<Self> {
        Scratch::new().map(Truncate)
    }

    fn run(&self, way: Way) -> io::Result<()> {
        let result = call(way, || self.0.file.set_len(4));
        let is_done = result.is_ok() && way != Way::Dropped;
        assert_eq!(self.0.content().len(), if is_done { 4 } else { 10 });
        result
    }
}

pub struct Open(Scratch);

impl Story for Open {
    const NAME: &'static str = "openat";
    const OPCODE: u8 = 18;
    const RETRIED: &'static [i32] = BY_PATH;

    fn begin() -> io::Result<Self> {
        Scratch::new().map(Open)
    }

    fn run(&self, way: Way) -> io::Result<()> {
        by(way, op::open(File::options().write(true).create_new(true), self.0.path("new")))?;
        let is_there = self.0.path("new").exists();
        assert!(way == Way::Dropped || is_there);
        Ok(())
    }
}

pub struct Stat(Scratch);

impl Story for Stat {
    const NAME: &'static str = "statx";
    const OPCODE: u8 = 21;
    const RETRIED: &'static [i32] = BY_PATH;

    fn begin() -> io::Result<Self> {
        Scratch::new().map(Stat)
    }

    fn run(&self, way: Way) -> io::Result<()> {
        by(way, op::metadata(self.0.path("file")))
    }
}

pub struct Rename(Scratch);

impl Story for Rename {
    const NAME: &'static str = "renameat";
    const OPCODE: u8 = 35;
    const RETRIED: &'static [i32] = BY_PATH;

    fn begin() -> io::Result<Self> {
        Scratch::new().map(Rename)
    }

    fn run(&self, way: Way) -> io::Result<()> {
        let result = by(way, op::rename(self.0.path("file"), self.0.path("new")));
        let is_done = result.is_ok() && way != Way::Dropped;
        assert_eq!(self.0.path("new").exists() && !self.0.path("file").exists(), is_done);
        result
    }
}

pub struct Remove(Scratch);

impl Story for Remove {
    const NAME: &'static str = "unlinkat";
    const OPCODE: u8 = 36;
    const RETRIED: &'static [i32] = BY_PATH;

    fn begin() -> io::Result<Self> {
        Scratch::new().map(Remove)
    }

    fn run(&self, way: Way) -> io::Result<()> {
        let result = by(way, op::remove_file(self.0.path("file")));
        let is_done = result.is_ok() && way != Way::Dropped;
        assert_eq!(!self.0.path("file").exists(), is_done);
        result
    }
}

pub struct CreateDir(Scratch);

impl Story for CreateDir {
    const NAME: &'static str = "mkdirat";
    const OPCODE: u8 = 37;
    const RETRIED: &'static [i32] = BY_PATH;

    fn begin() -> io::Result<Self> {
        Scratch::new().map(CreateDir)
    }

    fn run(&self, way: Way) -> io::Result<()> {
        let result = by(way, op::create_dir(self.0.path("dir")));
        let is_done = result.is_ok() && way != Way::Dropped;
        assert_eq!(self.0.path("dir").is_dir(), is_done);
        result
    }
}

pub struct Symlink(Scratch);

impl Story for Symlink {
    const NAME: &'static str = "symlinkat";
    const OPCODE: u8 = 38;
    const RETRIED: &'static [i32] = BY_PATH;

    fn begin() -> io::Result<Self> {
        Scratch::new().map(Symlink)
    }

    fn run(&self, way: Way) -> io::Result<()> {
        let result = by(way, op::symlink("file", self.0.path("link")));
        let is_done = result.is_ok() && way != Way::Dropped;
        assert_eq!(self.0.path("link").is_symlink(), is_done);
        result
    }
}

pub struct HardLink(Scratch);

impl Story for HardLink {
    const NAME: &'static str = "linkat";
    const OPCODE: u8 = 39;
    const RETRIED: &'static [i32] = BY_PATH;

    fn begin() -> io::Result<Self> {
        Scratch::new().map(HardLink)
    }

    fn run(&self, way: Way) -> io::Result<()> {
        let result = by(way, op::hard_link(self.0.path("file"), self.0.path("link")));
        let is_done = result.is_ok() && way != Way::Dropped;
        assert_eq!(self.0.path("link").exists(), is_done);
        result
    }
}
