//! `hyper::rt`: streams, executors and timers.

use super::{Async, Executor, Sleep, sleep};
use crate::cooperator::Cooperator;
use crate::net::Stream;
use crate::runtime::Remote;
use hyper::rt::{Read, ReadBufCursor, Write};
use std::future::Future;
use std::io::{IoSlice, Result};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

impl<S: Stream + AsFd> Read for Async<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<Result<()>> {
        // SAFETY: `poll_recv_uninit` initialises bytes, and makes none uninitialised.
        let n = ready!(self.poll_recv_uninit(cx, unsafe { buf.as_mut() }))?;
        // SAFETY: so many bytes were just received there.
        unsafe { buf.advance(n) };
        Poll::Ready(Ok(()))
    }
}

/// Nothing is buffered, so there is nothing to flush. Shutting down is the end of what is sent (SHUT_WR).
impl<S: Stream + AsFd> Write for Async<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        self.poll_send(cx, buf)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<Result<usize>> {
        self.poll_send_vectored(cx, bufs)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(self.shutdown(Shutdown::Write))
    }
}

impl<F: Future + 'static> hyper::rt::Executor<F> for Executor {
    fn execute(&self, future: F) {
        drop(self.spawn(future));
    }
}

/// From a Cooperator that has finished the future is dropped.
impl<F> hyper::rt::Executor<F> for Remote
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        drop(self.spawn_future(future));
    }
}

impl hyper::rt::Sleep for Sleep {}

/// hyper's timeouts, on the clock of the Cooperator: a virtual one too. For [`sleep`], so on its threads only.
///
/// ```
/// use coop::{block_on, future::Timer};
/// use hyper::rt::Timer as _;
/// use std::time::Duration;
/// coop::run(|| -> Result<(), coop::Killed> {
///     let until = Timer.now() + Duration::from_millis(2);
///     block_on(Timer.sleep_until(until))?;
///     assert!(Timer.now() >= until);
///     Ok(())
/// }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Timer;

impl hyper::rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(sleep(duration))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(sleep(deadline.saturating_duration_since(self.now())))
    }

    fn now(&self) -> Instant {
        /// Where virtual time has begun.
        static BEGINNING: OnceLock<Instant> = OnceLock::new();
        match Cooperator::current() {
            Some(cooperator) if cooperator.clock.is_virtual() => {
                *BEGINNING.get_or_init(Instant::now) + Duration::from_nanos(cooperator.clock.now())
            }
            _ => Instant::now(),
        }
    }
}
