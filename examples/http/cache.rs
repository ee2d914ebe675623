//! Small files, ready to be sent.
//!
//! Bounded in bytes. Who comes late goes late, but what was used since it was last looked at gets another turn ("second
//! chance"). An entry is kept by the target as the client has written it, so that a hit decodes nothing. For the time
//! `--fresh` it is used without a look at the disk; then the file is opened by its name again and compared with the
//! version that was read.

use std::{
    cell::{Cell, OnceCell},
    collections::VecDeque,
    rc::Rc,
    time::Instant,
};

use hashbrown::HashMap;

use crate::{facts::Facts, head};

/// Larger files are not kept, but sent from the kernel's own cache.
pub const SMALL: u64 = 64 * 1024;
/// What an entry costs beside its bytes, about.
const OVERHEAD: usize = 1024;

/// A file, with the heads of its answers.
pub struct Small {
    pub facts: Facts,
    pub plain: Ready,
    /// The same in gzip, once somebody has asked for it; `None` inside if that is not smaller.
    pub gzip: OnceCell<Option<Ready>>,
    checked: Cell<Instant>,
    was_used: Cell<bool>,
}

/// A head, but for what changes from answer to answer, and a body.
pub struct Ready {
    pub head: Vec<u8>,
    pub body: Vec<u8>,
}

impl Small {
    pub fn new(facts: Facts, body: Vec<u8>, now: Instant) -> Self {
        let plain = Ready::new(&facts, false, body);
        Self { facts, plain, gzip: OnceCell::new(), checked: Cell::new(now), was_used: Cell::new(false) }
    }

    pub fn set_checked(&self, now: Instant) {
        self.checked.set(now);
    }

    pub fn checked(&self) -> Instant {
        self.checked.get()
    }

    /// With the most that the other encoding may add.
    fn cost(&self) -> usize {
        self.plain.body.len() * (1 + usize::from(self.facts.is_compressible)) + OVERHEAD
    }
}

impl Ready {
    pub fn new(facts: &Facts, is_gzip: bool, body: Vec<u8>) -> Self {
        let mut head = Vec::with_capacity(320);
        head::whole(&mut head, facts, is_gzip, Some(body.len() as u64));
        Self { head, body }
    }
}

/// Files by target.
pub struct Cache {
    entries: HashMap<Box<[u8]>, Rc<Small>>,
    /// Their targets; the first is the next to go.
    order: VecDeque<Box<[u8]>>,
    cost: usize,
    capacity: usize,
}

impl Cache {
    /// For so many bytes.
    pub fn new(capacity: usize) -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new(), cost: 0, capacity }
    }

    pub fn get(&self, target: &str) -> Option<Rc<Small>> {
        let entry = self.entries.get(target.as_bytes())?;
        entry.was_used.set(true);
        Some(entry.clone())
    }

    /// Keeps an entry, in the place of any other for this target.
    pub fn insert(&mut self, target: &str, entry: Rc<Small>) {
        let cost = entry.cost() + 2 * target.len();
        if cost > self.capacity {
            return;
        }
        let key: Box<[u8]> = target.as_bytes().into();
        match self.entries.insert(key.clone(), entry) {
            // It keeps its place in the order.
            Some(old) => self.cost -= old.cost() + 2 * target.len(),
            None => self.order.push_back(key),
        }
        self.cost += cost;
        while self.cost > self.capacity
            && let Some(key) = self.order.pop_front()
        {
            let Some(entry) = self.entries.get(&key) else { continue };
            if entry.was_used.take() {
                self.order.push_back(key);
            } else {
                self.cost -= entry.cost() + 2 * key.len();
                self.entries.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Version;
    use std::time::SystemTime;

    fn entry(len: usize) -> Rc<Small> {
        let version = Version { dev: 1, ino: 1, len: len as u64, modified: (0, 0), changed: (0, 0) };
        Rc::new(Small::new(Facts::new(b"x.bin", version, SystemTime::now()), vec![0; len], Instant::now()))
    }

    #[test]
    fn it_stays_within_its_bounds_and_keeps_what_is_used() {
        let mut cache = Cache::new(100 * 1024);
        for n in 0..1000 {
            cache.insert(&format!("/{n}"), entry(8 * 1024));
            assert!(cache.get("/0").is_some(), "it is used between any two others");
            assert!(cache.cost <= cache.capacity && cache.entries.len() <= 11);
            assert_eq!(cache.order.len(), cache.entries.len());
        }
        assert!(cache.get("/999").is_some() && cache.get("/500").is_none());
        cache.insert("/0", entry(100 * 1024));
        assert_eq!(cache.get("/0").map(|entry| entry.plain.body.len()), Some(8 * 1024), "too large for it");
        let cost = cache.cost;
        cache.insert("/0", entry(0));
        assert_eq!((cache.cost, cache.order.len()), (cost - 8 * 1024, cache.entries.len()));
    }

    #[test]
    fn a_cache_of_nothing_keeps_nothing() {
        let mut cache = Cache::new(0);
        cache.insert("/", entry(0));
        assert!(cache.get("/").is_none() && cache.order.is_empty());
    }
}
