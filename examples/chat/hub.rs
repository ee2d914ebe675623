//! Rooms, their members, and what members can say.
//!
//! ```text
//!   member ── obey ──► room: broadcast ──┬──► member's receiver ──► what its client is sent
//!                                        └──► …, the member's own among them
//! ```
//!
//! What a room says, notices included, reaches its members through its channel only: so all see it in the same order.
//! What concerns one client alone, an answer to its command, goes behind what its room has said before.

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use coop::{
    Killed,
    chan::broadcast::{Receiver, RecvError, Sender, TryRecvError},
    sync::Latch,
};

/// The room in which everybody begins.
const LOBBY: &str = "lobby";
/// The longest name of a member or a room.
const MAX_NAME: usize = 20;
/// The longest line that a client may send, in bytes.
pub const MAX_LINE: usize = 1024;

const HELP: &str =
    "* /nick NAME, /join ROOM, /who, /rooms, /help, /quit; anything else is said to the room; //x says /x";

/// A line, without its end, as many may be sent it.
pub type Line = Rc<str>;

/// All rooms.
pub struct Hub {
    rooms: RefCell<BTreeMap<String, Room>>,
    names: RefCell<BTreeSet<String>>,
    backlog: usize,
    /// Clients now, and ever.
    live: Cell<u32>,
    clients: Cell<u64>,
    messages: Cell<u64>,
    /// Opens when every member has said what had come from it by the time the server stopped.
    all_said: OnceCell<Latch>,
}

struct Room {
    messages: Sender<Line>,
    members: BTreeSet<String>,
}

/// A client in a room. Dropping it is leaving.
pub struct Member<'a> {
    hub: &'a Hub,
    name: String,
    room: String,
    /// What the room says, to be waited for in a `select!`. What comes out of it is given to [`told`](Self::told).
    pub messages: Receiver<Line>,
    has_said: Cell<bool>,
}

/// What a member's line comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Stay,
    Quit,
}

impl Hub {
    /// With rooms that keep so many messages.
    pub fn new(backlog: u32) -> Self {
        Self {
            rooms: RefCell::default(),
            names: RefCell::default(),
            backlog: backlog as usize,
            live: Cell::new(0),
            clients: Cell::new(0),
            messages: Cell::new(0),
            all_said: OnceCell::new(),
        }
    }

    pub fn live(&self) -> u32 {
        self.live.get()
    }

    pub fn clients(&self) -> u64 {
        self.clients.get()
    }

    pub fn messages(&self) -> u64 {
        self.messages.get()
    }

    /// A new member, in the lobby.
    pub fn enter(&self) -> Member<'_> {
        self.live.set(self.live.get() + 1);
        let name = loop {
            self.clients.set(self.clients.get() + 1);
            let name = format!("guest{}", self.clients.get());
            // Somebody may have called himself that.
            if self.names.borrow_mut().insert(name.clone()) {
                break name;
            }
        };
        let messages = self.join(LOBBY, &name);
        Member { hub: self, name, room: LOBBY.into(), messages, has_said: Cell::new(false) }
    }

    /// From now on members say only what had come from them.
    pub fn stop(&self) {
        let _ = self.all_said.set(Latch::new(self.live.get() as usize));
    }

    /// Waits until every member has [said](Member::said) what had come from it. A wait point; kill-checked.
    ///
    /// # Errors
    /// `Killed`.
    pub fn wait_for_all(&self) -> Result<(), Killed> {
        self.all_said.get().map_or(Ok(()), Latch::wait)
    }

    /// Puts a name into a room, which is opened for it if need be, and tells the room.
    fn join(&self, room: &str, name: &str) -> Receiver<Line> {
        let mut rooms = self.rooms.borrow_mut();
        let receiver = match rooms.get_mut(room) {
            Some(room) => {
                room.members.insert(name.into());
                room.messages.subscribe()
            }
            None => {
                let (messages, receiver) = broadcast_of(self.backlog);
                rooms.insert(room.into(), Room { messages, members: [name.to_owned()].into() });
                receiver
            }
        };
        drop(rooms);
        self.tell(room, format!("* {name} has joined {room}"));
        receiver
    }

    /// Takes a name out of a room, which is closed if it was the last.
    fn leave(&self, room: &str, name: &str) {
        let mut rooms = self.rooms.borrow_mut();
        if let Some(of) = rooms.get_mut(room) {
            of.members.remove(name);
            if of.members.is_empty() {
                rooms.remove(room);
                return;
            }
        }
        drop(rooms);
        // When the server stops everybody leaves.
        if self.all_said.get().is_none() {
            self.tell(room, format!("* {name} has left {room}"));
        }
    }

    fn tell(&self, room: &str, line: String) {
        if let Some(room) = self.rooms.borrow().get(room) {
            // A room without a receiver has no member.
            let _ = room.messages.send(line.into());
        }
    }
}

fn broadcast_of(capacity: usize) -> (Sender<Line>, Receiver<Line>) {
    coop::chan::broadcast(capacity)
}

impl Member<'_> {
    /// What a client is told when it comes.
    pub fn welcome(&mut self, out: &mut Vec<Line>) {
        self.answer(format!("* you are {}; /help says what you can say", self.name), out);
    }

    /// Does what a line says; what the client is to be sent is appended to `out`.
    pub fn obey(&mut self, line: &str, out: &mut Vec<Line>) -> Flow {
        let line = line.trim();
        let Some(command) = line.strip_prefix('/').filter(|rest| !rest.starts_with('/')) else {
            let text = line.strip_prefix('/').unwrap_or(line);
            if !text.is_empty() {
                self.hub.messages.set(self.hub.messages.get() + 1);
                self.hub.tell(&self.room, format!("<{}> {}", self.name, printable(text)));
            }
            return Flow::Stay;
        };
        let (command, argument) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        match (command, argument.trim()) {
            ("nick", name) => self.rename(name, out),
            ("join", room) => self.join(room, out),
            ("who", "") => {
                let rooms = self.hub.rooms.borrow();
                let members = rooms.get(&self.room).map(|room| join(room.members.iter())).unwrap_or_default();
                drop(rooms);
                self.answer(format!("* in {}: {members}", self.room), out);
            }
            ("rooms", "") => {
                let rooms = join(self.hub.rooms.borrow().keys());
                self.answer(format!("* rooms: {rooms}"), out);
            }
            ("help", "") => self.answer(HELP.into(), out),
            ("quit", "") => {
                self.answer("* goodbye".into(), out);
                return Flow::Quit;
            }
            _ => self.answer("* that is no command; /help says what is".into(), out),
        }
        Flow::Stay
    }

    /// Appends a message of the room; then those that have come behind it.
    pub fn told(&mut self, message: Result<Line, RecvError>, out: &mut Vec<Line>) {
        match message {
            Ok(line) => out.push(line),
            Err(RecvError::Lagged(count)) => out.push(missed(count)),
            // The room stays as long as it has a member; a kill is told elsewhere.
            Err(RecvError::Closed | RecvError::Killed(_)) => {}
        }
        self.catch_up(out);
    }

    /// Appends all that the room has said by now.
    pub fn catch_up(&mut self, out: &mut Vec<Line>) {
        loop {
            match self.messages.try_recv() {
                Ok(line) => out.push(line),
                Err(TryRecvError::Lagged(count)) => out.push(missed(count)),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    /// Appends a line for this client alone, behind all that its room has said.
    pub fn answer(&mut self, line: String, out: &mut Vec<Line>) {
        self.catch_up(out);
        out.push(line.into());
    }

    /// Nothing more will be said by this member before the server stops.
    pub fn said(&self) {
        if !self.has_said.replace(true)
            && let Some(latch) = self.hub.all_said.get()
        {
            latch.count_down();
        }
    }

    fn rename(&mut self, name: &str, out: &mut Vec<Line>) {
        if !is_name(name) {
            return self.answer(bad_name(), out);
        }
        if !self.hub.names.borrow_mut().insert(name.into()) {
            return self.answer(format!("* somebody is called {name} already"), out);
        }
        self.hub.names.borrow_mut().remove(&self.name);
        let old = std::mem::replace(&mut self.name, name.into());
        if let Some(room) = self.hub.rooms.borrow_mut().get_mut(&self.room) {
            room.members.remove(&old);
            room.members.insert(name.into());
        }
        self.hub.tell(&self.room, format!("* {old} is now {name}"));
    }

    fn join(&mut self, room: &str, out: &mut Vec<Line>) {
        if !is_name(room) {
            return self.answer(bad_name(), out);
        }
        if room == self.room {
            return self.answer(format!("* you are in {room} already"), out);
        }
        // What was said while it was there reaches it.
        self.catch_up(out);
        let old = std::mem::replace(&mut self.room, room.into());
        self.messages = self.hub.join(room, &self.name);
        self.hub.leave(&old, &self.name);
    }
}

impl Drop for Member<'_> {
    fn drop(&mut self) {
        self.said();
        self.hub.live.set(self.hub.live.get() - 1);
        self.hub.names.borrow_mut().remove(&self.name);
        // Its receiver is still there, and hears it last of all.
        self.hub.leave(&self.room, &self.name);
    }
}

fn missed(count: u64) -> Line {
    format!("* you have missed {count} messages").into()
}

fn bad_name() -> String {
    format!("* a name is 1 to {MAX_NAME} letters, digits, - or _")
}

fn is_name(name: &str) -> bool {
    let is_fine = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    !name.is_empty() && name.chars().count() <= MAX_NAME && name.chars().all(is_fine)
}

fn join<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// What one client sends must not command another's terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(member: &mut Member<'_>, line: &str) -> String {
        let mut out = Vec::new();
        let flow = member.obey(line, &mut out);
        member.catch_up(&mut out);
        let end = if flow == Flow::Quit { " END" } else { "" };
        out.join(" | ") + end
    }

    fn heard(member: &mut Member<'_>) -> String {
        let mut out = Vec::new();
        member.catch_up(&mut out);
        out.join(" | ")
    }

    #[test]
    fn a_conversation() {
        let hub = Hub::new(100);
        let mut anna = hub.enter();
        let mut out = Vec::new();
        anna.welcome(&mut out);
        assert_eq!(out.join(" | "), "* guest1 has joined lobby | * you are guest1; /help says what you can say");
        assert_eq!(say(&mut anna, "/nick anna"), "* guest1 is now anna");
        let mut ben = hub.enter();
        assert_eq!(heard(&mut ben), "* guest2 has joined lobby");
        assert_eq!(say(&mut ben, "/nick anna"), "* somebody is called anna already");
        assert_eq!(say(&mut ben, "/nick ben"), "* guest2 is now ben");
        assert_eq!(say(&mut ben, "  hello  "), "<ben> hello");
        assert_eq!(say(&mut ben, "//slash"), "<ben> /slash");
        assert_eq!(say(&mut ben, ""), "");
        assert_eq!(say(&mut ben, "red \x1b[31m"), "<ben> red \u{FFFD}[31m");
        let of_ben = "<ben> hello | <ben> /slash | <ben> red \u{FFFD}[31m";
        assert_eq!(heard(&mut anna), format!("* guest2 has joined lobby | * guest2 is now ben | {of_ben}"));

        assert_eq!(say(&mut ben, "/who"), "* in lobby: anna, ben");
        say(&mut anna, "before");
        assert_eq!(say(&mut ben, "/join tea"), "<anna> before | * ben has joined tea");
        assert_eq!(heard(&mut anna), "* ben has left lobby", "what it said itself it has heard already");
        assert_eq!(say(&mut ben, "/rooms"), "* rooms: lobby, tea");
        assert_eq!(say(&mut ben, "/who"), "* in tea: ben");
        assert_eq!(say(&mut ben, "/join tea"), "* you are in tea already");
        assert_eq!(say(&mut ben, "alone"), "<ben> alone");
        assert_eq!(heard(&mut anna), "");
        for line in ["/nick", "/nick a b", "/join a/b", &format!("/nick {}", "x".repeat(21))] {
            assert_eq!(say(&mut ben, line), "* a name is 1 to 20 letters, digits, - or _", "{line}");
        }
        for line in ["/", "/dance", "/who else", "/quit now"] {
            assert_eq!(say(&mut ben, line), "* that is no command; /help says what is", "{line}");
        }
        assert_eq!(say(&mut ben, "/quit"), "* goodbye END");
        drop(ben);
        assert_eq!(say(&mut anna, "/rooms"), "* rooms: lobby");
        let mut again = hub.enter();
        assert_eq!(say(&mut again, "/nick ben"), "* guest3 has joined lobby | * guest3 is now ben", "the name is free");
        drop(again);
        assert_eq!((hub.live(), hub.clients(), hub.messages()), (1, 3, 5));
    }

    #[test]
    fn who_lags_is_told_by_how_much() {
        let hub = Hub::new(3);
        let (mut slow, mut fast) = (hub.enter(), hub.enter());
        heard(&mut slow);
        for n in 0..10 {
            assert!(say(&mut fast, &n.to_string()).ends_with(&format!("<guest2> {n}")));
        }
        assert_eq!(heard(&mut slow), "* you have missed 7 messages | <guest2> 7 | <guest2> 8 | <guest2> 9");
    }
}
