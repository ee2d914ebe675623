// An operation does nothing until it is waited for.
#![deny(unused_must_use)]
use coop::{net::UnixStream, op};

fn send(conn: &UnixStream) {
    op::send_all(conn, b"hello");
}

fn main() {}
