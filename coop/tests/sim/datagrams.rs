//! UDP in a simulation.

use coop::net::UdpSocket;
use coop::sim::{self, NetOptions};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::time::Duration;

#[test]
fn datagrams_arrive_whole_from_whom_they_are() {
    sim::check(0..20, || -> io::Result<()> {
        let (a, b) = (UdpSocket::bind("10.0.0.1:1000")?, UdpSocket::bind("10.0.0.2:0")?);
        let b_address = b.local_addr()?;
        assert_eq!(b.send_to(&[7; 3000], "10.0.0.1:1000")?, 3000);
        let mut buf = [0; 4000];
        assert_eq!(a.peek_from(&mut buf)?, (3000, b_address));
        let received = a.recv_datagram(&mut buf[..10])?;
        assert_eq!((received.n, received.size, received.from), (10, 3000, b_address));
        // Back, over a socket that is connected; what others send to it is not for it.
        b.connect("10.0.0.1:1000")?;
        assert_eq!((b.peer_addr()?, b.local_addr()?), ("10.0.0.1:1000".parse().unwrap(), b_address));
        let other = UdpSocket::bind("10.0.0.3:5")?;
        other.send_to(b"not for you", b_address)?;
        coop::sleep(Duration::from_millis(10))?;
        b.send(b"question")?;
        let (n, from) = a.recv_from(&mut buf)?;
        assert_eq!((&buf[..n], from), (&b"question"[..], b_address));
        a.send_to(b"answer", from)?;
        let n = b.recv(&mut buf)?;
        assert_eq!(&buf[..n], b"answer");
        assert_eq!(a.send_to(&[0; 70_000], from).unwrap_err().raw_os_error(), Some(libc_emsgsize()));
        Ok(())
    });
}

/// EMSGSIZE, which std has no name for.
fn libc_emsgsize() -> i32 {
    90
}

/// How often each of `count` datagrams has arrived, and whether in order.
fn exchange(count: u8) -> io::Result<(BTreeMap<u8, usize>, bool)> {
    let receiver = UdpSocket::bind("10.0.0.1:53")?;
    let sender = UdpSocket::bind("10.0.0.2:0")?;
    for number in 0..count {
        sender.send_to(&[number], "10.0.0.1:53")?;
    }
    let (mut seen, mut order) = (BTreeMap::new(), Vec::new());
    let mut buf = [0; 1];
    while coop::timeout(Duration::from_secs(1), || receiver.recv_from(&mut buf)).is_ok() {
        *seen.entry(buf[0]).or_insert(0) += 1;
        order.push(buf[0]);
    }
    Ok((seen, order.is_sorted()))
}

#[test]
fn datagrams_are_lost_doubled_and_reordered_only_as_asked_for() {
    let plain = sim::run(1, || exchange(100)).unwrap();
    assert!(plain.0.values().all(|times| *times == 1) && plain.0.len() == 100, "none lost, none doubled");
    assert!(!plain.1, "each takes its own time");
    let steady = NetOptions::new().delay(Duration::from_millis(1)..Duration::from_millis(1));
    assert!(
        sim::Builder::new().net(steady).run(|| exchange(100)).unwrap().1,
        "with one delay for all they stay in order"
    );
    let lossy = NetOptions::new().datagram_loss(0.2).datagram_duplication(0.1);
    let (mut lost, mut doubled) = (0, 0);
    for seed in 0..20 {
        let (seen, _) = sim::Builder::new().seed(seed).net(lossy.clone()).run(|| exchange(100)).unwrap();
        lost += 100 - seen.len();
        doubled += seen.values().filter(|times| **times == 2).count();
    }
    assert!((300..500).contains(&lost), "a fifth of 2,000: {lost}");
    assert!((110..210).contains(&doubled), "a tenth of the rest: {doubled}");
}

#[test]
fn datagrams_to_nobody_vanish_and_ports_are_free_again_when_their_socket_is_closed() {
    sim::run(1, || -> io::Result<()> {
        let sender = UdpSocket::bind("10.0.0.2:0")?;
        assert_eq!(sender.send_to(b"x", "10.0.0.1:53")?, 1);
        let first = UdpSocket::bind("10.0.0.1:53")?;
        assert_eq!(UdpSocket::bind("10.0.0.1:53").unwrap_err().kind(), ErrorKind::AddrInUse);
        drop(first);
        let again = UdpSocket::bind("10.0.0.1:53")?;
        coop::sleep(Duration::from_millis(10))?;
        sender.send_to(b"y", "10.0.0.1:53")?;
        let mut buf = [0; 1];
        again.recv_from(&mut buf)?;
        // The first datagram was on its way while the port changed hands: it may have come too.
        assert!(buf == *b"x" || buf == *b"y");
        assert!(sender.send_to(b"z", "nobody:53").is_err_and(|error| error.kind() == ErrorKind::NotFound));
        sim::net().add_name("nobody", [10, 0, 0, 1]);
        sender.send_to(b"z", "nobody:53")?;
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_receiver_that_does_not_receive_loses_what_there_is_no_room_for() {
    sim::run(1, || -> io::Result<()> {
        let receiver = UdpSocket::bind("10.0.0.1:53")?;
        let sender = UdpSocket::bind("10.0.0.2:0")?;
        for _ in 0..1000 {
            sender.send_to(&[0; 100], "10.0.0.1:53")?;
        }
        coop::sleep(Duration::from_secs(1))?;
        let mut count = 0;
        while coop::timeout(Duration::from_secs(1), || receiver.recv_from(&mut [0; 100])).is_ok() {
            count += 1;
        }
        assert!((100..1000).contains(&count), "{count} of 1,000 have found room");
        Ok(())
    })
    .unwrap();
}
