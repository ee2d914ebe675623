//! Receiving into the Cooperator's buffers.

use crate::common::{is_killed, kind, times_out};
use coop::net::{Lease, UdpSocket, UnixSeqpacket, UnixStream};
use coop::{Operation, op};
use std::io::{self, Write};
use std::net::Shutdown;

#[test]
fn what_a_peer_sends_is_lent_in_order_whichever_call_takes_it() {
    coop::run(|| -> io::Result<()> {
        let (mut theirs, ours) = std::os::unix::net::UnixStream::pair()?;
        let ours = UnixStream::from(ours);
        let sent: Vec<u8> = (0..1_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let all = sent.clone();
        let peer = std::thread::spawn(move || theirs.write_all(&all).unwrap());
        let (mut got, mut buf, mut leases) = (Vec::new(), [0; 777], Vec::new());
        for turn in 0.. {
            let n = match turn % 4 {
                0 => {
                    let lease = ours.recv_leased()?;
                    got.extend_from_slice(&lease);
                    let n = lease.len();
                    // Some are kept for long.
                    leases.push(lease);
                    n
                }
                1 => {
                    let n = ours.recv(&mut buf)?;
                    got.extend_from_slice(&buf[..n]);
                    n
                }
                2 => {
                    let lease = coop::select! { got = op::recv_leased(&ours) => got? }?;
                    got.extend_from_slice(&lease);
                    lease.len()
                }
                _ => {
                    let lease = coop::scope(|s| s.start(op::recv_leased(&ours)).wait())?;
                    got.extend_from_slice(&lease);
                    lease.len()
                }
            };
            if n == 0 {
                break;
            }
        }
        peer.join().unwrap();
        assert!(got == sent);
        let mut at = 0;
        for lease in &leases {
            assert!(lease.len() <= Lease::MAX);
            at += got[at..].windows(lease.len().max(1)).position(|piece| piece.starts_with(lease)).expect("unchanged");
        }
        Ok(())
    })
    .unwrap();
}

#[coop::test]
fn packets_are_lent_too() -> io::Result<()> {
    let (a, b) = UnixSeqpacket::pair()?;
    a.send(b"one")?;
    a.send(b"")?;
    a.send(&[7; Lease::MAX + 1])?;
    assert_eq!(&*b.recv_leased()?, b"one");
    assert!(b.recv_leased()?.is_empty());
    assert_eq!(b.recv_leased()?.len(), Lease::MAX, "the rest is discarded");
    let udp = UdpSocket::bind("127.0.0.1:0")?;
    udp.connect(udp.local_addr()?)?;
    udp.send(b"to myself")?;
    let mut lease = op::recv_leased(&udp).wait()?;
    lease[..2].copy_from_slice(b"by");
    assert_eq!(&*lease, b"by myself");
    assert_eq!(format!("{:?}", udp.send(b"x").and_then(|_| udp.recv_leased())?), "Lease { bytes: [120] }");
    Ok(())
}

#[coop::test]
fn leasing_can_be_killed_has_deadlines_and_errors() -> io::Result<()> {
    let (ours, theirs) = UnixStream::pair()?;
    is_killed(|| ours.recv_leased());
    is_killed(|| op::recv_leased(&ours).wait());
    is_killed(|| coop::scope(|s| s.start(op::recv_leased(&ours)).wait()));
    times_out(|| ours.recv_leased());
    theirs.shutdown(Shutdown::Write)?;
    assert!(ours.recv_leased()?.is_empty());
    let unconnected = UnixSeqpacket::from(std::os::fd::OwnedFd::from(coop::net::TcpSocket::new_v4()?));
    assert_eq!(kind(unconnected.recv_leased()), io::ErrorKind::NotConnected);
    Ok(())
}

#[test]
fn a_lease_may_outlive_its_cooperator() {
    let lease = coop::run(|| -> io::Result<Lease> {
        let (ours, theirs) = UnixStream::pair()?;
        theirs.send_all(b"kept")?;
        ours.recv_leased()
    });
    assert_eq!(&*lease.unwrap(), b"kept");
    let (ours, _theirs) = UnixStream::pair().unwrap();
    assert_eq!(kind(ours.recv_leased()), io::ErrorKind::Unsupported, "no Cooperator");
}
