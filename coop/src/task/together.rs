//! `join!`: several closures side by side.

use super::scope::wait_all;
use super::{spawn, wait};
use crate::error::{JoinError, Killed};

/// A tuple of closures.
#[doc(hidden)]
pub trait Join {
    type Output;
    fn run(self) -> Result<Self::Output, Killed>;
}

/// What `join!` calls: runs each closure as a child, and gives all their values.
#[doc(hidden)]
#[track_caller]
pub fn join<J: Join>(closures: J) -> Result<J::Output, Killed> {
    wait::begin()?;
    closures.run()
}

macro_rules! tuples {
    ($($closure:ident $value:ident $at:tt),+) => {
        impl<$($closure, $value),+> Join for ($($closure,)+)
        where
            $($closure: FnOnce() -> $value),+
        {
            type Output = ($($value,)+);

            fn run(self) -> Result<Self::Output, Killed> {
                let mut values = ($(None::<$value>,)+);
                wait_all(|s| {
                    $(
                        let (place, closure) = (&mut values.$at, self.$at);
                        // A dropped handle leaves its panic to the scope, which passes it on.
                        drop(spawn::spawn_scoped_closure(s, move || *place = Some(closure())));
                    )+
                });
                match values {
                    ($(Some($value),)+) => Ok(($($value,)+)),
                    // Only a child that was born killed leaves its place empty, and only a killed parent has such children.
                    _ => Err(wait::begin().map(drop).err().unwrap_or_else(never_ran)),
                }
            }
        }
    };
}

#[cold]
fn never_ran() -> Killed {
    panic!("{}", JoinError::NeverRan)
}

#[allow(non_snake_case)]
mod tuples {
    use super::*;
    tuples!(F0 R0 0);
    tuples!(F0 R0 0, F1 R1 1);
    tuples!(F0 R0 0, F1 R1 1, F2 R2 2);
    tuples!(F0 R0 0, F1 R1 1, F2 R2 2, F3 R3 3);
    tuples!(F0 R0 0, F1 R1 1, F2 R2 2, F3 R3 3, F4 R4 4);
    tuples!(F0 R0 0, F1 R1 1, F2 R2 2, F3 R3 3, F4 R4 4, F5 R5 5);
    tuples!(F0 R0 0, F1 R1 1, F2 R2 2, F3 R3 3, F4 R4 4, F5 R5 5, F6 R6 6);
    tuples!(F0 R0 0, F1 R1 1, F2 R2 2, F3 R3 3, F4 R4 4, F5 R5 5, F6 R6 6, F7 R7 7);
    tuples!(F0 R0 0, F1 R1 1, F2 R2 2, F3 R3 3, F4 R4 4, F5 R5 5, F6 R6 6, F7 R7 7, F8 R8 8);
    tuples!(F0 R0 0, F1 R1 1, F2 R2 2, F3 R3 3, F4 R4 4, F5 R5 5, F6 R6 6, F7 R7 7, F8 R8 8, F9 R9 9);
    tuples!(F0 R0 0, F1 R1 1, F2 R2 2, F3 R3 3, F4 R4 4, F5 R5 5, F6 R6 6, F7 R7 7, F8 R8 8, F9 R9 9, F10 R10 10);
    tuples!(F0 R0 0, F1 R1 1, F2 R2 2, F3 R3 3, F4 R4 4, F5 R5 5, F6 R6 6, F7 R7 7, F8 R8 8, F9 R9 9, F10 R10 10, F11 R11 11);
}
