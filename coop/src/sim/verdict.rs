//! What a simulated program may return.

use std::fmt::Debug;

mod sealed {
    pub trait Sealed {}
}
use sealed::Sealed;

/// What the body of a simulation or of a host may return: nothing, or a `Result` of which an error is a failure.
pub trait Verdict: Sealed {
    #[doc(hidden)]
    fn verdict(self) -> Result<(), String>;
}

impl Sealed for () {}

impl Verdict for () {
    fn verdict(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: Debug> Sealed for Result<(), E> {}

impl<E: Debug> Verdict for Result<(), E> {
    fn verdict(self) -> Result<(), String> {
        self.map_err(|error| format!("{error:?}"))
    }
}
