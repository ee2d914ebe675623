//! What a loop does when it is asked from outside: see `roll`.

use super::dump::{Advice, Tree};
use super::roll::ask;
use super::timeline;
use crate::cooperator::Cooperator;
use crate::fiber::{Detail, State};
use crate::sys;
use crate::task::Task;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Trees that were asked for with `ask::SHOW`, by the numbers of their Cooperators, until they are picked up.
static SHOWN: Mutex<Vec<(u64, Tree)>> = Mutex::new(Vec::new());

/// Does what was asked for. On the loop's stack.
#[cold]
pub(crate) fn answer(cooperator: &Cooperator) {
    // Before, since it may be switched on and off again meanwhile. The others only count as done afterwards: who waits for them
    // looks at the bits.
    let asked = cooperator.inspected.asked.fetch_and(!ask::TRACE, Ordering::AcqRel);
    if asked & ask::TRACE != 0 {
        timeline::follow(cooperator);
    }
    if asked & ask::PRINT != 0 {
        print(cooperator);
    }
    if asked & ask::SHOW != 0 {
        let tree = Tree::of(cooperator);
        let mut shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
        shown.retain(|(id, _)| *id != cooperator.id);
        shown.push((cooperator.id, tree));
    }
    if asked & ask::WAITS != 0 {
        report_waits(cooperator);
    }
    cooperator.inspected.asked.fetch_and(!asked, Ordering::AcqRel);
}

/// Picks up a tree that was asked for.
pub(crate) fn pick_up(id: u64) -> Option<Tree> {
    let mut shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let index = shown.iter().position(|(of, _)| *of == id)?;
    Some(shown.swap_remove(index).1)
}

fn print(cooperator: &Cooperator) {
    let tree = Tree::of(cooperator);
    let name = cooperator.settings.name.clone();
    let name =
        name.as_deref().map_or_else(|| std::thread::current().name().unwrap_or("cooperator").to_owned(), str::to_owned);
    sys::say(format_args!(
        "coop: dump of Cooperator '{name}', {} tasks, asked for by SIGQUIT:\n{tree}{Advice}",
        tree.tasks.len()
    ));
}

/// Reports the waits that have become longer than the limit since this was last done, each once.
fn report_waits(cooperator: &Cooperator) {
    let limit = cooperator.inspected.longest_wait.get();
    let now = cooperator.clock.now();
    let before = cooperator.inspected.looked_at.replace(now);
    if limit == 0 {
        return;
    }
    Tree::visit(cooperator, |task| {
        let became = task.fiber.since.get().saturating_add(limit);
        let says_how_long = matches!(task.fiber.reason.get().detail, Detail::Time(_));
        let is_parked = matches!(task.fiber.state.get(), State::Parked { .. });
        if is_parked && !says_how_long && became > before && became <= now {
            report_wait(cooperator, task, Duration::from_nanos(now - task.fiber.since.get()));
        }
    });
}

fn report_wait(cooperator: &Cooperator, task: &Task, duration: Duration) {
    sys::say(format_args!(
        "coop: task {} '{}' has waited for {duration:?}:\n{}",
        task.id,
        task.name,
        Tree::only(cooperator, task)
    ));
}
