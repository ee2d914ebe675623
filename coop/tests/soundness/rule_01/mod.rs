//! Rule 1: no safe program causes undefined behaviour, `mem::forget` and panics included, if it keeps nothing of the *thread's*
//! open across a wait.

mod deaf;
mod destructors;
mod forgetting;
mod lists;
mod outliving;
mod packages;
mod thread_state;
mod tries;
