//! A TLS connection of which both directions are used at once.
//!
//! ```text
//!              the task that receives              the task that sends
//!
//!   socket ─── op::recv ──▶ decrypt ──▶ bytes      bytes ──▶ send ──▶ records ──▶ op::send_all ─── socket
//!                              │                               ▲
//!                         Connection ───── what to answer: news ┘
//! ```
//!
//! rustls has one object for both directions. It waits for nothing, and does no I/O of its own: so it is borrowed only between
//! two waits, and needs no lock. Only one task sends on the socket, since records must not mix. The task that receives never
//! does: while it waited for a peer that does not read, it would not read what that peer waits to be rid of.

use std::{
    cell::{Cell, RefCell},
    fmt,
    io::{self, Read, Write},
    net::Shutdown,
};

use coop::{Operation, io::Partial, net::TcpStream, op, sync::Notify};
use rustls::Connection;

/// A TLS connection, after the handshake.
pub struct Tls {
    socket: TcpStream,
    connection: RefCell<Connection>,
    /// Records that rustls has given out and that the socket has not taken. What is sent goes behind them.
    unsent: Cell<Vec<u8>>,
    /// There are records that nobody has asked for: answers to what has come.
    pub news: Notify,
}

impl Tls {
    /// Agrees with the peer on keys, and who it is. A wait point; kill-checked.
    ///
    /// # Errors
    /// What is wrong with the peer, as `InvalidData`: it has been told. `UnexpectedEof` when it hangs up; those of the socket.
    pub fn handshake(socket: TcpStream, connection: impl Into<Connection>) -> io::Result<Self> {
        let mut connection = connection.into();
        connection.complete_io(&mut &socket)?;
        let connection = RefCell::new(connection);
        Ok(Self { socket, connection, unsent: Cell::default(), news: Notify::new() })
    }

    /// Where records come from, for [`decrypt`](Self::decrypt).
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Puts behind `plain` what came in `records`, and in those before; true if that was all: the peer has said so. Not a wait
    /// point.
    ///
    /// # Errors
    /// What is wrong with the records: nothing after them can be trusted. The peer is told by the next `flush`.
    pub fn decrypt(&self, mut records: &[u8], plain: &mut Vec<u8>) -> io::Result<bool> {
        let mut connection = self.connection.borrow_mut();
        let ended = loop {
            let state = connection.process_new_packets();
            let state = state.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            let (from, more) = (plain.len(), state.plaintext_bytes_to_read());
            plain.resize(from + more, 0);
            connection.reader().read_exact(&mut plain[from..])?;
            // Whatever comes behind the end does not belong to the stream.
            if state.peer_has_closed() || records.is_empty() {
                break state.peer_has_closed();
            }
            // It takes no more than it has room for.
            connection.read_tls(&mut records)?;
        };
        if connection.wants_write() {
            self.news.notify_one();
        }
        Ok(ended)
    }

    /// Sends `plain`. A wait point; kill-checked: `plain` then begins with what is still to be given to another `send`.
    ///
    /// # Errors
    /// Those of send(2), and `Killed`.
    pub fn send(&self, plain: &mut &[u8]) -> io::Result<()> {
        loop {
            self.flush()?;
            if plain.is_empty() {
                return Ok(());
            }
            // It takes as much as it may buffer, and now it has buffered nothing.
            let n = self.connection.borrow_mut().writer().write(plain)?;
            *plain = &plain[n..];
        }
    }

    /// Tells the peer that this was all. It may still send. A wait point; kill-checked.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_end(&self) -> io::Result<()> {
        self.connection.borrow_mut().send_close_notify();
        self.flush()?;
        self.socket.shutdown(Shutdown::Write)
    }

    /// Sends what rustls has for the peer. A wait point; kill-checked: the next call goes on where this one was.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn flush(&self) -> io::Result<()> {
        let mut records = self.unsent.take();
        loop {
            if records.is_empty() {
                let mut connection = self.connection.borrow_mut();
                while connection.wants_write() {
                    connection.write_tls(&mut records)?;
                }
            }
            if records.is_empty() {
                // Its memory serves the next call.
                self.unsent.set(records);
                return Ok(());
            }
            if let Err(error) = op::send_all(&self.socket, &records).wait() {
                records.drain(..Partial::of(&error).map_or(0, |partial| partial.done));
                self.unsent.set(records);
                return Err(error);
            }
            records.clear();
        }
    }
}

/// What was agreed on.
impl fmt::Display for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connection = self.connection.borrow();
        if let (Some(version), Some(suite)) = (connection.protocol_version(), connection.negotiated_cipher_suite()) {
            write!(f, "{version:?}, {:?}", suite.suite())?;
        }
        if let Connection::Server(server) = &*connection {
            match server.server_name() {
                Some(name) => write!(f, ", for {name}")?,
                None => f.write_str(", for no name")?,
            }
        }
        match connection.alpn_protocol() {
            // It was chosen from the command line's.
            Some(protocol) => write!(f, ", speaking {}", protocol.escape_ascii()),
            None => Ok(()),
        }
    }
}
