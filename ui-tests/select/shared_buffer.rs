// Two arms in flight at once cannot fill one buffer.
use coop::{net::UnixStream, op};

fn next(a: &UnixStream, b: &UnixStream) {
    let mut buf = [0; 64];
    let _ = coop::select! {
        n = op::recv(a, &mut buf) => println!("{n:?} from a"),
        n = op::recv(b, &mut buf) => println!("{n:?} from b"),
    };
}

fn main() {}
