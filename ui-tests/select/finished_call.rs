// A call that has waited already is no operation.
use coop::{net::UnixStream, op};

fn next(conn: &UnixStream, buf: &mut [u8]) -> std::io::Result<usize> {
    let n = coop::select! {
        n = conn.recv(buf) => n?,
        _ = op::after(std::time::Duration::MAX) => 0,
    }?;
    Ok(n)
}

fn main() {}
