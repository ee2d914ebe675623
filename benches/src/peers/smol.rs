//! smol on one thread: a `LocalExecutor` under `smol::block_on`. Its channels are `async-channel`'s, its locks `async-lock`'s.

use smol::channel::{Receiver, Sender};
use smol::lock::Semaphore;
use smol::{LocalExecutor, Task};
use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

thread_local! {
    static EXECUTOR: LocalExecutor<'static> = const { LocalExecutor::new() };
}

pub fn run<T: 'static>(future: impl Future<Output = T> + 'static) -> T {
    EXECUTOR.with(|executor| smol::block_on(executor.run(executor.spawn(future))))
}

pub use run as run_timed;

pub fn spawn<T: 'static>(future: impl Future<Output = T> + 'static) -> Task<T> {
    EXECUTOR.with(|executor| executor.spawn(future))
}

pub async fn join<T>(task: Task<T>) -> T {
    task.await
}

pub use smol::channel::bounded;
pub use smol::future::yield_now;

pub async fn sleep(duration: Duration) {
    smol::Timer::after(duration).await;
}

pub async fn send<T: Debug>(tx: &Sender<T>, value: T) {
    tx.send(value).await.expect("the receiver stays");
}

pub async fn receive<T>(rx: &mut Receiver<T>) -> Option<T> {
    rx.recv().await.ok()
}

/// There is room.
pub async fn put<T: Debug>(tx: &Sender<T>, value: T) {
    tx.try_send(value).expect("there is room");
}

pub async fn either<T>(one: &mut Receiver<T>, other: &mut Receiver<T>) -> Option<T> {
    smol::future::or(one.recv(), other.recv()).await.ok()
}

pub async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    let late = async {
        smol::Timer::after(limit).await;
        None
    };
    smol::future::or(async { Some(future.await) }, late).await
}

pub use std::sync::Arc as Shared;

pub struct Turn(Semaphore);

impl Turn {
    pub fn new() -> Self {
        Turn(Semaphore::new(0))
    }

    pub fn give(&self) {
        self.0.add_permits(1);
    }

    pub async fn take(&self) {
        self.0.acquire().await.forget();
    }
}

super::children_in_a_vec!(Task<()>);

pub async fn cancel(task: Task<()>) {
    task.cancel().await;
}
