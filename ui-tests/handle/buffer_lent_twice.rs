// One buffer is lent to one operation.
use coop::{net::UnixStream, op};

fn read(conn: &UnixStream, mut buf: [u8; 64]) {
    coop::wait_all(|s| {
        let first = s.start(op::recv(conn, &mut buf));
        let second = s.start(op::recv(conn, &mut buf));
        println!("{:?} {:?}", first.wait(), second.wait());
    });
}

fn main() {}
