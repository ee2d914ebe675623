//! Streams of completions, well-formed and not, against the slots they are to be delivered by. A part of `ring::slots`.
//!
//! An input is a list of steps, two bytes each. Beside the slots stands a model: who is in flight, by which user data. After each
//! step the two agree on who was called, with what, for the last time or not; on how many are in flight; and on how many
//! completions belonged to nobody. What has had its last completion is gone: to be called again is a failure.

// Each module that has something to try brings it along.
#[allow(clippy::duplicate_mod)]
#[path = "generate.rs"]
mod generate;

use super::super::{Completion, Cqe};
use super::{NOBODY, Slots};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

const MORE: u32 = 2;

/// An operation of the runtime's, as far as slots know one.
struct Operation {
    name: u32,
    world: Rc<World>,
    is_gone: Cell<bool>,
}

struct World {
    slots: Slots,
    /// Calls since the last look: whose, result, flags, last.
    calls: RefCell<Vec<(u32, i32, u32, bool)>>,
    /// Operations that begin another when they end, as a multishot accept that is re-armed does.
    begins_another: Cell<bool>,
    /// What was begun so.
    begun: RefCell<Vec<(u64, u32)>>,
    /// Boxed, as their addresses are known elsewhere. Never emptied, so that an operation that is called after its end is there to say so.
    #[allow(clippy::vec_box)]
    operations: RefCell<Vec<Box<Operation>>>,
}

// SAFETY: `World::operations` keeps every operation at its address until the test is over.
unsafe impl Completion for Operation {
    fn complete(&self, result: i32, flags: u32, last: bool) {
        assert!(!self.is_gone.get(), "operation {} was freed, and is called again", self.name);
        self.is_gone.set(last);
        self.world.calls.borrow_mut().push((self.name, result, flags, last));
        if last && self.world.begins_another.take() {
            let (user_data, name) = begin(&self.world);
            self.world.begun.borrow_mut().push((user_data, name));
        }
    }
}

fn begin(world: &Rc<World>) -> (u64, u32) {
    let mut operations = world.operations.borrow_mut();
    let name = operations.len() as u32;
    let operation = Box::new(Operation { name, world: world.clone(), is_gone: Cell::new(false) });
    let target: *const dyn Completion = &*operation;
    operations.push(operation);
    drop(operations);
    // SAFETY: the box stays in `operations`.
    (unsafe { world.slots.insert(target) }, name)
}

/// Carries out the steps of an input, and holds the slots against the model.
fn stream(input: &[u8]) -> &'static str {
    let world = Rc::new(World {
        slots: Slots::new(),
        calls: RefCell::default(),
        begins_another: Cell::new(false),
        begun: RefCell::default(),
        operations: RefCell::default(),
    });
    let mut live: BTreeMap<u64, u32> = BTreeMap::new();
    let mut dead: Vec<u64> = Vec::new();
    let (mut strays, mut kind) = (0, "nothing comes");
    for step in input.chunks_exact(2) {
        let (what, number) = (step[0] % 13, step[1]);
        let nth = |keys: &[u64]| keys.get(usize::from(number) % keys.len().max(1)).copied();
        let alive: Vec<u64> = live.keys().copied().collect();
        let user_data = match what {
            0..=2 => {
                let (user_data, name) = begin(&world);
                assert_ne!(user_data, NOBODY);
                assert_eq!(live.insert(user_data, name), None, "user data of two operations at once");
                continue;
            }
            // One that is in flight: its last completion, or one after which there are more.
            3..=6 => nth(&alive),
            // The same again, once it has ended.
            7 => nth(&dead),
            // Somebody else's generation.
            8 => nth(&alive).map(|key| key ^ u64::from(number.max(1)) << 32),
            // A slot that there never was.
            9 => Some(u64::from(number) << 32 | 0x0fff_0000 | u64::from(number)),
            10 => Some(NOBODY),
            // What a cancel of one that is in flight says: no end of anything, but a reason to ask again if it was not found.
            11 => {
                let Some(key) = nth(&alive) else { continue };
                let result = [0, -libc::EALREADY, -libc::ENOENT][usize::from(number) % 3];
                world.slots.deliver(Cqe { user_data: Slots::cancel_of(key), result, flags: 0 });
                let missed = if result == -libc::ENOENT { vec![key] } else { Vec::new() };
                assert_eq!((world.calls.take(), world.slots.take_missed()), (Vec::new(), missed));
                assert_eq!((world.slots.in_flight(), world.slots.strays()), (live.len(), strays));
                continue;
            }
            // A slot that has been used four thousand million times.
            _ => {
                age(&world.slots, number);
                continue;
            }
        };
        let Some(user_data) = user_data else { continue };
        let result = [1, 0, -libc::ECANCELED, -libc::EBADF, i32::MIN, i32::MAX][usize::from(number) % 6];
        let flags = if matches!(what, 5 | 6) || number & 0x40 != 0 { MORE } else { 0 } | u32::from(number) << 16;
        let last = flags & MORE == 0;
        world.begins_another.set(what == 4);
        world.slots.deliver(Cqe { user_data, result, flags });
        let calls = world.calls.take();
        match live.get(&user_data) {
            Some(name) => {
                assert_eq!(calls, [(*name, result, flags, last)]);
                if last {
                    live.remove(&user_data);
                    dead.push(user_data);
                    kind = "an operation ends";
                }
            }
            None => {
                assert_eq!(calls, [], "a completion of nobody's was delivered");
                if user_data != NOBODY && user_data != 1 {
                    strays += 1;
                    kind = if kind == "an operation ends" { "strays after an end" } else { "strays" };
                }
            }
        }
        world.begins_another.set(false);
        for (user_data, name) in world.begun.take() {
            assert_eq!(live.insert(user_data, name), None, "user data of two operations at once");
            kind = "an operation begins while another ends";
        }
        assert_eq!((world.slots.in_flight(), world.slots.strays()), (live.len(), strays));
        let mut all = world.slots.all();
        all.sort_unstable();
        assert_eq!(all, live.keys().copied().collect::<Vec<_>>());
    }
    // Nobody is left behind: each can still end, once.
    for (user_data, name) in live {
        world.slots.deliver(Cqe { user_data, result: 0, flags: 0 });
        assert_eq!(world.calls.take(), [(name, 0, 0, true)]);
    }
    assert_eq!(world.slots.in_flight(), 0);
    // The operations hold the world, and the world them.
    let operations = world.operations.take();
    assert!(operations.iter().all(|operation| operation.is_gone.get()));
    kind
}

/// Has a free slot look as if all generations but one had been used up.
fn age(slots: &Slots, number: u8) {
    // SAFETY: nobody else looks at the slots meanwhile.
    let slots = unsafe { &mut *slots.slots.get() };
    let count = slots.len();
    if let Some(slot) = slots.get_mut(usize::from(number) % count.max(1))
        && !slot.is_in_flight()
        && slot.key >> 32 < u64::from(u32::MAX - 3)
    {
        slot.key |= u64::from(u32::MAX) << 32;
    }
}

#[test]
fn completions_go_to_whom_they_belong_once() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus/completions");
    let words: [&[u8]; 8] =
        [b"\0\0", b"\x03\0", b"\x04\x02", b"\x05\x01", b"\x07\0", b"\x08\x01", b"\x0b\x02", b"\x0c\0"];
    let kinds = generate::hunt(&corpus, &words, 20_000, stream);
    let all = [
        "an operation begins while another ends",
        "an operation ends",
        "nothing comes",
        "strays",
        "strays after an end",
    ];
    assert_eq!(kinds.keys().copied().collect::<Vec<_>>(), all, "{kinds:?}");
}
