//! monoio on io_uring, as `#[monoio::main(driver = "uring")]` starts it. Its channels and semaphores are `local-sync`'s, of the
//! same authors.

pub use local_sync::mpsc::bounded::channel as bounded;
use local_sync::mpsc::bounded::{Rx, Tx};
use local_sync::semaphore::Semaphore;
use monoio::task::JoinHandle;
pub use monoio::{spawn, time::sleep};
use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

/// Runs a future where `block_on` runs it: not as a task.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().build().expect("monoio starts").block_on(future)
}

pub fn run<T: 'static>(future: impl Future<Output = T> + 'static) -> T {
    block_on(async { spawn(future).await })
}

pub fn run_timed<T: 'static>(future: impl Future<Output = T> + 'static) -> T {
    let builder = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().enable_timer();
    builder.build().expect("monoio starts").block_on(async { spawn(future).await })
}

/// A task that wakes itself goes on before all others here. One that waits for a new task does not: that is queued behind them.
pub async fn yield_now() {
    spawn(async {}).await;
}

pub async fn join<T>(task: JoinHandle<T>) -> T {
    task.await
}

pub async fn send<T: Debug>(tx: &Tx<T>, value: T) {
    tx.send(value).await.expect("the receiver stays");
}

pub async fn receive<T>(rx: &mut Rx<T>) -> Option<T> {
    rx.recv().await
}

/// There is room.
pub async fn put<T: Debug>(tx: &Tx<T>, value: T) {
    send(tx, value).await;
}

pub async fn either<T>(one: &mut Rx<T>, other: &mut Rx<T>) -> Option<T> {
    monoio::select! {
        value = one.recv() => value,
        value = other.recv() => value,
    }
}

pub async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    monoio::time::timeout(limit, future).await.ok()
}

pub use std::rc::Rc as Shared;

pub struct Turn(Semaphore);

impl Turn {
    pub fn new() -> Self {
        Turn(Semaphore::new(0))
    }

    pub fn give(&self) {
        self.0.add_permits(1);
    }

    pub async fn take(&self) {
        self.0.acquire().await.expect("nobody closes it").forget();
    }
}
