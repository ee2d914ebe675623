//! Each operation × each error × each way: the error is the caller's, typed, or the operation is done again; nothing is lost, nothing
//! is left, and what is asked for next is done.

use super::kinds::{self, Story, Way};
use super::{alone, descriptors, is_epoll, run, seed};
use coop::__private::{Fault, Faults, Moment, census};
use coop::io::Partial;
use coop::{Killed, TimedOut};
use std::error::Error;
use std::io;

/// Every number that Linux has for an error.
const ERRORS: std::ops::RangeInclusive<i32> = 1..=133;

#[test]
fn whatever_the_kernel_says_is_told_or_done_again_and_nothing_is_lost() {
    let _alone = alone();
    let faults = Faults::new(seed());
    let cells = run(&faults, || {
        // The bell by which workers ring stays.
        coop::unblock(|| ()).expect("nobody kills the root");
        let mut cells = 0;
        cells += story::<kinds::Recv>(&faults);
        if !is_epoll() {
            cells += story::<kinds::RecvAhead>(&faults);
        }
        cells += story::<kinds::Send>(&faults);
        cells += story::<kinds::SendZeroCopy>(&faults);
        cells += story::<kinds::Poll>(&faults);
        cells += story::<kinds::Accept>(&faults);
        cells += story::<kinds::Connect>(&faults);
        cells += story::<kinds::Splice>(&faults);
        cells += story::<kinds::Cancel>(&faults);
        cells += story::<kinds::Read>(&faults);
        cells += story::<kinds::ReadVectored>(&faults);
        cells += story::<kinds::Write>(&faults);
        cells += story::<kinds::WriteVectored>(&faults);
        cells += story::<kinds::Sync>(&faults);
        cells += story::<kinds::Allocate>(&faults);
        cells += story::<kinds::Truncate>(&faults);
        cells += story::<kinds::Open>(&faults);
        cells += story::<kinds::Stat>(&faults);
        cells += story::<kinds::Rename>(&faults);
        cells += story::<kinds::Remove>(&faults);
        cells += story::<kinds::CreateDir>(&faults);
        cells += story::<kinds::Symlink>(&faults);
        cells += story::<kinds::HardLink>(&faults);
        cells
    });
    println!("{cells} cells: 22 opcodes, {} errors, {} ways", ERRORS.count(), Way::ALL.len());
    assert!(cells >= 15_000, "{cells} cells");
    assert!(faults.count(Fault::Error) + faults.count(Fault::Missed) >= cells);
}

fn story<S: Story>(faults: &Faults) -> u64 {
    // What is opened once and kept, by the first that needs it.
    let place = S::begin().expect("there is all that it takes");
    place.help();
    place.run(Way::Plain).expect(S::NAME);
    drop(place);
    let (mut cells, idle) = (0, census().operations);
    for way in S::WAYS {
        for errno in ERRORS.chain(S::RETRIED.iter().copied().filter(|errno| !ERRORS.contains(errno))) {
            let before = descriptors();
            while !cell::<S>(faults, *way, errno, idle) {}
            let now = census();
            let held = (now.operations, now.strays, now.tasks);
            assert_eq!(held, (idle, 0, 1), "{}, {way:?}, error {errno}", S::NAME);
            assert_eq!(descriptors(), before, "{}, {way:?}, error {errno}: descriptors", S::NAME);
            cells += 1;
        }
    }
    cells
}

/// What came of an operation.
#[derive(Debug, PartialEq)]
enum Came {
    /// It was done.
    Done,
    Failed(i32),
    Killed,
    TimedOut,
    /// The kernel has cancelled what nobody had asked it to: it had no thread.
    NoThread,
    Else(String),
}

impl Came {
    fn of(result: io::Result<()>) -> Self {
        let Err(error) = result else { return Came::Done };
        let cause = Partial::of(&error).and_then(|partial| partial.source()?.downcast_ref()).unwrap_or(&error);
        match cause.raw_os_error() {
            Some(errno) => Came::Failed(errno),
            None if Killed::is(cause) => Came::Killed,
            None if cause.get_ref().is_some_and(|inner| inner.is::<TimedOut>()) => Came::TimedOut,
            None if cause.to_string().starts_with("there is no thread for a call that blocks") => Came::NoThread,
            None => Came::Else(cause.to_string()),
        }
    }
}

/// False: the time was up before the operation had begun. So many operations fly when nobody does anything.
fn cell<S: Story>(faults: &Faults, way: Way, errno: i32, idle: usize) -> bool {
    let place = &S::begin().expect("there is all that it takes");
    let moment =
        if way.cancels() && S::OPCODE != kinds::Cancel::OPCODE { Moment::WhenCancelled } else { Moment::AtOnce };
    faults.plan(S::OPCODE, errno, moment);
    let came = coop::wait_all(|s| {
        let mut child = s.spawn(move || place.run(way));
        match way {
            Way::Killed => {
                while census().operations == idle {
                    coop::yield_now().expect("nobody kills the root");
                }
                child.kill();
            }
            Way::Expired | Way::Dropped => {}
            _ => {
                while faults.is_planned() {
                    coop::yield_now().expect("nobody kills the root");
                }
                place.help();
            }
        }
        Came::of(child.join().expect("it does not panic"))
    });
    if faults.forget() {
        assert_eq!((way, &came), (Way::Expired, &Came::TimedOut), "{}: error {errno} did not come", S::NAME);
        return false;
    }
    let is_retried = S::RETRIED.contains(&errno);
    let is_cancelled = matches!(errno, libc::ECANCELED | libc::EINTR) || !S::IS_TOLD || is_retried;
    let expected: &[Came] = match way {
        Way::Dropped => &[Came::Done],
        // Once begun in another way it is finished, or not begun.
        Way::Killed if is_cancelled => &[Came::Killed],
        Way::Expired if is_cancelled => &[Came::TimedOut],
        Way::Plain | Way::Timeout | Way::Select if is_retried => &[Came::Done],
        _ => &[Came::Failed(errno), Came::NoThread],
    };
    let is_expected = expected.contains(&came) && (came != Came::NoThread || errno == libc::ECANCELED);
    assert!(is_expected, "{}, {way:?}, error {errno}: {came:?} instead of {expected:?}", S::NAME);
    // The runtime still works, and nothing is lost: what has come meanwhile is there.
    if came != Came::Done || way == Way::Dropped {
        if way.cancels() {
            place.help();
        }
        place.run(Way::Plain).unwrap_or_else(|error| panic!("{}, {way:?}, after error {errno}: {error}", S::NAME));
    }
    true
}
