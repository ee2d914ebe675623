//! The map from keys to values, and the times at which keys expire.
//!
//! ```text
//!   table      hash ──► Record { key, value, deadline }       56 bytes a record, short strings included
//!   deadlines  (deadline, key), ascending                     only of the keys that have a deadline
//! ```
//!
//! A key whose deadline has come is gone for every caller at once: each access looks at it, and removes it. What nobody
//! asks for is removed by [`expire_due`](Store::expire_due), which a task calls at [`next_expiry`](Store::next_expiry).
//! `deadlines` is exact, not a heap with stale entries: a session store that renews the same keys for ever would fill
//! that.
//!
//! The store belongs to one thread and reads no clock: the time is a parameter, the same for all commands of a batch.
//! There is one thing Redis does that this does not: growing the table is not spread over many commands, so the insert
//! that doubles a table of a million records takes some tens of milliseconds.

use std::{
    collections::BTreeSet,
    hash::{BuildHasher, Hasher},
};

use hashbrown::{
    DefaultHashBuilder, HashTable,
    hash_table::{Entry, OccupiedEntry},
};

use crate::bytes::Bytes;

/// Milliseconds since the Unix epoch.
pub type Millis = u64;

/// The deadline of a key that has none.
pub const NEVER: Millis = Millis::MAX;

/// What writing a value does to the deadline of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Leaves it as it is.
    Keep,
    /// Sets it; [`NEVER`] removes it.
    Until(Millis),
}

/// Keys with their values and deadlines.
#[derive(Default)]
pub struct Store {
    table: HashTable<Record>,
    // Seeded at random for each store, against clients that would choose keys of one hash.
    hasher: DefaultHashBuilder,
    deadlines: BTreeSet<(Millis, Bytes)>,
    expired: u64,
}

struct Record {
    key: Bytes,
    value: Bytes,
    deadline: Millis,
}

const _: () = assert!(size_of::<Record>() == 56);

fn hash(hasher: &DefaultHashBuilder, key: &[u8]) -> u64 {
    let mut state = hasher.build_hasher();
    state.write(key);
    state.finish()
}

impl Store {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of keys, counting those whose deadline has come and that have not been removed yet.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// The number of keys that have a deadline.
    pub fn expiring(&self) -> usize {
        self.deadlines.len()
    }

    /// How many keys have been removed because their deadline had come.
    pub fn expired(&self) -> u64 {
        self.expired
    }

    /// The value of `key`.
    #[inline]
    pub fn get(&mut self, key: &[u8], now: Millis) -> Option<&[u8]> {
        self.live(key, now).map(|record| &*record.into_mut().value)
    }

    /// The value of `key`, to be changed in place; its deadline stays.
    pub fn get_mut(&mut self, key: &[u8], now: Millis) -> Option<&mut Bytes> {
        self.live(key, now).map(|record| &mut record.into_mut().value)
    }

    /// Whether `key` is there.
    pub fn contains(&mut self, key: &[u8], now: Millis) -> bool {
        self.live(key, now).is_some()
    }

    /// Sets the value of `key`, whether it is there or not.
    #[inline]
    pub fn set(&mut self, key: &[u8], value: &[u8], lifetime: Lifetime, now: Millis) {
        let Self { table, hasher, deadlines, .. } = self;
        let same = |record: &Record| *record.key == *key;
        match table.entry(hash(hasher, key), same, |record| hash(hasher, &record.key)) {
            Entry::Occupied(found) => {
                let record = found.into_mut();
                record.value.assign(value);
                let deadline = match lifetime {
                    Lifetime::Keep if record.deadline > now => return,
                    Lifetime::Keep => NEVER, // what expired has no lifetime to keep
                    Lifetime::Until(deadline) => deadline,
                };
                record.set_deadline(deadline, deadlines);
            }
            Entry::Vacant(place) => {
                let mut record = Record { key: key.into(), value: value.into(), deadline: NEVER };
                if let Lifetime::Until(deadline) = lifetime {
                    record.set_deadline(deadline, deadlines);
                }
                place.insert(record);
            }
        }
    }

    /// Removes `key`; tells whether it was there.
    pub fn remove(&mut self, key: &[u8], now: Millis) -> bool {
        self.take(key, now).is_some()
    }

    /// Removes `key` and returns its value.
    pub fn take(&mut self, key: &[u8], now: Millis) -> Option<Bytes> {
        let (mut record, _) = self.live(key, now)?.remove();
        record.set_deadline(NEVER, &mut self.deadlines);
        Some(record.value)
    }

    /// The deadline of `key`, which is [`NEVER`] when it has none. `None` when there is no such key.
    pub fn deadline(&mut self, key: &[u8], now: Millis) -> Option<Millis> {
        self.live(key, now).map(|record| record.get().deadline)
    }

    /// Sets the deadline of `key`; [`NEVER`] removes it. A deadline that has come already makes the key gone.
    pub fn set_deadline(&mut self, key: &[u8], deadline: Millis, now: Millis) {
        if let Some(mut record) = find(&mut self.table, &self.hasher, key)
            && record.get().deadline > now
        {
            record.get_mut().set_deadline(deadline, &mut self.deadlines);
        }
    }

    /// Removes everything.
    pub fn clear(&mut self) {
        self.table = HashTable::new();
        self.deadlines.clear();
    }

    /// When [`expire_due`](Self::expire_due) has something to do next.
    pub fn next_expiry(&self) -> Option<Millis> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Removes at most `limit` of the keys whose deadline has come, and tells how many it removed. The limit keeps a
    /// million keys with one deadline from stopping everything else.
    pub fn expire_due(&mut self, now: Millis, limit: usize) -> usize {
        let mut removed = 0;
        while removed < limit
            && let Some((deadline, _)) = self.deadlines.first()
            && *deadline <= now
            && let Some((_, key)) = self.deadlines.pop_first()
        {
            if let Some(record) = find(&mut self.table, &self.hasher, &key) {
                record.remove();
            }
            removed += 1;
        }
        self.expired += removed as u64;
        removed
    }

    /// The record of `key`, unless its deadline has come; then it is removed here.
    #[inline]
    fn live(&mut self, key: &[u8], now: Millis) -> Option<OccupiedEntry<'_, Record>> {
        let found = find(&mut self.table, &self.hasher, key)?;
        if found.get().deadline > now {
            return Some(found);
        }
        let (mut record, _) = found.remove();
        record.set_deadline(NEVER, &mut self.deadlines);
        self.expired += 1;
        None
    }
}

#[inline]
fn find<'a>(
    table: &'a mut HashTable<Record>,
    hasher: &DefaultHashBuilder,
    key: &[u8],
) -> Option<OccupiedEntry<'a, Record>> {
    table.find_entry(hash(hasher, key), |record| *record.key == *key).ok()
}

impl Record {
    /// Sets the deadline here and in the index.
    #[inline]
    fn set_deadline(&mut self, deadline: Millis, deadlines: &mut BTreeSet<(Millis, Bytes)>) {
        if self.deadline != deadline {
            self.reindex(deadline, deadlines);
        }
    }

    #[cold]
    fn reindex(&mut self, deadline: Millis, deadlines: &mut BTreeSet<(Millis, Bytes)>) {
        // One copy of the key serves both: the entry taken out is put back in at its new place.
        let mut entry = deadlines.take(&(self.deadline, self.key.clone())).unwrap_or_else(|| (NEVER, self.key.clone()));
        if deadline != NEVER {
            entry.0 = deadline;
            deadlines.insert(entry);
        }
        self.deadline = deadline;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Lifetime = Lifetime::Keep;
    const FOREVER: Lifetime = Lifetime::Until(NEVER);

    #[test]
    fn a_value_is_set_replaced_and_removed() {
        let mut store = Store::new();
        assert_eq!(store.get(b"k", 0), None);
        store.set(b"k", b"one", KEEP, 0);
        store.set(b"k", b"two", KEEP, 0);
        assert_eq!(store.get(b"k", 0), Some(&b"two"[..]));
        assert_eq!(store.len(), 1);
        assert!(store.remove(b"k", 0));
        assert!(!store.remove(b"k", 0));
        assert_eq!(store.len(), 0);
    }

    #[test]
    fn a_key_is_gone_from_its_deadline_on_for_every_access() {
        let mut store = Store::new();
        let accesses: [fn(&mut Store, Millis) -> bool; 5] = [
            |store, now| store.get(b"k", now).is_some(),
            |store, now| store.get_mut(b"k", now).is_some(),
            |store, now| store.contains(b"k", now),
            |store, now| store.deadline(b"k", now).is_some(),
            |store, now| store.remove(b"k", now),
        ];
        for there in accesses {
            store.set(b"k", b"v", Lifetime::Until(10), 0);
            assert!(there(&mut store, 9));
            store.set(b"k", b"v", Lifetime::Until(10), 0);
            assert!(!there(&mut store, 10));
            assert_eq!((store.len(), store.expiring()), (0, 0), "removed on access");
        }
    }

    #[test]
    fn writing_keeps_sets_or_removes_the_deadline() {
        let mut store = Store::new();
        store.set(b"k", b"v", Lifetime::Until(10), 0);
        store.set(b"k", b"w", KEEP, 5);
        assert_eq!(store.deadline(b"k", 5), Some(10));
        store.set(b"k", b"w", Lifetime::Until(20), 5);
        assert_eq!((store.deadline(b"k", 5), store.next_expiry(), store.expiring()), (Some(20), Some(20), 1));
        store.set(b"k", b"w", FOREVER, 5);
        assert_eq!((store.deadline(b"k", 5), store.next_expiry()), (Some(NEVER), None));
        store.set(b"k", b"v", Lifetime::Until(10), 5);
        store.set(b"k", b"new", KEEP, 15);
        assert_eq!(store.deadline(b"k", 15), Some(NEVER), "the key had expired: this is a new one");
    }

    #[test]
    fn a_deadline_is_set_only_on_a_key_that_is_there() {
        let mut store = Store::new();
        store.set_deadline(b"k", 10, 0);
        assert_eq!(store.next_expiry(), None);
        store.set(b"k", b"v", Lifetime::Until(10), 0);
        store.set_deadline(b"k", 30, 20);
        assert!(!store.contains(b"k", 20), "too late");
    }

    #[test]
    fn what_is_due_is_removed_in_order_and_at_most_so_many() {
        let mut store = Store::new();
        for i in 0..10u64 {
            store.set(format!("a rather long key, number {i}").as_bytes(), b"v", Lifetime::Until(100 - i), 0);
        }
        assert_eq!((store.next_expiry(), store.expire_due(90, 100)), (Some(91), 0));
        assert_eq!(store.expire_due(95, 2), 2);
        assert_eq!(store.next_expiry(), Some(93));
        assert_eq!(store.expire_due(95, 100), 3);
        assert_eq!((store.len(), store.expiring(), store.expired()), (5, 5, 5));
        store.clear();
        assert_eq!((store.len(), store.next_expiry()), (0, None));
    }

    /// Against a model that keeps everything in a plain map and looks at all of it each time.
    #[test]
    fn agrees_with_a_simple_model_over_random_operations() {
        use std::collections::BTreeMap;
        let mut random = crate::testing::Random::new(7);
        let mut store = Store::new();
        let mut model: BTreeMap<Vec<u8>, (Vec<u8>, Millis)> = BTreeMap::new();
        for now in 0..50_000 {
            model.retain(|_, (_, deadline)| *deadline > now);
            let key = format!("{}{}", "k".repeat(random.below(40)), random.below(4)).into_bytes();
            let value = vec![b'v'; random.below(60)];
            let deadline = now + 1 + random.below(300) as u64;
            match random.below(8) {
                0 => {
                    store.set(&key, &value, Lifetime::Until(deadline), now);
                    model.insert(key, (value, deadline));
                }
                1 => {
                    store.set(&key, &value, KEEP, now);
                    model.entry(key).or_insert((Vec::new(), NEVER)).0 = value;
                }
                2 => {
                    store.set(&key, &value, FOREVER, now);
                    model.insert(key, (value, NEVER));
                }
                3 => assert_eq!(store.remove(&key, now), model.remove(&key).is_some()),
                4 => {
                    store.set_deadline(&key, deadline, now);
                    model.entry(key).and_modify(|entry| entry.1 = deadline);
                }
                5 => {
                    if let Some(held) = store.get_mut(&key, now) {
                        held.append(&value);
                    }
                    model.entry(key).and_modify(|entry| entry.0.extend(value));
                }
                6 => assert_eq!(store.deadline(&key, now), model.get(&key).map(|entry| entry.1)),
                _ => assert_eq!(store.get(&key, now), model.get(&key).map(|entry| &entry.0[..])),
            }
            if now % 64 == 0 {
                store.expire_due(now, usize::MAX);
                assert_eq!(store.len(), model.len());
                assert_eq!(store.expiring(), model.values().filter(|entry| entry.1 != NEVER).count());
                assert_eq!(store.next_expiry(), model.values().map(|entry| entry.1).filter(|&at| at != NEVER).min());
            }
        }
    }
}
