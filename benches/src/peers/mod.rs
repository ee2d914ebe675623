//! The peers, each as its users have it. What the asynchronous ones do alike goes by the same names in each of their modules, so
//! that a row is written once, as a macro over the module's name: a future of tokio's must be `Send`, and others' must not need to
//! be, which no trait can say.
//!
//! | name | what it is |
//! |---|---|
//! | `run` | starts the runtime, spawns a future as a task, gives its result |
//! | `run_timed` | the same with timers, where they are an option |
//! | `spawn`, `join` | a task; its result |
//! | `yield_now` | gives way, the cheapest way there is |
//! | `sleep` | |
//! | `bounded`, `send`, `receive` | a channel with room for so many |
//! | `put` | a send where there is room |
//! | `either` | what comes first from two channels: a `select!`, or what they have in its place |
//! | `within` | a future's output, unless it takes too long |
//! | `Children`, `cancel` | tasks that end when this is dropped; ends a task, its children with it |
//! | `Turn`, `Shared` | one task hands the turn to another: `give` and `take`; the pointer for it |

/// `Children` of a peer whose tasks end when their handles are dropped: they stand in a vector.
macro_rules! children_in_a_vec {
    ($task:ty) => {
        pub struct Children(Vec<$task>);

        impl Children {
            pub fn new() -> Self {
                Children(Vec::new())
            }

            pub fn spawn(&mut self, future: impl Future<Output = ()> + 'static) {
                self.0.push(spawn(future));
            }

            pub async fn wait(self) {
                for child in self.0 {
                    join(child).await;
                }
            }
        }
    };
}
use children_in_a_vec;

pub mod compio;
pub mod glommio;
pub mod monoio;
pub mod smol;
pub mod tokio;

/// may with one worker, which it keeps for the life of the process: runs `f` as a coroutine.
pub fn may_run<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    static CONFIGURED: std::sync::Once = std::sync::Once::new();
    CONFIGURED.call_once(|| {
        may::config().set_workers(1).set_stack_size(STACK / size_of::<usize>());
    });
    // SAFETY: the rows' coroutines use no thread-local across a switch, and little stack.
    unsafe { may::coroutine::spawn(f) }.join().expect("no row panics")
}

/// Another coroutine of may's.
pub fn may_spawn<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> may::coroutine::JoinHandle<T> {
    // SAFETY: one worker runs all coroutines; the rows hold no thread-local across a switch, and use little stack.
    unsafe { may::coroutine::spawn(f) }
}

/// Usable bytes of a stack of the stackful peers: coop's default.
pub const STACK: usize = 256 * 1024;

/// tokio without a task around the future, which need not be `Send` then.
pub use tokio::block_on as tokio_run;

/// monoio in the same way.
pub use monoio::block_on as monoio_run;
