//! Unix streams and packets: addresses, credentials, packets.

use crate::common::{LONG, is_killed, kind, times_out};
use coop::net::{UnixDatagram, UnixListener, UnixSeqpacket, UnixSeqpacketListener, UnixStream};
use coop::{Killed, Operation, op};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A path that is removed in the end.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str) -> Self {
        Temporary(std::env::temp_dir().join(format!("coop-unix-{name}-{}", std::process::id())))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_stream_talks_with_a_socket_of_stds() {
    coop::run(|| -> io::Result<()> {
        let path = Temporary::new("stream");
        let listener = UnixListener::bind(&path.0)?;
        assert_eq!(listener.local_path()?.as_deref(), Some(&*path.0));
        assert_eq!(kind(UnixListener::bind(&path.0)), io::ErrorKind::AddrInUse);
        let to = path.0.clone();
        let peer = std::thread::spawn(move || -> io::Result<String> {
            let mut stream = std::os::unix::net::UnixStream::connect(to)?;
            stream.write_all(b"hello")?;
            stream.shutdown(Shutdown::Write)?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        });
        let conn = listener.incoming().next().expect("nobody kills it")?;
        let cred = conn.peer_cred()?;
        // SAFETY: asks who this process belongs to.
        let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
        assert_eq!((cred.pid(), cred.uid(), cred.gid()), (Some(std::process::id() as i32), uid, gid));
        assert_eq!((conn.local_path()?.as_deref(), conn.peer_path()?), (Some(&*path.0), None));
        let (mut a, mut b) = ([0; 2], [0; 9]);
        assert_eq!(conn.recv_vectored(&mut [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)])?, 5);
        assert_eq!(conn.recv(&mut a)?, 0, "half closed");
        assert_eq!(conn.send_vectored(&[IoSlice::new(&a), IoSlice::new(&b[..3])])?, 5);
        conn.set_send_buffer_size(10_000)?;
        assert_eq!(conn.send_buffer_size()?, 20_000);
        assert!(conn.take_error()?.is_none());
        drop(conn);
        assert_eq!(peer.join().unwrap()?, "hello");
        Ok(())
    })
    .unwrap();
}

#[coop::test]
fn addresses_are_paths_abstract_or_none() -> io::Result<()> {
    assert_eq!(kind(UnixListener::bind("")), io::ErrorKind::InvalidInput);
    assert_eq!(kind(UnixListener::bind("x".repeat(108))), io::ErrorKind::InvalidInput);
    assert_eq!(kind(UnixListener::bind("a\0b")), io::ErrorKind::InvalidInput);
    assert_eq!(kind(UnixSeqpacketListener::bind("")), io::ErrorKind::InvalidInput);
    assert_eq!(kind(UnixStream::connect("no/such/file")), io::ErrorKind::NotFound);
    let name = format!("\0coop-abstract-{}", std::process::id());
    let listener = UnixListener::bind(&name)?;
    assert_eq!(listener.local_path()?.as_deref(), Some(Path::new(&name)));
    let client = UnixStream::connect(&name)?;
    assert_eq!((client.peer_path()?.as_deref(), client.local_path()?), (Some(Path::new(&name)), None));
    assert_eq!(kind(UnixSeqpacket::connect(&name)), io::ErrorKind::ConnectionRefused, "of another kind");
    drop(listener);
    assert_eq!(kind(UnixStream::connect(&name)), io::ErrorKind::ConnectionRefused, "gone with its listener");
    Ok(())
}

#[coop::test]
fn packets_keep_their_bounds() -> io::Result<()> {
    let name = format!("\0coop-packets-{}", std::process::id());
    let listener = UnixSeqpacketListener::bind(&name)?;
    assert_eq!(listener.local_path()?.as_deref(), Some(Path::new(&name)));
    let client = UnixSeqpacket::connect(&name)?;
    let (server, _unnamed) = listener.accept()?;
    client.send(b"first")?;
    client.send_vectored(&[IoSlice::new(b"sec"), IoSlice::new(b"ond")])?;
    client.send(b"too long for the buffer")?;
    client.send(b"")?;
    client.send(b"last")?;
    let mut buf = [0; 6];
    assert_eq!(server.peek(&mut buf)?, 5);
    assert_eq!((server.recv(&mut buf)?, &buf[..5]), (5, &b"first"[..]));
    let (mut a, mut b) = ([0; 4], [0; 4]);
    assert_eq!(op::recv_vectored(&server, &mut [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)]).wait()?, 6);
    assert_eq!((server.recv(&mut buf)?, &buf), (6, b"too lo"), "the rest is discarded");
    assert_eq!(server.recv(&mut buf)?, 0, "an empty packet");
    assert_eq!(coop::select! { n = op::recv(&server, &mut buf) => n? }?, 4);
    client.shutdown(Shutdown::Write)?;
    assert_eq!(server.recv(&mut buf)?, 0, "the end");
    drop(server);
    assert_eq!(kind(client.send(b"x")), io::ErrorKind::BrokenPipe);
    assert_eq!(client.peer_path()?.as_deref(), Some(Path::new(&name)));

    let raw: OwnedFd = UnixSeqpacket::pair()?.0.into();
    assert_eq!(kind(UnixSeqpacket::from(raw).send(b"x")), io::ErrorKind::BrokenPipe, "taken over from a descriptor");
    Ok(())
}

#[coop::test]
fn packets_can_be_killed_and_have_deadlines() -> io::Result<()> {
    let (a, _b) = UnixSeqpacket::pair()?;
    let name = format!("\0coop-killed-{}", std::process::id());
    let listener = UnixSeqpacketListener::bind(&name)?;
    is_killed(|| a.recv(&mut [0; 8]));
    is_killed(|| a.peek(&mut [0; 8]));
    is_killed(|| a.recv_vectored(&mut [IoSliceMut::new(&mut [0; 8])]));
    is_killed(|| listener.accept());
    times_out(|| a.recv(&mut [0; 8]));
    times_out(|| listener.accept());
    times_out(
        || loop {
            a.send(&[0; 1000])?;
        } as io::Result<()>,
    );
    is_killed(|| a.send(&[0; 1000]));
    is_killed(|| a.send_vectored(&[IoSlice::new(&[0; 1000])]));
    coop::wait_all(|s| {
        let mut server =
            s.spawn(|| listener.incoming().map(|conn| conn.is_err_and(|e| Killed::is(&e))).collect::<Vec<_>>());
        coop::yield_now().unwrap();
        server.kill();
        assert_eq!(server.join().unwrap(), [true], "the error that says so, and no more");
    });
    Ok(())
}

/// By 108 bytes without a NUL, which only sockets that are not made by Rust have.
#[coop::test]
fn a_peer_whose_path_fills_its_address_is_told_like_others() -> io::Result<()> {
    let start = std::env::temp_dir().join(format!("coop-unix-long-{}-", std::process::id()));
    let start = start.to_str().unwrap();
    let path = Temporary(PathBuf::from(format!("{start:x<108}")));
    let mut address = libc::sockaddr_un { sun_family: libc::AF_UNIX as libc::sa_family_t, sun_path: [b'x' as _; 108] };
    address.sun_path.iter_mut().zip(start.bytes()).for_each(|(to, from)| *to = from as _);
    let bound = |kind| -> io::Result<OwnedFd> {
        // SAFETY: the descriptor is new; the address is as long as is said.
        unsafe {
            let fd = OwnedFd::from_raw_fd(libc::socket(libc::AF_UNIX, kind | libc::SOCK_CLOEXEC, 0));
            let len = size_of_val(&address) as libc::socklen_t;
            match libc::bind(fd.as_raw_fd(), (&raw const address).cast(), len) {
                0 => Ok(fd),
                _ => Err(io::Error::last_os_error()),
            }
        }
    };
    let name = format!("\0coop-unix-long-{}", std::process::id());
    let ours = UnixDatagram::bind(&name)?;
    let peer = UnixDatagram::from(bound(libc::SOCK_DGRAM)?);
    assert_eq!(peer.local_path()?.as_ref(), Some(&path.0));
    peer.send_to(b"hello", &name)?;
    assert_eq!(ours.recv_from(&mut [0; 8])?, (5, Some(path.0.clone())));
    Ok(())
}

/// Of a stream the first are used; of a packet no part is sent.
#[coop::test]
fn a_packet_of_too_many_buffers_is_refused() -> io::Result<()> {
    let (a, b) = UnixSeqpacket::pair()?;
    let many = [IoSlice::new(b"x"); 1025];
    assert_eq!(a.send_vectored(&many).unwrap_err().raw_os_error(), Some(libc::EMSGSIZE));
    assert_eq!(a.send_vectored(&many[1..])?, 1024);
    assert_eq!(b.recv(&mut [0; 2000])?, 1024);
    Ok(())
}

/// Two submissions: one moves at most 2 GiB.
#[test]
fn three_gibibytes_in_flight_are_sent_to_the_last() {
    const LEN: usize = 3 << 30;
    // SAFETY: new memory that nobody writes to: the same page of zeros throughout.
    let zeros = unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let zeros = libc::mmap(std::ptr::null_mut(), LEN, libc::PROT_READ, flags, -1, 0);
        assert_ne!(zeros, libc::MAP_FAILED);
        std::slice::from_raw_parts(zeros.cast::<u8>(), LEN)
    };
    coop::run(|| -> io::Result<()> {
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair()?;
        let ours = UnixStream::from(ours);
        let reader = std::thread::spawn(move || io::copy(&mut theirs, &mut io::sink()));
        let sent = coop::scope(|s| s.start(op::send_all(&ours, zeros)).wait().map(|sent| sent.n()))?;
        drop(ours);
        assert_eq!((sent, reader.join().unwrap()?), (LEN, LEN as u64));
        Ok(())
    })
    .unwrap();
    // SAFETY: nobody refers to it any more.
    unsafe { libc::munmap(zeros.as_ptr().cast_mut().cast(), LEN) };
}

#[test]
fn what_moves_nothing_is_done_at_once_also_when_it_was_started() {
    coop::run(|| -> io::Result<()> {
        let (ours, _theirs) = UnixStream::pair()?;
        // Nothing has come, and nothing more can be sent.
        let socket = std::os::unix::net::UnixStream::from(ours.as_fd().try_clone_to_owned()?);
        socket.set_nonblocking(true)?;
        while (&socket).write(&[0; 4096]).is_ok() {}
        let (mut none, mut to_peek, mut with_fds, mut empty) = ([0; 0], [0; 0], [0; 0], [0; 0]);
        let (mut pieces, no_pieces) = ([IoSliceMut::new(&mut empty)], [IoSlice::new(b"")]);
        coop::timeout(LONG, || {
            coop::scope(|s| -> io::Result<()> {
                assert_eq!(s.start(op::recv(&ours, &mut none)).wait()?.n(), 0);
                assert_eq!(s.start(op::peek(&ours, &mut to_peek)).wait()?.n(), 0);
                assert_eq!(s.start(op::recv_vectored(&ours, &mut pieces)).wait()?.0, 0);
                assert_eq!(s.start(op::recv_fds(&ours, &mut with_fds)).wait()?.0.n(), 0);
                assert_eq!(s.start(op::send(&ours, b"")).wait()?.n(), 0);
                assert_eq!(s.start(op::send_all(&ours, b"")).wait()?.n(), 0);
                assert_eq!(s.start(op::send_vectored(&ours, &no_pieces)).wait()?, 0);
                assert_eq!(s.start(op::send_fds(&ours, b"", &[])).wait()?.n(), 0);
                Ok(())
            })
        })?;
        // A packet without bytes is something.
        let (ours, theirs) = UnixDatagram::pair()?;
        let mut none = [0; 0];
        coop::scope(|s| -> io::Result<()> {
            let mut incoming = s.start(op::recv(&ours, &mut none));
            coop::select! {
                _ = &mut incoming => panic!("nothing was sent"),
                _ = op::after(Duration::from_millis(5)) => {}
            }?;
            theirs.send(b"")?;
            assert_eq!(incoming.wait()?.n(), 0);
            Ok(())
        })
    })
    .unwrap();
}

#[test]
fn an_abstract_name_may_be_as_long_as_the_kernel_has_room_for() {
    coop::run(|| -> io::Result<()> {
        let name = |len: usize| {
            let text = format!("\0coop-{}-", std::process::id());
            PathBuf::from(text.chars().chain(std::iter::repeat('x')).take(1 + len).collect::<String>())
        };
        for len in [20, 106, 107] {
            let listener = UnixListener::bind(name(len))?;
            assert_eq!(listener.local_path()?, Some(name(len)));
            let conn = UnixStream::connect(name(len))?;
            assert_eq!((listener.accept()?.1, conn.peer_path()?), (None, Some(name(len))));
        }
        assert_eq!(kind(UnixListener::bind(name(108))), io::ErrorKind::InvalidInput);
        let path = |len: usize| Path::new("/tmp").join("x".repeat(len - "/tmp/".len()));
        assert_eq!(kind(UnixStream::connect(path(107))), io::ErrorKind::NotFound);
        assert_eq!(kind(UnixStream::connect(path(108))), io::ErrorKind::InvalidInput);
        Ok(())
    })
    .unwrap();
}
