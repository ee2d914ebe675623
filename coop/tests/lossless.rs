//! An arm of `select!` that does not win has had no effect.
//!
//! Each kind of arm is raced on the real ring, again and again, against a timer and against a kill, while somebody else produces
//! what it waits for at moments of his own. What was produced is numbered: in the end every number has arrived once, and in order
//! where there is one. Each test runs twice: with the ring as it is by default, and, in a process of its own, with
//! `COOP_TASKRUN=cooperative`, in which completions come earlier and a cancel may find its operation done.

use coop::net::{UnixListener, UnixStream};
use coop::sync::Mutex;
use coop::{Coordinator, Killed, chan, op, signal};
use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream as StdStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// How much of everything there is to lose.
const ROUNDS: usize = if cfg!(debug_assertions) { 4_000 } else { 100_000 };

/// Longer than anything takes that works.
const LONG: Duration = Duration::from_secs(10);

/// After so many rounds without a win, though there is something to win, it is lost.
const MOST_IN_VAIN: usize = 100_000;

/// What the arm is raced against.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rival {
    Timer,
    Kill,
}

/// Runs a test under both modes of the ring, against both rivals.
fn in_both_modes(name: &str, race: impl Fn(Rival, u64)) {
    let seed = std::env::var("COOP_SEED").map_or(1, |seed| seed.parse().expect("COOP_SEED is a number"));
    let mode = std::env::var("COOP_TASKRUN").unwrap_or_else(|_| "default".into());
    println!("COOP_SEED={seed}, task run: {mode}");
    // SAFETY: asks for exact timers; touches no memory.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1) };
    race(Rival::Timer, seed);
    race(Rival::Kill, seed);
    if mode == "default" {
        let itself = std::env::current_exe().expect("Linux knows");
        let mut again = Command::new(itself);
        again
            .args(["--exact", name, "--nocapture"])
            .env("COOP_TASKRUN", "cooperative")
            .env("COOP_SEED", seed.to_string());
        let output = again.output().expect("this program can be started again");
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert!(output.status.success(), "with COOP_TASKRUN=cooperative: {}\n{said}", output.status);
    }
}

/// xorshift64*.
struct Random(Cell<u64>);

impl Random {
    fn new(seed: u64) -> Self {
        Random(Cell::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1))
    }

    fn below(&self, bound: u64) -> u64 {
        let mut x = self.0.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.0.set(x);
        (x.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    /// Keeps the thread busy for up to `nanos`.
    fn spin(&self, nanos: u64) {
        let until = Instant::now() + Duration::from_nanos(self.below(nanos));
        while Instant::now() < until {
            std::hint::spin_loop();
        }
    }

    /// How long a timer runs: mostly about as long as it takes for something to be produced; now and then no time, or, if the
    /// arm should win, so long that it must.
    fn duration(&self, should_win: bool) -> Duration {
        match self.below(16) {
            0 => Duration::ZERO,
            1 if should_win => LONG,
            n => Duration::from_nanos(self.below(500 * n)),
        }
    }

    /// Lets some time pass, in one of several ways: a task that is to be killed is then anywhere between its first step and a
    /// completion that nobody has looked at yet.
    fn pause(&self) {
        match self.below(4) {
            0 => {}
            1 => (0..self.below(6)).for_each(|_| coop::yield_now().expect("nobody kills the racer")),
            2 => self.spin(10_000),
            _ => coop::sleep(Duration::from_nanos(self.below(20_000))).expect("nobody kills the racer"),
        }
    }
}

/// Wins and losses of an arm.
#[derive(Debug, Default)]
struct Score {
    won: Cell<usize>,
    lost: Cell<usize>,
}

/// Races `attempt`, a `select!` of the arm and a timer of the given duration that says whether the arm won, until `is_over`.
/// Gives up if the arm does not win for long although `is_there` says that it could.
fn race(
    rival: Rival,
    seed: u64,
    is_over: impl Fn() -> bool,
    is_there: impl Fn() -> bool,
    attempt: impl Fn(Duration) -> Result<bool, Killed>,
) {
    let (random, score, in_vain) = (Random::new(seed), Score::default(), Cell::new(0));
    let note = |won: bool| {
        let count = if won { &score.won } else { &score.lost };
        count.set(count.get() + 1);
        in_vain.set(if won || !is_there() { 0 } else { in_vain.get() + 1 });
    };
    let is_over = || is_over() || in_vain.get() > MOST_IN_VAIN;
    while !is_over() {
        match rival {
            Rival::Timer => note(attempt(random.duration(in_vain.get() < 100)).expect("nobody kills it")),
            Rival::Kill => coop::wait_all(|s| {
                let mut victim = s.spawn(|| {
                    while !is_over() {
                        match attempt(LONG) {
                            Ok(won) => note(won),
                            Err(_) => return note(false),
                        }
                    }
                });
                random.pause();
                if random.below(16) == 0 {
                    // One that has won before it is killed.
                    let won = score.won.get();
                    for _ in 0..1000 {
                        if score.won.get() != won || is_over() {
                            break;
                        }
                        coop::sleep(Duration::from_micros(10)).expect("nobody kills the racer");
                    }
                }
                victim.kill();
                victim.join().expect("it returns");
            }),
        }
    }
    println!("{rival:?}: {score:?}");
    assert!(score.won.get() > 0 && score.lost.get() > 0, "both must happen: {score:?}");
}

/// Counts that go up by one, from nothing to `ROUNDS`.
#[derive(Default)]
struct Numbers {
    next: Cell<usize>,
}

impl Numbers {
    #[track_caller]
    fn arrives(&self, number: usize) {
        assert_eq!(number, self.next.get(), "lost, doubled, or out of order");
        self.next.set(number + 1);
    }

    fn count(&self) -> usize {
        self.next.get()
    }

    fn are_complete(&self) -> bool {
        self.next.get() == ROUNDS
    }
}

fn lend(stream: &UnixStream) -> StdStream {
    use std::os::fd::AsFd;
    stream.as_fd().try_clone_to_owned().expect("a descriptor").into()
}

/// Sends the numbers, a byte of each, with pauses, and closes.
fn produce_bytes(mut into: StdStream, seed: u64) {
    let random = Random::new(seed + 1);
    for number in 0..ROUNDS {
        random.spin(8_000);
        into.write_all(&[number as u8]).expect("the peer listens");
    }
    into.shutdown(std::net::Shutdown::Write).expect("it is open");
}

#[test]
fn recv() {
    in_both_modes("recv", |rival, seed| {
        coop::run(|| {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let peer = lend(&theirs);
            let peer = std::thread::spawn(move || produce_bytes(peer, seed));
            let (numbers, is_closed) = (Numbers::default(), Cell::new(false));
            let attempt = |limit| {
                let mut buffer = [0; 3];
                coop::select! {
                    n = op::recv(&ours, &mut buffer) => {
                        let n = n.unwrap();
                        is_closed.set(n == 0);
                        for byte in &buffer[..n] {
                            assert_eq!(*byte, numbers.count() as u8, "byte {}", numbers.count());
                            numbers.arrives(numbers.count());
                        }
                        true
                    }
                    _ = op::after(limit) => false,
                }
            };
            race(rival, seed, || is_closed.get(), || peer.is_finished(), attempt);
            peer.join().unwrap();
            assert_eq!(numbers.count(), ROUNDS);
        });
    });
}

#[test]
fn send() {
    in_both_modes("send", |rival, seed| {
        coop::run(|| {
            let (ours, theirs) = UnixStream::pair().unwrap();
            // So small that sending has to wait.
            let size = 1i32;
            // SAFETY: four readable bytes, as the option wants.
            unsafe {
                libc::setsockopt(ours.as_raw_fd(), libc::SOL_SOCKET, libc::SO_SNDBUF, (&raw const size).cast(), 4)
            };
            let mut peer = lend(&theirs);
            drop(theirs);
            let peer = std::thread::spawn(move || {
                let (random, mut received, mut buffer) = (Random::new(seed + 1), 0usize, [0; 700]);
                loop {
                    random.spin(8_000);
                    let n = peer.read(&mut buffer).expect("a stream");
                    if n == 0 {
                        return received;
                    }
                    for byte in &buffer[..n] {
                        assert_eq!(*byte, received as u8, "byte {received}");
                        received += 1;
                    }
                }
            });
            let (sent, sends) = (Cell::new(0usize), Cell::new(0));
            let attempt = |limit| {
                let bytes: [u8; 300] = std::array::from_fn(|at| (sent.get() + at) as u8);
                coop::select! {
                    n = op::send(&ours, &bytes) => {
                        sent.set(sent.get() + n.unwrap());
                        sends.set(sends.get() + 1);
                        true
                    }
                    _ = op::after(limit) => false,
                }
            };
            let has_room = || {
                let mut poll = libc::pollfd { fd: ours.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
                // SAFETY: one entry, as is said.
                unsafe { libc::poll(&mut poll, 1, 0) == 1 }
            };
            race(rival, seed, || sends.get() == ROUNDS, has_room, attempt);
            drop(ours);
            assert_eq!(peer.join().unwrap(), sent.get());
        });
    });
}

#[test]
fn accept() {
    in_both_modes("accept", |rival, seed| {
        coop::run(|| {
            let name = format!("coop-lossless-{}-{rival:?}", std::process::id());
            let listener = UnixListener::bind(format!("\0{name}")).unwrap();
            let is_produced = AtomicBool::new(false);
            std::thread::scope(|threads| {
                threads.spawn(|| {
                    let address = SocketAddr::from_abstract_name(&name).unwrap();
                    let random = Random::new(seed + 1);
                    for number in 0..ROUNDS {
                        random.spin(8_000);
                        let mut stream = StdStream::connect_addr(&address).expect("somebody listens");
                        stream.write_all(&number.to_ne_bytes()).expect("it is connected");
                    }
                    is_produced.store(true, SeqCst);
                });
                let numbers = Numbers::default();
                let attempt = |limit| {
                    coop::select! {
                        accepted = op::accept(&listener) => {
                            let mut number = [0; 8];
                            let mut stream = lend(&accepted.unwrap().0);
                            stream.read_exact(&mut number).expect("the peer sends at once");
                            numbers.arrives(usize::from_ne_bytes(number));
                            true
                        }
                        _ = op::after(limit) => false,
                    }
                };
                race(rival, seed, || numbers.are_complete(), || is_produced.load(SeqCst), attempt);
                assert_eq!(numbers.count(), ROUNDS);
            });
        });
    });
}

#[test]
fn receive() {
    in_both_modes("receive", |rival, seed| {
        coop::run(|| {
            let (tx, rx) = chan::bounded(2);
            let numbers = Numbers::default();
            coop::wait_all(|s| {
                s.spawn(|| {
                    let random = Random::new(seed + 1);
                    for number in 0..ROUNDS {
                        random.pause();
                        tx.send(number).unwrap();
                    }
                });
                let attempt = |limit| {
                    coop::select! {
                        number = op::receive(&rx) => { numbers.arrives(number.unwrap()); true }
                        _ = op::after(limit) => false,
                    }
                };
                race(rival, seed, || numbers.are_complete(), || true, attempt);
            });
            assert_eq!((numbers.count(), rx.len()), (ROUNDS, 0));
        });
    });
}

#[test]
fn reserve() {
    in_both_modes("reserve", |rival, seed| {
        coop::run(|| {
            let (tx, rx) = chan::bounded(2);
            let (numbers, sent) = (Numbers::default(), Cell::new(0));
            coop::wait_all(|s| {
                s.spawn(|| {
                    let random = Random::new(seed + 1);
                    while !numbers.are_complete() {
                        random.pause();
                        numbers.arrives(rx.recv().unwrap());
                    }
                });
                let attempt = |limit| {
                    coop::select! {
                        permit = op::reserve(&tx) => {
                            let permit = permit.unwrap();
                            // Now and then a place is given back.
                            if sent.get() < ROUNDS && sent.get() % 7 != 3 || rx.is_empty() {
                                permit.send(sent.replace(sent.get() + 1));
                            } else {
                                drop(permit);
                                tx.try_send(sent.replace(sent.get() + 1)).expect("the place was given back");
                            }
                            true
                        }
                        _ = op::after(limit) => false,
                    }
                };
                race(rival, seed, || sent.get() == ROUNDS, || true, attempt);
            });
            assert_eq!(numbers.count(), ROUNDS);
            // No place was lost, and none made.
            let filled = [1, 2, 3].map(|n| tx.try_send(n).is_ok());
            assert_eq!(filled, [true, true, false]);
        });
    });
}

#[test]
fn lock() {
    in_both_modes("lock", |rival, seed| {
        coop::run(|| {
            let mutex = Mutex::new(0);
            let (ours, theirs) = (Cell::new(0), Cell::new(0));
            let count = |balance: &mut usize, side: &Cell<usize>| {
                let before = *balance;
                *balance = usize::MAX;
                // The lock spans a wait; nobody else may come in.
                let _ = coop::yield_now();
                assert_eq!(std::mem::replace(balance, before + 1), usize::MAX, "two holders");
                side.set(side.get() + 1);
            };
            coop::wait_all(|s| {
                s.spawn(|| {
                    let random = Random::new(seed + 1);
                    while ours.get() < ROUNDS {
                        random.pause();
                        count(&mut mutex.lock().unwrap(), &theirs);
                    }
                });
                let attempt = |limit| {
                    coop::select! {
                        mut guard = op::lock(&mutex) => { count(&mut guard, &ours); true }
                        _ = op::after(limit) => false,
                    }
                };
                race(rival, seed, || ours.get() >= ROUNDS, || true, attempt);
            });
            assert_eq!(*mutex.try_lock().expect("nobody has it"), ours.get() + theirs.get());
        });
    });
}

/// Sets a flag when it goes.
struct Raised<'a>(&'a AtomicBool);

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// Signals that come while nobody waits are remembered as one: so each is sent when the one before was seen.
#[test]
fn signal_arm() {
    in_both_modes("signal_arm", |rival, seed| {
        // One of each rival's own: a late one of the other's would count.
        let number = if rival == Rival::Timer { libc::SIGUSR1 } else { libc::SIGUSR2 };
        let (sending, sent, seen) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        let is_given_up = AtomicBool::new(false);
        coop::run(|| {
            let listener = signal::listen(number).unwrap();
            std::thread::scope(|threads| {
                threads.spawn(|| {
                    let random = Random::new(seed + 1);
                    for count in 0..ROUNDS {
                        while seen.load(SeqCst) < count {
                            if is_given_up.load(SeqCst) {
                                return;
                            }
                            std::hint::spin_loop();
                        }
                        random.spin(8_000);
                        sending.store(count + 1, SeqCst);
                        // SAFETY: the handler of a listener only writes to an eventfd.
                        unsafe { libc::raise(number) };
                        sent.store(count + 1, SeqCst);
                    }
                });
                let attempt = |limit| {
                    coop::select! {
                        result = op::signal(&listener) => {
                            result.unwrap();
                            let count = seen.load(SeqCst) + 1;
                            assert_eq!(sending.load(SeqCst), count, "a signal was seen twice");
                            seen.store(count, SeqCst);
                            true
                        }
                        _ = op::after(limit) => false,
                    }
                };
                let is_there = || sent.load(SeqCst) > seen.load(SeqCst);
                // Whatever ends the race, the sender is not left waiting.
                let _given_up = Raised(&is_given_up);
                race(rival, seed, || seen.load(SeqCst) == ROUNDS, is_there, attempt);
            });
        });
        assert_eq!(seen.load(SeqCst), ROUNDS);
    });
}

/// A timer that lost does not end a later wait: each sleep that follows lasts.
#[test]
fn after() {
    in_both_modes("after", |rival, seed| {
        coop::run(|| {
            let (random, gate) = (Random::new(seed + 1), Coordinator::held());
            let (fired, released) = (Cell::new(0), Cell::new(0));
            coop::wait_all(|s| {
                s.spawn(|| {
                    while fired.get() < ROUNDS {
                        random.pause();
                        // Both come in the same moment, now and then.
                        if !gate.has_waiters() {
                            continue;
                        }
                        gate.release();
                        released.set(released.get() + 1);
                    }
                });
                let attempt = |limit: Duration| {
                    fired.set(fired.get() + 1);
                    let limit = limit.min(Duration::from_nanos(random.below(20_000)));
                    let start = Instant::now();
                    let fires = coop::select! {
                        _ = op::after(limit) => true,
                        _ = op::after(LONG) => panic!("the longest timer fired first"),
                        default => false,
                    }?;
                    if fires {
                        assert!(limit.is_zero(), "a timer of {limit:?} fired in no time");
                    }
                    let won = coop::select! {
                        _ = op::after(limit) => true,
                        _ = op::after(limit * 2 + Duration::from_millis(1)) => panic!("the later timer fired first"),
                    }?;
                    assert!(start.elapsed() >= limit, "{limit:?} took {:?}", start.elapsed());
                    let acquired = coop::coordinate!(&gate, timeout = Duration::from_nanos(random.below(10_000)))?;
                    // Acquired: left held, for the next release.
                    let won = won && acquired.map(coop::Acquired::keep).is_none();
                    let (start, nap) = (Instant::now(), Duration::from_nanos(random.below(3_000)));
                    coop::sleep(nap)?;
                    assert!(start.elapsed() >= nap, "{nap:?} took {:?}", start.elapsed());
                    Ok(won)
                };
                race(rival, seed, || fired.get() >= ROUNDS, || true, attempt);
            });
            assert!(released.get() > 0);
        });
    });
}

#[test]
fn handle() {
    in_both_modes("handle", |rival, seed| {
        coop::run(|| {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let peer = lend(&theirs);
            let peer = std::thread::spawn(move || produce_bytes(peer, seed));
            let (numbers, is_closed) = (Numbers::default(), Cell::new(false));
            let take = |bytes: &[u8]| {
                is_closed.set(bytes.is_empty());
                for byte in bytes {
                    assert_eq!(*byte, numbers.count() as u8, "byte {}", numbers.count());
                    numbers.arrives(numbers.count());
                }
            };
            let random = Random::new(seed + 2);
            let attempt = |limit| {
                let mut buffer = [0; 3];
                coop::scope(|s| {
                    let mut incoming = s.start(op::recv(&ours, &mut buffer));
                    // It stays in flight while the timer wins.
                    for _ in 0..random.below(4) {
                        let is_over = coop::select! {
                            got = &mut incoming => { take(got.unwrap().bytes()); true }
                            _ = op::after(limit) => false,
                            killed(killed) => {
                                // What the cancel finds done is given back.
                                incoming.cancel().into_iter().for_each(|got| take(got.unwrap().bytes()));
                                return Err(killed);
                            }
                        };
                        if is_over {
                            return Ok(true);
                        }
                    }
                    let late = incoming.cancel();
                    let won = late.is_some();
                    late.into_iter().for_each(|got| take(got.unwrap().bytes()));
                    Ok(won)
                })
            };
            race(rival, seed, || is_closed.get(), || peer.is_finished(), attempt);
            peer.join().unwrap();
            assert_eq!(numbers.count(), ROUNDS);
        });
    });
}

#[test]
fn join_handle() {
    /// A value that says when it is lost.
    struct Value<'a>(usize, &'a Cell<usize>);
    impl Drop for Value<'_> {
        fn drop(&mut self) {
            self.1.set(self.1.get() + 1);
        }
    }
    in_both_modes("join_handle", |rival, seed| {
        let (numbers, dropped) = (Numbers::default(), Cell::new(0));
        coop::run(|| {
            let random = Random::new(seed + 1);
            coop::wait_all(|s| {
                let (random, dropped) = (&random, &dropped);
                let spawn = |number| {
                    s.spawn(move || {
                        random.pause();
                        Value(number, dropped)
                    })
                };
                let child = RefCell::new(Some(spawn(0)));
                let attempt = |limit| {
                    // The handle goes back where the next attempt finds it, unless its value was taken.
                    let mut handle = child.take().expect("it was put back");
                    let result = coop::select! {
                        value = &mut handle => {
                            numbers.arrives(value.expect("the child returns").0);
                            true
                        }
                        _ = op::after(limit) => false,
                    };
                    child.replace(Some(if result == Ok(true) { spawn(numbers.count()) } else { handle }));
                    result
                };
                race(rival, seed, || numbers.are_complete(), || true, attempt);
            });
        });
        assert_eq!(numbers.count(), ROUNDS);
        assert_eq!(dropped.get(), ROUNDS + 1, "each value was dropped once, and so was the last child's");
    });
}
