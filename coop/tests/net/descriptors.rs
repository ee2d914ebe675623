//! Passing descriptors over Unix sockets.

use crate::common::{is_killed, kind, times_out};
use coop::net::{MAX_DESCRIPTORS, PassesDescriptors, UnixDatagram, UnixSeqpacket, UnixStream};
use coop::{Operation, op};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// The ends of a pipe: what is written into one is read from the other, whoever has them.
fn pipe() -> (File, File) {
    let (read, write) = std::io::pipe().unwrap();
    (File::from(OwnedFd::from(read)), File::from(OwnedFd::from(write)))
}

#[coop::test]
fn descriptors_arrive_for_the_same_open_files() -> io::Result<()> {
    /// Over every kind of socket alike.
    fn pass<S: PassesDescriptors>(a: S, b: S, payload: &[u8]) -> io::Result<()> {
        let ((mut read, write), mut buf) = (pipe(), [0; 8]);
        let n = op::send_fds(&a, payload, &[write.as_fd(), write.as_fd()]).wait()?;
        drop(write);
        assert_eq!(n, payload.len());
        let (n, fds) = op::recv_fds(&b, &mut buf).wait()?;
        assert_eq!((&buf[..n], fds.len()), (payload, 2));
        for fd in fds {
            // SAFETY: asks for the flags of a descriptor that is ours.
            let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFD) };
            assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
            File::from(fd).write_all(b"!")?;
        }
        let mut all = String::new();
        read.read_to_string(&mut all)?;
        assert_eq!(all, "!!", "both closed, and nobody else has one");
        Ok(())
    }
    let (a, b) = UnixStream::pair()?;
    pass(a, b, b"stream")?;
    let (a, b) = UnixDatagram::pair()?;
    pass(a, b, b"datagram".split_at(4).0)?;
    let (a, b) = UnixDatagram::pair()?;
    pass(a, b, b"")?;
    let (a, b) = UnixSeqpacket::pair()?;
    pass(a, b, b"packet")
}

#[coop::test]
fn bytes_alone_bring_no_descriptors() -> io::Result<()> {
    let (a, b) = UnixStream::pair()?;
    let mut buf = [0; 16];
    a.send_fds(b"none", &[])?;
    a.send_all(b", plain")?;
    let (n, fds) = b.recv_fds(&mut buf)?;
    assert_eq!((&buf[..n], fds.len()), (&b"none, plain"[..], 0));
    // On a stream, bytes are not joined over descriptors.
    let (read, _write) = pipe();
    a.send_all(b"before")?;
    a.send_fds(b"with", &[read.as_fd()])?;
    a.send_all(b"after")?;
    let mut trace = Vec::new();
    while trace.iter().map(|(bytes, _): &(String, usize)| bytes.len()).sum::<usize>() < 15 {
        let (n, fds) = b.recv_fds(&mut buf)?;
        trace.push((String::from_utf8_lossy(&buf[..n]).into_owned(), fds.len()));
    }
    assert_eq!(trace.iter().map(|(_, fds)| fds).sum::<usize>(), 1, "{trace:?}");
    assert_eq!(trace.iter().map(|(bytes, _)| &**bytes).collect::<String>(), "beforewithafter");
    assert_eq!(b.recv_fds(&mut [])?.0, 0, "room for nothing");
    drop(a);
    assert_eq!(b.recv_fds(&mut buf)?.0, 0, "the end");
    Ok(())
}

#[coop::test]
fn what_cannot_be_sent_is_refused() -> io::Result<()> {
    let (a, b) = UnixStream::pair()?;
    let null = File::open("/dev/null")?;
    let many = [null.as_fd(); MAX_DESCRIPTORS + 1];
    assert_eq!(kind(a.send_fds(b"x", &many)), io::ErrorKind::InvalidInput);
    assert_eq!(kind(a.send_fds(b"", &many[..1])), io::ErrorKind::InvalidInput);
    assert_eq!(a.send_fds(b"", &[])?, 0);
    a.send_fds(b"x", &many[1..])?;
    assert_eq!(b.recv_fds(&mut [0; 4])?.1.len(), MAX_DESCRIPTORS);
    drop(b);
    assert_eq!(kind(a.send_fds(b"x", &[null.as_fd()])), io::ErrorKind::BrokenPipe);
    Ok(())
}

#[coop::test]
fn passing_can_be_killed_and_has_a_deadline() -> io::Result<()> {
    let (a, b) = UnixSeqpacket::pair()?;
    is_killed(|| b.recv_fds(&mut [0; 8]));
    times_out(|| b.recv_fds(&mut [0; 8]));
    let null = File::open("/dev/null")?;
    times_out(
        || loop {
            a.send_fds(&[0; 1000], &[null.as_fd()])?;
        } as io::Result<()>,
    );
    is_killed(|| a.send_fds(&[0; 1000], &[null.as_fd()]));
    Ok(())
}
