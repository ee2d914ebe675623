//! Much of the same, for long: what a program holds after half of it, it holds after all of it.
//!
//! ```text
//! COOP_CHURN=300000 cargo test --release -p coop --test churn      so many connections of TCP, and so many of Unix and a half again
//! COOP_TIMERS=10000000 cargo test --release -p coop --test churn   so many timers in thirty days of virtual time
//! ```

#[path = "../soundness/random.rs"]
mod random;

use coop::__private::census;
use coop::net::{Stream, TcpListener, TcpStream, UnixListener, UnixStream};
use coop::time::Instant;
use coop::{Killed, Operation, op};
use random::Random;
use std::cell::Cell;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The tests of this program measure the process: one runs at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}")))
}

/// What the process, and the calling thread's Cooperator, hold.
#[derive(Clone, Copy, Debug)]
struct Held {
    /// In pages.
    memory: u64,
    mappings: usize,
    descriptors: usize,
    tasks: usize,
    stacks: usize,
    operations: usize,
}

impl Held {
    fn now() -> Self {
        let statm = std::fs::read_to_string("/proc/self/statm").expect("this is Linux");
        let memory =
            statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("the second is the resident set");
        let mappings = std::fs::read_to_string("/proc/self/maps").expect("this is Linux").lines().count();
        let descriptors = std::fs::read_dir("/proc/self/fd").expect("this is Linux").count();
        let census = census();
        let (tasks, stacks, operations) = (census.tasks, census.stacks, census.operations);
        Held { memory, mappings, descriptors, tasks, stacks, operations }
    }

    /// Nothing but memory may differ, and that by a twentieth.
    #[track_caller]
    fn assert_no_more_than(&self, before: &Held, half: &Held, what: &str) {
        let counts = |held: &Held| (held.descriptors, held.tasks, held.stacks, held.operations);
        assert_eq!(counts(self), counts(before), "{what}: {self:?} after {before:?}");
        // The allocator maps and unmaps as it likes, but not more and more.
        assert!(self.mappings <= half.mappings + 8, "{what}: {self:?} after {half:?} in the middle");
        assert!(self.memory * 100 <= half.memory * 105, "{what}: {self:?} after {half:?} in the middle");
    }
}

/// How many connections there are at a time.
const AT_ONCE: u64 = 50;

/// `count` connections, each of which is used, and one in ten of which is killed while it is.
fn churn<S: Stream + 'static>(
    what: &str,
    count: u64,
    accept: impl Fn() -> io::Result<S>,
    connect: impl Fn() -> io::Result<S>,
) {
    let (accept, connect, random) = (&accept, &connect, Random::new(count));
    let (served, killed) = (&Cell::new(0), &Cell::new(0));
    let client = |turns: Option<u64>| {
        coop::wait_all(|s| {
            let mut client = s.spawn(|| exchange(&connect()?));
            if let Some(turns) = turns {
                (0..turns).for_each(|_| coop::yield_now().expect("nobody kills this one"));
                client.kill();
            }
            match client.join().expect("it does not panic") {
                Ok(()) => served.set(served.get() + 1),
                Err(error) if Killed::is(&error) => killed.set(killed.get() + 1),
                Err(error) => panic!("{what}: {error}"),
            }
        });
    };
    let rounds = |n: u64| {
        for _ in 0..n {
            coop::wait_all(|s| {
                for _ in 0..AT_ONCE {
                    let turns = (random.below(10) == 0).then(|| random.below(4));
                    s.spawn(move || client(turns));
                }
            });
        }
        // The other sides of the last connections end a little later.
        let begin = Instant::now();
        while census().tasks > 2 && begin.elapsed() < Duration::from_secs(20) {
            coop::sleep(Duration::from_millis(1)).expect("nobody kills the root");
        }
        Held::now()
    };
    coop::wait_all(|s| {
        let server = s.spawn(|| {
            coop::wait_all(|s| {
                while let Ok(stream) = accept() {
                    s.spawn(move || echo(&stream));
                }
            });
        });
        // Stacks, buffers and slots that are kept.
        let (warm, half) = (10, count / 2 / AT_ONCE);
        let (before, half, after) = (rounds(warm), rounds(half), rounds(half));
        println!("{what}: {} served, {} killed; {before:?}, {half:?}, {after:?}", served.get(), killed.get());
        after.assert_no_more_than(&before, &half, what);
        server.kill();
    });
    assert_eq!(served.get() + killed.get(), AT_ONCE * (10 + count / 2 / AT_ONCE * 2), "{what}");
    assert!(killed.get() > served.get() / 30 && killed.get() < served.get(), "{what}: {} killed", killed.get());
}

fn echo(stream: &impl Stream) -> io::Result<()> {
    let mut buffer = [0; 256];
    loop {
        let n = op::recv(stream, &mut buffer).wait()?;
        if n == 0 {
            return Ok(());
        }
        op::send_all(stream, &buffer[..n]).wait()?;
    }
}

fn exchange(stream: &impl Stream) -> io::Result<()> {
    let (bytes, mut buffer, mut done) = ([7; 100], [0; 128], 0);
    op::send_all(stream, &bytes).wait()?;
    while done < bytes.len() {
        match op::recv(stream, &mut buffer).wait()? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => done += n,
        }
    }
    assert_eq!(done, bytes.len());
    Ok(())
}

/// A tenth of what `--nightly` does, and less without optimisation.
fn connections() -> u64 {
    number("COOP_CHURN", if cfg!(debug_assertions) { 4_000 } else { 30_000 })
}

#[test]
fn connections_of_tcp_leave_nothing_behind() {
    let _alone = alone();
    coop::run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connect = || {
            let stream = TcpStream::connect(address)?;
            // There are not so many ports that each can rest for a minute.
            stream.set_linger(Some(Duration::ZERO))?;
            Ok(stream)
        };
        churn("TCP", connections(), || Ok(listener.accept()?.0), connect);
    });
}

#[test]
fn connections_of_unix_sockets_leave_nothing_behind() {
    let _alone = alone();
    let path = std::env::temp_dir().join(format!("coop-churn-{}", std::process::id()));
    coop::run(|| {
        let listener = UnixListener::bind(&path).unwrap();
        churn("Unix", connections() * 5 / 3, || Ok(listener.accept()?.0), || UnixStream::connect(&path));
    });
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn in_thirty_days_of_virtual_time_no_timer_is_late_and_none_is_left() {
    let _alone = alone();
    const DAYS: Duration = Duration::from_secs(30 * 24 * 3600);
    const TASKS: u64 = 1000;
    let count = number("COOP_TIMERS", if cfg!(debug_assertions) { 100_000 } else { 1_000_000 });
    // The mean of a sleep is half of the longest.
    let longest = 2 * DAYS.as_nanos() as u64 / (count / TASKS);
    let builder = coop::Builder::new().virtual_time().simulated_ring().seed(7).stack(64 * 1024);
    let ((fired, withdrawn), left) = builder
        .run_counted(&mut Default::default(), || {
            let (random, begin) = (&Random::new(count), Instant::now());
            let (fired, withdrawn) = (&Cell::new(0), &Cell::new(0));
            coop::wait_all(|s| {
                for _ in 0..TASKS {
                    s.spawn(|| {
                        while begin.elapsed() < DAYS {
                            let time = |n: u64| Duration::from_nanos(1 + random.below(1 << 31) * (n >> 31));
                            let (asked, other, now) = (time(longest), time(longest), Instant::now());
                            if random.below(4) == 0 {
                                // Of two the nearer fires, and the other is taken back.
                                coop::select! {
                                    _ = op::after(asked) => assert!(asked <= other, "{asked:?}, {other:?}"),
                                    _ = op::after(other) => assert!(other <= asked, "{asked:?}, {other:?}"),
                                }
                                .expect("nobody kills it");
                                assert_eq!(now.elapsed(), asked.min(other));
                                withdrawn.set(withdrawn.get() + 1);
                            } else {
                                coop::sleep(asked).expect("nobody kills it");
                                assert_eq!(now.elapsed(), asked, "neither late nor early");
                            }
                            fired.set(fired.get() + 1);
                        }
                    });
                }
            });
            assert!(begin.elapsed() >= DAYS && begin.elapsed() < DAYS + Duration::from_nanos(longest));
            (fired.get(), withdrawn.get())
        })
        .map(|(result, left)| (result.unwrap(), left))
        .unwrap();
    println!("{fired} timers fired, {withdrawn} were taken back");
    assert!(fired > count * 9 / 10 && withdrawn > fired / 8, "{fired}, {withdrawn}");
    assert_eq!((left.tasks, left.stacks, left.operations, left.has_timers), (0, 0, 0, false));
}
