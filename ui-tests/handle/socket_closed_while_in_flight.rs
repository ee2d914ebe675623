// A socket with an operation in flight is not closed.
use coop::{net::UnixStream, op};

fn read(mut conn: UnixStream, other: UnixStream, buf: &mut [u8]) {
    coop::wait_all(|s| {
        let _incoming = s.start(op::recv(&conn, buf));
        conn = other;
    });
}

fn main() {}
