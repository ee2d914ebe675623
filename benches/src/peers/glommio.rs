//! glommio on the calling thread, as `LocalExecutor::default()` starts it.

use glommio::Task;
pub use glommio::channels::local_channel::new_bounded as bounded;
use glommio::channels::local_channel::{LocalReceiver, LocalSender};
use glommio::sync::Semaphore;
pub use glommio::{spawn_local as spawn, timer::sleep};
use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

pub fn run<T: 'static>(future: impl Future<Output = T> + 'static) -> T {
    glommio::LocalExecutor::default().run(async { spawn(future).await })
}

pub use run as run_timed;

pub async fn join<T>(task: Task<T>) -> T {
    task.await
}

/// glommio's own `yield_if_needed` gives way to nobody but other queues until a time slice is over.
pub use futures_lite::future::yield_now;

pub async fn send<T: Debug>(tx: &LocalSender<T>, value: T) {
    tx.send(value).await.expect("the receiver stays");
}

pub async fn receive<T>(rx: &mut LocalReceiver<T>) -> Option<T> {
    rx.recv().await
}

/// There is room.
pub async fn put<T: Debug>(tx: &LocalSender<T>, value: T) {
    tx.try_send(value).expect("there is room");
}

pub async fn either<T>(one: &mut LocalReceiver<T>, other: &mut LocalReceiver<T>) -> Option<T> {
    futures_lite::future::or(one.recv(), other.recv()).await
}

pub async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    glommio::timer::timeout(limit, async { Ok::<T, glommio::GlommioError<()>>(future.await) }).await.ok()
}

pub use std::rc::Rc as Shared;

pub struct Turn(Semaphore);

impl Turn {
    pub fn new() -> Self {
        Turn(Semaphore::new(0))
    }

    pub fn give(&self) {
        self.0.signal(1);
    }

    pub async fn take(&self) {
        self.0.acquire(1).await.expect("nobody closes it");
    }
}

super::children_in_a_vec!(Task<()>);

pub async fn cancel(task: Task<()>) {
    task.cancel().await;
}
