//! Moving bytes without a buffer: `splice` and `sendfile`.

use crate::common::{is_killed, kind};
use coop::Killed;
use coop::io::Partial;
use coop::net::{TcpListener, TcpStream, UnixStream, sendfile, splice};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::Duration;

/// So many bytes in which a lost or doubled piece shows.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[0]).collect()
}

/// A file without a name.
fn file(content: &[u8]) -> File {
    // SAFETY: a name that ends; the descriptor is new.
    let mut file = File::from(unsafe { OwnedFd::from_raw_fd(libc::memfd_create(c"coop".as_ptr(), libc::MFD_CLOEXEC)) });
    file.write_all(content).unwrap();
    file
}

fn tcp_pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    Ok((client, listener.accept()?.0))
}

/// Sends everything, and closes.
fn send(all: &[u8], mut over: impl Write) {
    over.write_all(all).unwrap();
}

#[test]
fn a_proxy_passes_everything_on_between_all_kinds_of_streams() {
    coop::run(|| -> io::Result<()> {
        let all = pattern(3_000_000);
        macro_rules! through {
            ($left:expr, $right:expr) => {{
                let ((client, left), (right, server)) = ($left, $right);
                coop::scope(|s| -> io::Result<()> {
                    s.spawn(|| send(&all, client));
                    let mut proxy = s.spawn(|| {
                        let moved = splice(&left, &right);
                        drop((left, right));
                        moved
                    });
                    let mut got = Vec::new();
                    (&server).read_to_end(&mut got)?;
                    assert!(got == all, "{} of {} bytes arrived", got.len(), all.len());
                    assert_eq!(proxy.join().unwrap()?, all.len() as u64);
                    Ok(())
                })?;
            }};
        }
        through!(tcp_pair()?, tcp_pair()?);
        through!(UnixStream::pair()?, UnixStream::pair()?);
        through!(tcp_pair()?, UnixStream::pair()?);
        through!(UnixStream::pair()?, tcp_pair()?);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_part_of_a_file_is_sent() {
    coop::run(|| -> io::Result<()> {
        let all = pattern(1_000_000);
        let file = file(&all);
        let part = |offset: u64, len: u64| -> io::Result<(u64, Vec<u8>)> {
            let (ours, theirs) = tcp_pair()?;
            coop::scope(|s| {
                let mut sender = s.spawn(|| {
                    let sent = sendfile(&ours, &file, offset, len);
                    drop(ours);
                    sent
                });
                let mut got = Vec::new();
                (&theirs).read_to_end(&mut got)?;
                Ok((sender.join().unwrap()?, got))
            })
        };
        for (offset, len) in [(0, 1_000_000), (0, 0), (1, 1), (777, 500_000), (999_999, 1)] {
            let (n, got) = part(offset, len)?;
            assert_eq!(n, len);
            assert!(got == all[offset as usize..(offset + len) as usize], "{offset}, {len}");
        }
        // The file ends first.
        assert_eq!(part(999_990, 100)?.0, 10);
        assert_eq!(part(5_000_000, 100)?.0, 0);
        assert_eq!(part(999_990, u64::MAX)?.0, 10);
        assert_eq!(part(i64::MAX as u64, u64::MAX)?.0, 0);
        assert_eq!(kind(part(i64::MAX as u64 + 1, 1)), io::ErrorKind::InvalidInput);
        assert_eq!(kind(part(u64::MAX, 1)), io::ErrorKind::InvalidInput, "not the file's own position");
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_kill_and_an_error_say_how_far_it_got() {
    coop::run(|| -> io::Result<()> {
        let all = pattern(8_000_000);
        let file = file(&all);
        // The peer reads a part, and then nothing more.
        let (ours, theirs) = UnixStream::pair()?;
        coop::scope(|s| -> io::Result<()> {
            let mut sender = s.spawn(|| sendfile(&ours, &file, 0, 8_000_000));
            let mut got = vec![0; 500_000];
            theirs.recv_exact(&mut got)?;
            assert!(got == all[..500_000]);
            coop::sleep(Duration::from_millis(20))?;
            sender.kill();
            let error = sender.join().unwrap().unwrap_err();
            assert!(Killed::is(&error));
            let done = Partial::of(&error).expect("it says how far").done;
            // All that it counts can be received, and no more.
            ours.shutdown(Shutdown::Write)?;
            (&theirs).read_to_end(&mut got)?;
            assert_eq!(got.len(), done);
            assert!(got == all[..done]);
            Ok(())
        })?;
        let error = coop::timeout(Duration::from_millis(20), || sendfile(&theirs, &file, 0, 8_000_000)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(theirs);
        let error = sendfile(&ours, &file, 0, 10).unwrap_err();
        assert_eq!((error.kind(), Partial::of(&error).unwrap().done), (io::ErrorKind::BrokenPipe, 0));

        let ((client, left), (right, server)) = (UnixStream::pair()?, UnixStream::pair()?);
        is_killed(|| splice(&left, &right));
        client.send_all(b"abc")?;
        drop(server);
        let error = splice(&left, &right).unwrap_err();
        assert_eq!((error.kind(), Partial::of(&error).unwrap().done), (io::ErrorKind::BrokenPipe, 0));
        Ok(())
    })
    .unwrap();
    let (a, b) = UnixStream::pair().unwrap();
    assert_eq!(kind(splice(&a, &b)), io::ErrorKind::Unsupported, "no Cooperator");
}

/// A socket in non-blocking mode, from which somebody else takes what a splice was told of.
#[test]
fn what_somebody_else_has_taken_is_waited_for_and_not_asked_for_in_a_loop() {
    coop::run(|| -> io::Result<()> {
        let (from, mut peer) = std::os::unix::net::UnixStream::pair()?;
        from.set_nonblocking(true)?;
        let mut thief = from.try_clone()?;
        let from = UnixStream::from(from);
        let (to, sink) = UnixStream::pair()?;
        coop::scope(|s| -> io::Result<()> {
            let mut splicing = s.spawn(|| splice(&from, &to));
            coop::sleep(Duration::from_millis(5))?;
            peer.write_all(b"stolen")?;
            assert_eq!(thief.read(&mut [0; 8])?, 6);
            coop::sleep(Duration::from_millis(5))?;
            let before = time_of_this_thread();
            coop::sleep(Duration::from_millis(200))?;
            let used = time_of_this_thread() - before;
            assert!(used < Duration::from_millis(20), "{used:?} of 200 ms");
            peer.write_all(b"for all")?;
            peer.shutdown(Shutdown::Write)?;
            assert_eq!(splicing.join().unwrap()?, 7);
            let mut got = [0; 7];
            sink.recv_exact(&mut got)?;
            assert_eq!(&got, b"for all");
            Ok(())
        })
    })
    .unwrap();
}

fn time_of_this_thread() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: room for a time.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) }, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
