//! Rule 9: nothing of a finished wait outlives it in the kernel in a way that shows. An armed poll holds its socket: the port would
//! stay bound, connections would go to nobody, and the peer would see no end.

use crate::child::child;
use coop::net::{TcpListener, TcpStream, UnixStream};
use coop::op;
use std::net::SocketAddr;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(3600);
const MODES: [&str; 2] = ["deferred", "cooperative"];

/// The ways to wait for a connection in vain, until killed.
fn accept_in_vain(way: usize, listener: &TcpListener) {
    let failed = match way {
        0 => listener.accept().is_err(),
        1 => coop::select! { accepted = op::accept(listener) => accepted.is_err(), _ = op::after(LONG) => false }
            .is_err(),
        2 => coop::wait_all(|s| s.start(op::accept(listener)).wait().is_err()),
        3 => coop::wait_all(|s| {
            std::mem::forget(s.start(op::accept(listener)));
            coop::sleep(LONG).is_err()
        }),
        4 => coop::timeout(Duration::from_millis(1), || listener.accept().map(drop)).is_err(),
        5 => coop::select! { _ = op::accept(listener) => false, _ = op::after(Duration::from_millis(1)) => true }
            .unwrap_or(true),
        _ => coop::wait_all(|s| s.start(op::accept(listener)).cancel().is_none()),
    };
    assert!(failed, "nobody connected");
}

#[test]
fn the_port_of_a_listener_that_was_waited_for_can_be_bound_again_at_once() {
    for mode in MODES {
        child!([("COOP_TASKRUN", mode)], || {
            coop::run(|| {
                let mut address: SocketAddr = "127.0.0.1:0".parse().unwrap();
                for round in 0..70 {
                    let listener = TcpListener::bind(address).unwrap_or_else(|error| panic!("round {round}: {error}"));
                    address = listener.local_addr().unwrap();
                    let mut acceptor = coop::spawn(move || {
                        accept_in_vain(round % 7, &listener);
                        drop(listener);
                    });
                    coop::sleep(Duration::from_micros(200)).unwrap();
                    acceptor.kill();
                    acceptor.join().unwrap();
                    // An armed poll would keep the socket listening: this would be accepted by nobody.
                    let refused = std::net::TcpStream::connect(address).unwrap_err();
                    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused, "round {round}");
                }
            });
        })
        .succeeded();
    }
}

/// The ways to wait for bytes in vain, until killed.
fn receive_in_vain(way: usize, conn: &TcpStream) {
    let mut buffer = [0; 8];
    let failed = match way {
        0 => conn.recv(&mut buffer).is_err(),
        1 => conn.peek(&mut buffer).is_err(),
        2 => coop::select! { n = op::recv(conn, &mut buffer) => n.is_err(), _ = op::after(LONG) => false }.is_err(),
        3 => coop::wait_all(|s| s.start(op::recv(conn, &mut buffer)).wait().is_err()),
        4 => coop::wait_all(|s| {
            std::mem::forget(s.start(op::recv(conn, &mut buffer)));
            coop::sleep(LONG).is_err()
        }),
        5 => coop::timeout(Duration::from_millis(1), || conn.recv(&mut buffer)).is_err(),
        6 => {
            coop::select! { _ = op::recv(conn, &mut buffer) => false, _ = op::after(Duration::from_millis(1)) => true }
                .unwrap_or(true)
        }
        _ => coop::wait_all(|s| s.start(op::recv(conn, &mut buffer)).cancel().is_none()),
    };
    assert!(failed, "nobody sent");
}

#[test]
fn the_peer_of_a_connection_that_was_waited_for_sees_its_end_at_once() {
    for mode in MODES {
        child!([("COOP_TASKRUN", mode)], || {
            coop::run(|| {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                for round in 0..80 {
                    let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                    let conn = listener.accept().unwrap().0;
                    let mut receiver = coop::spawn(move || {
                        receive_in_vain(round % 8, &conn);
                        drop(conn);
                    });
                    coop::sleep(Duration::from_micros(200)).unwrap();
                    receiver.kill();
                    receiver.join().unwrap();
                    // Not by coop: no loop runs that would drain something after all.
                    peer.set_nonblocking(true).unwrap();
                    let end = std::io::Read::read(&mut &peer, &mut [0; 8])
                        .unwrap_or_else(|error| panic!("round {round}: {error}"));
                    assert_eq!(end, 0, "round {round}");
                }
            });
        })
        .succeeded();
    }
}

#[test]
fn a_new_connection_with_the_number_of_an_old_one_gets_nothing_of_its() {
    child!(|| {
        coop::run(|| {
            for round in 0..400 {
                let (old, old_peer) = UnixStream::pair().unwrap();
                let number = std::os::fd::AsRawFd::as_raw_fd(&old);
                let mut receiver = coop::spawn(move || {
                    let mut buffer = [0; 8];
                    match round % 3 {
                        0 => drop(old.recv(&mut buffer)),
                        1 => coop::wait_all(|s| drop(s.start(op::recv(&old, &mut buffer)))),
                        _ => drop(coop::select! { n = op::recv(&old, &mut buffer) => n.is_ok() }),
                    }
                });
                coop::yield_now().unwrap();
                receiver.kill();
                receiver.join().unwrap();
                let (new, new_peer) = UnixStream::pair().unwrap();
                assert_eq!(std::os::fd::AsRawFd::as_raw_fd(&new), number, "the kernel gives the lowest free number");
                new_peer.send_all(b"new").unwrap();
                let mut buffer = [0; 8];
                assert_eq!((new.recv(&mut buffer).unwrap(), &buffer[..3]), (3, &b"new"[..]), "round {round}");
                assert!(
                    old_peer.send(b"x").is_err_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe),
                    "round {round}"
                );
            }
        });
    })
    .succeeded();
}

#[test]
fn a_listener_whose_cooperator_has_ended_takes_no_more_connections() {
    child!(|| {
        for _ in 0..20 {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            coop::run(|| {
                drop(coop::spawn(move || listener.accept().map(drop)));
                coop::sleep(Duration::from_micros(100)).unwrap();
            });
            assert_eq!(
                std::net::TcpStream::connect(address).unwrap_err().kind(),
                std::io::ErrorKind::ConnectionRefused
            );
        }
    })
    .succeeded();
}
