//! tokio on one thread, as `#[tokio::main(flavor = "current_thread")]` starts it.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;
use tokio::sync::Notify;
pub use tokio::sync::mpsc::channel as bounded;
use tokio::sync::mpsc::{Receiver, Sender};
pub use tokio::task::spawn;
use tokio::task::{JoinHandle, JoinSet};
pub use tokio::time::sleep;

/// Runs a future that need not be `Send` where `block_on` runs it: not as a task.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("tokio starts").block_on(future)
}

pub fn run<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    block_on(async { join(spawn(future)).await })
}

pub use run as run_timed;

pub async fn join<T>(task: JoinHandle<T>) -> T {
    task.await.expect("no task panics")
}

/// tokio's own `yield_now` waits for a pass of its I/O driver; to wake itself is cheaper.
pub use futures_lite::future::yield_now;

pub async fn send<T: Debug>(tx: &Sender<T>, value: T) {
    tx.send(value).await.expect("the receiver stays");
}

pub async fn receive<T>(rx: &mut Receiver<T>) -> Option<T> {
    rx.recv().await
}

/// There is room.
pub async fn put<T: Debug>(tx: &Sender<T>, value: T) {
    tx.try_send(value).expect("there is room");
}

pub async fn either<T>(one: &mut Receiver<T>, other: &mut Receiver<T>) -> Option<T> {
    tokio::select! {
        value = one.recv() => value,
        value = other.recv() => value,
    }
}

pub async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, future).await.ok()
}

pub use std::sync::Arc as Shared;

pub struct Turn(Notify);

impl Turn {
    pub fn new() -> Self {
        Turn(Notify::new())
    }

    pub fn give(&self) {
        self.0.notify_one();
    }

    pub async fn take(&self) {
        self.0.notified().await;
    }
}

/// Tasks that end when this is dropped.
pub struct Children(JoinSet<()>);

impl Children {
    pub fn new() -> Self {
        Children(JoinSet::new())
    }

    pub fn spawn(&mut self, future: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(future);
    }

    pub async fn wait(mut self) {
        while let Some(ended) = self.0.join_next().await {
            ended.expect("no task panics");
        }
    }
}

pub async fn cancel(task: JoinHandle<()>) {
    task.abort();
    assert!(task.await.is_err_and(|error| error.is_cancelled()));
}
