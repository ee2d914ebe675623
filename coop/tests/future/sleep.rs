//! `future::sleep`.

use super::{Stopped, Trace, milliseconds};
use coop::{block_on, future};
use futures::future::join_all;
use futures::stream::{FuturesUnordered, StreamExt};
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

#[coop::test]
fn sleeps_end_in_the_order_of_their_times() {
    let trace = Trace::default();
    let naps = [30, 10, 20].map(|time| {
        let trace = trace.clone();
        async move {
            future::sleep(milliseconds(time)).await;
            trace.say(time.to_string());
        }
    });
    block_on(join_all(naps)).unwrap();
    trace.is(&["10", "20", "30"]);
}

#[coop::test]
fn an_hour_of_virtual_time_is_over_at_once() {
    let start = Instant::now();
    block_on(future::sleep(Duration::from_secs(3600))).unwrap();
    assert!(start.elapsed() < Duration::from_secs(60));
}

#[coop::test]
fn it_counts_from_the_call_and_not_from_the_first_poll() {
    let nap = future::sleep(milliseconds(10));
    coop::sleep(milliseconds(10)).unwrap();
    let ready = coop::timeout(Duration::from_micros(1), || Ok::<_, Stopped>(block_on(nap)?));
    assert_eq!(ready, Ok(()));
    assert_eq!(block_on(future::sleep(Duration::ZERO)), Ok(()));
}

#[test]
fn one_that_is_dropped_keeps_nobody_waiting() {
    let start = Instant::now();
    coop::run(|| {
        let mut nap = future::sleep(Duration::from_secs(3600));
        assert!(Pin::new(&mut nap).poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(nap);
        // With the timer running this would be no deadlock.
        assert!(block_on(std::future::pending::<()>()).is_err());
    });
    assert!(start.elapsed() < Duration::from_secs(60));
}

#[test]
fn it_may_be_polled_and_dropped_on_other_threads() {
    coop::run(|| {
        let nap = future::sleep(milliseconds(20));
        let dropped = future::sleep(Duration::from_secs(3600));
        let waits = thread::spawn(move || {
            drop(dropped);
            futures::executor::block_on(nap);
        });
        block_on(future::sleep(milliseconds(1))).unwrap();
        coop::unblock(|| waits.join().unwrap()).unwrap();
        // In another Cooperator, too.
        let nap = future::sleep(milliseconds(5));
        let waits = thread::spawn(move || coop::run(|| block_on(nap)));
        assert_eq!(coop::unblock(|| waits.join().unwrap()).unwrap(), Ok(()));
    });
}

#[test]
fn one_that_outlives_its_cooperator_does_nothing_more() {
    let mut naps = coop::run(|| [future::sleep(Duration::from_secs(3600)), future::sleep(milliseconds(1))]);
    let mut context = Context::from_waker(Waker::noop());
    assert!(naps.iter_mut().all(|nap| Pin::new(nap).poll(&mut context).is_pending()));
    let [first, second] = naps;
    drop(first);
    thread::spawn(move || drop(second)).join().unwrap();
}

#[test]
fn one_that_is_forgotten_does_nothing_more() {
    coop::run(|| std::mem::forget(future::sleep(Duration::from_secs(3600))));
}

/// A Waker of the user's: what it does may wait.
struct Waits {
    inner: Waker,
    count: AtomicUsize,
}

impl Wake for Waits {
    fn wake(self: Arc<Self>) {
        coop::sleep(Duration::from_millis(1)).unwrap();
        self.count.fetch_add(1, SeqCst);
        self.inner.wake_by_ref();
    }
}

#[coop::test]
fn a_foreign_waker_is_woken_by_a_task_and_may_wait() {
    let waits: RefCell<Option<Arc<Waits>>> = RefCell::default();
    let mut nap = future::sleep(milliseconds(5));
    block_on(std::future::poll_fn(|context| {
        let mut waits = waits.borrow_mut();
        let waits =
            waits.get_or_insert_with(|| Arc::new(Waits { inner: context.waker().clone(), count: AtomicUsize::new(0) }));
        Pin::new(&mut nap).poll(&mut Context::from_waker(&Waker::from(waits.clone())))
    }))
    .unwrap();
    assert_eq!(waits.into_inner().unwrap().count.load(SeqCst), 1);
}

#[coop::test(schedules = 20)]
fn a_thousand_in_one_set_all_end() {
    // A wait of a future counts as one that another thread may end: so each jump of the virtual clock takes some real time.
    let mut naps: FuturesUnordered<_> = (0..1000)
        .map(|n| async move {
            future::sleep(milliseconds(n * 7919 % 5)).await;
            n
        })
        .collect();
    let mut ended = block_on(async {
        let mut ended = Vec::new();
        while let Some(n) = naps.next().await {
            ended.push(n);
        }
        ended
    })
    .unwrap();
    ended.sort_unstable();
    assert_eq!(ended, (0..1000).collect::<Vec<_>>());
}

#[coop::test]
fn polled_with_another_waker_it_wakes_the_last() {
    struct Counts(AtomicUsize);
    impl Wake for Counts {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    let wakers = [(); 2].map(|()| Arc::new(Counts(AtomicUsize::new(0))));
    let mut nap = future::sleep(milliseconds(1));
    for waker in &wakers {
        let poll = Pin::new(&mut nap).poll(&mut Context::from_waker(&Waker::from(waker.clone())));
        assert_eq!(poll, Poll::Pending);
    }
    coop::sleep(milliseconds(2)).unwrap();
    coop::yield_now().unwrap();
    assert_eq!(wakers.map(|waker| waker.0.load(SeqCst)), [0, 1]);
    assert_eq!(block_on(nap), Ok(()));
}
