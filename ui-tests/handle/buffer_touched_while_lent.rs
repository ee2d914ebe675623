// The kernel has the buffer until the result is taken.
use coop::{net::UnixStream, op};

fn read(conn: &UnixStream, mut buf: [u8; 64]) {
    coop::wait_all(|s| {
        let incoming = s.start(op::recv(conn, &mut buf));
        buf[0] = 1;
        println!("{:?}", incoming.wait());
    });
}

fn main() {}
