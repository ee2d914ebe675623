//! A client's task.

use std::{io, time::Duration};

use coop::{Killed, net::TcpStream, op};

use crate::{
    hub::{Flow, Hub, Line, MAX_LINE, Member},
    options::Options,
    wire::{Came, Farewell, LINGER, Lines, Socket, Wire, turn_away},
};

/// How long shaking hands may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// When the server stops, what a client has sent by then is still said: up to so many receives.
const LAST_WORDS: usize = 64;

/// Serves a client that sends lines.
pub fn lines(conn: TcpStream, hub: &Hub, options: &Options) {
    serve(Lines::new(conn), hub, options);
}

/// Serves a WebSocket client.
pub fn websocket(conn: TcpStream, hub: &Hub, options: &Options) {
    // A second descriptor: the first goes with the handshake.
    let other = std::os::fd::AsFd::as_fd(&conn).try_clone_to_owned().map(TcpStream::from);
    match coop::timeout(HANDSHAKE, || Socket::accept(conn)) {
        Ok(socket) => {
            drop(other);
            serve(socket, hub, options);
        }
        Err(error) if !Killed::is(&error) => {
            // It may have gone by now.
            let _ = other.and_then(|conn| coop::timeout(LINGER, || turn_away(&conn)));
        }
        Err(_) => {}
    }
}

fn serve(wire: impl Wire, hub: &Hub, options: &Options) {
    // What is said is awaited: never hold it back to send it together with the next. And clients may be silent for
    // days.
    let _ = wire.conn().set_nodelay(true).and_then(|()| wire.conn().set_keepalive(true));
    let mut session = Session { wire, options, out: Vec::new() };
    if hub.live() >= options.clients {
        session.out.push("* there are too many clients".into());
        let _ = session.send().and_then(|()| session.close(Farewell::Quit, LINGER));
        return;
    }
    // That a client is gone, however, is told to the room only.
    let _ = session.converse(hub);
}

struct Session<'a, W> {
    wire: W,
    options: &'a Options,
    /// What the client is to be sent.
    out: Vec<Line>,
}

/// What a client's task waits for.
enum Event {
    Received(usize),
    Told,
    Stopped,
}

impl<W: Wire> Session<'_, W> {
    fn converse(&mut self, hub: &Hub) -> io::Result<()> {
        let mut member = hub.enter();
        member.welcome(&mut self.out);
        let mut buf = [0; 4096];
        // A WebSocket client may have sent more than its handshake already.
        let mut taken = self.take(&[], &mut member);
        loop {
            let flow = match taken.and_then(|flow| self.send().map(|()| flow)) {
                Err(error) if Killed::is(&error) => return self.stop(member, hub),
                flow => flow?,
            };
            if flow == Flow::Quit {
                drop(member);
                return self.close(Farewell::Quit, LINGER);
            }
            let event = coop::select! {
                n = op::recv(self.wire.conn(), &mut buf) => Event::Received(n?),
                message = op::receive(&mut member.messages) => {
                    member.told(message, &mut self.out);
                    Event::Told
                }
                killed(_) => Event::Stopped,
            };
            taken = match event {
                Event::Received(0) => return Ok(()),
                Event::Received(n) => self.take(&buf[..n], &mut member),
                Event::Told => Ok(Flow::Stay),
                Event::Stopped => return self.stop(member, hub),
            };
        }
    }

    /// Does what a client has sent.
    fn take(&mut self, bytes: &[u8], member: &mut Member<'_>) -> io::Result<Flow> {
        let mut came = Vec::new();
        let fed = self.wire.feed(bytes, &mut came);
        let mut flow = Flow::Stay;
        for came in came {
            match came {
                Came::Line(line) => flow = member.obey(&line, &mut self.out),
                Came::TooLong => member.answer(format!("* a line has at most {MAX_LINE} bytes"), &mut self.out),
            }
            if flow == Flow::Quit {
                break;
            }
        }
        member.catch_up(&mut self.out);
        fed.map(|()| flow)
    }

    /// Sends what there is. A client that does not take it in time is dropped.
    fn send(&mut self) -> io::Result<()> {
        let lines = std::mem::take(&mut self.out);
        coop::timeout(self.options.stall, || self.wire.send(&lines))
    }

    /// Says what the client has sent by now; when all have done that, sends it what all have said, and goodbye.
    fn stop(&mut self, mut member: Member<'_>, hub: &Hub) -> io::Result<()> {
        let grace = self.options.grace;
        coop::shield(grace, || {
            let mut buf = [0; 4096];
            // First what was received before the kill.
            let mut flow = self.take(&[], &mut member)?;
            for _ in 0..LAST_WORDS {
                let n = coop::select! {
                    n = op::recv(self.wire.conn(), &mut buf) => n,
                    default => Ok(0),
                }??;
                if n == 0 || flow == Flow::Quit {
                    break;
                }
                flow = self.take(&buf[..n], &mut member)?;
            }
            member.said();
            // One whose client does not read says nothing more, but late.
            let _ = coop::timeout(grace / 2, || hub.wait_for_all().map_err(io::Error::from));
            member.catch_up(&mut self.out);
            // What the kill has interrupted comes first.
            self.wire.resume()?;
            self.send()?;
            self.wire.close(Farewell::Stop)
        })
    }

    fn close(&mut self, farewell: Farewell, linger: Duration) -> io::Result<()> {
        coop::timeout(linger, || self.wire.close(farewell))
    }
}
