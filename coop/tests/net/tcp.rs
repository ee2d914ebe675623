//! TCP: options, vectored calls, half close, accepting.

use crate::common::{errno, is_killed, kind, times_out};
use coop::io::Partial;
use coop::net::{TcpKeepalive, TcpListener, TcpSocket, TcpStream};
use coop::{Killed, Operation, op};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Ipv6Addr, Shutdown, SocketAddr};
use std::time::Duration;

/// Two ends of a connection.
fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    Ok((client, listener.accept()?.0))
}

/// An end of a connection, the other of which is std's.
fn with_std() -> io::Result<(TcpStream, std::net::TcpStream)> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let ours = TcpStream::connect(listener.local_addr()?)?;
    Ok((ours, listener.accept()?.0))
}

#[coop::test]
fn each_option_is_as_it_was_set() -> io::Result<()> {
    let (stream, _peer) = pair()?;
    for on in [true, false] {
        stream.set_nodelay(on)?;
        assert_eq!(stream.nodelay()?, on);
        stream.set_keepalive(on)?;
        assert_eq!(stream.keepalive()?, on);
        stream.set_quickack(on)?;
        assert_eq!(stream.quickack()?, on);
    }
    stream.set_ttl(7)?;
    assert_eq!(stream.ttl()?, 7);
    stream.set_user_timeout(Some(Duration::from_micros(1500)))?;
    assert_eq!(stream.user_timeout()?, Some(Duration::from_millis(2)), "rounded up");
    stream.set_user_timeout(None)?;
    assert_eq!(stream.user_timeout()?, None);
    stream.set_linger(Some(Duration::ZERO))?;
    assert_eq!(stream.linger()?, Some(Duration::ZERO));
    stream.set_linger(None)?;
    assert_eq!(stream.linger()?, None);
    stream.set_recv_buffer_size(20_000)?;
    assert_eq!(stream.recv_buffer_size()?, 40_000, "the kernel doubles it");
    stream.set_send_buffer_size(20_000)?;
    assert_eq!(stream.send_buffer_size()?, 40_000);
    assert!(stream.take_error()?.is_none());

    let some = TcpKeepalive::new().with_time(Duration::from_millis(1500));
    stream.set_tcp_keepalive(&some)?;
    assert_eq!(stream.tcp_keepalive()?.time(), Some(Duration::from_secs(2)), "rounded up");
    assert_eq!(stream.tcp_keepalive()?.interval(), Some(Duration::from_secs(75)), "left alone");
    assert!(stream.keepalive()?);
    Ok(())
}

#[coop::test]
fn an_option_out_of_range_is_an_error_and_changes_nothing() -> io::Result<()> {
    use io::ErrorKind::InvalidInput;
    let (stream, _peer) = pair()?;
    assert_eq!(kind(stream.set_ttl(0)), InvalidInput);
    assert_eq!(kind(stream.set_ttl(256)), InvalidInput);
    assert_eq!(kind(stream.set_ttl(u32::MAX)), InvalidInput);
    assert_eq!(kind(stream.set_linger(Some(Duration::from_secs(1)))), InvalidInput, "closing would block the thread");
    assert_eq!(stream.linger()?, None);
    assert_eq!(kind(stream.set_recv_buffer_size(usize::MAX)), InvalidInput);
    assert_eq!(kind(stream.set_user_timeout(Some(Duration::MAX))), InvalidInput);
    let endless = TcpKeepalive::new().with_interval(Duration::from_secs(9)).with_time(Duration::MAX);
    assert_eq!(kind(stream.set_tcp_keepalive(&endless)), InvalidInput);
    assert_eq!(stream.tcp_keepalive()?.interval(), Some(Duration::from_secs(75)), "checked before any is set");
    assert_eq!(kind(stream.set_tcp_keepalive(&TcpKeepalive::new().with_retries(0))), InvalidInput);
    Ok(())
}

#[coop::test]
fn a_socket_has_its_options_before_it_connects_or_listens() -> io::Result<()> {
    let loopback: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let server = TcpSocket::new_v4()?;
    server.set_reuseaddr(true)?;
    server.set_reuseport(true)?;
    server.set_recv_buffer_size(30_000)?;
    assert!(server.reuseaddr()? && server.reuseport()?);
    server.bind(loopback)?;
    let address = server.local_addr()?;

    let other = TcpSocket::new_v4()?;
    assert_eq!(kind(other.bind(address)), io::ErrorKind::AddrInUse, "without SO_REUSEPORT of its own");
    other.set_reuseport(true)?;
    other.bind(address)?;

    let listener = server.listen(1)?;
    listener.set_ttl(9)?;
    assert_eq!(listener.ttl()?, 9);
    let client = TcpSocket::new_v4()?;
    client.bind(loopback)?;
    client.set_nodelay(true)?;
    let from = client.local_addr()?;
    let client = client.connect(address)?;
    assert!(client.nodelay()?);
    let (accepted, peer) = listener.accept()?;
    assert_eq!((peer, accepted.local_addr()?, client.local_addr()?), (from, address, from));
    assert_eq!(accepted.recv_buffer_size()?, 60_000, "inherited");
    Ok(())
}

#[coop::test]
fn ipv4_is_left_to_others_if_so_asked() -> io::Result<()> {
    let (both, six) = (TcpSocket::new_v6()?, TcpSocket::new_v6()?);
    both.set_only_v6(false)?;
    six.set_only_v6(true)?;
    assert!(six.only_v6()?);
    let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    both.bind(any)?;
    six.bind(any)?;
    let (both, six) = (both.listen(8)?, six.listen(8)?);
    assert!(!both.only_v6()? && six.only_v6()?);
    let over_v4 = |listener: &TcpListener| TcpStream::connect(("127.0.0.1", listener.local_addr().unwrap().port()));
    over_v4(&both)?;
    assert_eq!(kind(over_v4(&six)), io::ErrorKind::ConnectionRefused);
    let six = TcpStream::connect((Ipv6Addr::LOCALHOST, six.local_addr()?.port()))?;
    six.set_ttl(5)?;
    assert_eq!(six.ttl()?, 5, "the hop limit of IPv6");
    assert_eq!(errno(TcpSocket::new_v4()?.set_only_v6(true)), libc::ENOPROTOOPT);
    Ok(())
}

#[test]
fn vectored_calls_fill_and_send_buffers_in_order() {
    coop::run(|| -> io::Result<()> {
        let (ours, mut theirs) = with_std()?;
        let peer = std::thread::spawn(move || -> io::Result<Vec<u8>> {
            let mut all = vec![0; 10];
            theirs.read_exact(&mut all)?;
            theirs.write_all(b"0123456789")?;
            theirs.shutdown(Shutdown::Write)?;
            theirs.read_to_end(&mut all)?;
            Ok(all)
        });
        let pieces = [IoSlice::new(b"head"), IoSlice::new(b""), IoSlice::new(b"bodies")];
        assert_eq!(ours.send_vectored(&pieces)?, 10);
        let (mut a, mut b, mut c) = ([0; 3], [0; 0], [0; 7]);
        let mut received = 0;
        while received < 10 {
            // All of it may not have come at once: as a rule it has.
            let mut rest = [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b), IoSliceMut::new(&mut c)];
            let mut rest = &mut rest[..];
            IoSliceMut::advance_slices(&mut rest, received);
            received += (&ours).read_vectored(rest)?;
        }
        assert_eq!((&a, &c), (b"012", b"3456789"));
        assert_eq!(ours.recv_vectored(&mut [IoSliceMut::new(&mut a)])?, 0, "the end");
        assert_eq!(ours.recv_vectored(&mut [])?, 0, "no room");
        assert_eq!(ours.send_vectored(&[])?, 0);
        assert_eq!(ours.send_vectored(&[IoSlice::new(b"")])?, 0);
        assert_eq!((&ours).write_vectored(&[IoSlice::new(b"bye")])?, 3);
        drop(ours);
        assert_eq!(peer.join().unwrap()?, b"headbodiesbye");
        Ok(())
    })
    .unwrap();
}

/// Also when the socket is known to have nothing.
#[coop::test]
fn into_no_room_at_all_nothing_is_waited_for() -> io::Result<()> {
    let (ours, theirs) = pair()?;
    theirs.send_all(b"x")?;
    assert_eq!(ours.recv(&mut [0; 8])?, 1);
    assert_eq!((ours.recv(&mut [])?, ours.peek(&mut [])?, ours.recv_vectored(&mut [])?), (0, 0, 0));
    let late = Duration::from_millis(1);
    for _ in 0..2 {
        assert_eq!(coop::select! { n = op::recv(&ours, &mut []) => n?, _ = op::after(late) => 9 }?, 0);
        assert_eq!(coop::select! { n = op::peek(&ours, &mut []) => n?, _ = op::after(late) => 9 }?, 0);
        assert_eq!(coop::select! { n = op::recv_vectored(&ours, &mut []) => n?, _ = op::after(late) => 9 }?, 0);
        // An attempt that finds nothing.
        times_out(|| ours.peek(&mut [0; 8]));
    }
    Ok(())
}

/// More buffers than the kernel takes at once: a short transfer.
#[coop::test]
fn of_too_many_buffers_the_first_are_used() -> io::Result<()> {
    let (ours, theirs) = pair()?;
    let many = [IoSlice::new(b"x"); 1500];
    assert_eq!(ours.send_vectored(&many)?, 1024);
    let mut room = [[0u8; 1]; 1500];
    let mut room: Vec<IoSliceMut> = room.iter_mut().map(|byte| IoSliceMut::new(byte)).collect();
    assert_eq!(theirs.recv_vectored(&mut room)?, 1024);
    Ok(())
}

#[coop::test]
fn what_waits_can_be_killed_and_has_a_deadline() -> io::Result<()> {
    let (ours, _theirs) = pair()?;
    let calls: [&dyn Fn(&mut [u8]) -> io::Result<usize>; 4] = [
        &|room| ours.recv(room),
        &|room| ours.peek(room),
        &|room| ours.recv_vectored(&mut [IoSliceMut::new(room)]),
        &|room| op::peek(&ours, room).wait(),
    ];
    for call in calls {
        is_killed(|| call(&mut [0; 8]));
        times_out(|| call(&mut [0; 8]));
    }
    // Until it is full, and then sending waits; also what had been on its way makes room.
    let stuffing = vec![0; 1 << 20];
    let send = || -> io::Result<()> {
        loop {
            ours.send(&stuffing)?;
        }
    };
    let send_vectored = || -> io::Result<()> {
        loop {
            ours.send_vectored(&[IoSlice::new(&stuffing), IoSlice::new(&stuffing)])?;
        }
    };
    times_out(send);
    is_killed(send);
    times_out(send_vectored);
    is_killed(send_vectored);
    times_out(|| ours.recv(&mut [0; 8]));
    Ok(())
}

#[coop::test]
fn composites_say_how_far_they_got() -> io::Result<()> {
    let (ours, theirs) = pair()?;
    theirs.send_all(b"abc")?;
    let error = coop::timeout(Duration::from_millis(5), || ours.recv_exact(&mut [0; 5])).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    theirs.send_all(b"de")?;
    theirs.shutdown(Shutdown::Write)?;
    let error = ours.recv_exact(&mut [0; 5]).unwrap_err();
    assert_eq!((error.kind(), Partial::of(&error).unwrap().done), (io::ErrorKind::UnexpectedEof, 2));
    Ok(())
}

#[coop::test]
fn started_calls_give_their_buffers_back() -> io::Result<()> {
    let (ours, theirs) = pair()?;
    let (mut a, mut b, mut c) = ([0; 4], [0; 4], [0; 4]);
    coop::scope(|s| -> io::Result<()> {
        let mut buffers = [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)];
        coop::scope(|s| -> io::Result<()> {
            let receiving = s.start(op::recv_vectored(&ours, &mut buffers));
            theirs.send_all(b"12345678")?;
            let (n, buffers) = receiving.wait()?;
            assert_eq!((n, &*buffers[0], &*buffers[1]), (8, &b"1234"[..], &b"5678"[..]));
            Ok(())
        })?;
        let looking = s.start(op::peek(&ours, &mut c));
        theirs.send_all(b"peek")?;
        let seen = looking.wait()?;
        assert_eq!(seen.bytes(), b"peek");
        ours.recv_exact(seen.into_buf())?;
        // Never taken: nothing is received.
        let forgotten = s.start(op::peek(&ours, &mut [0; 0]));
        std::mem::forget(forgotten);
        Ok(())
    })
}

#[coop::test]
fn errors_of_the_connection_are_kept_for_the_next_call_or_taken() -> io::Result<()> {
    let (ours, theirs) = pair()?;
    theirs.set_linger(Some(Duration::ZERO))?;
    drop(theirs);
    assert_eq!(kind(ours.recv(&mut [0; 8])), io::ErrorKind::ConnectionReset);
    assert_eq!(kind(ours.send(b"x")), io::ErrorKind::BrokenPipe, "and no signal");
    assert_eq!(kind(ours.send_vectored(&[IoSlice::new(b"x")])), io::ErrorKind::BrokenPipe);

    let (ours, theirs) = pair()?;
    theirs.set_linger(Some(Duration::ZERO))?;
    drop(theirs);
    let taken = ours.take_error()?.expect("the reset");
    assert_eq!(taken.kind(), io::ErrorKind::ConnectionReset);
    assert!(ours.take_error()?.is_none());
    Ok(())
}

#[coop::test]
fn connections_come_one_after_the_other_until_the_task_is_killed() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    coop::scope(|s| -> io::Result<()> {
        let mut server = s.spawn(|| {
            let mut trace = Vec::new();
            // Errors are passed over: it ends all the same.
            for conn in listener.incoming() {
                match conn {
                    Ok(conn) => {
                        let mut byte = [0];
                        conn.recv_exact(&mut byte).unwrap();
                        trace.push(byte[0] as char);
                    }
                    Err(error) => trace.push(if Killed::is(&error) { '!' } else { '?' }),
                }
            }
            trace
        });
        for byte in b"abc" {
            let conn = TcpStream::connect(address)?;
            conn.send_all(&[*byte])?;
            assert_eq!(conn.recv(&mut [0; 1])?, 0, "served");
        }
        server.kill();
        assert_eq!(server.join().unwrap(), ['a', 'b', 'c', '!']);
        Ok(())
    })
}

#[test]
fn listeners_of_stds_are_taken_over() {
    coop::run(|| -> io::Result<()> {
        let blocking = std::net::TcpListener::bind("127.0.0.1:0")?;
        let address = blocking.local_addr()?;
        let listener = TcpListener::try_from(blocking)?;
        let mut client = std::net::TcpStream::connect(address)?;
        client.write_all(b"x")?;
        assert_eq!(listener.accept()?.0.recv(&mut [0; 4])?, 1);
        // Were it still blocking, this would hang the thread.
        let limited = coop::timeout(Duration::from_millis(5), || listener.accept());
        assert_eq!(kind(limited), io::ErrorKind::TimedOut);
        Ok(())
    })
    .unwrap();
}

#[coop::test]
fn without_a_descriptor_left_errors_say_so() -> io::Result<()> {
    // In this process others open descriptors too; what is used is an address that cannot be bound, and one that is taken.
    let taken = TcpListener::bind("127.0.0.1:0")?;
    assert_eq!(kind(TcpListener::bind(taken.local_addr()?)), io::ErrorKind::AddrInUse);
    assert_eq!(kind(TcpListener::bind("192.0.2.1:0")), io::ErrorKind::AddrNotAvailable);
    let addresses = ["192.0.2.1:0".parse().unwrap(), "127.0.0.1:0".parse().unwrap()];
    assert!(TcpListener::bind(addresses)?.local_addr()?.ip().is_loopback(), "the first that can be bound");
    assert_eq!(kind(TcpListener::bind(Vec::new())), io::ErrorKind::InvalidInput);
    Ok(())
}

/// More of them than the kernel looks at in one call: what it would move is nothing, which means the end.
#[coop::test]
fn empty_buffers_in_front_are_no_end_of_the_stream() -> io::Result<()> {
    let (ours, theirs) = pair()?;
    let mut many = vec![IoSlice::new(b""); 1500];
    many.push(IoSlice::new(b"here"));
    assert_eq!(ours.send_vectored(&many)?, 4);
    let (mut none, mut some) = ([[0u8; 0]; 1500], [0; 8]);
    let mut room: Vec<IoSliceMut> = none.iter_mut().map(|none| IoSliceMut::new(none)).collect();
    assert_eq!(theirs.recv_vectored(&mut room)?, 0, "no room");
    room.push(IoSliceMut::new(&mut some));
    assert_eq!(theirs.recv_vectored(&mut room)?, 4);
    assert_eq!(&some[..4], b"here");
    Ok(())
}
