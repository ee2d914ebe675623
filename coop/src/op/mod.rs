//! Operations: inert descriptions of something to wait for.
//!
//! Each function names what the method of the same name does, without doing it. An operation can be waited for
//! ([`Operation::wait`](crate::Operation::wait)), started in a scope ([`Scope::start`](crate::Scope::start)), or, unless it
//! says otherwise, stand as an arm of [`select!`](crate::select). Dropping it does nothing.

mod blocking;
mod chan;
mod fs;
mod io;
mod net;
mod process;
mod signal;
mod sync;
mod time;

pub use blocking::*;
pub use chan::*;
pub use fs::*;
pub use io::*;
pub use net::*;
pub use process::*;
pub use signal::*;
pub use sync::*;
pub use time::*;
