//! One client's connection: the loop around its [`Session`](crate::session).

use std::{
    io,
    rc::Rc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use coop::{net::TcpStream, op};
use examples::deliver;

use crate::{
    input::Input,
    outbox::{Inbox, Outbox, outbox},
    server::Shared,
    session::{self, Flow, Session},
    store::Millis,
};

/// How long a client may take to read what it is answered when the server stops.
const GRACE: Duration = Duration::from_secs(2);

/// Milliseconds since the Unix epoch, now.
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as Millis
}

/// Serves a client until it leaves, or the server stops.
///
/// What ends a connection is told to nobody: a client that is gone, or a kill, which is the server's end.
///
/// The stack is the smallest there is. `INFO`, which goes deepest, touches two pages of it, all others one; a panic would
/// take 22 KiB.
#[coop::task(name = "connection", stack = "32k")]
pub fn serve(conn: TcpStream, server: Shared<Outbox>) {
    let _ = converse(&Rc::new(conn), &server);
}

fn converse(conn: &Rc<TcpStream>, server: &Shared<Outbox>) -> io::Result<()> {
    let (outbox, inbox) = outbox(conn);
    let Some(mut session) = Session::open(server, outbox) else {
        return conn.send_all(session::FULL);
    };
    // Replies are small and awaited: never hold one back to send it together with the next.
    conn.set_nodelay(true)?;
    let limit = server.borrow().options.max_query_buffer;
    let mut input = Input::new(limit);
    let mut out = Vec::new();
    loop {
        // `None`: one request has filled the whole limit.
        let Some(space) = input.space() else { return Ok(()) };
        let n = if session.subscribed() {
            receive_or_forward(conn, space, &inbox, &mut out)?
        } else {
            Some(conn.recv(space)?)
        };
        match n {
            Some(0) => return Ok(()),
            Some(n) => input.filled(n),
            None => {}
        }
        loop {
            // What was published before a client unsubscribes reaches it before the answer to that.
            inbox.drain(&mut out);
            let flow = session.process(&mut input, now(), &mut out);
            if !out.is_empty() {
                // What has been done is answered, also if the server is stopped just now.
                deliver(&**conn, &out, GRACE).1?;
                session::sent(&mut out);
            }
            match flow {
                Flow::Read => break,
                Flow::Flush => {}
                Flow::Close => return Ok(()),
            }
        }
    }
}

/// Waits for what comes first: bytes of the client (how many), or a message for it, which is appended to `out`.
fn receive_or_forward(
    conn: &TcpStream,
    space: &mut [u8],
    inbox: &Inbox,
    out: &mut Vec<u8>,
) -> io::Result<Option<usize>> {
    coop::select! {
        n = op::recv(conn, space) => n.map(Some),
        message = op::receive(&inbox.messages) => {
            inbox.take(&message?, out);
            Ok(None)
        }
    }?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{options::Options, server::Server};
    use clap::Parser;
    use coop::net::TcpListener;

    fn expect(conn: &TcpStream, expected: &str) -> io::Result<()> {
        let mut got = vec![0; expected.len()];
        coop::timeout(Duration::from_secs(10), || conn.recv_exact(&mut got))?;
        assert_eq!(String::from_utf8_lossy(&got), expected);
        Ok(())
    }

    #[test]
    fn a_message_comes_before_the_end_of_its_subscription() {
        coop::run(|| -> io::Result<()> {
            let server = Server::new(Options::parse_from(["kv"]), now());
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let client = TcpStream::connect(listener.local_addr()?)?;
            let mut session = serve::spawn(listener.accept()?.0, server.clone());
            client.send_all(b"SUBSCRIBE news\r\n")?;
            expect(&client, "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n")?;
            coop::yield_now()?;

            client.send_all(b"UNSUBSCRIBE\r\n")?;
            // Looks at completions and gives nobody a turn: the bytes have ended the session's wait, but it has not gone on.
            coop::select! {
                _ = op::after(Duration::MAX) => unreachable!("the end of time"),
                default => {}
            }?;
            assert_eq!(server.borrow().pubsub.publish(b"news", b"last"), 1);
            expect(&client, "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$4\r\nlast\r\n")?;
            expect(&client, "*3\r\n$11\r\nunsubscribe\r\n$4\r\nnews\r\n:0\r\n")?;
            drop(client);
            session.join()?;
            Ok(())
        })
        .expect("everything comes");
    }
}
