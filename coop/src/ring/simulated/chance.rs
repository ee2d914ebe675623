//! What a seed decides, and the journal of what came of it.
//!
//! Each kind of choice draws from a stream of its own, by number: to take one choice back changes no other. That is what lets a
//! failure be cut down to the choices that it needs.

use crate::random::mix;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fmt::{self, Write};

/// What is left to chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Choice {
    /// Which ready task runs.
    Schedule,
    /// Which of the operations that could complete does.
    Order,
    /// Whether one that could complete does so later.
    Late,
    /// How much shorter than possible a transfer is.
    Short,
    /// What becomes of an operation that is cancelled.
    Cancel,
    /// Whether an operation with several completions ends, and has to be armed again.
    Ending,
    /// How few completions fit their queue.
    Overflow,
    /// Whether the kernel takes only a part of what is submitted.
    Enter,
    /// How long a packet is on its way.
    Delay,
    /// How a stream is cut into packets.
    Cut,
    /// Whether a connection is lost.
    Reset,
    /// Whether a datagram is lost.
    Loss,
    /// Whether a datagram comes twice.
    Duplicate,
    /// What the program draws.
    Program,
    /// What becomes of memory that is sent from where it is: when it is no longer needed, and whether it was copied all the same.
    Notice,
}

impl Choice {
    pub(crate) const ALL: [Choice; 15] = [
        Choice::Schedule,
        Choice::Order,
        Choice::Late,
        Choice::Short,
        Choice::Cancel,
        Choice::Ending,
        Choice::Overflow,
        Choice::Enter,
        Choice::Delay,
        Choice::Cut,
        Choice::Reset,
        Choice::Loss,
        Choice::Duplicate,
        Choice::Program,
        Choice::Notice,
    ];

    /// In words, for reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Choice::Schedule => "the order of tasks",
            Choice::Order => "the order of completions",
            Choice::Late => "late completions",
            Choice::Short => "short transfers",
            Choice::Cancel => "cancels that come too late",
            Choice::Ending => "operations that have to be armed again",
            Choice::Overflow => "a small completion queue",
            Choice::Enter => "submissions taken in part",
            Choice::Delay => "differing delays",
            Choice::Cut => "streams cut into packets",
            Choice::Reset => "lost connections",
            Choice::Loss => "lost datagrams",
            Choice::Duplicate => "doubled datagrams",
            Choice::Program => "what the program draws",
            Choice::Notice => "notifications of zero-copy sends that come late",
        }
    }
}

/// Choices that are not left to chance: they go the way on which nothing happens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Quieted {
    /// All of a kind.
    pub(crate) kinds: Vec<Choice>,
    /// Single ones, by kind and number.
    pub(crate) single: HashSet<(Choice, u32)>,
}

/// See the module.
pub(crate) struct Chance {
    seed: u64,
    drawn: [Cell<u32>; Choice::ALL.len()],
    is_quiet: [bool; Choice::ALL.len()],
    single: HashSet<(Choice, u32)>,
    /// The choices that made something happen.
    taken: RefCell<Vec<(Choice, u32)>>,
    journal: RefCell<Journal>,
}

#[derive(Default)]
struct Journal {
    hash: u64,
    line: String,
    /// What has happened, if anybody wants to know.
    kept: Option<Vec<String>>,
}

impl Chance {
    /// With `keeps`, the journal can be read; in any case it is hashed.
    pub(crate) fn new(seed: u64, quieted: &Quieted, keeps: bool) -> Self {
        let journal = Journal { kept: keeps.then(Vec::new), ..Journal::default() };
        Chance {
            seed,
            drawn: Default::default(),
            is_quiet: Choice::ALL.map(|choice| quieted.kinds.contains(&choice)),
            single: quieted.single.clone(),
            taken: RefCell::default(),
            journal: RefCell::new(journal),
        }
    }

    /// The next number of a kind's stream, with its place there.
    fn draw(&self, choice: Choice) -> (u32, u64) {
        let index = self.drawn[choice as usize].get();
        self.drawn[choice as usize].set(index.wrapping_add(1));
        (index, mix(mix(self.seed ^ (choice as u64) << 56) ^ u64::from(index)))
    }

    fn is_allowed(&self, choice: Choice, index: u32) -> bool {
        if self.is_quiet[choice as usize] || self.single.contains(&(choice, index)) {
            return false;
        }
        self.taken.borrow_mut().push((choice, index));
        true
    }

    /// Yes, once in `n`; no, where it is quieted.
    pub(crate) fn one_in(&self, choice: Choice, n: usize) -> bool {
        let (index, value) = self.draw(choice);
        value % n.max(1) as u64 == 0 && self.is_allowed(choice, index)
    }

    /// Yes with a probability.
    pub(crate) fn with_probability(&self, choice: Choice, probability: f64) -> bool {
        if probability <= 0.0 {
            return false;
        }
        let (index, value) = self.draw(choice);
        ((value >> 11) as f64 / (1u64 << 53) as f64) < probability && self.is_allowed(choice, index)
    }

    /// A number below `bound`; 0, where it is quieted.
    pub(crate) fn below(&self, choice: Choice, bound: usize) -> usize {
        if bound <= 1 {
            return 0;
        }
        let (index, value) = self.draw(choice);
        let value = ((u128::from(value) * bound as u128) >> 64) as usize;
        if value != 0 && self.is_allowed(choice, index) { value } else { 0 }
    }

    /// The choices so far that made something happen.
    pub(crate) fn taken(&self) -> Vec<(Choice, u32)> {
        self.taken.borrow().clone()
    }

    /// Writes into the journal. What is written must be a function of the seed.
    pub(crate) fn note(&self, time: u64, what: fmt::Arguments<'_>) {
        let journal = &mut *self.journal.borrow_mut();
        journal.line.clear();
        // Microseconds since the clock's start at one second. Writing to a string cannot fail.
        let since = time.saturating_sub(1_000_000_000);
        let _ = write!(journal.line, "{:>12.6} s  {what}", since as f64 / 1e9);
        for byte in journal.line.bytes() {
            journal.hash = (journal.hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
        journal.hash = mix(journal.hash);
        if let Some(kept) = &mut journal.kept {
            kept.push(journal.line.clone());
        }
    }

    /// Takes note of what is not worth a line.
    pub(crate) fn stir(&self, value: u64) {
        let journal = &mut *self.journal.borrow_mut();
        journal.hash = mix(journal.hash ^ value);
    }

    /// A digest of everything that was noted.
    pub(crate) fn hash(&self) -> u64 {
        self.journal.borrow().hash
    }

    /// The lines of the journal, if they were kept.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.journal.borrow().kept.clone().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_that_is_taken_back_changes_no_other() {
        let draws = |quieted: &Quieted| {
            let chance = Chance::new(7, quieted, false);
            let all: Vec<_> =
                (0..40).map(|_| (chance.below(Choice::Order, 9), chance.one_in(Choice::Late, 3))).collect();
            (all, chance.taken())
        };
        let (plain, taken) = draws(&Quieted::default());
        assert!(taken.len() > 20, "{taken:?}");
        for &(choice, index) in &taken {
            let (with_one_less, _) = draws(&Quieted { single: [(choice, index)].into(), ..Quieted::default() });
            let differing: Vec<_> = (0..40).filter(|i| plain[*i as usize] != with_one_less[*i as usize]).collect();
            assert_eq!(differing, [index]);
        }
        let (quiet, taken) = draws(&Quieted { kinds: Choice::ALL.to_vec(), ..Quieted::default() });
        assert!(quiet.iter().all(|draw| *draw == (0, false)) && taken.is_empty());
    }
}
