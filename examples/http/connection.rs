//! One client's connection: requests in, answers out, as many as it likes.

use std::{
    cell::Cell,
    io::{self, IoSlice},
    net::{Shutdown, SocketAddr},
    ops::Range,
    time::{Duration, Instant},
};

use coop::{
    Expired, Killed, fs,
    io::Partial,
    net::{self, TcpStream},
    op,
};
use examples::discard;

use crate::{
    answer::{self, Answer, Body, Writer},
    encoding::Packer,
    head::put,
    input::Input,
    request::{self, Method, Request},
    server::Server,
    status::{Refusal, Status},
};

/// Answers are gathered up to this size while there are more requests.
const GATHER: usize = 32 * 1024;
/// A request's body up to this size is received and forgotten; one that is longer ends the connection.
const MAX_BODY: u64 = 64 * 1024;
/// What is read of a file, and packed, at a time: some milliseconds of work.
const PIECE: usize = 128 * 1024;
/// How long a client may take to close when we have.
const LINGER: Duration = Duration::from_secs(1);

/// Serves a client until it leaves, it takes too long, or the server stops.
pub fn serve(conn: TcpStream, peer: SocketAddr, server: &Server) {
    let live = server.live.get();
    server.live.set(live + 1);
    server.count(|statistics| statistics.connections += 1);
    let connection = Connection { conn, peer, server, owes: Cell::new(false) };
    // What is small is sent at once.
    let _ = connection.conn.set_nodelay(true);
    let ended = if live < server.options.connections { connection.converse() } else { connection.turn_away() };
    match ended {
        Ok(()) => connection.close(),
        Err(_) if connection.owes.get() => server.count(|statistics| statistics.broken += 1),
        // It was between two requests that the client has gone.
        Err(_) => {}
    }
    server.live.set(server.live.get() - 1);
}

struct Connection<'a> {
    conn: TcpStream,
    peer: SocketAddr,
    server: &'a Server,
    /// Whether the client has yet to get an answer, or the end of one.
    owes: Cell<bool>,
}

/// What waiting for bytes has come to.
enum Came {
    Bytes,
    /// The client has gone, has nothing to say, or the server stops.
    Nothing,
    /// A request has begun, and does not go on.
    TooLate,
}

impl Connection<'_> {
    /// Answers requests until there are no more; what was answered has been sent then.
    ///
    /// # Errors
    /// Those of the connection; and of an answer that could not be completed.
    fn converse(&self) -> io::Result<()> {
        let mut input = Input::new();
        // Without memory while there is nothing to send.
        let mut out = Vec::new();
        // When the head began that is being received.
        let mut began = None;
        loop {
            let parsed = if input.may_be_whole() { request::parse(input.data()) } else { Ok(None) };
            match parsed {
                Ok(Some((request, len))) => {
                    began = None;
                    let (is_persistent, body) = self.answer(&request, &mut out)?;
                    input.consume(len);
                    if !is_persistent {
                        return self.flush(&mut out);
                    }
                    if body > 0 && !self.skip(body, &mut input, &mut out)? {
                        return Ok(());
                    }
                    if out.len() >= GATHER {
                        self.flush(&mut out)?;
                    }
                }
                Ok(None) => {
                    self.flush(&mut out)?;
                    input.set_seen();
                    let refusal = if input.space().is_none() {
                        too_long(input.data())
                    } else {
                        if !input.data().is_empty() {
                            began.get_or_insert_with(Instant::now);
                        }
                        match self.receive(&mut input, began)? {
                            Came::Bytes => continue,
                            Came::Nothing => return Ok(()),
                            Came::TooLate => Refusal::new(Status::RequestTimeout, "The request has taken too long."),
                        }
                    };
                    return self.refuse(refusal, &mut out);
                }
                Err(refusal) => return self.refuse(refusal, &mut out),
            }
        }
    }

    /// Answers a request, into `out` or beyond. Says whether the connection goes on, and how long the request's body is
    /// then.
    fn answer(&self, request: &Request<'_>, out: &mut Vec<u8>) -> io::Result<(bool, u64)> {
        let server = self.server;
        server.count(|statistics| statistics.requests += 1);
        self.owes.set(true);
        let body = match request.body {
            Ok(len) if len > MAX_BODY => Err(Refusal::new(Status::ContentTooLarge, "The body is too long.")),
            body => body,
        };
        // Whoever waits for leave to send its body may send it nevertheless, or not: where the next request begins is
        // not known.
        let is_persistent = request.is_persistent
            && !server.patience.is_stopping()
            && body.is_ok_and(|len| len == 0 || !request.expects_continue);
        if out.capacity() == 0 {
            *out = server.buffer();
        }
        let mut writer = Writer {
            server,
            out,
            now: Instant::now(),
            minor: request.minor,
            is_persistent,
            is_head: request.method == Method::Head,
        };
        let answer = match body {
            Ok(_) => answer::answer(request, writer),
            Err(refusal) => writer.refuse(refusal),
        };
        let Answer { status, len, body: to_send } = answer;
        let sent = self.send_body(to_send, out);
        if let Some(log) = &server.log {
            let line = format_args!("{} {} HTTP/1.{}", request.method_name, request.target, request.minor);
            // Of one that is broken, what it was to be.
            let len = sent.as_ref().map_or(len, |packed| packed.unwrap_or(len));
            log.request(self.peer, line, status.code(), len);
        }
        sent.map(|_| (is_persistent, body.unwrap_or(0)))
    }

    /// Sends what is not in `out`, and what is in it before that. Says how much it was, if that was not known.
    fn send_body(&self, body: Body, out: &mut Vec<u8>) -> io::Result<Option<u64>> {
        match body {
            Body::Done => {}
            Body::Memory(small, encoding) => {
                let body = &small.ready(encoding).body;
                let sent = match self.step(|| self.conn.send_vectored(&[IoSlice::new(out), IoSlice::new(body)])) {
                    (Ok(n), _) => n,
                    // One that was stopped has sent nothing; the rest is sent part by part.
                    (Err(error), expired) => self.done(error, expired)?,
                };
                self.send(&out[sent.min(out.len())..])?;
                self.send(&body[sent.saturating_sub(out.len())..])?;
                out.clear();
            }
            Body::File(file, parts) => {
                for (before, range) in parts.parts {
                    out.extend(before);
                    self.send(out)?;
                    out.clear();
                    self.send_file(&file, range)?;
                }
                out.extend(parts.end);
            }
            Body::Packed(file) => return self.send_packed(&file, out).map(Some),
        }
        Ok(None)
    }

    /// Sends a part of a file, which is as long as the head has said, or the answer is broken.
    fn send_file(&self, file: &fs::File, range: Range<u64>) -> io::Result<()> {
        let Range { start: mut offset, end } = range;
        while offset < end {
            match self.step(|| net::sendfile(&self.conn, file, offset, end - offset)) {
                (Ok(n), _) if n == end - offset => return Ok(()),
                (Ok(_), _) => return Err(io::ErrorKind::UnexpectedEof.into()),
                (Err(error), expired) => offset += self.done(error, expired)? as u64,
            }
        }
        Ok(())
    }

    /// Sends a file as gzip, in chunks, each of which is made on the pool for what computes. Says how long that is.
    fn send_packed(&self, file: &fs::File, out: &mut Vec<u8>) -> io::Result<u64> {
        let patience = &self.server.patience;
        let mut packer = None;
        let mut piece = vec![0; PIECE];
        let (mut offset, mut len) = (0, 0);
        loop {
            let n = patience.step(|| file.read_at(&mut piece, offset))?;
            offset += n as u64;
            let work = move || {
                // Here, since making one takes a large stack.
                let mut packer = packer.unwrap_or_else(Packer::new);
                let packed = packer.pack(&piece[..n], n == 0);
                (packer, piece, packed)
            };
            let (back, buffer, packed) = patience.step(|| coop::compute(work))?;
            (packer, piece) = (Some(back), buffer);
            let packed = packed?;
            if !packed.is_empty() {
                len += packed.len() as u64;
                put!(out, "{:x}\r\n", packed.len());
                out.extend(packed);
                out.extend(b"\r\n");
            }
            if n == 0 {
                out.extend(b"0\r\n\r\n");
                return Ok(len);
            }
            self.send(out)?;
            out.clear();
        }
    }

    fn refuse(&self, refusal: Refusal, out: &mut Vec<u8>) -> io::Result<()> {
        let server = self.server;
        let mut writer = Writer { server, out, now: Instant::now(), minor: 1, is_persistent: false, is_head: false };
        let answer = writer.refuse(refusal);
        self.owes.set(true);
        server.count(|statistics| statistics.requests += 1);
        if let Some(log) = &server.log {
            log.request(self.peer, format_args!("-"), answer.status.code(), answer.len);
        }
        self.flush(out)
    }

    fn turn_away(&self) -> io::Result<()> {
        self.refuse(Refusal::new(Status::ServiceUnavailable, "There are too many connections."), &mut Vec::new())
    }

    /// Receives and forgets a request's body. False: there is no more to come.
    fn skip(&self, mut left: u64, input: &mut Input, out: &mut Vec<u8>) -> io::Result<bool> {
        let began = Some(Instant::now());
        loop {
            let n = left.min(input.data().len() as u64);
            input.consume(n as usize);
            left -= n;
            if left == 0 {
                return Ok(true);
            }
            self.flush(out)?;
            // It has its answer already.
            if !matches!(self.receive(input, began)?, Came::Bytes) {
                return Ok(false);
            }
        }
    }

    /// Waits for more bytes; for as long as a client may be idle, or as a request that has begun may take.
    fn receive(&self, input: &mut Input, began: Option<Instant>) -> io::Result<Came> {
        let Server { options, patience, .. } = self.server;
        let Some(space) = input.space() else { return Ok(Came::TooLate) };
        let limit = match began {
            None => options.idle,
            Some(began) => options.head.saturating_sub(began.elapsed()),
        };
        let (received, expired) = coop::deadline(limit, || self.conn.recv(space));
        let n = match received {
            Err(error) if Killed::is(&error) && patience.is_stopping() => {
                // What has come by now is still answered.
                patience.step(|| {
                    coop::select! {
                        n = op::recv(&self.conn, space) => n,
                        default => Ok(0),
                    }
                })??
            }
            Err(error) if Killed::is(&error) && expired.is_expired() => {
                return Ok(if began.is_some() { Came::TooLate } else { Came::Nothing });
            }
            received => received?,
        };
        input.filled(n);
        Ok(if n > 0 { Came::Bytes } else { Came::Nothing })
    }

    /// Sends the rest of what is owed.
    fn flush(&self, out: &mut Vec<u8>) -> io::Result<()> {
        self.send(out)?;
        self.owes.set(false);
        self.server.give_back(std::mem::take(out));
        Ok(())
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let mut sent = 0;
        while sent < bytes.len() {
            match self.step(|| self.conn.send_all(&bytes[sent..])) {
                (Ok(()), _) => return Ok(()),
                (Err(error), expired) => sent += self.done(error, expired)?,
            }
        }
        Ok(())
    }

    /// Runs a step of an answer: for as long as a client may read nothing, and while the server stops.
    fn step<T>(&self, f: impl FnOnce() -> T) -> (T, Expired) {
        self.server.patience.step(|| coop::deadline(self.server.options.stall, f))
    }

    /// How far a step has come that was ended, if it may go on.
    fn done(&self, error: io::Error, expired: Expired) -> io::Result<usize> {
        let done = Partial::of(&error).map_or(0, |partial| partial.done);
        let goes_on = match expired.is_expired() {
            // A client that is slow is not one that has stopped.
            true => done > 0,
            false => self.server.patience.is_left(),
        };
        if Killed::is(&error) && goes_on { Ok(done) } else { Err(error) }
    }

    /// Closes, and sees that the client gets all that was sent: to close with something unread is to reset the
    /// connection.
    fn close(&self) {
        if self.conn.shutdown(Shutdown::Write).is_ok() {
            // That it was still sending, or has gone, is all the same now.
            let _ = self.server.patience.step(|| coop::timeout(LINGER, || discard(&self.conn)));
        }
    }
}

fn too_long(head: &[u8]) -> Refusal {
    match head.contains(&b'\n') {
        true => Refusal::new(Status::HeaderFieldsTooLarge, "The header is too long."),
        false => Refusal::new(Status::UriTooLong, "The request line is too long."),
    }
}
