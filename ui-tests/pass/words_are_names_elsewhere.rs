//! `default`, `killed`, `complete` and `biased` are ordinary names where they cannot be arms.
#![deny(warnings)]
use coop::{chan, op};

fn main() {
    coop::run(|| {
        let (tx, rx) = chan::bounded::<u32>(8);
        (0..4).for_each(|n| tx.try_send(n).unwrap());
        let mut seen = Vec::new();
        let complete = true;
        coop::select! { default = op::receive(&rx) => seen.push(default) }.unwrap();
        coop::select! { killed = op::receive(&rx) if complete => seen.push(killed) }.unwrap();
        coop::select! { complete = op::receive(&rx) => seen.push(complete), complete => {} }.unwrap();
        coop::select! { biased; biased = op::receive(&rx) => seen.push(biased) }.unwrap();
        assert_eq!(seen, [Ok(0), Ok(1), Ok(2), Ok(3)]);
    });
}
