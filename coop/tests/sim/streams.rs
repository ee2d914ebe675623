//! TCP in a simulation: what programs see of it is what they see of the kernel's.

use coop::net::{TcpListener, TcpSocket, TcpStream};
use coop::sim::{self, NetOptions};
use coop::time::Instant;
use coop::{JoinHandle, op};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Both ends of a connection.
fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("10.0.0.1:80")?;
    let client = TcpStream::connect("10.0.0.1:80")?;
    Ok((client, listener.accept()?.0))
}

/// Serves each connection by a task of its own, as the crate's first page has it.
fn serve_echo(at: &str) -> JoinHandle<io::Result<()>> {
    let listener = TcpListener::bind(at).unwrap();
    coop::spawn(move || {
        loop {
            let (conn, _) = listener.accept()?;
            coop::spawn(move || -> io::Result<()> {
                let mut buf = [0; 1000];
                loop {
                    match conn.recv(&mut buf)? {
                        0 => return Ok(()),
                        n => conn.send_all(&buf[..n])?,
                    }
                }
            });
        }
    })
}

#[test]
fn an_echo_server_that_knows_nothing_of_the_simulation_serves_many_clients() {
    sim::check(0..30, || {
        let server = serve_echo("10.0.0.1:7");
        coop::wait_all(|s| {
            for client in 0..8usize {
                s.spawn(move || -> io::Result<()> {
                    let sent: Vec<u8> = (0..20_000 + client * 5_000).map(|i| (i * 31 + client) as u8).collect();
                    let conn = TcpStream::connect("10.0.0.1:7")?;
                    let mut received = Vec::new();
                    coop::wait_all(|s| {
                        s.spawn(|| {
                            conn.send_all(&sent)?;
                            conn.shutdown(Shutdown::Write)
                        });
                        s.spawn(|| (&conn).read_to_end(&mut received));
                    });
                    assert_eq!(received, sent, "every byte, in order, and then the end");
                    Ok(())
                });
            }
        });
        server.kill();
    });
}

#[test]
fn both_ends_know_their_addresses_and_each_others() {
    sim::run(1, || -> io::Result<()> {
        let listener = TcpListener::bind("0.0.0.0:0")?;
        assert_eq!(listener.local_addr()?, address("0.0.0.0:49152"), "the first port of those that are given out");
        let client = TcpStream::connect(("127.0.0.1", 49152))?;
        let (server, from) = listener.accept()?;
        assert_eq!(client.peer_addr()?, address("127.0.0.1:49152"));
        assert_eq!(
            server.local_addr()?,
            address("127.0.0.1:49152"),
            "not 0.0.0.0: a connection is at a certain address"
        );
        assert_eq!((from, server.peer_addr()?), (client.local_addr()?, client.local_addr()?));
        assert!(from.ip().is_loopback());
        // IPv6, and a port of one's own choice.
        let listener = TcpListener::bind("[2001:db8::1]:80")?;
        let socket = TcpSocket::new_v6()?;
        socket.bind(address("[2001:db8::2]:4000"))?;
        assert_eq!(socket.local_addr()?, address("[2001:db8::2]:4000"));
        let client = socket.connect(address("[2001:db8::1]:80"))?;
        assert_eq!(listener.accept()?.1, address("[2001:db8::2]:4000"));
        assert_eq!(client.peer_addr()?, address("[2001:db8::1]:80"));
        Ok(())
    })
    .unwrap();
}

#[test]
fn an_address_is_one_sockets_until_that_is_closed() {
    sim::run(1, || -> io::Result<()> {
        let first = TcpListener::bind("10.0.0.1:80")?;
        assert_eq!(TcpListener::bind("10.0.0.1:80").unwrap_err().kind(), ErrorKind::AddrInUse);
        let _other_port = TcpListener::bind("10.0.0.1:81")?;
        let _other_host = TcpListener::bind("10.0.0.2:80")?;
        let client = TcpStream::connect("10.0.0.1:80")?;
        let accepted = first.accept()?.0;
        drop(first);
        let _again = TcpListener::bind("10.0.0.1:80")?;
        accepted.send_all(b"still there")?;
        let mut buf = [0; 11];
        client.recv_exact(&mut buf)?;
        assert_eq!(&buf, b"still there");
        Ok(())
    })
    .unwrap();
}

#[test]
fn connects_are_refused_where_nobody_listens_and_time_out_where_nothing_gets_there() {
    sim::run(1, || -> io::Result<()> {
        let begin = Instant::now();
        assert_eq!(TcpStream::connect("10.0.0.1:80").unwrap_err().kind(), ErrorKind::ConnectionRefused);
        assert!(begin.elapsed() < Duration::from_millis(5), "a round trip: {:?}", begin.elapsed());
        let _listener = TcpListener::bind("10.0.0.1:80")?;
        sim::net().partition(sim::ELSEWHERE, [10, 0, 0, 1]);
        let begin = Instant::now();
        assert_eq!(TcpStream::connect("10.0.0.1:80").unwrap_err().kind(), ErrorKind::TimedOut);
        assert!((60..130).contains(&begin.elapsed().as_secs()), "after seven tries: {:?}", begin.elapsed());
        let begin = Instant::now();
        let impatient = TcpStream::connect_timeout("10.0.0.1:80", Duration::from_secs(2)).unwrap_err();
        assert_eq!((impatient.kind(), begin.elapsed()), (ErrorKind::TimedOut, Duration::from_secs(2)));
        Ok(())
    })
    .unwrap();
}

#[test]
fn the_end_of_one_direction_leaves_the_other_open() {
    sim::check(0..20, || -> io::Result<()> {
        let (client, server) = pair()?;
        client.send_all(b"question")?;
        client.shutdown(Shutdown::Write)?;
        let mut question = Vec::new();
        (&server).read_to_end(&mut question)?;
        assert_eq!(question, b"question");
        server.send_all(b"answer")?;
        drop(server);
        let mut answer = Vec::new();
        (&client).read_to_end(&mut answer)?;
        assert_eq!(answer, b"answer");
        assert_eq!(client.recv(&mut [0; 1])?, 0, "the end stays");
        Ok(())
    });
}

#[test]
fn a_peer_that_closes_with_something_unread_resets_the_connection() {
    sim::check(0..20, || -> io::Result<()> {
        let (client, server) = pair()?;
        server.send_all(b"never read")?;
        client.send_all(b"x")?;
        // Until it is there.
        server.recv(&mut [0; 1])?;
        coop::sleep(Duration::from_millis(50))?;
        drop(client);
        let error = server.recv(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(server.send(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
        Ok(())
    });
}

#[test]
fn a_socket_that_does_not_linger_resets_and_one_that_is_gone_answers_with_a_reset() {
    sim::check(0..20, || -> io::Result<()> {
        let (client, server) = pair()?;
        client.set_linger(Some(Duration::ZERO))?;
        drop(client);
        assert_eq!(server.recv(&mut [0; 1]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        drop(server);

        let (client, server) = pair()?;
        drop(server);
        assert_eq!(client.recv(&mut [0; 1])?, 0);
        client.send_all(b"to nobody")?;
        assert_eq!(client.recv(&mut [0; 1])?, 0, "the reset is still on its way");
        coop::sleep(Duration::from_millis(50))?;
        assert_eq!(client.send(b"more").unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(client.recv(&mut [0; 1]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        Ok(())
    });
}

#[test]
fn who_sends_more_than_the_receiver_takes_waits() {
    sim::check(0..10, || -> io::Result<()> {
        let (client, server) = pair()?;
        let all = vec![7; 4 << 20];
        let mut partial = 0;
        while let Ok(n) = coop::timeout(Duration::from_secs(5), || client.send(&all)) {
            partial += n;
        }
        assert!((100_000..2_000_000).contains(&partial), "{partial} bytes found room");
        let mut received = vec![0; partial];
        server.recv_exact(&mut received)?;
        client.shutdown(Shutdown::Write)?;
        assert_eq!(server.recv(&mut [0; 1])?, 0, "and not a byte more");
        Ok(())
    });
}

#[test]
fn time_passes_as_the_network_says() {
    let net = NetOptions::new().delay(Duration::from_millis(50)..Duration::from_millis(50)).bandwidth(1_000_000);
    sim::Builder::new().net(net).check(0..5, || -> io::Result<()> {
        let _server = serve_echo("10.0.0.1:7");
        let begin = Instant::now();
        let conn = TcpStream::connect("10.0.0.1:7")?;
        assert_eq!(begin.elapsed(), Duration::from_millis(100), "there and back");
        let begin = Instant::now();
        conn.send_all(b"x")?;
        conn.recv_exact(&mut [0; 1])?;
        assert_eq!(begin.elapsed(), Duration::from_micros(100_002), "a byte takes a microsecond");
        Ok(())
    });
}

#[test]
fn within_a_host_a_connection_takes_microseconds_and_streams_overtake_each_other() {
    let mut orders = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let order = sim::run(seed, || -> io::Result<Vec<usize>> {
            let listener = TcpListener::bind("10.0.0.1:80")?;
            let clients = [(); 3].map(|()| TcpStream::connect("10.0.0.1:80").unwrap());
            let servers = [(); 3].map(|()| listener.accept().unwrap().0);
            for server in &servers {
                server.send_all(b"x")?;
            }
            let mut order = Vec::new();
            let mut left: Vec<usize> = vec![0, 1, 2];
            while !left.is_empty() {
                coop::sleep(Duration::from_micros(10))?;
                left.retain(|i| {
                    let there = coop::select! {
                        n = op::recv(&clients[*i], &mut [0; 1]) => n.unwrap() == 1,
                        default => false,
                    };
                    if there.unwrap() {
                        order.push(*i);
                    }
                    !there.unwrap()
                });
            }
            Ok(order)
        });
        orders.insert(order.unwrap());
    }
    assert!(orders.len() >= 4, "three streams have six orders: {orders:?}");
}

#[test]
fn connections_are_lost_as_often_as_asked_for_and_the_bytes_before_are_right() {
    let lost = std::cell::Cell::new(0);
    let net = NetOptions::new().reset(0.2);
    sim::Builder::new().net(net).check(0..60, || -> io::Result<()> {
        let (mut client, server) = pair()?;
        let writer = coop::spawn(move || (0..20u8).try_for_each(|i| client.write_all(&[i; 100])));
        let mut received = Vec::new();
        match (&server).read_to_end(&mut received) {
            Ok(_) => assert_eq!(received.len(), 2000),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                lost.set(lost.get() + 1);
            }
        }
        assert!(received.iter().enumerate().all(|(i, byte)| *byte as usize == i / 100), "in order: {received:?}");
        drop(writer);
        Ok(())
    });
    assert!((5..55).contains(&lost.get()), "{} of 60 runs have lost their connection", lost.get());
}

#[test]
fn kills_and_timeouts_in_the_middle_of_everything_lose_no_byte() {
    sim::check(0..60, || -> io::Result<()> {
        let (client, server) = pair()?;
        let total = 50_000usize;
        let sender = coop::spawn(move || {
            let bytes: Vec<u8> = (0..total).map(|i| (i % 251) as u8).collect();
            client.send_all(&bytes)?;
            client.shutdown(Shutdown::Write)?;
            client.recv(&mut [0; 1])
        });
        let (mut got, mut buf) = (0usize, [0; 777]);
        loop {
            let patience = Duration::from_micros(sim::random(3000) as u64);
            match coop::timeout(patience, || server.recv(&mut buf)) {
                Ok(0) => break,
                Ok(n) => {
                    assert!(buf[..n].iter().enumerate().all(|(i, byte)| *byte as usize == (got + i) % 251));
                    got += n;
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::TimedOut),
            }
        }
        assert_eq!(got, total);
        drop((server, sender));
        Ok(())
    });
}

#[test]
fn socket_options_are_kept_and_connections_are_accepted_ahead() {
    sim::check(0..20, || -> io::Result<()> {
        let listener = TcpListener::bind("10.0.0.1:80")?;
        let ahead = listener.accept_ahead();
        let clients = [(); 5].map(|()| TcpStream::connect("10.0.0.1:80").unwrap());
        for client in &clients {
            let conn = ahead.accept()?;
            let other = clients.iter().find(|client| client.local_addr().unwrap() == conn.peer_addr().unwrap());
            let other = other.expect("one of them");
            conn.set_nodelay(true)?;
            conn.set_ttl(7)?;
            conn.set_recv_buffer_size(5000)?;
            assert_eq!((conn.nodelay()?, conn.ttl()?, conn.recv_buffer_size()?), (true, 7, 10_000));
            assert_eq!((client.nodelay()?, client.ttl()?), (false, 64));
            other.send_all(b"to whom it concerns")?;
            let mut buf = [0; 19];
            conn.recv_exact(&mut buf)?;
            assert_eq!(&buf, b"to whom it concerns");
            conn.set_linger(Some(Duration::ZERO))?;
            drop(conn);
            assert_eq!(other.recv(&mut buf).unwrap_err().kind(), ErrorKind::ConnectionReset);
        }
        Ok(())
    });
}

/// Short transfers, operations that end when they like, completions that overflow, cancels that come too late: nothing is lost.
#[test]
fn what_is_received_ahead_comes_in_order_whatever_the_ring_does() {
    sim::check(0..200, || -> io::Result<()> {
        let listener = TcpListener::bind("10.0.0.1:80")?;
        let mut sender = coop::spawn(move || -> io::Result<()> {
            let conn = TcpStream::connect("10.0.0.1:80")?;
            for number in 0..200u32 {
                conn.send_all(&number.to_ne_bytes())?;
            }
            Ok(())
        });
        let (conn, _) = listener.accept()?;
        let mut got = Vec::new();
        // Now one, now another, stopped in between.
        let mut is_over = false;
        while !is_over {
            let incoming = conn.recv_ahead();
            for _ in 0..7 {
                let chunk = coop::select! {
                    chunk = op::recv_next(&incoming) => Some(chunk?),
                    _ = op::after(Duration::from_micros(300)) => None,
                }?;
                is_over = chunk.as_ref().is_some_and(|chunk| chunk.is_empty());
                got.extend(chunk.iter().flat_map(|chunk| chunk.iter().copied()));
            }
            for chunk in incoming.stop() {
                got.extend_from_slice(&chunk?);
            }
        }
        let expected: Vec<u8> = (0..200u32).flat_map(u32::to_ne_bytes).collect();
        assert!(got == expected, "{} of {} bytes", got.len(), expected.len());
        sender.join().unwrap()
    });
}

#[test]
fn a_listener_whose_queue_is_full_lets_connects_wait() {
    sim::check(0..10, || -> io::Result<()> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(address("10.0.0.1:80"))?;
        let listener = socket.listen(1)?;
        let clients: Vec<_> = (0..5).map(|_| coop::spawn(|| TcpStream::connect("10.0.0.1:80"))).collect();
        coop::sleep(Duration::from_millis(500))?;
        let begin = Instant::now();
        let accepted: Vec<_> = listener.incoming().take(5).collect::<io::Result<_>>()?;
        assert!(begin.elapsed() >= Duration::from_millis(400), "some have been sent again after a second");
        let connected = clients.into_iter().map(|mut client| client.join().unwrap().unwrap()).count();
        assert_eq!((accepted.len(), connected), (5, 5));
        Ok(())
    });
}
