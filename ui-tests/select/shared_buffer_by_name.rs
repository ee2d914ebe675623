// Nor can they by a reference that is reborrowed.
use coop::{net::UnixStream, op};

fn next(a: &UnixStream, b: &UnixStream, buf: &mut [u8]) {
    let _ = coop::select! {
        n = op::recv(a, buf) => println!("{n:?} from a"),
        n = op::recv(b, buf) => println!("{n:?} from b"),
    };
}

fn main() {}
