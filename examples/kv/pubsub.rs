//! Publish and subscribe: who listens to which channel.
//!
//! ```text
//!   channels     "news" ──► [SubscriberId { slot: 0, generation: 4 }, …]
//!   slots        0: generation 4, mailbox, {"news", "sport"}
//!                1: generation 9, free            an id of generation 8 finds nobody
//! ```
//!
//! A message is encoded once, however many receive it, and put into each subscriber's [`Mailbox`]; the task of the
//! connection sends it from there. Nothing here waits.
//!
//! Patterns (`PSUBSCRIBE`) are deliberately absent.

use std::{collections::BTreeSet, rc::Rc};

use hashbrown::HashMap;

use crate::{bytes::Bytes, resp};

/// Where a subscriber's messages go.
pub trait Mailbox {
    /// Takes one encoded message; never waits. Returns whether it took it: a subscriber that has gone, or reads so
    /// slowly that its mailbox is full, does not count as a receiver.
    fn deliver(&self, message: &Rc<[u8]>) -> bool;
}

/// A subscriber. Once it has left, its id means nobody, also when its slot has been given to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriberId {
    slot: u32,
    generation: u32,
}

/// Channels and their subscribers.
pub struct PubSub<M> {
    channels: HashMap<Bytes, Vec<SubscriberId>>,
    slots: Vec<Slot<M>>,
    free: Vec<u32>,
}

struct Slot<M> {
    generation: u32,
    subscriber: Option<Subscriber<M>>,
}

struct Subscriber<M> {
    mailbox: M,
    channels: BTreeSet<Bytes>,
}

impl<M: Mailbox> PubSub<M> {
    /// Nobody, listening to nothing.
    pub fn new() -> Self {
        Self { channels: HashMap::new(), slots: Vec::new(), free: Vec::new() }
    }

    /// The number of channels that somebody listens to.
    pub fn channels(&self) -> usize {
        self.channels.len()
    }

    /// Makes a subscriber, who listens to nothing yet.
    pub fn join(&mut self, mailbox: M) -> SubscriberId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, subscriber: None });
            (self.slots.len() - 1) as u32
        });
        let place = &mut self.slots[slot as usize];
        place.subscriber = Some(Subscriber { mailbox, channels: BTreeSet::new() });
        SubscriberId { slot, generation: place.generation }
    }

    /// Removes a subscriber from all channels and from the table.
    pub fn leave(&mut self, id: SubscriberId) {
        let Some(slot) = self.slots.get_mut(id.slot as usize).filter(|slot| slot.generation == id.generation) else {
            return;
        };
        let Some(subscriber) = slot.subscriber.take() else {
            return;
        };
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(id.slot);
        for channel in &subscriber.channels {
            self.unlink(id, channel);
        }
    }

    /// Lets a subscriber listen to `channel`, and appends the reply: the channel, and how many it now listens to.
    pub fn subscribe(&mut self, id: SubscriberId, channel: &[u8], out: &mut Vec<u8>) {
        let Some(subscriber) = self.subscriber(id) else { return };
        let new = subscriber.channels.insert(channel.into());
        let count = subscriber.channels.len();
        if new {
            self.channels.entry(channel.into()).or_default().push(id);
        }
        confirm(b"subscribe", Some(channel), count, out);
    }

    /// Ends that, and appends the reply: the channel, and how many it still listens to.
    pub fn unsubscribe(&mut self, id: SubscriberId, channel: &[u8], out: &mut Vec<u8>) {
        let Some(subscriber) = self.subscriber(id) else { return };
        let listened = subscriber.channels.remove(channel);
        let count = subscriber.channels.len();
        if listened {
            self.unlink(id, channel);
        }
        confirm(b"unsubscribe", Some(channel), count, out);
    }

    /// The channels that a subscriber listens to, in ascending order.
    pub fn subscriptions(&self, id: SubscriberId) -> Vec<Bytes> {
        let slot = self.slots.get(id.slot as usize).filter(|slot| slot.generation == id.generation);
        let subscriber = slot.and_then(|slot| slot.subscriber.as_ref());
        subscriber.map_or_else(Vec::new, |subscriber| subscriber.channels.iter().cloned().collect())
    }

    /// Puts `message` into the mailbox of everybody who listens to `channel`; tells how many took it.
    pub fn publish(&self, channel: &[u8], message: &[u8]) -> usize {
        let Some(listeners) = self.channels.get(channel) else {
            return 0;
        };
        let encoded: Rc<[u8]> = encode_message(channel, message).into();
        let mailboxes = listeners.iter().filter_map(|id| self.slots[id.slot as usize].subscriber.as_ref());
        mailboxes.filter(|subscriber| subscriber.mailbox.deliver(&encoded)).count()
    }

    fn subscriber(&mut self, id: SubscriberId) -> Option<&mut Subscriber<M>> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        slot.subscriber.as_mut().filter(|_| slot.generation == id.generation)
    }

    /// Takes `id` out of the list of `channel`, and a list that is empty then out of the table.
    fn unlink(&mut self, id: SubscriberId, channel: &[u8]) {
        if let Some(listeners) = self.channels.get_mut(channel) {
            listeners.retain(|listener| *listener != id);
            if listeners.is_empty() {
                self.channels.remove(channel);
            }
        }
    }
}

/// What a subscriber receives.
pub fn encode_message(channel: &[u8], message: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(channel.len() + message.len() + 48);
    resp::array(&mut encoded, 3);
    resp::bulk(&mut encoded, b"message");
    resp::bulk(&mut encoded, channel);
    resp::bulk(&mut encoded, message);
    encoded
}

/// Appends the reply to a change of subscriptions. There is no channel when `UNSUBSCRIBE` had nothing to end.
pub fn confirm(kind: &[u8], channel: Option<&[u8]>, count: usize, out: &mut Vec<u8>) {
    resp::array(out, 3);
    resp::bulk(out, kind);
    match channel {
        Some(channel) => resp::bulk(out, channel),
        None => resp::null(out),
    }
    resp::number(out, count as i64);
}

/// Whether a client that listens may run the command of this name. If not, the error is appended to `out`.
pub fn allowed_while_subscribed(command: &str, out: &mut Vec<u8>) -> bool {
    let allowed = matches!(command, "subscribe" | "unsubscribe" | "ping" | "quit" | "reset");
    if !allowed {
        let rest = b"': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context";
        resp::error(out, &[b"ERR Can't execute '", command.as_bytes(), rest]);
    }
    allowed
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// A mailbox of so many messages.
    #[derive(Clone)]
    struct Box(Rc<RefCell<Vec<Vec<u8>>>>, usize);

    impl Mailbox for Box {
        fn deliver(&self, message: &Rc<[u8]>) -> bool {
            let room = self.0.borrow().len() < self.1;
            if room {
                self.0.borrow_mut().push(message.to_vec());
            }
            room
        }
    }

    fn mailbox(room: usize) -> Box {
        Box(Rc::default(), room)
    }

    #[test]
    fn a_message_reaches_those_who_listen_and_nobody_else() {
        let mut pubsub = PubSub::new();
        let (news, both, full) = (mailbox(9), mailbox(9), mailbox(0));
        let ids = [&news, &both, &full].map(|mailbox| pubsub.join(mailbox.clone()));
        let mut out = Vec::new();
        for (id, channel) in [(0, "news"), (1, "news"), (1, "sport"), (2, "news")] {
            pubsub.subscribe(ids[id], channel.as_bytes(), &mut out);
        }
        assert_eq!(pubsub.publish(b"news", b"hello"), 2, "the full mailbox does not count");
        assert_eq!(pubsub.publish(b"sport", b""), 1);
        assert_eq!(pubsub.publish(b"nothing", b"x"), 0);
        let hello = b"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n".to_vec();
        let empty = b"*3\r\n$7\r\nmessage\r\n$5\r\nsport\r\n$0\r\n\r\n".to_vec();
        assert_eq!(*both.0.borrow(), [hello.clone(), empty]);
        assert_eq!(*news.0.borrow(), [hello]);
    }

    #[test]
    fn replies_count_the_subscriptions() {
        let mut pubsub = PubSub::new();
        let id = pubsub.join(mailbox(1));
        let mut out = Vec::new();
        pubsub.subscribe(id, b"a", &mut out);
        pubsub.subscribe(id, b"b", &mut out);
        pubsub.subscribe(id, b"a", &mut out);
        pubsub.unsubscribe(id, b"a", &mut out);
        pubsub.unsubscribe(id, b"a", &mut out);
        let expected = "*3 $9 subscribe $1 a :1 *3 $9 subscribe $1 b :2 *3 $9 subscribe $1 a :2 \
                        *3 $11 unsubscribe $1 a :1 *3 $11 unsubscribe $1 a :1 ";
        assert_eq!(String::from_utf8_lossy(&out).replace("\r\n", " "), expected);
        assert_eq!(pubsub.subscriptions(id), [Bytes::from(&b"b"[..])]);
    }

    #[test]
    fn who_has_left_is_nobody_even_when_the_slot_is_taken_again() {
        let mut pubsub = PubSub::new();
        let old = pubsub.join(mailbox(9));
        pubsub.subscribe(old, b"a", &mut Vec::new());
        pubsub.leave(old);
        assert_eq!((pubsub.channels(), pubsub.publish(b"a", b"x")), (0, 0));
        let new = pubsub.join(mailbox(9));
        assert_eq!(old.slot, new.slot);
        pubsub.subscribe(new, b"a", &mut Vec::new());
        let mut out = Vec::new();
        pubsub.subscribe(old, b"b", &mut out);
        pubsub.unsubscribe(old, b"a", &mut out);
        pubsub.leave(old);
        assert_eq!((out.len(), pubsub.publish(b"a", b"x"), pubsub.subscriptions(old).len()), (0, 1, 0));
    }
}
