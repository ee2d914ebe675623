//! Who is whose child: the links between siblings, side by side in memory of their own.
//!
//! ```text
//!   parent: Family                 Siblings                                    children
//!   ┌─────────────┐    number  previous  next  who
//!   │ first: 3 ───┼───▶  3        0       1    ───────────────────────────────▶ Sibling { number: 3 }
//!   │ last:  2 ───┼──┐   1        3       2    ───────────────────────────────▶ Sibling { number: 1 }
//!   └─────────────┘  └▶  2        1       0    ───────────────────────────────▶ Sibling { number: 2 }
//! ```
//!
//! A list that leads through what it lists costs nothing more where that is near. Tasks are not: each is on a stack of its own, and the
//! two stores by which one of 100,000 leaves its siblings, whose end is long past or far ahead, were a fifth of what it costs to sleep.
//! Sixteen bytes each, all of them are in a cache, or at least in a TLB.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::mem::offset_of;
use std::ptr;

/// The least number of places.
const LEAST: u64 = 64;

/// In none, or nobody.
const NONE: u32 = 0;

/// What is in each child.
pub(crate) struct Sibling {
    /// The place of its links.
    number: Cell<u32>,
}

impl Sibling {
    pub(crate) const fn new() -> Self {
        Sibling { number: Cell::new(NONE) }
    }
}

/// A parent's children, in the order in which they came.
#[repr(C)]
pub(crate) struct Family {
    first: Cell<u32>,
    last: Cell<u32>,
}

impl Family {
    /// For debuggers.
    pub(crate) const FIRST_OFFSET: usize = offset_of!(Family, first);

    pub(crate) const fn new() -> Self {
        Family { first: Cell::new(NONE), last: Cell::new(NONE) }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.first.get() == NONE
    }
}

/// The links of a child.
#[repr(C)]
#[derive(Clone, Copy)]
struct Links {
    previous: u32,
    /// The next in the family. Of a place that is free, how far behind the one that follows it the next such place is: zeros, as they
    /// come from the allocator, are a list of free places.
    next: u32,
    /// Null: nobody.
    who: *const Sibling,
}

/// The links of all children of one thread's parents.
pub(crate) struct Siblings {
    /// By their numbers, of which zero is nobody's.
    links: Cell<*mut Links>,
    /// The greatest number there is a place for.
    room: Cell<u64>,
    /// The first free place: beyond the last if there is none.
    free: Cell<u32>,
}

impl Siblings {
    /// For debuggers; so are the next three.
    pub(crate) const LINKS_OFFSET: usize = offset_of!(Siblings, links);
    pub(crate) const NEXT_OFFSET: usize = offset_of!(Links, next);
    pub(crate) const WHO_OFFSET: usize = offset_of!(Links, who);
    pub(crate) const STRIDE: usize = size_of::<Links>();

    pub(crate) fn new() -> Self {
        let links = Self::allocate(LEAST).unwrap_or_else(|| handle_alloc_error(Self::layout(LEAST)));
        Siblings { links: Cell::new(links), room: Cell::new(LEAST), free: Cell::new(NONE + 1) }
    }

    /// How many children can be in families at the same time.
    pub(crate) fn room(&self) -> u64 {
        self.room.get()
    }

    /// Sees to it that so many can. False if there is no memory: then all is as it was.
    #[inline]
    pub(crate) fn make_room(&self, count: u64) -> bool {
        count <= self.room.get() || self.resize(count)
    }

    #[cold]
    #[inline(never)]
    fn resize(&self, count: u64) -> bool {
        let room = count.next_power_of_two().max(LEAST);
        if room > 1 << 31 {
            return false;
        }
        self.move_to(room, self.room.get())
    }

    /// Makes other places, so many, for those with the numbers up to `last`.
    fn move_to(&self, room: u64, last: u64) -> bool {
        let Some(links) = Self::allocate(room) else { return false };
        // SAFETY: both are large enough; the old ones were allocated with that layout, and nobody holds a reference.
        unsafe {
            links.copy_from_nonoverlapping(self.links.get(), last as usize + 1);
            dealloc(self.links.get().cast(), Self::layout(self.room.get()));
        }
        self.links.set(links);
        self.room.set(room);
        true
    }

    /// Places, all of them free.
    fn allocate(room: u64) -> Option<*mut Links> {
        // SAFETY: not of size zero.
        let links = unsafe { alloc_zeroed(Self::layout(room)) }.cast::<Links>();
        (!links.is_null()).then_some(links)
    }

    /// The place of this number.
    #[inline]
    fn at(&self, number: u32) -> *mut Links {
        debug_assert!(u64::from(number) <= self.room.get());
        self.links.get().wrapping_add(number as usize)
    }

    /// Puts a child last in a family.
    ///
    /// # Safety
    /// `who` is in none, and there is room for one more. It stays where it is until it [leaves](Siblings::leave).
    #[inline(always)]
    pub(crate) unsafe fn enter(&self, family: &Family, who: *const Sibling) {
        let (links, number) = (self.links.get(), self.free.get());
        // SAFETY: there is room, so the first free place is one, and so is that of the last child.
        unsafe {
            let place = links.add(number as usize);
            self.free.set((number + 1).wrapping_add((*place).next));
            let last = family.last.replace(number);
            place.write(Links { previous: last, next: NONE, who });
            match last {
                NONE => family.first.set(number),
                _ => (*links.add(last as usize)).next = number,
            }
            (*who).number.set(number);
        }
    }

    /// Takes a child out of its family.
    ///
    /// # Safety
    /// It is in it.
    #[inline(always)]
    pub(crate) unsafe fn leave(&self, family: &Family, who: &Sibling) {
        let (links, number) = (self.links.get(), who.number.get());
        debug_assert!(number != NONE);
        // SAFETY: the caller's promise: it has a place, and so have those before and after it.
        unsafe {
            let place = links.add(number as usize);
            let Links { previous, next, .. } = *place;
            match previous {
                NONE => family.first.set(next),
                _ => (*links.add(previous as usize)).next = next,
            }
            match next {
                NONE => family.last.set(previous),
                _ => (*links.add(next as usize)).previous = previous,
            }
            (*place).next = self.free.get().wrapping_sub(number + 1);
            (*place).who = ptr::null();
        }
        self.free.set(number);
    }

    /// The children of a family, in the order in which they came. Nobody enters or leaves meanwhile.
    pub(crate) fn of<'a>(&'a self, family: &Family) -> Children<'a> {
        Children { siblings: self, next: family.first.get() }
    }

    /// Keeps room for so many, and for all that are there, and gives the rest of the memory back. `family_of` knows where a child is.
    ///
    /// # Safety
    /// It tells the truth.
    #[cold]
    pub(crate) unsafe fn shrink<'a>(&self, count: u64, family_of: impl Fn(*const Sibling) -> &'a Family) {
        // They move together, all of them to where nobody is any more, by ascending numbers.
        let mut used = NONE;
        for number in NONE + 1..=self.room.get() as u32 {
            // SAFETY: all these numbers have places.
            let links = unsafe { *self.at(number) };
            if links.who.is_null() {
                continue;
            }
            used += 1;
            if used != number {
                // SAFETY: as above; who has a place has not left.
                unsafe {
                    match links.previous {
                        NONE => family_of(links.who).first.set(used),
                        previous => (*self.at(previous)).next = used,
                    }
                    match links.next {
                        NONE => family_of(links.who).last.set(used),
                        next => (*self.at(next)).previous = used,
                    }
                    self.at(used).write(links);
                    (*links.who).number.set(used);
                }
            }
        }
        let room = count.max(used.into()).next_power_of_two().max(LEAST).min(self.room.get());
        if !self.move_to(room, used.into()) {
            // SAFETY: the places that nobody has, where they are.
            unsafe {
                self.links.get().add(used as usize + 1).write_bytes(0, (self.room.get() - u64::from(used)) as usize)
            };
        }
        self.free.set(used + 1);
    }

    fn layout(room: u64) -> Layout {
        Layout::array::<Links>(room as usize + 1).expect("fewer tasks than bytes of memory")
    }
}

impl Drop for Siblings {
    fn drop(&mut self) {
        // SAFETY: it was allocated with this layout, and is not used again.
        unsafe { dealloc(self.links.get().cast(), Self::layout(self.room.get())) };
    }
}

/// See [`Siblings::of`].
pub(crate) struct Children<'a> {
    siblings: &'a Siblings,
    next: u32,
}

impl Iterator for Children<'_> {
    /// As it was given to [`Siblings::enter`].
    type Item = *const Sibling;

    #[inline]
    fn next(&mut self) -> Option<*const Sibling> {
        if self.next == NONE {
            return None;
        }
        // SAFETY: whoever comes next is in the family.
        let links = unsafe { *self.siblings.at(self.next) };
        self.next = links.next;
        Some(links.who)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// A model of what the table keeps: each family's children in order.
    struct Families {
        siblings: Siblings,
        families: Vec<Family>,
        people: Vec<Sibling>,
        expected: Vec<Vec<usize>>,
    }

    impl Families {
        fn new(families: usize, people: usize) -> Self {
            Families {
                siblings: Siblings::new(),
                families: (0..families).map(|_| Family::new()).collect(),
                people: (0..people).map(|_| Sibling::new()).collect(),
                expected: vec![Vec::new(); families],
            }
        }

        fn enter(&mut self, family: usize, who: usize) {
            assert!(self.siblings.make_room(1 + self.expected.iter().map(Vec::len).sum::<usize>() as u64));
            // SAFETY: nobody enters twice, and none of the vectors changes.
            unsafe { self.siblings.enter(&self.families[family], &self.people[who]) };
            self.expected[family].push(who);
        }

        fn leave(&mut self, family: usize, place: usize) -> usize {
            let who = self.expected[family].remove(place);
            // SAFETY: it is there, says the model.
            unsafe { self.siblings.leave(&self.families[family], &self.people[who]) };
            who
        }

        fn shrink(&self) {
            let family_of = |who: *const Sibling| {
                let who = self.people.iter().position(|one| ptr::eq(one, who)).expect("one of us");
                let family = self.expected.iter().position(|family| family.contains(&who));
                &self.families[family.expect("who has a place is in a family")]
            };
            // SAFETY: as the model says.
            unsafe { self.siblings.shrink(1, family_of) };
        }

        fn check(&self) {
            for (family, expected) in self.families.iter().zip(&self.expected) {
                let found: Vec<*const Sibling> = self.siblings.of(family).collect();
                let expected: Vec<*const Sibling> = expected.iter().map(|who| &raw const self.people[*who]).collect();
                assert_eq!(found, expected);
                assert_eq!(family.is_empty(), expected.is_empty());
                let last = expected.last().map_or(NONE, |last| {
                    // SAFETY: one of `people`.
                    unsafe { (**last).number.get() }
                });
                assert_eq!(family.last.get(), last);
            }
        }
    }

    #[test]
    fn families_keep_their_order_whoever_comes_and_goes_and_wherever_the_links_move() {
        for seed in 0..200 {
            println!("seed {seed}");
            let chance = Random::new(seed);
            let mut all = Families::new(5, 400);
            let mut out: Vec<usize> = (0..400).collect();
            for _ in 0..2000 {
                let family = chance.below(5);
                let few = all.expected[family].len();
                match chance.below(10) {
                    0..=4 if !out.is_empty() => {
                        let who = out.swap_remove(chance.below(out.len()));
                        all.enter(family, who);
                    }
                    9 if chance.below(20) == 0 => all.shrink(),
                    _ if few != 0 => {
                        // The eldest and the youngest more often than others.
                        let place = [0, few - 1, chance.below(few)][chance.below(3)];
                        out.push(all.leave(family, place));
                    }
                    _ => {}
                }
                all.check();
            }
        }
    }

    #[test]
    fn places_are_taken_again_and_memory_that_is_not_needed_goes_back() {
        let mut all = Families::new(1, 1000);
        (0..1000).for_each(|who| all.enter(0, who));
        assert_eq!(all.siblings.room(), 1024);
        // All but the last, and two in the middle.
        for who in (0..999).rev().filter(|who| *who != 500 && *who != 501) {
            all.leave(0, who);
        }
        all.check();
        (0..300).for_each(|who| all.enter(0, who));
        let number = |who: usize| all.people[who].number.get();
        assert!((0..300).all(|who| number(who) <= 1000), "no place was taken for the first time");
        (0..300).rev().for_each(|_| assert!(all.leave(0, 3) < 300));
        all.shrink();
        all.check();
        assert_eq!((all.siblings.room(), all.siblings.free.get()), (LEAST, 4));
        (0..300).for_each(|who| all.enter(0, who));
        all.check();
        assert_eq!((all.siblings.room(), all.siblings.free.get()), (512, 304));
    }

    #[test]
    fn more_than_there_are_numbers_find_no_room() {
        let siblings = Siblings::new();
        assert!(!siblings.make_room(u64::from(u32::MAX)));
        assert_eq!(siblings.room(), LEAST);
    }
}
