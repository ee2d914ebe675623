//! UDP sockets and Unix datagrams.

use crate::common::{errno, is_killed, kind, times_out};
use coop::net::{UdpSocket, UnixDatagram};
use coop::{Operation, op};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::linux::net::SocketAddrExt;
use std::path::PathBuf;
use std::time::Duration;

fn udp() -> io::Result<UdpSocket> {
    UdpSocket::bind("127.0.0.1:0")
}

/// A name of the abstract namespace that nobody else has.
fn name(of: &str) -> PathBuf {
    format!("\0coop-datagrams-{of}-{}", std::process::id()).into()
}

#[test]
fn udp_talks_with_a_socket_of_stds() {
    coop::run(|| -> io::Result<()> {
        let theirs = std::net::UdpSocket::bind("127.0.0.1:0")?;
        let their_address = theirs.local_addr()?;
        let ours = udp()?;
        let our_address = ours.local_addr()?;
        let peer = std::thread::spawn(move || -> io::Result<Vec<String>> {
            let (mut seen, mut buffer) = (Vec::new(), [0; 64]);
            loop {
                let (n, from) = theirs.recv_from(&mut buffer)?;
                assert_eq!(from, our_address);
                theirs.send_to(&buffer[..n], from)?;
                seen.push(String::from_utf8_lossy(&buffer[..n]).into_owned());
                if n == 0 {
                    return Ok(seen);
                }
            }
        });
        let mut buf = [0; 64];
        assert_eq!(ours.send_to(b"one", their_address)?, 3);
        assert_eq!(ours.peek_from(&mut buf)?, (3, their_address));
        assert_eq!(ours.recv_from(&mut buf)?, (3, their_address));
        assert_eq!(op::send_to(&ours, b"two", their_address).wait()?, 3);
        assert_eq!(op::recv_from(&ours, &mut buf).wait()?, (3, their_address));
        ours.connect(their_address)?;
        assert_eq!(ours.peer_addr()?, their_address);
        ours.send_vectored(&[IoSlice::new(b"th"), IoSlice::new(b"ree")])?;
        let (mut a, mut b) = ([0; 3], [0; 9]);
        assert_eq!(ours.recv_vectored(&mut [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)])?, 5);
        assert_eq!((&a, &b[..2]), (b"thr", &b"ee"[..]));
        ours.send(b"four")?;
        assert_eq!(ours.peek(&mut buf)?, 4);
        assert_eq!(ours.recv(&mut buf)?, 4);
        // A datagram of no bytes is one.
        ours.send(b"")?;
        assert_eq!(ours.recv(&mut buf)?, 0);
        assert_eq!(peer.join().unwrap()?, ["one", "two", "three", "four", ""]);
        Ok(())
    })
    .unwrap();
}

#[coop::test]
fn what_does_not_fit_is_discarded_and_can_be_told() -> io::Result<()> {
    let (a, b) = (udp()?, udp()?);
    let (from, to) = (a.local_addr()?, b.local_addr()?);
    let mut buf = [0; 4];
    for _ in 0..5 {
        a.send_to(b"abcdef", to)?;
    }
    a.send_to(b"abcd", to)?;
    assert_eq!(b.recv_from(&mut buf)?, (4, from), "as with std");
    assert_eq!(b.recv(&mut buf)?, 4);
    let told = b.recv_datagram(&mut buf)?;
    assert_eq!((told.n, told.size, told.from, told.is_truncated()), (4, 6, from, true));
    assert_eq!(b.recv_from(&mut [])?, (0, from), "room for nothing takes it nevertheless");
    assert_eq!(b.peek_from(&mut buf)?, (4, from));
    assert_eq!(b.recv(&mut [])?, 0);
    let told = coop::select! { told = op::recv_datagram(&b, &mut buf) => told? }?;
    assert!(!told.is_truncated(), "it fits");
    times_out(|| b.recv(&mut []));
    Ok(())
}

#[coop::test]
fn datagrams_errors() -> io::Result<()> {
    let a = udp()?;
    assert_eq!(errno(a.send_to(&vec![0; 70_000], a.local_addr()?)), libc::EMSGSIZE);
    assert_eq!(errno(a.send(b"to whom?")), libc::EDESTADDRREQ);
    assert_eq!(kind(a.peer_addr()), io::ErrorKind::NotConnected);
    assert_eq!(kind(a.send_to(b"", Vec::new())), io::ErrorKind::InvalidInput);
    // Nobody there: the next call hears of it.
    let gone = udp()?.local_addr()?;
    a.connect(gone)?;
    a.send(b"anybody?")?;
    assert_eq!(kind(a.recv(&mut [0; 8])), io::ErrorKind::ConnectionRefused);
    a.send(b"anybody?")?;
    assert_eq!(kind(coop::select! { got = op::recv_from(&a, &mut [0; 8]) => got }?), io::ErrorKind::ConnectionRefused);
    a.send(b"anybody?")?;
    assert_eq!(a.take_error()?.unwrap().kind(), io::ErrorKind::ConnectionRefused);
    Ok(())
}

#[coop::test]
fn receiving_can_be_killed_and_has_a_deadline() -> io::Result<()> {
    let socket = udp()?;
    let (datagram, _other) = UnixDatagram::pair()?;
    is_killed(|| socket.recv(&mut [0; 8]));
    is_killed(|| socket.recv_from(&mut [0; 8]));
    is_killed(|| socket.recv_datagram(&mut [0; 8]));
    is_killed(|| socket.peek_from(&mut [0; 8]));
    is_killed(|| op::recv_from(&socket, &mut [0; 8]).wait());
    is_killed(|| {
        let mut buffer = [0; 8];
        coop::scope(|s| s.start(op::recv_from(&datagram, &mut buffer)).wait().map(|got| got.1))
    });
    is_killed(|| datagram.recv_from(&mut [0; 8]));
    times_out(|| socket.recv_from(&mut [0; 8]));
    times_out(|| socket.peek(&mut [0; 8]));
    times_out(|| datagram.recv_datagram(&mut [0; 8]));
    Ok(())
}

#[coop::test]
fn started_receives_give_their_buffers_back() -> io::Result<()> {
    let (a, b) = (udp()?, udp()?);
    let (mut one, mut two, mut three) = ([0; 8], [0; 8], [0; 2]);
    coop::scope(|s| -> io::Result<()> {
        let receiving = s.start(op::recv_from(&b, &mut one));
        let sending = s.start(op::send_to(&a, b"first", b.local_addr()?));
        assert_eq!(sending.wait()?.bytes(), b"first");
        let (got, from) = receiving.wait()?;
        assert_eq!((got.bytes(), from), (&b"first"[..], a.local_addr()?));
        let looking = s.start(op::peek_from(&b, &mut two));
        a.send_to(b"second", b.local_addr()?)?;
        assert_eq!(looking.wait()?.0.into_buf(), b"second\0\0");
        let told = s.start(op::recv_datagram(&b, &mut three));
        let (told, buffer) = told.wait()?;
        assert_eq!((told.n, told.size, &*buffer), (2, 6, &b"se"[..]));
        Ok(())
    })
}

#[coop::test]
fn broadcast_and_multicast() -> io::Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    let port = socket.local_addr()?.port();
    assert!(!socket.broadcast()?);
    assert_eq!(kind(socket.send_to(b"all", "255.255.255.255:9")), io::ErrorKind::PermissionDenied);
    socket.set_broadcast(true)?;
    assert!(socket.broadcast()?);
    socket.set_multicast_loop_v4(false)?;
    assert!(!socket.multicast_loop_v4()?);
    socket.set_multicast_loop_v4(true)?;
    socket.set_multicast_ttl_v4(3)?;
    assert_eq!(socket.multicast_ttl_v4()?, 3);
    assert_eq!(kind(socket.set_multicast_ttl_v4(256)), io::ErrorKind::InvalidInput);
    socket.set_ttl(11)?;
    assert_eq!(socket.ttl()?, 11);

    let group = Ipv4Addr::new(239, 255, 7, 7);
    assert_eq!(kind(socket.join_multicast_v4(&Ipv4Addr::LOCALHOST, &Ipv4Addr::LOCALHOST)), io::ErrorKind::InvalidInput);
    assert_eq!(kind(socket.leave_multicast_v4(&group, &Ipv4Addr::LOCALHOST)), io::ErrorKind::AddrNotAvailable);
    socket.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST)?;
    // Sent out over the loopback interface, since the sender is bound to it.
    let sender = udp()?;
    sender.set_multicast_loop_v4(true)?;
    let address = SocketAddr::from((group, port));
    if sender.send_to(b"group", address).is_ok() {
        assert_eq!(socket.recv_from(&mut [0; 8])?.0, 5);
    }
    socket.leave_multicast_v4(&group, &Ipv4Addr::LOCALHOST)?;

    let six = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?;
    six.set_multicast_loop_v6(false)?;
    assert!(!six.multicast_loop_v6()?);
    let group = Ipv6Addr::new(0xff01, 0, 0, 0, 0, 0, 0, 0x77);
    let loopback = 1;
    assert_eq!(kind(six.leave_multicast_v6(&group, loopback)), io::ErrorKind::AddrNotAvailable);
    six.join_multicast_v6(&group, loopback)?;
    six.leave_multicast_v6(&group, loopback)?;
    assert_eq!(kind(six.join_multicast_v6(&Ipv6Addr::LOCALHOST, loopback)), io::ErrorKind::InvalidInput);
    Ok(())
}

#[test]
fn unix_datagrams_talk_with_a_socket_of_stds() {
    coop::run(|| -> io::Result<()> {
        let (server_name, client_name) = (name("server"), name("client"));
        let of =
            |path: &PathBuf| std::os::unix::net::SocketAddr::from_abstract_name(&path.to_str().unwrap()[1..]).unwrap();
        let theirs = std::os::unix::net::UnixDatagram::bind_addr(&of(&server_name))?;
        let ours = UnixDatagram::bind(&client_name)?;
        assert_eq!(ours.local_path()?, Some(client_name.clone()));
        let client = of(&client_name);
        let peer = std::thread::spawn(move || {
            let mut buffer = [0; 16];
            for _ in 0..2 {
                let (n, from) = theirs.recv_from(&mut buffer).unwrap();
                assert_eq!(from.as_abstract_name(), client.as_abstract_name());
                theirs.send_to_addr(&buffer[..n], &from).unwrap();
            }
        });
        let mut buf = [0; 16];
        assert_eq!(ours.send_to(b"hello", &server_name)?, 5);
        assert_eq!(ours.recv_from(&mut buf)?, (5, Some(server_name.clone())));
        ours.connect(&server_name)?;
        assert_eq!(ours.peer_path()?, Some(server_name.clone()));
        ours.send(b"again")?;
        assert_eq!(ours.peek_from(&mut buf)?, (5, Some(server_name.clone())));
        assert_eq!(ours.recv(&mut buf)?, 5);
        peer.join().unwrap();
        assert_eq!(kind(ours.send(b"gone")), io::ErrorKind::ConnectionRefused);
        assert_eq!(kind(ours.send_to(b"gone", &server_name)), io::ErrorKind::ConnectionRefused);
        assert_eq!(kind(ours.send_to(b"x", "no/such/file")), io::ErrorKind::NotFound);
        assert_eq!(kind(ours.send_to(b"x", "x".repeat(200))), io::ErrorKind::InvalidInput);
        assert_eq!(kind(UnixDatagram::bind(&client_name)), io::ErrorKind::AddrInUse);
        let other = UnixDatagram::from(std::os::unix::net::UnixDatagram::unbound()?);
        assert_eq!((other.local_path()?, kind(other.peer_path())), (None, io::ErrorKind::NotConnected));
        Ok(())
    })
    .unwrap();
}

/// The kernel does not say when an unconnected receiver has room; it is found out.
#[coop::test]
fn a_receiver_who_is_behind_is_waited_for() -> io::Result<()> {
    let path = name("behind");
    let (server, client) = (UnixDatagram::bind(&path)?, UnixDatagram::unbound()?);
    // As many as there is room for, `net.unix.max_dgram_qlen`.
    let mut sent = 0u32;
    let full = loop {
        match coop::timeout(Duration::from_millis(20), || client.send_to(&sent.to_ne_bytes(), &path)) {
            Ok(_) => sent += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(full.kind(), io::ErrorKind::TimedOut);
    is_killed(|| client.send_to(b"x", &path));
    let connected = UnixDatagram::unbound()?;
    connected.connect(&path)?;
    is_killed(|| connected.send(b"x"));
    times_out(|| connected.send(b"x"));
    coop::scope(|s| -> io::Result<()> {
        let mut sender =
            s.spawn(|| (sent..sent + 50).try_for_each(|n| client.send_to(&n.to_ne_bytes(), &path).map(drop)));
        for expected in 0..sent + 50 {
            let mut number = [0; 4];
            server.recv(&mut number)?;
            assert_eq!(u32::from_ne_bytes(number), expected);
        }
        sender.join().unwrap()
    })
}

#[coop::test]
fn a_pair_of_datagrams_is_shut_down() -> io::Result<()> {
    let (a, b) = UnixDatagram::pair()?;
    a.send(b"last")?;
    a.shutdown(std::net::Shutdown::Write)?;
    assert_eq!(kind(a.send(b"more")), io::ErrorKind::BrokenPipe);
    assert_eq!(b.recv(&mut [0; 8])?, 4);
    assert_eq!(a.peer_cred()?.pid(), Some(std::process::id() as i32));
    Ok(())
}
