//! tungstenite: WebSockets, both sides, checked with Python's `websockets`.

mod common;

use common::{Program, address_in, has_tool, killed, noise, run};
use coop::Killed;
use coop::net::{TcpListener, TcpStream};
use coop::sync::Barrier;
use std::io;
use std::process::Command;
use tungstenite::{Error, HandshakeError, Message, WebSocket};

const PYTHON: &str = "/usr/bin/python3";

fn has_websockets() -> bool {
    has_tool(&[PYTHON, "-c", "import websockets"])
}

/// The `io::Error` that some error of tungstenite's is, or carries.
fn io_error(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        other => io::Error::other(other),
    }
}

/// The `io::Error` of a handshake.
fn handshake_error<R: tungstenite::handshake::HandshakeRole>(error: HandshakeError<R>) -> io::Error {
    match error {
        HandshakeError::Failure(error) => io_error(error),
        HandshakeError::Interrupted(_) => io::Error::other("a blocking stream does not interrupt"),
    }
}

/// Sends back every message, until the client closes; gives their number.
fn echo(conn: TcpStream) -> io::Result<u32> {
    let mut socket = tungstenite::accept(conn).map_err(handshake_error)?;
    let mut messages = 0;
    loop {
        match socket.read() {
            Ok(message) if message.is_text() || message.is_binary() => {
                messages += 1;
                socket.send(message).map_err(io_error)?;
            }
            // Pings are answered by the crate.
            Ok(_) => {}
            Err(Error::ConnectionClosed) => return Ok(messages),
            Err(error) => return Err(io_error(error)),
        }
    }
}

fn connect(address: std::net::SocketAddr) -> io::Result<WebSocket<TcpStream>> {
    let conn = TcpStream::connect(address)?;
    Ok(tungstenite::client(format!("ws://{address}/"), conn).map_err(handshake_error)?.0)
}

#[test]
fn a_server_answers_python() {
    if !has_websockets() {
        return;
    }
    let client = "
import asyncio, sys, websockets
async def main():
    async with websockets.connect(sys.argv[1], max_size=None) as ws:
        for n in range(100):
            await ws.send(f'text {n} \u{1f980}')
            assert await ws.recv() == f'text {n} \u{1f980}'
        big = bytes(range(256)) * 8192
        await ws.send(big)
        assert await ws.recv() == big
        # A message in pieces.
        await ws.send(f'piece {n},' for n in range(50))
        assert await ws.recv() == ''.join(f'piece {n},' for n in range(50))
        await (await ws.ping())
    assert ws.close_code == 1000, ws.close_code
asyncio.run(main())
";
    run(|| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("ws://{}/", listener.local_addr()?);
        let (mut python, _stdio) = Program::connected(Command::new(PYTHON).args(["-c", client, &url]));
        assert_eq!(echo(listener.accept()?.0)?, 102);
        assert!(python.ended()?.success());
        Ok(())
    });
}

#[test]
fn a_client_asks_python() {
    if !has_websockets() {
        return;
    }
    let server = "
import asyncio, websockets
async def reverse(ws, path=None):
    async for message in ws:
        await ws.send(message[::-1])
async def main():
    async with websockets.serve(reverse, '127.0.0.1', 0, max_size=None) as server:
        host, port = server.sockets[0].getsockname()
        print(f'{host}:{port}', flush=True)
        await asyncio.Future()
asyncio.run(main())
";
    let python = Program::start(Command::new(PYTHON).args(["-c", server]));
    let address = address_in(&python.line_with("127.0.0.1:"));
    let content = noise(7, 1_000_000);
    run(|| {
        let mut socket = connect(address)?;
        socket.send(Message::text("hello")).map_err(io_error)?;
        assert_eq!(socket.read().map_err(io_error)?, Message::text("olleh"));
        socket.send(Message::binary(content.clone())).map_err(io_error)?;
        let reversed: Vec<u8> = content.iter().rev().copied().collect();
        assert!(socket.read().map_err(io_error)? == Message::binary(reversed));
        socket.close(None).map_err(io_error)?;
        assert!(matches!(socket.read(), Ok(Message::Close(_))));
        assert!(matches!(socket.read(), Err(Error::ConnectionClosed)));
        Ok(())
    });
}

#[test]
fn two_hundred_conversations_on_one_thread() {
    const CLIENTS: usize = 200;
    run(|| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let all_are_connected = Barrier::new(CLIENTS);
        coop::scope(|s| {
            for n in 0..CLIENTS {
                let all_are_connected = &all_are_connected;
                s.try_spawn(move || {
                    let mut socket = connect(address)?;
                    all_are_connected.wait()?;
                    for round in 0..10 {
                        let text = format!("client {n}, round {round}");
                        socket.send(Message::text(&text)).map_err(io_error)?;
                        assert_eq!(socket.read().map_err(io_error)?, Message::text(text));
                    }
                    socket.close(None).map_err(io_error)?;
                    while socket.read().is_ok() {}
                    Ok(())
                });
            }
            for _ in 0..CLIENTS {
                let conn = listener.accept()?.0;
                s.try_spawn(|| {
                    assert_eq!(echo(conn)?, 10);
                    Ok(())
                });
            }
            Ok(())
        })
    });
}

#[test]
fn a_kill_reaches_through_it() {
    run(|| {
        // In the handshake, on either side.
        assert!(Killed::is(&killed(|conn| echo(conn).unwrap_err())?));
        let client = |conn| tungstenite::client("ws://127.0.0.1/", conn).map(drop).map_err(handshake_error);
        assert!(Killed::is(&killed(move |conn| client(conn).unwrap_err())?));
        // While it reads.
        let reading = killed(|conn| {
            let mut socket = WebSocket::from_raw_socket(conn, tungstenite::protocol::Role::Client, None);
            io_error(socket.read().unwrap_err())
        })?;
        assert!(Killed::is(&reading));
        Ok(())
    });
}
