// What runs on another thread has its effects, whether its arm wins or not.
use coop::op;

fn main() {
    let _ = coop::select! {
        read = op::unblock(|| std::fs::read("file")) => println!("{read:?}"),
    };
}
