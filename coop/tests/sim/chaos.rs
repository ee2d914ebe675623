//! Everything at once: hosts that talk to each other while they crash and links fail. What arrives is always right, however little
//! it is; and once all is healed, everything works.

use coop::net::{TcpListener, TcpStream, UdpSocket};
use coop::sim::{self, Host, NetOptions};
use std::cell::Cell;
use std::io;
use std::net::Shutdown;
use std::rc::Rc;
use std::time::Duration;

const HOSTS: u8 = 4;

/// Byte `at` of a stream that is named by a number.
fn byte(stream: u8, at: usize) -> u8 {
    (at as u8).wrapping_mul(31).wrapping_add((at >> 8) as u8).wrapping_add(stream)
}

/// Sends back what it gets, over TCP and UDP.
fn echo() -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:7")?;
    let socket = UdpSocket::bind("0.0.0.0:7")?;
    coop::spawn(move || -> io::Result<()> {
        let mut buf = [0; 2000];
        loop {
            let (n, from) = socket.recv_from(&mut buf)?;
            socket.send_to(&buf[..n], from)?;
        }
    });
    loop {
        let conn = listener.accept()?.0;
        coop::spawn(move || -> io::Result<()> {
            let mut buf = [0; 3000];
            loop {
                match conn.recv(&mut buf)? {
                    0 => return conn.shutdown(Shutdown::Write),
                    n => conn.send_all(&buf[..n])?,
                }
            }
        });
    }
}

/// Sends `len` bytes to a host, receives them back, and checks each. Gives how many came.
fn stream_to(host: u8, stream: u8, len: usize) -> io::Result<usize> {
    let conn = TcpStream::connect(format!("host-{host}:7"))?;
    let mut got = 0;
    coop::scope(|s| -> io::Result<()> {
        s.try_spawn(|| {
            let bytes: Vec<u8> = (0..len).map(|at| byte(stream, at)).collect();
            conn.send_all(&bytes)?;
            conn.shutdown(Shutdown::Write)
        });
        let mut buf = [0; 1234];
        loop {
            match conn.recv(&mut buf)? {
                0 => return Ok(()),
                n => {
                    let is_right = buf[..n].iter().enumerate().all(|(i, b)| *b == byte(stream, got + i));
                    assert!(is_right, "stream {stream} to host {host}, after {got} bytes");
                    got += n;
                }
            }
        }
    })?;
    Ok(got)
}

/// Asks over UDP until an answer comes.
fn ping(host: u8, times: usize) -> io::Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(format!("host-{host}:7"))?;
    for number in 0..times {
        loop {
            socket.send(&number.to_be_bytes())?;
            let mut buf = [0; 100];
            match coop::timeout(Duration::from_millis(100), || socket.recv(&mut buf)) {
                Ok(8) if buf[..8] == number.to_be_bytes() => break,
                Ok(n) => assert!(n == 8 && usize::from_be_bytes(buf[..8].try_into().unwrap()) <= number),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

fn chaos(done: &Rc<Cell<usize>>) -> io::Result<()> {
    let hosts: Vec<Host> =
        (0..HOSTS).map(|n| sim::host(&format!("host-{n}"), [10, 0, 0, n], echo)).collect::<io::Result<_>>()?;
    coop::yield_now()?;
    let clients: Vec<_> = (0..6u8)
        .map(|client| {
            let done = done.clone();
            coop::spawn(move || {
                for round in 0..4u8 {
                    let _ = coop::sleep(Duration::from_millis(sim::random(1500) as u64));
                    let host = sim::random(usize::from(HOSTS)) as u8;
                    let (stream, len) = (client * 16 + round, 1 + sim::random(60_000));
                    match coop::timeout(Duration::from_secs(4), || stream_to(host, stream, len)) {
                        Ok(got) => {
                            assert_eq!(got, len, "the end came too soon");
                            done.set(done.get() + 1);
                        }
                        Err(error) => sim::note(format_args!("client {client}: {error}")),
                    }
                    let _ = coop::timeout(Duration::from_secs(1), || ping(host, 3));
                }
            })
        })
        .collect();
    for _ in 0..12 {
        coop::sleep(Duration::from_millis(sim::random(600) as u64))?;
        let (a, b) = (&hosts[sim::random(hosts.len())], &hosts[sim::random(hosts.len())]);
        match sim::random(6) {
            0 => sim::net().partition(a, b),
            1 => sim::net().partition(a, sim::ELSEWHERE),
            2 => sim::net().isolate(a),
            3 => sim::net().heal_all(),
            4 => a.crash(),
            _ => a.restart()?,
        }
    }
    for mut client in clients {
        client.join().expect("what arrives is right");
    }
    sim::net().heal_all();
    sim::net().set_options(NetOptions::new());
    for host in hosts.iter().filter(|host| !host.is_up()) {
        host.restart()?;
    }
    coop::sleep(Duration::from_secs(1))?;
    for host in 0..HOSTS {
        assert_eq!(stream_to(host, 200, 300_000)?, 300_000);
        ping(host, 10)?;
    }
    Ok(())
}

#[test]
fn in_whatever_order_hosts_and_links_fail_what_arrives_is_right_and_in_the_end_everything_works() {
    let done = Rc::new(Cell::new(0));
    let net = NetOptions::new().reset(0.002).datagram_loss(0.1).datagram_duplication(0.1);
    let seeds = if cfg!(debug_assertions) { 10 } else { 100 };
    sim::Builder::new().net(net).check(0..seeds, || chaos(&done));
    // The first is run twice, and one in a hundred.
    let seeds = seeds as usize + 1;
    assert!((5 * seeds..22 * seeds).contains(&done.get()), "{} streams of {} have got through", done.get(), 24 * seeds);
}
