//! Hosts: groups of tasks that share an address, and a fate.

use super::network;
use super::verdict::Verdict;
use crate::cooperator::Cooperator;
use crate::error::{JoinError, Killed};
use crate::ring::Network;
use crate::task::{JoinHandle, TaskBuilder, current, killed};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};

/// A host of a simulation: a name, an address, and the tasks below the one that [`host`] started. Dropping this leaves the host as
/// it is. Cloning it gives another reference to the same.
#[derive(Clone)]
pub struct Host {
    inner: Rc<Inner>,
}

struct Inner {
    name: &'static str,
    ip: IpAddr,
    body: Rc<dyn Fn()>,
    task: RefCell<Option<JoinHandle<()>>>,
    network: &'static Network,
}

/// Starts a host: `f` runs as the first of its tasks. Whatever it and the tasks below it bind, connect or send has this address;
/// its name can be connected to. Not a wait point.
///
/// Binding another address fails on it, as it would on a real host; `0.0.0.0` and `127.0.0.1` are its own. It ends with the task
/// that has started it: so start hosts from the root. An `Err` of `f`, or a panic of a task that nobody joins, fails the simulation,
/// unless the task had been killed.
///
/// ```
/// use coop::net::UdpSocket;
/// use coop::sim;
/// use std::io;
/// sim::run(1, || -> io::Result<()> {
///     let echo = sim::host("echo", [10, 0, 0, 7], || -> io::Result<()> {
///         let socket = UdpSocket::bind("0.0.0.0:7")?;
///         let mut buf = [0; 100];
///         loop {
///             let (n, from) = socket.recv_from(&mut buf)?;
///             socket.send_to(&buf[..n], from)?;
///         }
///     })?;
///     let socket = UdpSocket::bind("0.0.0.0:0")?;
///     coop::yield_now()?;                                 // the echo binds its socket
///     socket.send_to(b"marco", (echo.ip(), 7))?;
///     assert_eq!(socket.recv_from(&mut [0; 100])?, (5, "10.0.0.7:7".parse().unwrap()));
///     Ok(())
/// }).unwrap();
/// ```
///
/// # Errors
/// `AlreadyExists`, if another host has that name or address.
///
/// # Panics
/// Outside of a simulation.
#[track_caller]
pub fn host<R: Verdict>(name: &str, ip: impl Into<IpAddr>, f: impl Fn() -> R + 'static) -> io::Result<Host> {
    let (network, ip, name) = (network(), ip.into(), interned(name));
    if !network.add_host(name, ip) {
        let text = format!("there is a host called {name}, or with address {ip}, already");
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
    }
    let body = move || {
        network.settle(current().id().0, ip);
        if let Err(text) = f().verdict()
            && !killed()
        {
            panic!("host {name}: {text}");
        }
    };
    let inner = Inner { name, ip, body: Rc::new(body), task: RefCell::default(), network };
    let host = Host { inner: Rc::new(inner) };
    host.start();
    Ok(host)
}

impl Host {
    /// Its name.
    pub fn name(&self) -> &str {
        self.inner.name
    }

    /// Its address.
    pub fn ip(&self) -> IpAddr {
        self.inner.ip
    }

    /// Whether it has not crashed, or was restarted since.
    pub fn is_up(&self) -> bool {
        self.inner.network.is_up(self.inner.ip)
    }

    fn start(&self) {
        let body = self.inner.body.clone();
        let task = TaskBuilder::new().name(self.inner.name).daemon().spawn(move || body());
        *self.inner.task.borrow_mut() = Some(task);
    }

    /// Takes the host down, as pulling its plug would: from this moment nothing leaves it, and nothing reaches it. Its tasks are
    /// killed; what they still send, while they end, goes nowhere. Their peers see nothing of it, until they send something after
    /// the [restart](Self::restart): that is answered with a reset. Not a wait point.
    ///
    /// Files are not affected: what was written was written.
    pub fn crash(&self) {
        self.inner.network.take_down(self.inner.ip);
        if let Some(task) = &*self.inner.task.borrow() {
            task.kill();
        }
    }

    /// Starts the host again, crashed before or not: waits for the end of its tasks (which this kills), and runs its body anew.
    ///
    /// A wait point; kill-checked: a kill leaves the host down.
    ///
    /// # Errors
    /// [`Killed`].
    ///
    /// # Panics
    /// With the panic of its first task, if that was not killed before.
    #[track_caller]
    pub fn restart(&self) -> Result<(), Killed> {
        let was_up = self.is_up();
        self.crash();
        let task = self.inner.task.borrow_mut().take();
        if let Some(mut task) = task {
            match task.join() {
                Err(JoinError::Interrupted(killed)) => {
                    *self.inner.task.borrow_mut() = Some(task);
                    return Err(killed);
                }
                Err(JoinError::Panicked(payload)) if was_up => resume_unwind(payload),
                _ => {}
            }
        }
        self.inner.network.bring_up(self.inner.ip);
        self.start();
        Ok(())
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host({:?}, {})", self.name(), self.ip())
    }
}

/// The name for good, as tasks want it: each only once, however many simulations, on however many threads, have a host of that name.
fn interned(name: &str) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    match names.get(name) {
        Some(known) => known,
        None => {
            let new: &'static str = String::leak(name.to_owned());
            names.insert(new);
            new
        }
    }
}

/// Whether the running task has been killed, for the panic hook: outside of tasks nothing has.
pub(super) fn is_running_task_killed() -> bool {
    Cooperator::current().is_some_and(|cooperator| {
        !cooperator.scheduler.running().is_null() && crate::task::Task::running(cooperator).node.is_killed()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once_whichever_thread_has_used_it() {
        let here = interned("a host of two threads").as_ptr().addr();
        let there = std::thread::spawn(|| interned("a host of two threads").as_ptr().addr());
        assert_eq!(there.join().unwrap(), here);
    }
}
