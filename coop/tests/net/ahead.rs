//! Accepting ahead.

use crate::common::{is_killed, kind, times_out};
use coop::net::{TcpListener, TcpStream, UnixListener, UnixSeqpacket, UnixSeqpacketListener, UnixStream};
use coop::{Builder, Driver, Operation, op};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[test]
fn each_connection_is_served_once_by_whichever_task_is_first() {
    const CLIENTS: usize = 2_000;
    coop::run(|| {
        let (listener, address) = listen();
        let connections = listener.accept_ahead();
        let peer = std::thread::spawn(move || {
            // So many at once, and all of them answered.
            for round in 0..CLIENTS / 50 {
                let mut open: Vec<_> = (0..50).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
                open.iter_mut().enumerate().for_each(|(at, conn)| conn.write_all(&[(round + at) as u8]).unwrap());
                for (at, conn) in open.iter_mut().enumerate() {
                    let mut answer = Vec::new();
                    conn.read_to_end(&mut answer).unwrap();
                    assert_eq!(answer, [(round + at) as u8]);
                }
            }
        });
        let served = std::cell::Cell::new(0);
        coop::wait_all(|s| {
            let servers: Vec<_> = (0..3)
                .map(|_| {
                    s.spawn(|| {
                        while let Ok(conn) = connections.accept() {
                            let mut byte = [0];
                            conn.recv_exact(&mut byte).unwrap();
                            conn.send_all(&byte).unwrap();
                            served.set(served.get() + 1);
                        }
                    })
                })
                .collect();
            while served.get() < CLIENTS {
                coop::sleep(Duration::from_millis(1)).unwrap();
            }
            servers.iter().for_each(|server| server.kill());
        });
        peer.join().unwrap();
        assert_eq!(served.get(), CLIENTS);
        assert!(connections.stop().is_empty());
    });
}

#[coop::test(schedules = 20)]
fn what_was_accepted_is_taken_in_order_or_given_back() -> io::Result<()> {
    let (listener, address) = listen();
    let connections = listener.accept_ahead();
    let clients: Vec<_> = (0..10).map(|_| TcpStream::connect(address)).collect::<io::Result<_>>()?;
    let mut from = Vec::new();
    for turn in 0..7 {
        let conn = match turn % 3 {
            0 => connections.accept()?,
            1 => coop::select! { conn = op::accept_next(&connections) => conn? }?,
            _ => coop::scope(|s| s.start(op::accept_next(&connections)).wait())?,
        };
        from.push(conn.peer_addr()?);
    }
    // Set aside for a flight that is called off: the next gets it.
    coop::scope(|s| -> io::Result<()> {
        let called_off = s.start(op::accept_next(&connections));
        coop::yield_now()?;
        drop(called_off);
        Ok(())
    })?;
    from.extend(connections.stop().iter().map(|conn| conn.peer_addr().unwrap()));
    // Those that are still with the kernel.
    while from.len() < 10 {
        from.push(listener.accept()?.1);
    }
    let expected: Vec<_> = clients.iter().map(|client| client.local_addr().unwrap()).collect();
    assert_eq!(from, expected);
    Ok(())
}

#[coop::test]
fn waiting_for_a_connection_can_be_killed_and_has_a_deadline() -> io::Result<()> {
    let (listener, address) = listen();
    let connections = listener.accept_ahead();
    is_killed(|| connections.accept());
    is_killed(|| op::accept_next(&connections).wait());
    times_out(|| connections.accept());
    coop::scope(|s| -> io::Result<()> {
        // Two wait; the first is killed when its connection comes: the other gets it, or it has it.
        let mut first = s.spawn(|| connections.accept());
        let mut second = s.spawn(|| connections.accept());
        coop::yield_now()?;
        let client = TcpStream::connect(address)?;
        first.kill();
        let got = match first.join().unwrap() {
            Ok(conn) => conn,
            Err(_) => second.join().unwrap()?,
        };
        assert_eq!(got.peer_addr()?, client.local_addr()?);
        second.kill();
        Ok(())
    })
}

#[coop::test]
fn unix_listeners_accept_ahead_too() -> io::Result<()> {
    let name = format!("\0coop-ahead-{}", std::process::id());
    let listener = UnixListener::bind(&name)?;
    let connections = listener.accept_ahead();
    let client = UnixStream::connect(&name)?;
    client.send_all(b"x")?;
    assert_eq!(connections.accept()?.recv(&mut [0; 4])?, 1);
    drop(connections);
    drop(listener);
    assert_eq!(kind(UnixStream::connect(&name)), io::ErrorKind::ConnectionRefused, "nothing of it is left");
    let listener = UnixSeqpacketListener::bind(&name)?;
    let connections = listener.accept_ahead();
    let client = UnixSeqpacket::connect(&name)?;
    client.send(b"packet")?;
    assert_eq!(connections.accept()?.recv(&mut [0; 8])?, 6);
    assert!(format!("{connections:?}").contains("accepted: 0"));
    Ok(())
}

/// As many as are accepted ahead, and more, are set aside for flights that nobody looks at: the next who asks is not one of them.
#[test]
fn what_is_set_aside_for_others_keeps_nobody_waiting() {
    let default = Builder::new;
    let epoll = || Builder::new().driver(Driver::Epoll);
    for (turn, (builder, aside)) in [(default(), 300), (epoll(), 130), (epoll(), 300)].into_iter().enumerate() {
        let all = || -> io::Result<()> {
            let name = format!("\0coop-aside-{}-{turn}", std::process::id());
            let listener = UnixListener::bind(&name)?;
            let connections = listener.accept_ahead();
            coop::scope(|s| -> io::Result<()> {
                let flights: Vec<_> = (0..aside).map(|_| s.start(op::accept_next(&connections))).collect();
                let clients: Vec<_> = (0..aside + 1).map(|_| UnixStream::connect(&name)).collect::<io::Result<_>>()?;
                coop::timeout(Duration::from_secs(20), || connections.accept().map(drop))?;
                for flight in flights {
                    flight.wait()?;
                }
                assert_eq!(clients.len(), aside + 1);
                Ok(())
            })
        };
        builder.run(all).unwrap().unwrap();
    }
}
