//! Queues of eight entries: whatever comes at once comes through.

use super::kinds::Scratch;
use super::{alone, is_epoll, number, run, seed};
use coop::__private::{Fault, Faults};
use coop::fs::File;
use coop::inspect::metrics;
use coop::net::{TcpListener, TcpStream};
use coop::op;
use std::cell::Cell;
use std::io;

const TASKS: usize = 32;
/// Operations that each has in flight at a time.
const AT_ONCE: usize = 32;

/// What stands in the file at `offset`.
fn word(offset: u64) -> u64 {
    offset.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[test]
fn no_completion_is_lost_in_a_queue_of_eight() {
    let _alone = alone();
    let count = number("COOP_COMPLETIONS", if cfg!(debug_assertions) { 100_000 } else { 1_000_000 });
    // Some are late and out of order on top of that, and the kernel will not always be entered.
    let faults = Faults::new(seed()).queues(8).with(Fault::Shuffled, 4).with(Fault::Late, 50).with(Fault::Refused, 50);
    let (done, turns, overflows) = run(&faults, || {
        let scratch = Scratch::new().unwrap();
        let words: Vec<u8> = (0..1024).flat_map(|n| word(8 * n).to_ne_bytes()).collect();
        std::fs::write(scratch.path("words"), words).unwrap();
        let file: File = std::fs::File::open(scratch.path("words")).unwrap().into();
        let (begun, done, turns) = (Cell::new(0), Cell::new(0), Cell::new(0u64));
        let (file, begun, done, turns) = (&file, &begun, &done, &turns);
        coop::scope(|s| -> io::Result<()> {
            // Somebody is always ready: completions are not only looked for when nobody is.
            let spinner = s.spawn(|| {
                while coop::yield_now().is_ok() {
                    turns.set(turns.get() + 1);
                }
            });
            let mut readers = Vec::new();
            for _ in 0..TASKS {
                readers.push(s.spawn(|| -> io::Result<()> {
                    while begun.get() < count {
                        begun.set(begun.get() + AT_ONCE as u64);
                        let mut buffers = [[0; 8]; AT_ONCE];
                        coop::scope(|s| -> io::Result<()> {
                            let places = (0u64..).map(|n| (begun.get() * 7 + n) % 1024 * 8);
                            let flying: Vec<_> = buffers
                                .iter_mut()
                                .zip(places)
                                .map(|(buffer, offset)| (offset, s.start(op::read_at(file, buffer, offset))))
                                .collect();
                            for (offset, handle) in flying {
                                let read = handle.wait()?;
                                assert_eq!(read.bytes(), word(offset).to_ne_bytes(), "at {offset}");
                                done.set(done.get() + 1);
                            }
                            Ok(())
                        })?;
                    }
                    Ok(())
                }));
            }
            for mut reader in readers {
                reader.join().expect("it does not panic")?;
            }
            spinner.kill();
            Ok(())
        })
        .unwrap();
        assert_eq!(done.get(), begun.get(), "each operation has completed once");
        (done.get(), turns.get(), metrics().cooperators[0].ring.overflows)
    });
    println!(
        "{done} completions, {overflows} enters with an overflowed queue, {turns} turns of somebody else meanwhile"
    );
    assert!(done >= count);
    assert!(turns > done / 1000, "{turns} turns: the others had none");
    if !is_epoll() {
        assert!(overflows > 0, "the queue was never full");
    }
}

#[test]
fn an_overflow_ends_accepting_and_no_connection_is_lost() {
    let _alone = alone();
    let rounds = number("COOP_CONNECTIONS", if cfg!(debug_assertions) { 1_000 } else { 5_000 }) / 20;
    let faults = Faults::new(seed()).queues(8).with(Fault::Late, 20).with(Fault::Refused, 50);
    let served = run(&faults, || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let served = Cell::new(0);
        coop::scope(|s| -> io::Result<()> {
            let server = s.spawn(|| {
                let connections = listener.accept_ahead();
                while let Ok(stream) = connections.accept() {
                    stream.send_all(b"!").expect("somebody is there");
                    served.set(served.get() + 1);
                }
            });
            for _ in 0..rounds {
                coop::scope(|s| -> io::Result<()> {
                    for _ in 0..20 {
                        s.try_spawn(|| {
                            let stream = TcpStream::connect(address)?;
                            assert_eq!(stream.recv(&mut [0; 8])?, 1);
                            assert_eq!(stream.recv(&mut [0; 8])?, 0, "the other side has closed it");
                            io::Result::Ok(())
                        });
                    }
                    Ok(())
                })?;
            }
            server.kill();
            Ok(())
        })
        .unwrap();
        served.get()
    });
    println!("{served} connections");
    assert_eq!(served, 20 * rounds);
}
