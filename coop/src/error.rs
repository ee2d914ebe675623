//! The errors of the runtime, one type a verb: being killed, running out of time, joining.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io;
use std::panic::Location;

/// The number of a task, unique in its Cooperator and never used again. The root is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(pub(crate) u64);

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// Why a task, a scope or a region of code was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// Somebody asked for it, at this place of the source.
    Explicit(&'static Location<'static>),
    /// The parent ended: it returned over a daemon child, panicked, or left its scope by a panic.
    Parent,
    /// Another child of the same scope, or the scope's body, failed.
    Sibling,
    /// The time of an enclosing `timeout` or `deadline` was up.
    Deadline,
    /// The root returned, or the Cooperator is shutting down.
    Shutdown,
    /// The Cooperator could not go on: nothing was runnable and nothing could wake it, or a resource ran out.
    Resources,
    /// The wait was made while a panic unwinds through its caller, where switching away would be unsound.
    Unwinding,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Explicit(place) => write!(f, "by request at {place}"),
            Cause::Parent => f.write_str("its parent ended"),
            Cause::Sibling => f.write_str("a sibling failed"),
            Cause::Deadline => f.write_str("its time was up"),
            Cause::Shutdown => f.write_str("shutdown"),
            Cause::Resources => f.write_str("the cooperator could not go on"),
            Cause::Unwinding => f.write_str("a panic is unwinding"),
        }
    }
}

/// A wait was refused, or ended early, because its task (or an enclosing region of it) was killed.
///
/// It is an ordinary error value: destructors run, `?` carries it out. It is level-triggered: code that swallows it meets
/// it again at its next wait.
///
/// Inside an [`io::Error`] it travels as [`io::ErrorKind::Other`], never as `Interrupted`, `WouldBlock` or `TimedOut`,
/// which library code retries or reinterprets; [`Killed::is`] and [`Killed::of`] find it there.
///
/// ```
/// use coop::Killed;
/// use std::time::Duration;
/// coop::run(|| {
///     let mut task = coop::spawn(|| coop::sleep(Duration::from_secs(3600)));
///     task.kill();
///     assert!(task.join().unwrap().is_err(), "the task returned what its sleep gave it: Err(Killed)");
/// });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a kill that is ignored is met again at the next wait: return it with `?`"]
pub struct Killed {
    pub(crate) cause: Cause,
    pub(crate) task: TaskId,
}

impl Killed {
    /// Why.
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// The task that met the kill.
    pub fn task(&self) -> TaskId {
        self.task
    }

    /// Whether an `io::Error` carries a `Killed`, however deeply wrapped in other errors' sources.
    pub fn is(error: &io::Error) -> bool {
        Self::of(error).is_some()
    }

    /// The `Killed` that an `io::Error` carries, if it does.
    ///
    /// ```
    /// # use coop::Killed;
    /// # use std::time::Duration;
    /// coop::run(|| {
    ///     let mut task = coop::spawn(|| -> std::io::Result<()> { Ok(coop::sleep(Duration::from_secs(3600))?) });
    ///     task.kill();
    ///     let error = task.join().unwrap().unwrap_err();
    ///     assert!(matches!(Killed::of(&error).unwrap().cause(), coop::Cause::Explicit(place) if place.file().ends_with(".rs")));
    /// });
    /// ```
    pub fn of(error: &io::Error) -> Option<Killed> {
        error.get_ref().and_then(|inner| Self::find(inner))
    }

    /// The `Killed` that an error of any type is, or has among its sources: for the error types of other people's crates.
    ///
    /// ```
    /// # use coop::Killed;
    /// # use std::{error::Error, fmt, io, time::Duration};
    /// /// What some library makes of an error of its stream.
    /// #[derive(Debug)]
    /// struct ProtocolError(io::Error);
    /// # impl fmt::Display for ProtocolError {
    /// #     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.0.fmt(f) }
    /// # }
    /// impl Error for ProtocolError {
    ///     fn source(&self) -> Option<&(dyn Error + 'static)> { Some(&self.0) }
    /// }
    /// coop::run(|| {
    ///     let mut task = coop::spawn(|| coop::sleep(Duration::from_secs(3600)).map_err(|killed| ProtocolError(killed.into())));
    ///     task.kill();
    ///     assert!(Killed::find(&task.join().unwrap().unwrap_err()).is_some());
    /// });
    /// ```
    pub fn find(error: &(dyn Error + 'static)) -> Option<Killed> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(killed) = error.downcast_ref::<Killed>() {
                return Some(*killed);
            }
            if let Some(killed) = error.downcast_ref::<io::Error>().and_then(Killed::of) {
                return Some(killed);
            }
            next = error.source();
        }
        None
    }
}

impl fmt::Display for Killed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {} was killed: {}", self.task, self.cause)
    }
}

impl Error for Killed {}

/// What an `io::Error` carries for a `Killed`. The source of an `io::Error` is not what it carries, but the source of that; and
/// of an error that is "transparent" around an `io::Error`, as libraries' often are, nothing else is left. So the `Killed` is a
/// source, and whoever follows the sources comes to it.
struct Carried(Killed);

impl fmt::Debug for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Error for Carried {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

impl From<Killed> for io::Error {
    fn from(killed: Killed) -> Self {
        io::Error::other(Carried(killed))
    }
}

/// The time given to `coop::timeout` was up before its body was done.
///
/// Inside an [`io::Error`] it has the kind [`io::ErrorKind::TimedOut`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOut;

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timed out")
    }
}

impl Error for TimedOut {}

impl From<TimedOut> for io::Error {
    fn from(timed_out: TimedOut) -> Self {
        io::Error::new(io::ErrorKind::TimedOut, timed_out)
    }
}

/// Why a `join` has no value to give.
///
/// ```
/// use coop::JoinError;
/// coop::run(|| {
///     let mut task = coop::spawn(|| panic!("no"));
///     assert!(matches!(task.join(), Err(JoinError::Panicked(_))));
/// });
/// ```
#[non_exhaustive]
pub enum JoinError {
    /// The task was born killed: spawned into something already dead. Its body never ran; its arguments were dropped.
    NeverRan,
    /// The task panicked; this is what it panicked with.
    Panicked(Box<dyn Any + Send + 'static>),
    /// The *joiner* was killed while it waited. The handle is still good.
    Interrupted(Killed),
    /// The task to be joined is the joiner itself or one of its ancestors, which waits for the joiner to end.
    Deadlock,
    /// The value was already taken by an earlier join.
    AlreadyJoined,
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinError::NeverRan => f.write_str("NeverRan"),
            JoinError::Panicked(payload) => write!(f, "Panicked({:?})", panic_message(&**payload)),
            JoinError::Interrupted(killed) => write!(f, "Interrupted({killed:?})"),
            JoinError::Deadlock => f.write_str("Deadlock"),
            JoinError::AlreadyJoined => f.write_str("AlreadyJoined"),
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinError::NeverRan => f.write_str("the task was born killed and never ran"),
            JoinError::Panicked(payload) => write!(f, "the task panicked: {}", panic_message(&**payload)),
            JoinError::Interrupted(killed) => write!(f, "the join was interrupted: {killed}"),
            JoinError::Deadlock => f.write_str("a task cannot join itself or one of its ancestors"),
            JoinError::AlreadyJoined => f.write_str("the task's value was already taken by an earlier join"),
        }
    }
}

impl Error for JoinError {}

impl From<Killed> for JoinError {
    fn from(killed: Killed) -> Self {
        JoinError::Interrupted(killed)
    }
}

impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> Self {
        match error {
            JoinError::Interrupted(killed) => killed.into(),
            // A panic's payload is `Send` but not `Sync`, which an `io::Error` must be: its message goes along instead.
            other => io::Error::other(other.to_string()),
        }
    }
}

/// The text of a panic's payload, when it is text.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a value that is not text")
}
