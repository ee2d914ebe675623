//! Inputs for parsers: a stored corpus, which is replayed, and what chance makes of it.
//!
//! A target is a function that takes bytes, panics if a property does not hold, and else says what kind of input it was. [`hunt`]
//! replays the corpus, then tries as many mutations of it as it is asked to, and gives how many there were of each kind: a target
//! whose kinds never occur tests nothing, and its test says so.
//!
//! `COOP_FUZZ_SEED` and `COOP_FUZZ_COUNT` (a factor) make other inputs, and more of them. An input that fails is made smaller as
//! long as it fails, and printed with the seed and with the file to keep it in.

// That of the schedules: what a seed means does not change there either.
#[allow(dead_code, clippy::duplicate_mod)]
#[path = "../schedules/random.rs"]
mod random;

pub use random::Random;

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// How often each kind of input came.
pub type Kinds = BTreeMap<&'static str, u64>;

/// The seed of this run.
pub fn seed() -> u64 {
    number("COOP_FUZZ_SEED").unwrap_or(0x0c00_9f22)
}

/// How many inputs to try where `count` is what a test has time for.
pub fn count(count: u64) -> u64 {
    count * number("COOP_FUZZ_COUNT").unwrap_or(1)
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")))
}

/// The files of a corpus, in the order of their names.
pub fn corpus(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", directory.display());
    paths.into_iter().map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
}

/// Replays the corpus in `directory`, then `tries` mutations of it. `words` are pieces that mean something to the target.
pub fn hunt(directory: &Path, words: &[&[u8]], tries: u64, target: impl Fn(&[u8]) -> &'static str) -> Kinds {
    let corpus = corpus(directory);
    let mut kinds = Kinds::new();
    for (path, input) in &corpus {
        *kinds.entry(run(&target, input, &|| format!("of {}", path.display()), directory)).or_default() += 1;
    }
    let (seed, inputs) = (seed(), corpus.into_iter().map(|(_, input)| input).collect::<Vec<_>>());
    for index in 0..count(tries) {
        let mut random = Random::new(seed ^ index.wrapping_mul(0xd6e8_feb8_6659_fd93));
        let input = mutation(&mut random, &inputs, words);
        let origin = || format!("{index} of seed {seed} (COOP_FUZZ_SEED={seed})");
        *kinds.entry(run(&target, &input, &origin, directory)).or_default() += 1;
    }
    kinds
}

fn run(
    target: &impl Fn(&[u8]) -> &'static str,
    input: &[u8],
    origin: &dyn Fn() -> String,
    directory: &Path,
) -> &'static str {
    let fails = |input: &[u8]| catch_unwind(AssertUnwindSafe(|| target(input)));
    fails(input).unwrap_or_else(|_| {
        let small = smaller(input.to_vec(), &|input| fails(input).is_err());
        panic!(
            "input {} fails; as small as it gets, and to be kept in {}:\n    {}",
            origin(),
            directory.display(),
            small.escape_ascii()
        );
    })
}

/// Leaves out pieces, ever smaller ones, as long as it still fails.
fn smaller(mut input: Vec<u8>, fails: &dyn Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut piece = input.len() / 2;
    while piece > 0 {
        let mut at = 0;
        while at + piece <= input.len() {
            let mut without = input.clone();
            without.drain(at..at + piece);
            if fails(&without) {
                input = without;
            } else {
                at += piece;
            }
        }
        piece /= 2;
    }
    input
}

/// An input made of one of the corpus by one to six changes.
pub fn mutation(random: &mut Random, corpus: &[Vec<u8>], words: &[&[u8]]) -> Vec<u8> {
    let mut input = random.pick(corpus).clone();
    for _ in 0..1 + random.below(6) {
        let at = random.below(input.len() + 1);
        match random.below(9) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 if at < input.len() => input[at] = random.next() as u8,
            2 => input.insert(at, random.next() as u8),
            3 if at < input.len() => {
                let end = at + 1 + random.below((input.len() - at).min(8));
                input.drain(at..end);
            }
            4 => input.truncate(at),
            5 if !words.is_empty() => {
                let word = *random.pick(words);
                input.splice(at..at, word.iter().copied());
            }
            6 if !words.is_empty() => {
                let word = *random.pick(words);
                let end = (at + word.len()).min(input.len());
                input.splice(at..end, word.iter().copied());
            }
            7 => {
                let other = random.pick(corpus);
                let from = random.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ => {
                let end = at + random.below((input.len() - at).min(32) + 1);
                let again = input[at..end].to_vec();
                input.splice(at..at, again);
            }
        }
    }
    // What is longer than this is no more interesting.
    input.truncate(64 * 1024);
    input
}
