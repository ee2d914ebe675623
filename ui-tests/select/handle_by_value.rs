// A Handle stands in an arm as `&mut handle`: if the arm loses, it is still there.
use coop::{net::UnixStream, op};

fn next(conn: &UnixStream, buf: &mut [u8]) {
    coop::wait_all(|s| {
        let incoming = s.start(op::recv(conn, buf));
        let _ = coop::select! {
            got = incoming => println!("{got:?}"),
        };
    });
}

fn main() {}
