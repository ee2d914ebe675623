//! Connecting by name and to several addresses.

use crate::common::{Silent, closed, is_killed, kind, times_out};
use coop::net::{TcpListener, TcpSocket, TcpStream, UdpSocket, lookup_host};
use coop::{Operation, op};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

#[test]
fn a_name_is_looked_up_while_other_tasks_run() {
    coop::run(|| -> io::Result<()> {
        let listener = TcpListener::bind("localhost:0")?;
        let port = listener.local_addr()?.port();
        for stream in [
            TcpStream::connect(("localhost", port))?,
            TcpStream::connect(("localhost".to_string(), port))?,
            TcpStream::connect(format!("localhost:{port}"))?,
            TcpStream::connect(&*format!("localhost:{port}"))?,
            TcpStream::connect_timeout(("localhost", port), Duration::from_secs(60))?,
        ] {
            assert_eq!(stream.peer_addr()?, listener.local_addr()?);
        }
        let udp = UdpSocket::bind("localhost:0")?;
        let sender = UdpSocket::bind((udp.local_addr()?.ip(), 0))?;
        sender.connect(("localhost", udp.local_addr()?.port()))?;
        sender.send(b"x")?;
        assert_eq!(udp.recv(&mut [0; 4])?, 1);
        let found: Vec<IpAddr> = lookup_host("localhost:1")?.map(|address| address.ip()).collect();
        assert!(!found.is_empty() && found.iter().all(IpAddr::is_loopback), "{found:?}");
        Ok(())
    })
    .unwrap();
}

#[test]
fn what_has_no_address_says_so() {
    coop::run(|| {
        // RFC 6761: this name never exists.
        let error = TcpStream::connect("nobody.invalid:80").unwrap_err();
        assert!(error.to_string().contains("lookup"), "{error}");
        assert!(lookup_host(("nobody.invalid", 1)).is_err());
        assert!(UdpSocket::bind("nobody.invalid:0").is_err());
        assert_eq!(kind(TcpStream::connect("127.0.0.1")), io::ErrorKind::InvalidInput);
        assert_eq!(kind(TcpStream::connect("127.0.0.1:port")), io::ErrorKind::InvalidInput);
        let none: [SocketAddr; 0] = [];
        assert_eq!(kind(TcpStream::connect(none)), io::ErrorKind::InvalidInput);
    });
    assert_eq!(kind(TcpStream::connect("localhost:1")), io::ErrorKind::Unsupported, "no Cooperator");
    assert_eq!(kind(lookup_host("127.0.0.1:1").map(drop)), io::ErrorKind::Unsupported);
}

#[test]
fn a_look_up_can_be_killed() {
    coop::run(|| {
        // Killed before it waits; and, as a rule, while it does. A look-up that was faster is no error.
        coop::wait_all(|s| {
            let mut victim = s.spawn(|| (0..).map(|_| lookup_host("localhost:1").map(drop)).find(Result::is_err));
            coop::sleep(Duration::from_millis(2)).unwrap();
            victim.kill();
            assert!(coop::Killed::is(&victim.join().unwrap().unwrap().unwrap_err()));
        });
        let limited = TcpStream::connect_timeout("localhost:1", Duration::ZERO);
        assert_eq!(kind(limited), io::ErrorKind::TimedOut);
    });
}

#[coop::test]
fn an_address_that_refuses_is_followed_by_the_next_at_once() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let good = listener.local_addr()?;
    let stream = coop::timeout(Duration::from_millis(200), || TcpStream::connect([closed(), closed(), good]))?;
    assert_eq!(stream.peer_addr()?, good);
    assert_eq!(kind(TcpStream::connect([closed(), closed()])), io::ErrorKind::ConnectionRefused);
    Ok(())
}

#[coop::test]
fn an_address_that_is_silent_is_followed_by_the_next_after_a_quarter_of_a_second() -> io::Result<()> {
    let (silent, mute) = (Silent::new(), Silent::new());
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let good = listener.local_addr()?;
    let within = |millis, addresses: &[SocketAddr]| {
        TcpStream::connect_timeout(addresses, Duration::from_millis(millis)).map(|stream| stream.peer_addr().unwrap())
    };
    assert_eq!(kind(within(249, &[silent.address, good])), io::ErrorKind::TimedOut);
    assert_eq!(within(260, &[silent.address, good])?, good);
    assert_eq!(kind(within(499, &[silent.address, mute.address, good])), io::ErrorKind::TimedOut);
    assert_eq!(within(510, &[silent.address, mute.address, good])?, good);
    // One that fails meanwhile does not end the others' chance.
    assert_eq!(within(510, &[silent.address, closed(), good])?, good);
    assert_eq!(kind(within(2_000, &[silent.address, closed()])), io::ErrorKind::TimedOut);
    Ok(())
}

#[coop::test]
fn a_connect_can_be_killed_and_has_a_deadline() -> io::Result<()> {
    let (silent, mute) = (Silent::new(), Silent::new());
    is_killed(|| TcpStream::connect(silent.address));
    is_killed(|| TcpStream::connect([silent.address, mute.address]));
    is_killed(|| op::connect(silent.address).wait());
    is_killed(|| TcpSocket::new_v4()?.connect(silent.address));
    is_killed(|| coop::scope(|s| s.start(op::connect(silent.address)).wait()));
    times_out(|| TcpStream::connect(silent.address));
    times_out(|| TcpStream::connect([silent.address, mute.address]));
    times_out(|| coop::scope(|s| s.start(op::connect(silent.address)).wait()));
    Ok(())
}

#[coop::test]
fn a_connect_is_started_and_waited_for_later() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let (good, silent) = (listener.local_addr()?, Silent::new());
    coop::scope(|s| -> io::Result<()> {
        let both = [s.start(op::connect(good)), s.start(op::connect(good))];
        let never = s.start(op::connect(silent.address));
        let refused = s.start(op::connect(closed()));
        for connecting in both {
            assert_eq!(connecting.wait()?.peer_addr()?, good);
        }
        assert_eq!(kind(refused.wait()), io::ErrorKind::ConnectionRefused);
        assert!(never.cancel().is_none());
        Ok(())
    })
}
