//! How the peers are started.

use std::future::Future;

/// tokio on one thread, as `#[tokio::main(flavor = "current_thread")]` starts it.
pub fn tokio_run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("tokio starts").block_on(future)
}

/// monoio on io_uring, as `#[monoio::main(driver = "uring")]` starts it.
pub fn monoio_run<T>(future: impl Future<Output = T>) -> T {
    monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().build().expect("monoio starts").block_on(future)
}

/// may with one worker, which it keeps for the life of the process: runs `f` as a coroutine.
pub fn may_run<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    static CONFIGURED: std::sync::Once = std::sync::Once::new();
    CONFIGURED.call_once(|| {
        may::config().set_workers(1).set_stack_size(STACK / size_of::<usize>());
    });
    // SAFETY: the rows' coroutines use no thread-local across a switch, and little stack.
    unsafe { may::coroutine::spawn(f) }.join().expect("no row panics")
}

/// Usable bytes of a stack of the stackful peers: coop's default.
pub const STACK: usize = 256 * 1024;

/// Gives way in a future by waking itself at once. tokio's own `yield_now` waits for a pass of its I/O driver instead.
pub struct Rewoken(pub bool);

impl Future for Rewoken {
    type Output = ();

    fn poll(mut self: std::pin::Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    }
}
