//! A `select!` allocates nothing, ready or pending: its operations, its waiters and what comes of it live on the stack.

use coop::net::{TcpListener, TcpStream, UnixStream};
use coop::sync::Mutex;
use coop::{Coordinator, chan, op};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io;
use std::time::Duration;

/// Counts the allocations of each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator; the counter is const-initialised and has no destructor, so that counting
// allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) };
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const HOUR: Duration = Duration::from_secs(3600);
const MOMENT: Duration = Duration::from_millis(1);

/// Far more than any table of the runtime has room for before it grows.
const ROUNDS: usize = 500;

/// Runs `f` many times: first to let the runtime's own tables grow to the size they keep, then counted. How many of the latter
/// rounds have allocated.
fn allocating(mut f: impl FnMut()) -> usize {
    (0..ROUNDS).for_each(|_| f());
    let rounds = (0..ROUNDS).filter(|_| {
        let before = ALLOCATIONS.get();
        f();
        ALLOCATIONS.get() != before
    });
    rounds.count()
}

#[track_caller]
fn assert_allocates_nothing(f: impl FnMut()) {
    assert_eq!(allocating(f), 0, "of {ROUNDS} rounds");
}

/// For rounds that wait. In debug builds the runtime looks at the stacks of some waits: at each place of the source the first,
/// the second, the fourth, and so on. That allocates: in so many rounds, a handful of times.
#[track_caller]
fn assert_waiting_allocates_nothing(f: impl FnMut()) {
    let looked_at = if cfg!(debug_assertions) { 10 } else { 0 };
    let allocating = allocating(f);
    assert!(allocating <= looked_at, "{allocating} of {ROUNDS} rounds");
}

#[test]
fn the_counter_counts() {
    let before = ALLOCATIONS.get();
    drop(std::hint::black_box(Box::new([1_u8; 100])));
    assert_eq!(ALLOCATIONS.get() - before, 1);
}

/// One message in, and a `select!` with so many arms, of which the last gives it out.
macro_rules! ready_among {
    ($($arms:literal: $($empty:ident)*;)*) => {
        $({
            let (tx, rx) = chan::bounded(1);
            $(let (_tx, $empty) = chan::bounded::<usize>(1);)*
            assert_allocates_nothing(|| {
                tx.try_send($arms).unwrap();
                let won = coop::select! {
                    $(n = op::receive(&$empty) => n.unwrap() + 100,)*
                    n = op::receive(&rx) => n.unwrap(),
                };
                assert_eq!(won, Ok($arms));
            });
        })*
    };
}

#[coop::test]
fn a_ready_select_of_one_to_eight_arms() {
    ready_among! {
        1: ;
        2: a;
        3: a b;
        4: a b c;
        5: a b c d;
        6: a b c d e;
        7: a b c d e f;
        8: a b c d e f g;
    }
}

#[coop::test]
fn a_ready_select_with_arms_of_every_kind() -> io::Result<()> {
    let (ours, theirs) = UnixStream::pair()?;
    let (tx, rx) = chan::bounded(1);
    let (full, _full_rx) = chan::bounded(1);
    full.try_send(0_u32).unwrap();
    let (held, free) = (Mutex::new(()), Mutex::new(()));
    let guard = held.try_lock();
    let mut buf = [0; 16];
    coop::scope(|s| -> io::Result<()> {
        let mut handle = s.start(op::after(HOUR));
        let mut child = s.spawn(|| coop::sleep(HOUR));
        let mut round = 0;
        assert_allocates_nothing(|| {
            round += 1;
            match round % 3 {
                0 => assert_eq!(theirs.send(b"x").unwrap(), 1),
                1 => tx.try_send(1_u32).unwrap(),
                _ => {}
            }
            let won = coop::select! {
                biased;
                n = op::recv(&ours, &mut buf) if round % 3 == 0 => n.unwrap(),
                n = op::receive(&rx) => { assert_eq!(n, Ok(1)); 1 }
                permit = op::reserve(&full) => { drop(permit); 90 }
                _ = op::lock(&held) => 91,
                () = &mut handle => 92,
                _ = &mut child => 93,
                _ = op::after(HOUR) if round % 3 != 2 => 94,
                _ = op::lock(&free) => 1,
            };
            assert_eq!(won, Ok(1), "round {round}");
        });
        child.kill();
        Ok(())
    })?;
    drop(guard);
    Ok(())
}

#[coop::test]
fn a_select_that_does_not_wait() {
    let (_tx, rx) = chan::bounded::<u32>(1);
    assert_allocates_nothing(|| {
        let won = coop::select! { _ = op::receive(&rx) => 1, _ = op::after(HOUR) => 2, default => 3 };
        assert_eq!(won, Ok(3));
    });
}

#[coop::test]
fn a_pending_select_over_queues_and_timers() {
    let (tx, rx) = chan::bounded::<u32>(1);
    let (_tx, never) = chan::bounded::<u32>(1);
    let (held, turn) = (Mutex::new(()), Coordinator::held());
    let guard = held.try_lock();
    coop::wait_all(|s| {
        // It sends whenever it is asked to, which is when the other has nothing to receive.
        let feeder = s.spawn(|| {
            loop {
                let Ok(asked) = coop::coordinate!(&turn) else { return };
                asked.keep();
                if coop::yield_now().is_err() {
                    return;
                }
                tx.try_send(7).unwrap();
            }
        });
        assert_waiting_allocates_nothing(|| {
            turn.release();
            let won = coop::select! {
                n = op::receive(&never) => n.unwrap(),
                n = op::receive(&rx) => n.unwrap(),
                _ = op::lock(&held) => 2,
                _ = op::after(HOUR) => 3,
            };
            assert_eq!(won, Ok(7));
        });
        assert_waiting_allocates_nothing(|| {
            let won = coop::select! {
                n = op::receive(&never) => n.unwrap(),
                _ = op::after(MOMENT) => 9,
                _ = op::after(HOUR) => 3,
            };
            assert_eq!(won, Ok(9));
        });
        feeder.kill();
    });
    drop(guard);
}

#[coop::test(real_time)]
fn a_pending_select_over_sockets() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    let (ours, theirs) = UnixStream::pair()?;
    let turn = Coordinator::held();
    let mut buf = [0; 16];
    let mut other = [0; 16];
    coop::wait_all(|s| {
        let feeder = s.spawn(|| {
            loop {
                let Ok(asked) = coop::coordinate!(&turn) else { return };
                asked.keep();
                // Longer than it takes to be parked in the kernel.
                if coop::sleep(MOMENT / 10).is_err() || theirs.send_all(b"hello").is_err() {
                    return;
                }
            }
        });
        assert_waiting_allocates_nothing(|| {
            turn.release();
            let won = coop::select! {
                n = op::recv(&server, &mut other) => n.unwrap() + 100,
                n = op::recv(&ours, &mut buf) => n.unwrap(),
                accepted = op::accept(&listener) => { drop(accepted); 200 }
                _ = op::after(HOUR) => 300,
            };
            assert_eq!(won, Ok(5));
        });
        feeder.kill();
    });
    drop(client);
    Ok(())
}
