// A read that the disk has begun is not undone.
use coop::{fs::File, op};

fn first(file: &File, buf: &mut [u8]) -> Result<(), coop::Killed> {
    coop::select! {
        n = op::read_at(file, buf, 0) => println!("{n:?}"),
    }
}

fn main() {}
