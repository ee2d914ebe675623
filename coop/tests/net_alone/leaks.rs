//! No descriptor is left, whatever ends a call.

use crate::common::{LONG, Silent, closed, errno, kind, times_out};
use crate::{alone, descriptors, leaks_nothing};
use coop::net::{DescriptorsLost, TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream, splice};
use coop::{Builder, Driver, op};
use std::fs::File;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Sends a new descriptor, of which nothing stays here.
fn send_one(socket: &UnixStream) {
    let null = File::open("/dev/null").unwrap();
    socket.send_fds(b"x", &[null.as_fd()]).unwrap();
}

/// The number of the highest descriptor.
fn highest() -> u64 {
    // What the iterator itself uses is of the first free number, and so below, or gone.
    let null = File::open("/dev/null").unwrap();
    let limit = |fd: BorrowedFd<'_>| fd.as_raw_fd() as u64;
    limit(null.as_fd()) - 1
}

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn nothing_of_a_killed_connection_is_left() {
    alone("leaks::nothing_of_a_killed_connection_is_left", || {
        leaks_nothing(|| {
            coop::run(|| {
                for round in 0..200 {
                    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                    let address = listener.local_addr().unwrap();
                    coop::wait_all(|s| {
                        let mut server = s.spawn(|| while listener.accept().is_ok() {});
                        let mut client = s.spawn(|| while TcpStream::connect(address).is_ok() {});
                        (0..round % 7).for_each(|_| coop::yield_now().unwrap());
                        client.kill();
                        server.kill();
                        client.join().unwrap();
                        server.join().unwrap();
                    });
                    let _ = coop::scope(|s| -> io::Result<()> {
                        // Called off at the scope's end, wherever it is by then.
                        let connecting = s.start(op::connect(address));
                        std::mem::forget(connecting);
                        (0..round % 3).for_each(|_| coop::yield_now().unwrap());
                        Ok(())
                    });
                }
                coop::timeout(LONG, || -> io::Result<()> { Ok(()) }).unwrap();
            });
        });
    });
}

#[test]
fn no_attempt_that_lost_is_left() {
    alone("leaks::no_attempt_that_lost_is_left", || {
        leaks_nothing(|| {
            coop::run(|| {
                let (silent, mute) = (Silent::new(), Silent::new());
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let good = listener.local_addr().unwrap();
                let several = [silent.address, closed(), mute.address, good];
                for millis in [0, 1, 5, 250, 255, 600] {
                    let _ = TcpStream::connect_timeout(several, Duration::from_millis(millis));
                }
            });
        });
        // Without descriptors: an error for each address, the last of which is given.
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        coop::run(|| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let good = listener.local_addr().unwrap();
            // SAFETY: a limit of this process, which runs nothing else.
            unsafe {
                libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
                limit.rlim_cur = descriptors() as u64 + 8;
                assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0);
            }
            let mut taken = Vec::new();
            while let Ok(file) = std::fs::File::open("/dev/null") {
                taken.push(file);
            }
            assert_eq!(errno(TcpStream::connect([good, good])), libc::EMFILE);
            assert_eq!(errno(TcpStream::connect(good)), libc::EMFILE);
            coop::scope(|s| -> io::Result<()> {
                assert_eq!(errno(s.start(op::connect(good)).wait()), libc::EMFILE);
                Ok(())
            })
            .unwrap();
            assert_eq!(errno(UdpSocket::bind("127.0.0.1:0")), libc::EMFILE);
        });
    });
}

#[test]
fn descriptors_that_nobody_takes_are_closed() {
    alone("leaks::descriptors_that_nobody_takes_are_closed", || {
        leaks_nothing(|| {
            coop::run(|| -> io::Result<()> {
                let (a, b) = UnixStream::pair()?;
                let before = descriptors();
                // Received by a call that does not ask for them.
                send_one(&a);
                b.recv(&mut [0; 8])?;
                assert_eq!(descriptors(), before);
                // Received, and dropped.
                send_one(&a);
                drop(b.recv_fds(&mut [0; 8])?);
                assert_eq!(descriptors(), before);
                // An arm that lost took none.
                send_one(&a);
                for _ in 0..10 {
                    let mut buf = [0; 8];
                    coop::select! { biased;
                        _ = op::after(std::time::Duration::ZERO) => {}
                        _ = op::recv_fds(&b, &mut buf) => panic!("it comes second"),
                    }?;
                }
                assert_eq!(b.recv_fds(&mut [0; 8])?.1.len(), 1);
                // A flight that nobody waited for took none, wherever its end found it.
                for forget in [false, true] {
                    send_one(&a);
                    let mut buf = [0; 8];
                    coop::scope(|s| -> io::Result<()> {
                        let receiving = s.start(op::recv_fds(&b, &mut buf));
                        coop::sleep(std::time::Duration::from_millis(2))?;
                        if forget {
                            std::mem::forget(receiving);
                        }
                        Ok(())
                    })?;
                    assert_eq!(b.recv_fds(&mut [0; 8])?.1.len(), 1);
                }
                // Never received at all.
                send_one(&a);
                Ok(())
            })
            .unwrap();
        });
    });
}

#[test]
fn descriptors_that_this_process_may_not_have_are_an_error_and_closed() {
    alone("leaks::descriptors_that_this_process_may_not_have_are_an_error_and_closed", || {
        coop::run(|| -> io::Result<()> {
            let (a, b) = UnixDatagram::pair()?;
            let null = File::open("/dev/null")?;
            a.send_fds(b"five", &[null.as_fd(); 5])?;
            a.send_fds(b"one", &[null.as_fd()])?;
            let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            let before = descriptors();
            // SAFETY: a limit of this process, which runs nothing else; `descriptors` itself has one open while it counts.
            unsafe {
                libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
                limit.rlim_cur = highest() + 3;
                assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0);
            }
            let mut buf = [0; 8];
            let error = coop::timeout(LONG, || b.recv_fds(&mut buf)).unwrap_err();
            let lost = DescriptorsLost::of(&error).unwrap_or_else(|| panic!("{error:?}"));
            assert_eq!((lost.n, lost.closed, &buf[..4]), (4, 2, &b"five"[..]));
            assert!(error.to_string().contains("RLIMIT_NOFILE"), "{error}");
            assert_eq!(descriptors(), before, "those that came are closed");
            assert_eq!(b.recv_fds(&mut buf)?.1.len(), 1, "the next come");
            Ok(())
        })
        .unwrap();
    });
}

#[test]
fn no_pipe_is_left() {
    alone("leaks::no_pipe_is_left", || {
        leaks_nothing(|| {
            coop::run(|| {
                for round in 0..50 {
                    let ((client, left), (right, _server)) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
                    coop::wait_all(|s| {
                        let sender = s.spawn(|| client.send_all(&[7; 1_000_000]));
                        let mut proxy = s.spawn(|| splice(&left, &right));
                        (0..round % 9).for_each(|_| coop::yield_now().unwrap());
                        sender.kill();
                        proxy.kill();
                        proxy.join().unwrap().unwrap_err();
                    });
                }
            });
        });
    });
}

/// What the tests of leases are for: many connections, little memory.
#[test]
fn idle_connections_hold_no_buffers() {
    alone("leaks::idle_connections_hold_no_buffers", || {
        leaks_nothing(|| {
            coop::run(|| {
                let pairs: Vec<_> = (0..400).map(|_| UnixStream::pair().unwrap()).collect();
                coop::wait_all(|s| {
                    for (ours, _) in &pairs {
                        s.spawn(move || while ours.recv_leased().is_ok_and(|lease| !lease.is_empty()) {});
                    }
                    coop::sleep(Duration::from_millis(5)).unwrap();
                    let before = resident();
                    for _ in 0..20 {
                        pairs.iter().for_each(|(_, theirs)| theirs.send_all(b"x").unwrap());
                        coop::sleep(Duration::from_millis(1)).unwrap();
                    }
                    let grown = resident().saturating_sub(before);
                    // 400 buffers would be 6.4 MB. They are used one after the other.
                    assert!(grown < 2_000_000, "grown by {grown} bytes");
                    pairs.iter().for_each(|(_, theirs)| theirs.shutdown(Shutdown::Write).unwrap());
                });
            });
        });
    });
}

#[test]
fn no_more_are_accepted_than_so_many_and_none_is_lost() {
    alone("leaks::no_more_are_accepted_than_so_many_and_none_is_lost", || {
        leaks_nothing(|| {
            coop::run(|| {
                let name = format!("\0coop-ahead-many-{}", std::process::id());
                let listener = UnixListener::bind(&name).unwrap();
                let before = descriptors();
                let connections = listener.accept_ahead();
                let clients: Vec<_> = (0..400u32)
                    .map(|number| {
                        let client = UnixStream::connect(&name).unwrap();
                        client.send_all(&number.to_ne_bytes()).unwrap();
                        client
                    })
                    .collect();
                for _ in 0..100 {
                    coop::yield_now().unwrap();
                }
                coop::sleep(Duration::from_millis(5)).unwrap();
                let accepted = descriptors() - before - clients.len();
                assert!((1..=300).contains(&accepted), "{accepted} accepted ahead");
                for number in 0..400u32 {
                    let mut said = [0; 4];
                    connections.accept().unwrap().recv_exact(&mut said).unwrap();
                    assert_eq!(u32::from_ne_bytes(said), number);
                }
                times_out(|| connections.accept());
            });
        });
    });
}

#[test]
fn connections_that_nobody_takes_are_closed() {
    alone("leaks::connections_that_nobody_takes_are_closed", || {
        leaks_nothing(|| {
            coop::run(|| {
                for round in 0..60 {
                    let (listener, address) = listen();
                    let connections = listener.accept_ahead();
                    let clients: Vec<_> = (0..5).map(|_| TcpStream::connect(address).unwrap()).collect();
                    (0..round % 5).for_each(|_| coop::yield_now().unwrap());
                    match round % 4 {
                        0 => drop(connections),
                        1 => drop(connections.stop()),
                        2 => {
                            let result = catch_unwind(AssertUnwindSafe(|| {
                                let _here = connections;
                                std::panic::resume_unwind(Box::new("unwinds through it"));
                            }));
                            assert!(result.is_err());
                        }
                        _ => coop::no_switch(|| drop(connections)),
                    }
                    drop(listener);
                    for client in clients {
                        // The end, or a reset, but no silence.
                        let ended = coop::timeout(LONG, || client.recv(&mut [0; 1]));
                        assert!(matches!(ended, Ok(0)) || ended.is_err_and(|e| e.kind() != io::ErrorKind::TimedOut));
                    }
                }
            });
        });
        // Forgotten: the Cooperator ends all the same. Used without one, and with the next.
        let (listener, address) = listen();
        let outside = listener.accept_ahead();
        assert_eq!(kind(outside.accept()), io::ErrorKind::Unsupported);
        coop::run(|| std::mem::forget(listener.accept_ahead()));
        for _ in 0..2 {
            coop::run(|| {
                times_out(|| outside.accept());
                let client = TcpStream::connect(address).unwrap();
                assert_eq!(outside.accept().unwrap().peer_addr().unwrap(), client.local_addr().unwrap());
            });
        }
    });
}

#[test]
fn without_descriptors_it_says_so_and_goes_on_later() {
    alone("leaks::without_descriptors_it_says_so_and_goes_on_later", || {
        coop::run(|| {
            let (listener, address) = listen();
            let connections = listener.accept_ahead();
            let clients: Vec<_> = (0..3).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
            for _ in 0..3 {
                connections.accept().unwrap();
            }
            drop((connections, clients));
            let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            // SAFETY: a limit of this process, which runs nothing else.
            unsafe {
                libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
                limit.rlim_cur = descriptors() as u64 + 8;
                assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0);
            }
            let client = std::net::TcpStream::connect(address).unwrap();
            let mut taken = Vec::new();
            while let Ok(file) = std::fs::File::open("/dev/null") {
                taken.push(file);
            }
            let connections = listener.accept_ahead();
            for _ in 0..3 {
                // Once for each who asks, and no turning round and round in between.
                assert_eq!(errno(connections.accept()), libc::EMFILE);
            }
            drop(taken);
            assert_eq!(connections.accept().unwrap().peer_addr().unwrap(), client.local_addr().unwrap());
        });
    });
}

/// Its descriptor's number is another listener's then: whose connections are left alone.
#[test]
fn accepting_ahead_that_was_forgotten_takes_nothing_of_a_later_listener() {
    alone("leaks::accepting_ahead_that_was_forgotten_takes_nothing_of_a_later_listener", || {
        for builder in [Builder::new(), Builder::new().driver(Driver::Epoll)] {
            let all = || -> io::Result<()> {
                let (first, _) = listen();
                let number = first.as_raw_fd();
                std::mem::forget(first.accept_ahead());
                coop::sleep(Duration::from_millis(1))?;
                drop(first);
                let (second, address) = listen();
                assert_eq!(second.as_raw_fd(), number);
                coop::scope(|s| -> io::Result<()> {
                    let mut accepting = s.spawn(|| coop::timeout(Duration::from_secs(20), || second.accept()));
                    coop::yield_now()?;
                    let client = TcpStream::connect(address)?;
                    assert_eq!(accepting.join().unwrap()?.1, client.local_addr()?);
                    Ok(())
                })
            };
            builder.run(all).unwrap().unwrap();
        }
        // Nor does it keep its port: that goes with the Cooperator.
        let address = coop::run(|| {
            let (listener, address) = listen();
            std::mem::forget(listener.accept_ahead());
            address
        });
        let error = std::net::TcpStream::connect(address).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn receiving_ahead_that_ends_in_whatever_way_leaves_nothing() {
    alone("leaks::receiving_ahead_that_ends_in_whatever_way_leaves_nothing", || {
        leaks_nothing(|| {
            coop::run(|| {
                for round in 0..60 {
                    let (ours, theirs) = UnixStream::pair().unwrap();
                    let incoming = ours.recv_ahead();
                    theirs.send_all(&[7; 300]).unwrap();
                    (0..round % 5).for_each(|_| coop::yield_now().unwrap());
                    if round % 3 == 0 {
                        incoming.recv().unwrap();
                    }
                    match round % 4 {
                        0 => drop(incoming),
                        1 => drop(incoming.stop()),
                        2 => {
                            let result = catch_unwind(AssertUnwindSafe(|| {
                                let _here = incoming;
                                std::panic::resume_unwind(Box::new("unwinds through it"));
                            }));
                            assert!(result.is_err());
                        }
                        _ => coop::no_switch(|| drop(incoming)),
                    }
                    drop(ours);
                    // Nothing of the connection is left with the kernel.
                    let ended = coop::timeout(LONG, || theirs.recv(&mut [0; 1]));
                    assert!(matches!(ended, Ok(0)) || ended.is_err_and(|e| e.kind() != io::ErrorKind::TimedOut));
                }
            });
        });
        // Forgotten: the Cooperator ends all the same, and so does the connection then.
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        coop::run(|| {
            let ours = UnixStream::from(ours);
            std::mem::forget(ours.recv_ahead());
            coop::sleep(Duration::from_millis(1)).unwrap();
        });
        assert_eq!(std::io::Read::read(&mut theirs, &mut [0; 1]).unwrap(), 0);
    });
}

/// Its descriptor's number is another connection's then: of which nothing is taken.
#[test]
fn receiving_ahead_that_was_forgotten_takes_nothing_of_a_later_connection() {
    alone("leaks::receiving_ahead_that_was_forgotten_takes_nothing_of_a_later_connection", || {
        for builder in [Builder::new(), Builder::new().hardened(true), Builder::new().driver(Driver::Epoll)] {
            for pauses in 0..4 {
                let all = || -> io::Result<()> {
                    let (first, _peer) = UnixStream::pair()?;
                    let number = first.as_raw_fd();
                    let incoming = first.recv_ahead();
                    if pauses > 1 {
                        times_out(|| incoming.recv());
                    }
                    std::mem::forget(incoming);
                    (0..pauses).for_each(|_| coop::yield_now().unwrap());
                    drop(first);
                    let (second, theirs) = UnixStream::pair()?;
                    assert_eq!(second.as_raw_fd(), number);
                    theirs.send_all(b"for the second")?;
                    coop::sleep(Duration::from_millis(1))?;
                    let mut got = [0; 14];
                    coop::timeout(Duration::from_secs(20), || second.recv_exact(&mut got))?;
                    assert_eq!(&got, b"for the second");
                    Ok(())
                };
                builder.clone().run(all).unwrap().unwrap();
            }
        }
    });
}

/// Connections on which nothing comes have no buffers of their own, and a descriptor of their own only until something has.
#[test]
fn idle_connections_that_receive_ahead_cost_little() {
    alone("leaks::idle_connections_that_receive_ahead_cost_little", || {
        coop::run(|| {
            let pairs: Vec<_> = (0..400).map(|_| UnixStream::pair().unwrap()).collect();
            coop::sleep(Duration::from_millis(5)).unwrap();
            let (open, before) = (descriptors(), resident());
            let incoming: Vec<_> = pairs.iter().map(|(ours, _)| ours.recv_ahead()).collect();
            coop::sleep(Duration::from_millis(1)).unwrap();
            // 400 buffers would be 6.4 MB.
            let grown = resident().saturating_sub(before);
            assert!(grown < 2_000_000, "grown by {grown} bytes");
            for ((_, theirs), incoming) in pairs.iter().zip(&incoming) {
                theirs.send_all(b"x").unwrap();
                assert_eq!(&*incoming.recv().unwrap(), b"x");
            }
            assert_eq!(descriptors(), open);
        });
    });
}
