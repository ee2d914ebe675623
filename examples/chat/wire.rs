//! How lines travel: over TCP as they are, and as the messages of a WebSocket.

use std::{
    io::{self, Read, Write},
    net::Shutdown,
    time::Duration,
};

use coop::net::TcpStream;
use examples::discard;
use tungstenite::{
    Error, Message, WebSocket,
    error::{CapacityError, ProtocolError},
    handshake::HandshakeError,
    protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
};

use crate::hub::{Line, MAX_LINE};

/// How long a client may take to close when it was told to.
pub const LINGER: Duration = Duration::from_secs(1);

/// Why a client is sent away, or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// It has asked for it.
    Quit,
    /// The server stops.
    Stop,
}

/// What has come from a client.
#[derive(Debug, PartialEq, Eq)]
pub enum Came {
    Line(String),
    /// A line that was too long; it is passed over.
    TooLong,
}

/// A client's connection.
pub trait Wire {
    /// The socket, to be waited for. What is received from it goes to [`feed`](Self::feed).
    fn conn(&self) -> &TcpStream;

    /// Takes what was received; appends the lines that are complete now. A wait point where the protocol has an answer
    /// to it; kill-checked then.
    ///
    /// # Errors
    /// What is the end of the connection.
    fn feed(&mut self, bytes: &[u8], came: &mut Vec<Came>) -> io::Result<()>;

    /// Sends lines. A wait point; kill-checked. What was sent in part is continued by [`resume`](Self::resume).
    ///
    /// # Errors
    /// Those of the connection.
    fn send(&mut self, lines: &[Line]) -> io::Result<()>;

    /// Goes on with what a kill has interrupted. A wait point; kill-checked.
    ///
    /// # Errors
    /// Those of the connection.
    fn resume(&mut self) -> io::Result<()>;

    /// Says goodbye, and waits for the client to close. A wait point; kill-checked.
    ///
    /// # Errors
    /// Those of the connection.
    fn close(&mut self, farewell: Farewell) -> io::Result<()>;
}

/// Lines over TCP.
pub struct Lines {
    conn: TcpStream,
    /// The beginning of a line.
    begun: Vec<u8>,
    /// Whether the rest of the line is passed over.
    is_too_long: bool,
    /// Not yet sent, from `sent` on.
    out: Vec<u8>,
    sent: usize,
}

impl Lines {
    pub fn new(conn: TcpStream) -> Self {
        Self { conn, begun: Vec::new(), is_too_long: false, out: Vec::new(), sent: 0 }
    }
}

impl Wire for Lines {
    fn conn(&self) -> &TcpStream {
        &self.conn
    }

    fn feed(&mut self, bytes: &[u8], came: &mut Vec<Came>) -> io::Result<()> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (piece, is_whole) = piece.strip_suffix(b"\n").map_or((piece, false), |line| (line, true));
            if self.begun.len() + piece.len() > MAX_LINE {
                self.is_too_long = true;
                self.begun.clear();
            } else if !self.is_too_long {
                self.begun.extend_from_slice(piece);
            }
            if is_whole {
                came.push(match std::mem::take(&mut self.is_too_long) {
                    true => Came::TooLong,
                    false => Came::Line(String::from_utf8_lossy(&self.begun).into_owned()),
                });
                self.begun.clear();
            }
        }
        Ok(())
    }

    fn send(&mut self, lines: &[Line]) -> io::Result<()> {
        for line in lines {
            self.out.extend_from_slice(line.as_bytes());
            self.out.extend_from_slice(b"\r\n");
        }
        self.resume()
    }

    fn resume(&mut self) -> io::Result<()> {
        while self.sent < self.out.len() {
            self.sent += self.conn.send(&self.out[self.sent..])?;
        }
        self.out.clear();
        self.sent = 0;
        Ok(())
    }

    fn close(&mut self, farewell: Farewell) -> io::Result<()> {
        if farewell == Farewell::Stop {
            self.send(&["* the server stops; goodbye".into()])?;
        }
        self.conn.shutdown(Shutdown::Write)?;
        discard(&self.conn)
    }
}

/// Lines as text messages of a WebSocket.
pub struct Socket(WebSocket<Fed>);

/// A connection the way tungstenite is to see it: one that does not wait when there is nothing to read. So its reading
/// stops in the middle of a message without losing the half of it, and the task can wait for something else beside.
struct Fed {
    conn: TcpStream,
    /// What was received by somebody else, from `taken` on.
    received: Vec<u8>,
    taken: usize,
    /// Whether to wait: for the handshake.
    is_waiting: bool,
}

impl Read for Fed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = (&self.received[self.taken..]).read(buffer)?;
        self.taken += n;
        match n {
            0 if self.is_waiting => self.conn.recv(buffer),
            0 => Err(io::ErrorKind::WouldBlock.into()),
            n => Ok(n),
        }
    }
}

/// Writing waits: a task that has something to send has nothing better to do.
impl Write for Fed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.conn.send(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is answered to a client that speaks HTTP, but no WebSocket.
const NO_WEBSOCKET: &[u8] = b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n\
                              Content-Type: text/plain\r\nContent-Length: 31\r\n\r\nThis is for WebSocket clients.\n";

impl Socket {
    /// Shakes hands with a client. A wait point; kill-checked.
    ///
    /// # Errors
    /// Those of the connection; and of a client that is none of WebSocket.
    pub fn accept(conn: TcpStream) -> io::Result<Self> {
        let limit = Some(4 * MAX_LINE);
        // Only `flush` writes: what it does not get done, because of a kill, it goes on with when it is called again.
        let config =
            WebSocketConfig::default().max_message_size(limit).max_frame_size(limit).write_buffer_size(usize::MAX / 2);
        let fed = Fed { conn, received: Vec::new(), taken: 0, is_waiting: true };
        match tungstenite::accept_with_config(fed, Some(config)) {
            Ok(mut socket) => {
                socket.get_mut().is_waiting = false;
                Ok(Self(socket))
            }
            Err(HandshakeError::Failure(error)) => Err(io_error(error)),
            // Reads wait.
            Err(HandshakeError::Interrupted(_)) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn close_for(&mut self, code: CloseCode, reason: &'static str) -> io::Result<()> {
        self.0.close(Some(CloseFrame { code, reason: reason.into() })).map_err(io_error)
    }
}

/// Tells a client over a connection of which the handshake has failed what this is. A wait point; kill-checked.
///
/// # Errors
/// Those of the connection.
pub fn turn_away(conn: &TcpStream) -> io::Result<()> {
    conn.send_all(NO_WEBSOCKET)?;
    conn.shutdown(Shutdown::Write)?;
    discard(conn)
}

impl Wire for Socket {
    fn conn(&self) -> &TcpStream {
        &self.0.get_ref().conn
    }

    fn feed(&mut self, bytes: &[u8], came: &mut Vec<Came>) -> io::Result<()> {
        let fed = self.0.get_mut();
        fed.received.drain(..fed.taken);
        fed.taken = 0;
        fed.received.extend_from_slice(bytes);
        loop {
            // Pings and closes are answered in here.
            let (code, reason) = match self.0.read() {
                Ok(Message::Text(text)) => {
                    let lines = text.lines().map(|line| match line.len() {
                        0..=MAX_LINE => Came::Line(line.to_owned()),
                        _ => Came::TooLong,
                    });
                    came.extend(lines);
                    continue;
                }
                Ok(Message::Binary(_)) => (CloseCode::Unsupported, "only text is understood"),
                Ok(_) => continue,
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(Error::Capacity(CapacityError::MessageTooLong { .. })) => (CloseCode::Size, "that was too long"),
                Err(Error::Utf8(_)) => (CloseCode::Invalid, "that was not UTF-8"),
                Err(error @ Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => {
                    return Err(io_error(error));
                }
                Err(Error::Protocol(_)) => (CloseCode::Protocol, "that was no WebSocket message"),
                Err(error) => return Err(io_error(error)),
            };
            self.close_for(code, reason)?;
            self.conn().shutdown(Shutdown::Write)?;
            coop::timeout(LINGER, || discard(self.conn()))?;
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
    }

    fn send(&mut self, lines: &[Line]) -> io::Result<()> {
        for line in lines {
            self.0.write(Message::text(&**line)).map_err(io_error)?;
        }
        self.resume()
    }

    fn resume(&mut self) -> io::Result<()> {
        self.0.flush().map_err(io_error)
    }

    fn close(&mut self, farewell: Farewell) -> io::Result<()> {
        match farewell {
            Farewell::Quit => self.close_for(CloseCode::Normal, "goodbye")?,
            Farewell::Stop => self.close_for(CloseCode::Away, "the server stops")?,
        }
        // Until the client has answered with its own close, which is not taken for anything but that.
        self.0.get_mut().is_waiting = true;
        loop {
            match self.0.read() {
                Ok(_) => {}
                Err(Error::ConnectionClosed) => {
                    self.conn().shutdown(Shutdown::Write)?;
                    return discard(self.conn());
                }
                Err(error) => return Err(io_error(error)),
            }
        }
    }
}

fn io_error(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        error => io::Error::other(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_in_pieces() {
        coop::run(|| {
            let listener = coop::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
            let conn = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
            let mut wire = Lines::new(conn);
            let long = "x".repeat(MAX_LINE);
            let text = format!("one\r\n\ntwo\n{long}\n{long}y\nthree\nfour");
            for size in [1, 2, 7, 100, 5000] {
                let mut came = Vec::new();
                for piece in text.as_bytes().chunks(size) {
                    wire.feed(piece, &mut came).expect("nothing is wrong with it");
                }
                wire.feed(b"\n", &mut came).expect("nothing is wrong with it");
                let line = |text: &str| Came::Line(text.into());
                let expected =
                    [line("one\r"), line(""), line("two"), line(&long), Came::TooLong, line("three"), line("four")];
                assert_eq!(came, expected, "pieces of {size} bytes");
            }
        });
    }
}
