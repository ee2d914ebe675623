//! Removing keys that nobody asks for any more.

use std::time::Duration;

use coop::Killed;

use crate::{connection::now, outbox::Outbox, server::Shared};

/// How long a key may stay in memory after its deadline. It is gone for clients at once, whatever this is.
const TICK: Duration = Duration::from_millis(100);
/// Keys removed before others have a turn: some ten microseconds.
const AT_ONCE: usize = 100;

/// Removes keys whose deadline has come, until it is killed.
#[coop::task(name = "expiry", stack = "32k")]
pub fn remove_expired(server: Shared<Outbox>) -> Result<(), Killed> {
    loop {
        coop::sleep(until_next(&server))?;
        while server.borrow_mut().store.expire_due(now(), AT_ONCE) == AT_ONCE {
            coop::yield_now()?;
        }
    }
}

/// The time until the next deadline; no more than a tick, since a client may set an earlier one meanwhile.
fn until_next(server: &Shared<Outbox>) -> Duration {
    let next = server.borrow().store.next_expiry();
    next.map_or(TICK, |deadline| Duration::from_millis(deadline.saturating_sub(now())).min(TICK))
}
