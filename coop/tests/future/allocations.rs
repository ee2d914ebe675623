//! How often memory is asked for.

use coop::{block_on, future};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// The system's allocator, which counts for each thread.
struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static LIVE: Cell<i64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        LIVE.set(LIVE.get() + 1);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        LIVE.set(LIVE.get() - 1);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many allocations `f` makes at least, and how many of them are left after it. In debug builds the runtime looks at waits
/// now and then, and allocates for that: so it is made several times.
fn fewest(mut f: impl FnMut()) -> (u64, i64) {
    let counted = |_| {
        let (count, live) = (COUNT.get(), LIVE.get());
        f();
        (COUNT.get() - count, LIVE.get() - live)
    };
    (0..16).map(counted).min().unwrap()
}

#[test]
fn a_call_makes_one_allocation_and_its_waits_none() {
    coop::run(|| {
        let ready = || block_on(async {}).unwrap();
        // The first one of a Cooperator opens its inbox.
        assert_eq!(fewest(ready), (1, 0));
        let often = || {
            let mut left = 1000;
            let wakes_itself = poll_fn(|context| {
                left -= 1;
                context.waker().wake_by_ref();
                if left == 0 { Poll::Ready(()) } else { Poll::Pending }
            });
            block_on(wakes_itself).unwrap();
        };
        assert_eq!(fewest(often), (1, 0));

        // Two tasks wake each other a hundred times.
        let (turn, wakers) = (Cell::new(0), [const { Cell::new(None::<Waker>) }; 2]);
        let take_turns = |me: usize| {
            block_on(poll_fn(|context| {
                while turn.get() < 100 {
                    if turn.get() % 2 != me {
                        wakers[me].set(Some(context.waker().clone()));
                        return Poll::Pending;
                    }
                    turn.set(turn.get() + 1);
                    if let Some(waker) = wakers[1 - me].take() {
                        waker.wake();
                    }
                }
                Poll::Ready(())
            }))
            .unwrap();
        };
        let both = || {
            turn.set(0);
            coop::wait_all(|s| {
                s.spawn(|| take_turns(1));
                take_turns(0);
            });
        };
        assert_eq!(fewest(both), (2, 0), "one for each of the two calls");
    });
}

#[test]
fn nothing_is_left_of_what_was_allocated() {
    use std::io;
    coop::run(|| -> io::Result<()> {
        let round = || -> io::Result<()> {
            let (ours, theirs) = coop::net::UnixStream::pair()?;
            let (ours, mut buf) = (future::Async::new(ours), [0; 8]);
            block_on(async {
                let sends = future::in_task(move || theirs.send_all(b"hello"));
                let receives = async { ours.recv(&mut buf).await };
                let (sent, received, ()) =
                    futures::join!(sends, receives, future::sleep(std::time::Duration::from_micros(50)));
                assert_eq!((sent.unwrap()?, received?), ((), 5));
                Ok(())
            })?
        };
        for _ in 0..3 {
            round()?;
        }
        let (_, left) = fewest(|| (0..20).for_each(|_| round().unwrap()));
        assert_eq!(left, 0);
        Ok(())
    })
    .unwrap();
}
