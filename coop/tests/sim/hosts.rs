//! Hosts that crash, and networks that fall apart.

use coop::net::{TcpListener, TcpStream, UdpSocket};
use coop::sim;
use coop::time::Instant;
use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::time::Duration;

/// Answers each byte.
fn echo() -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:7")?;
    loop {
        let conn = listener.accept()?.0;
        coop::spawn(move || -> io::Result<()> {
            let mut buf = [0; 100];
            loop {
                match conn.recv(&mut buf)? {
                    0 => return Ok(()),
                    n => conn.send_all(&buf[..n])?,
                }
            }
        });
    }
}

fn ask(conn: &TcpStream) -> io::Result<()> {
    conn.send_all(b"?")?;
    conn.recv_exact(&mut [0; 1])
}

#[test]
fn a_host_has_its_own_addresses_and_no_others() {
    sim::run(1, || -> io::Result<()> {
        let done = Rc::new(Cell::new(0));
        for last in [1u8, 2] {
            let done = done.clone();
            sim::host(&format!("host-{last}"), [10, 0, 0, last], move || -> io::Result<()> {
                let other = TcpListener::bind("10.0.0.9:80").unwrap_err();
                assert_eq!(other.kind(), ErrorKind::AddrNotAvailable);
                // Both have the same loopback address, and each its own loop.
                let listener = TcpListener::bind("127.0.0.1:80")?;
                let conn = TcpStream::connect("127.0.0.1:80")?;
                assert_eq!(listener.accept()?.1, conn.local_addr()?);
                let socket = UdpSocket::bind("0.0.0.0:0")?;
                socket.send_to(b"here I am", (sim::ELSEWHERE, 53))?;
                done.set(done.get() + 1);
                Ok(())
            })?;
        }
        let twice = sim::host("host-1", [10, 0, 0, 3], || {}).unwrap_err();
        assert_eq!(twice.kind(), ErrorKind::AlreadyExists);
        assert_eq!(sim::host("host-3", [10, 0, 0, 1], || {}).unwrap_err().kind(), ErrorKind::AlreadyExists);
        let socket = UdpSocket::bind("0.0.0.0:53")?;
        let mut from = [socket.recv_from(&mut [0; 9])?.1.ip(), socket.recv_from(&mut [0; 9])?.1.ip()];
        from.sort();
        assert_eq!(from, ["10.0.0.1".parse::<std::net::IpAddr>().unwrap(), "10.0.0.2".parse().unwrap()]);
        assert_eq!(done.get(), 2);
        Ok(())
    })
    .unwrap();
}

#[test]
fn what_was_sent_into_a_partition_arrives_once_it_is_healed() {
    sim::check(0..20, || -> io::Result<()> {
        sim::host("echo", [10, 0, 0, 1], echo)?;
        coop::yield_now()?;
        let conn = TcpStream::connect("echo:7")?;
        ask(&conn)?;
        sim::net().partition("echo", sim::ELSEWHERE);
        let silence = coop::timeout(Duration::from_secs(30), || ask(&conn)).unwrap_err();
        assert_eq!(silence.kind(), ErrorKind::TimedOut);
        sim::net().heal("echo", sim::ELSEWHERE);
        let begin = Instant::now();
        conn.recv_exact(&mut [0; 1])?;
        assert!(begin.elapsed() < Duration::from_secs(25), "it is repeated every ten seconds: {:?}", begin.elapsed());
        ask(&conn)
    });
}

#[test]
fn a_partition_that_stays_costs_the_connection_after_a_quarter_of_an_hour() {
    sim::check(0..5, || -> io::Result<()> {
        sim::host("echo", [10, 0, 0, 1], echo)?;
        coop::yield_now()?;
        let conn = TcpStream::connect("echo:7")?;
        sim::net().isolate("echo");
        let begin = Instant::now();
        assert_eq!(ask(&conn).unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert!((900..920).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
        sim::net().heal_all();
        ask(&TcpStream::connect("echo:7")?)
    });
}

#[test]
fn a_reset_that_a_partition_has_swallowed_is_said_again_to_who_sends() {
    sim::check(0..20, || -> io::Result<()> {
        sim::host("deaf", [10, 0, 0, 1], || -> io::Result<()> {
            let listener = TcpListener::bind("0.0.0.0:7")?;
            // Two connections, each closed with a byte that was not read: that is a reset.
            let conns = [listener.accept()?.0, listener.accept()?.0];
            coop::time::sleep(Duration::from_secs(10))?;
            drop(conns);
            coop::time::sleep(Duration::MAX).map_err(io::Error::from)
        })?;
        coop::yield_now()?;
        let (sends, ends) = (TcpStream::connect("deaf:7")?, TcpStream::connect("deaf:7")?);
        sends.send_all(b"?")?;
        ends.send_all(b"?")?;
        coop::time::sleep(Duration::from_secs(5))?;
        sim::net().partition("deaf", sim::ELSEWHERE);
        coop::time::sleep(Duration::from_secs(10))?;
        sim::net().heal("deaf", sim::ELSEWHERE);
        let silence = coop::timeout(Duration::from_secs(60), || sends.recv(&mut [0; 1])).unwrap_err();
        assert_eq!(silence.kind(), ErrorKind::TimedOut, "nobody repeats it to who says nothing");
        sends.send_all(b"!")?;
        assert_eq!(sends.recv(&mut [0; 1]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        ends.shutdown(std::net::Shutdown::Write)?;
        assert_eq!(ends.recv(&mut [0; 1]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        Ok(())
    });
}

#[test]
fn a_crash_is_silent_and_after_the_restart_old_connections_are_reset() {
    sim::check(0..20, || -> io::Result<()> {
        let started = Rc::new(Cell::new(0));
        let count = started.clone();
        let host = sim::host("echo", [10, 0, 0, 1], move || {
            count.set(count.get() + 1);
            echo()
        })?;
        coop::yield_now()?;
        let conn = TcpStream::connect("echo:7")?;
        ask(&conn)?;
        host.crash();
        assert!(!host.is_up());
        let silence = coop::timeout(Duration::from_secs(20), || conn.recv(&mut [0; 1])).unwrap_err();
        assert_eq!(silence.kind(), ErrorKind::TimedOut, "nobody has said goodbye");
        let nobody = TcpStream::connect_timeout("echo:7", Duration::from_secs(5)).unwrap_err();
        assert_eq!(nobody.kind(), ErrorKind::TimedOut);
        host.restart()?;
        assert!(host.is_up());
        conn.send_all(b"do you remember me?")?;
        assert_eq!(conn.recv(&mut [0; 1]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        ask(&TcpStream::connect("echo:7")?)?;
        assert_eq!(started.get(), 2);
        Ok(())
    });
}

#[test]
fn what_a_crashed_host_does_while_it_dies_reaches_nobody_and_its_panics_are_no_failure() {
    sim::check(0..30, || -> io::Result<()> {
        struct LastWords(UdpSocket);
        impl Drop for LastWords {
            fn drop(&mut self) {
                let _ = self.0.send_to(b"aaargh", (sim::ELSEWHERE, 53));
            }
        }
        let host = sim::host("mortal", [10, 0, 0, 1], || -> io::Result<()> {
            coop::spawn(|| {
                let _words = LastWords(UdpSocket::bind("0.0.0.0:0").unwrap());
                coop::sleep(Duration::from_secs(1000)).unwrap();
            });
            coop::sleep(Duration::from_secs(1000))?;
            Ok(())
        })?;
        let socket = UdpSocket::bind("0.0.0.0:53")?;
        coop::sleep(Duration::from_secs(1))?;
        host.crash();
        let heard = coop::timeout(Duration::from_secs(10), || socket.recv_from(&mut [0; 10]));
        assert_eq!(heard.unwrap_err().kind(), ErrorKind::TimedOut);
        Ok(())
    });
}

#[test]
fn a_partition_between_two_leaves_the_way_over_a_third() {
    sim::check(0..10, || -> io::Result<()> {
        let log = Rc::new(RefCell::new(Vec::new()));
        let heard = log.clone();
        sim::host("b", [10, 0, 0, 2], move || -> io::Result<()> {
            let socket = UdpSocket::bind("0.0.0.0:1")?;
            loop {
                let mut buf = [0; 20];
                let (n, _) = socket.recv_from(&mut buf)?;
                heard.borrow_mut().push(String::from_utf8_lossy(&buf[..n]).into_owned());
            }
        })?;
        sim::host("relay", [10, 0, 0, 3], || -> io::Result<()> {
            let socket = UdpSocket::bind("0.0.0.0:1")?;
            loop {
                let mut buf = [0; 20];
                let (n, _) = socket.recv_from(&mut buf)?;
                socket.send_to(&buf[..n], "b:1")?;
            }
        })?;
        sim::host("a", [10, 0, 0, 1], || -> io::Result<()> {
            coop::sleep(Duration::from_millis(10))?;
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.send_to(b"straight", "b:1")?;
            socket.send_to(b"round", "relay:1")?;
            Ok(())
        })?;
        sim::net().partition("a", "b");
        coop::sleep(Duration::from_secs(1))?;
        assert_eq!(*log.borrow(), ["round"]);
        Ok(())
    });
}
