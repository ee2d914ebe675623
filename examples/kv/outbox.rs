//! Where a subscriber's messages wait until its connection has time to send them.
//!
//! ```text
//!   PUBLISH, in any session ──► Outbox (try_send) ──► channel ──► Inbox ──► the subscriber's own task sends them
//!                                  │ full
//!                                  └──► shuts the subscriber's socket down
//! ```
//!
//! A subscriber that reads more slowly than others publish would make the server hold messages without end. It is
//! disconnected instead, as Redis does: its task may be waiting in a send that will never end, and a socket that is shut
//! down ends that send.

use std::{cell::Cell, net::Shutdown, rc::Rc};

use coop::{chan, net::TcpStream};

use crate::pubsub::Mailbox;

/// Messages that may wait for one subscriber.
const MESSAGES: usize = 4096;
/// Bytes of them: what Redis allows, `client-output-buffer-limit pubsub 32mb`.
const BYTES: usize = 32 << 20;

type Message = Rc<[u8]>;

/// The end into which others put messages.
#[derive(Clone)]
pub struct Outbox {
    messages: chan::Sender<Message>,
    waiting: Rc<Cell<usize>>,
    conn: Rc<TcpStream>,
}

/// The end from which the connection takes them.
pub struct Inbox {
    /// The channel, to be waited for in a `select!`. What comes out of it is given to [`take`](Self::take).
    pub messages: chan::Receiver<Message>,
    waiting: Rc<Cell<usize>>,
}

/// Both ends for the subscriber at the other end of `conn`.
pub fn outbox(conn: &Rc<TcpStream>) -> (Outbox, Inbox) {
    let (sender, receiver) = chan::bounded(MESSAGES);
    let waiting = Rc::new(Cell::new(0));
    let outbox = Outbox { messages: sender, waiting: waiting.clone(), conn: conn.clone() };
    let inbox = Inbox { messages: receiver, waiting };
    (outbox, inbox)
}

impl Mailbox for Outbox {
    fn deliver(&self, message: &Rc<[u8]>) -> bool {
        let waiting = self.waiting.get() + message.len();
        let taken = waiting <= BYTES && self.messages.try_send(message.clone()).is_ok();
        if taken {
            self.waiting.set(waiting);
        } else {
            // That it is shut down already, by its client or by an earlier message, is no harm.
            let _ = self.conn.shutdown(Shutdown::Both);
        }
        taken
    }
}

impl Inbox {
    /// Appends a message that came out of the channel to `out`.
    pub fn take(&self, message: &Message, out: &mut Vec<u8>) {
        self.waiting.set(self.waiting.get() - message.len());
        out.extend_from_slice(message);
    }

    /// Appends all the messages that wait to `out`.
    pub fn drain(&self, out: &mut Vec<u8>) {
        while let Ok(message) = self.messages.try_recv() {
            self.take(&message, out);
        }
    }
}
