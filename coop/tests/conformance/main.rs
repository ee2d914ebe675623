//! What running the same scripts on the simulated ring and on the kernel's has brought to light, as seen by programs. The scripts
//! themselves are with the rings: `cargo test -p coop --lib conformance -- --nocapture` prints what the running kernel does.

use coop::net::UnixStream;
use coop::{Operation, op};
use std::io;
use std::net::Shutdown;
use std::time::Duration;

/// More than a stream holds.
const MUCH: usize = 1 << 20;

/// The kernel does not find what it is about to try again, says so, and then waits on as if nobody had asked. To a peer that sends
/// no more, sending everything is such a thing: it was started and called off in one batch, and never ended.
#[coop::test(real_time)]
fn what_a_cancel_has_missed_is_cancelled_again() -> io::Result<()> {
    for _ in 0..20 {
        let (ours, theirs) = UnixStream::pair()?;
        theirs.shutdown(Shutdown::Write)?;
        let much = vec![7; MUCH];
        coop::scope(|s| -> io::Result<()> {
            drop(s.start(op::send_all(&ours, &much)));
            Ok(())
        })?;
        // The same for a task that is killed.
        let mut sender = coop::spawn(move || {
            let sent = op::send_all(&ours, &much).wait();
            (ours, sent)
        });
        coop::yield_now()?;
        sender.kill();
        let (ours, sent) = sender.join().expect("it returns");
        assert!(sent.is_err(), "a stream holds less");
        drop(ours);
        let mut all = 0;
        let mut buffer = vec![0; 65536];
        while let n @ 1.. = theirs.recv(&mut buffer)? {
            all += n;
        }
        assert!(all < 2 * MUCH, "both were stopped: {all} bytes were sent");
    }
    Ok(())
}

/// The same in a simulation, where it happens to any operation that waits for a descriptor, on one seed in a few.
#[test]
fn the_simulator_misses_cancels_too() {
    coop::sim::check(0..200, || -> io::Result<()> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut receiver = coop::spawn(move || ours.recv(&mut [0; 10]));
        coop::sleep(Duration::from_millis(1))?;
        receiver.kill();
        assert!(receiver.join().expect("it returns").is_err());
        drop(theirs);
        Ok(())
    });
}
