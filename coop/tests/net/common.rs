//! What a call says that was killed, or ran out of time, or failed; and addresses that do not answer.

#![allow(dead_code, reason = "a part of two programs, neither of which needs all of it")]

use coop::net::{TcpListener, TcpSocket, TcpStream};
use coop::{Cause, Killed};
use std::io;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

/// Longer than anything takes that works.
pub const LONG: Duration = Duration::from_secs(3600);

/// What a call says that is killed while it waits, and one that begins when it is too late.
#[track_caller]
pub fn is_killed<T>(call: impl Fn() -> io::Result<T>) {
    let place = std::panic::Location::caller();
    let explicit = |result: io::Result<T>| {
        let killed = Killed::of(&result.err().expect("it was killed")).expect("and says so");
        assert!(matches!(killed.cause(), Cause::Explicit(_)), "{killed}, at {place}");
    };
    coop::wait_all(|s| {
        let mut victim = s.spawn(|| (call(), call()));
        for _ in 0..3 {
            coop::yield_now().unwrap();
        }
        victim.kill();
        let (waiting, refused) = victim.join().unwrap();
        explicit(waiting);
        explicit(refused);
    });
}

/// What a call says that waits longer than it may.
#[track_caller]
pub fn times_out<T>(call: impl Fn() -> io::Result<T>) {
    let result = coop::timeout(Duration::from_millis(5), call);
    assert_eq!(result.err().expect("nothing comes").kind(), io::ErrorKind::TimedOut);
}

#[track_caller]
pub fn kind<T>(result: io::Result<T>) -> io::ErrorKind {
    result.err().expect("an error").kind()
}

#[track_caller]
pub fn errno<T>(result: io::Result<T>) -> i32 {
    let error = result.err().expect("an error");
    error.raw_os_error().unwrap_or_else(|| panic!("{error:?}"))
}

/// An address from which no answer comes: a listener whose queue is full, so that the kernel ignores who knocks.
pub struct Silent {
    pub address: SocketAddr,
    _listener: TcpListener,
    _first: TcpStream,
}

impl Silent {
    pub fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        Silent { address, _listener: listener, _first: TcpStream::connect(address).unwrap() }
    }
}

/// An address where nobody listens, and nobody else will: a socket is bound to it that does not.
pub fn closed() -> SocketAddr {
    static BOUND: OnceLock<TcpSocket> = OnceLock::new();
    let bound = BOUND.get_or_init(|| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        socket
    });
    bound.local_addr().unwrap()
}
