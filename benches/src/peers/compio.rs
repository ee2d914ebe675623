//! compio on io_uring, as `#[compio::main]` starts it. It has no channels and no locks of its own: rows about those leave it out.

use compio::runtime::{JoinHandle, Runtime};
pub use compio::time::sleep;
pub use futures_lite::future::yield_now;
use std::future::Future;

pub fn run<T: 'static>(future: impl Future<Output = T> + 'static) -> T {
    Runtime::new().expect("compio starts").block_on(async { join(spawn(future)).await })
}

pub use run as run_timed;

pub fn spawn<T: 'static>(future: impl Future<Output = T> + 'static) -> JoinHandle<T> {
    compio::runtime::spawn(future)
}

pub async fn join<T>(task: JoinHandle<T>) -> T {
    task.await.expect("no task panics")
}

super::children_in_a_vec!(JoinHandle<()>);

pub async fn cancel(task: JoinHandle<()>) {
    task.cancel().await;
}
