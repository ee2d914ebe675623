// A body may use what its own arm lent, but not an operand of the wait itself.
use coop::{net::UnixStream, op};

fn next(conn: &UnixStream, buf: &mut [u8]) {
    let filling = op::recv(conn, buf);
    println!("{}", buf.len());
    let _ = coop::select! {
        n = filling => println!("{n:?}"),
    };
}

fn main() {}
