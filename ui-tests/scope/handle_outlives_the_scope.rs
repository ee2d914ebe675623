// An operation in flight cannot leave its scope.
use coop::{net::UnixStream, op};

fn start(conn: &UnixStream, buf: &mut [u8]) {
    let incoming = coop::wait_all(|s| s.start(op::recv(conn, buf)));
    println!("{:?}", incoming.wait());
}

fn main() {}
