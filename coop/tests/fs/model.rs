//! Random operations on a file of coop's and one of std's: both give the same results, and end with the same bytes.

use crate::scratch::{Random, Scratch};
use coop::fs::OpenOptions;
use std::io::{self, IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

/// A result that can be compared: errors by their number.
fn told<T>(result: io::Result<T>) -> Result<T, Option<i32>> {
    result.map_err(|error| error.raw_os_error())
}

fn play(random: &Random, scratch: &Scratch, append: bool, steps: usize) -> io::Result<()> {
    let (ours_at, theirs_at) = (scratch.join("ours"), scratch.join("theirs"));
    let mut ours = OpenOptions::new().read(true).write(true).append(append).create(true).open(&ours_at)?;
    let mut theirs = std::fs::OpenOptions::new();
    let mut theirs = theirs.read(true).write(true).append(append).create(true).truncate(false).open(&theirs_at)?;
    for step in 0..steps {
        let (offset, len) = (random.below(20_000), random.below(6_000) as usize);
        let what = random.below(11);
        let context = format!("step {step}: {what} at {offset}, {len} bytes, append: {append}");
        match what {
            0 => {
                let (mut a, mut b) = (vec![0; len], vec![0; len]);
                assert_eq!(told(ours.read(&mut a)), told(theirs.read(&mut b)), "{context}");
                assert!(a == b, "{context}");
            }
            1 => {
                let bytes = random.bytes(len);
                assert_eq!(told(ours.write(&bytes)), told(theirs.write(&bytes)), "{context}");
            }
            2 => {
                let (mut a, mut b) = (vec![0; len], vec![0; len]);
                assert_eq!(told(ours.read_at(&mut a, offset)), told(theirs.read_at(&mut b, offset)), "{context}");
                assert!(a == b, "{context}");
            }
            3 => {
                let bytes = random.bytes(len);
                assert_eq!(told(ours.write_at(&bytes, offset)), told(theirs.write_at(&bytes, offset)), "{context}");
            }
            4 => {
                let to = match random.below(3) {
                    0 => SeekFrom::Start(offset),
                    1 => SeekFrom::End(offset as i64 - 15_000),
                    _ => SeekFrom::Current(offset as i64 - 10_000),
                };
                assert_eq!(told(ours.seek(to)), told(theirs.seek(to)), "{context}: {to:?}");
            }
            5 => assert_eq!(told(ours.set_len(offset)), told(theirs.set_len(offset)), "{context}"),
            6 => {
                let (mut a, mut b) = ([vec![0; len], vec![0; len / 2]], [vec![0; len], vec![0; len / 2]]);
                let read = told(ours.read_vectored(&mut a.each_mut().map(|piece| IoSliceMut::new(piece))));
                assert_eq!(
                    read,
                    told(theirs.read_vectored(&mut b.each_mut().map(|piece| IoSliceMut::new(piece)))),
                    "{context}"
                );
                assert!(a == b, "{context}");
            }
            7 => {
                let bytes = random.bytes(len);
                let pieces = [IoSlice::new(&bytes[..len / 3]), IoSlice::new(&bytes[len / 3..])];
                assert_eq!(told(ours.write_vectored(&pieces)), told(theirs.write_vectored(&pieces)), "{context}");
            }
            8 => {
                let (mut a, mut b) = (vec![0; len], vec![0; len]);
                let kinds = (ours.read_exact_at(&mut a, offset), theirs.read_exact_at(&mut b, offset));
                assert_eq!(kinds.0.map_err(|error| error.kind()), kinds.1.map_err(|error| error.kind()), "{context}");
                assert!(a == b, "{context}");
            }
            9 => {
                let bytes = random.bytes(len);
                assert_eq!(
                    told(ours.write_all_at(&bytes, offset)),
                    told(theirs.write_all_at(&bytes, offset)),
                    "{context}"
                );
            }
            _ => {
                assert_eq!(ours.stream_position()?, theirs.stream_position()?, "{context}");
                let (ours, theirs) = (ours.metadata()?, theirs.metadata()?);
                assert_eq!(ours.len(), theirs.len(), "{context}");
            }
        }
    }
    assert!(std::fs::read(&ours_at)? == std::fs::read(&theirs_at)?);
    std::fs::remove_file(&ours_at)?;
    std::fs::remove_file(&theirs_at)
}

#[coop::test]
fn a_file_does_what_stds_does() -> io::Result<()> {
    let random = Random::new(3);
    let on_disk = Scratch::new();
    for round in 0..30 {
        play(&random, &on_disk, round % 4 == 0, 200)?;
    }
    // Another file system, which cannot tell what is cached.
    if let Some(in_memory) = Scratch::in_memory() {
        for round in 0..30 {
            play(&random, &in_memory, round % 4 == 0, 200)?;
        }
    }
    Ok(())
}
