//! Rows: an echo server over TCP, its client on another core.

use crate::harness::{Amount, Figure, Row, Side, Unit};
use crate::peers::{monoio_run, tokio_run};
use crate::sys::{Core, CpuClock, Poller, pin};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::Instant;

const SIZE: usize = 64;
/// The servers' buffers: more than a request, as in most servers. A runtime may conclude that nothing is left.
const ROOM: usize = 4096;
const FIGURES: &[Figure] = &[Figure::new("server CPU", Unit::Nanos), Figure::new("request", Unit::Nanos)];

pub const ROWS: &[Row] = &[
    Row {
        name: "tcp-echo-1",
        measures: "64 bytes to an echo server and back, 1 connection: CPU of the server's thread, and time, for each \
                   request. The client is the same for all, on another core",
        figures: FIGURES,
        amount: Amount::Calibrated,
        only_by_name: false,
        sides: sides::<1>,
    },
    Row {
        name: "tcp-echo-64",
        measures: "the same with 64 connections, one request under way on each",
        figures: FIGURES,
        amount: Amount::Calibrated,
        only_by_name: false,
        sides: sides::<64>,
    },
];

fn sides<const CONNECTIONS: usize>() -> Vec<Side> {
    vec![
        Side::new("coop", |n| echoed(CONNECTIONS, n, coop_server)),
        Side::new("tokio", |n| echoed(CONNECTIONS, n, tokio_server)),
        Side::new("monoio", |n| echoed(CONNECTIONS, n, monoio_server)),
    ]
}

/// A server accepts so many connections, and returns when all of them have ended. It says where it listens.
type Server = fn(usize, mpsc::Sender<SocketAddr>) -> io::Result<()>;

fn echoed(connections: usize, n: u64, serve: Server) -> Vec<f64> {
    let clock = CpuClock::of_this_thread();
    let (announce, announced) = mpsc::channel();
    let client = std::thread::spawn(move || {
        pin(Core::Other);
        let address = announced.recv().expect("the server starts");
        client(address, connections, n, clock).expect("the server answers")
    });
    serve(connections, announce).expect("the server serves");
    client.join().expect("the client has seen its own bytes")
}

/// Keeps one request under way on each connection, until `n` were answered after those that warm up.
fn client(address: SocketAddr, connections: usize, n: u64, server: CpuClock) -> io::Result<Vec<f64>> {
    struct Connection {
        stream: TcpStream,
        request: [u8; SIZE],
        answer: Vec<u8>,
    }
    impl Connection {
        fn ask(&mut self, number: u64) -> io::Result<()> {
            self.request.as_chunks_mut::<8>().0.fill(number.to_le_bytes());
            self.stream.write_all(&self.request)
        }
    }

    let poller = Poller::new()?;
    let mut open = Vec::new();
    for index in 0..connections {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        poller.watch(&stream, index as u64)?;
        open.push(Connection { stream, request: [0; SIZE], answer: Vec::with_capacity(SIZE) });
    }
    let warming = (n / 10).max(4 * connections as u64);
    let total = warming + n;
    let (mut asked, mut answered) = (0, 0);
    for connection in &mut open {
        connection.ask(asked)?;
        asked += 1;
    }
    let mut start = None;
    while answered < total {
        for index in poller.wait()? {
            let connection = &mut open[index as usize];
            let mut buffer = [0; SIZE];
            let wanted = SIZE - connection.answer.len();
            let read = match connection.stream.read(&mut buffer[..wanted]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            };
            connection.answer.extend_from_slice(&buffer[..read]);
            if connection.answer.len() < SIZE {
                continue;
            }
            assert_eq!(connection.answer, connection.request);
            connection.answer.clear();
            answered += 1;
            if answered == warming {
                start = Some((Instant::now(), server.now()));
            }
            if asked < total {
                connection.ask(asked)?;
                asked += 1;
            }
        }
    }
    let (wall, cpu) = start.expect("there were requests to warm up with");
    let each = |time: std::time::Duration| time.as_nanos() as f64 / n as f64;
    Ok(vec![each(server.now() - cpu), each(wall.elapsed())])
}

fn coop_server(connections: usize, announce: mpsc::Sender<SocketAddr>) -> io::Result<()> {
    fn session(stream: &coop::net::TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut buffer = [0; ROOM];
        loop {
            match stream.recv(&mut buffer)? {
                0 => return Ok(()),
                n => stream.send_all(&buffer[..n])?,
            }
        }
    }
    coop::run(|| {
        let listener = coop::net::TcpListener::bind("127.0.0.1:0")?;
        announce.send(listener.local_addr()?).map_err(io::Error::other)?;
        coop::scope(|s| -> io::Result<()> {
            for _ in 0..connections {
                let (stream, _) = listener.accept()?;
                s.try_spawn(move || session(&stream));
            }
            Ok(())
        })
    })
}

fn tokio_server(connections: usize, announce: mpsc::Sender<SocketAddr>) -> io::Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    async fn session(mut stream: tokio::net::TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut buffer = [0; ROOM];
        loop {
            match stream.read(&mut buffer).await? {
                0 => return Ok(()),
                n => stream.write_all(&buffer[..n]).await?,
            }
        }
    }
    tokio_run(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        announce.send(listener.local_addr()?).map_err(io::Error::other)?;
        let mut sessions = tokio::task::JoinSet::new();
        for _ in 0..connections {
            let (stream, _) = listener.accept().await?;
            sessions.spawn(session(stream));
        }
        sessions.join_all().await.into_iter().collect()
    })
}

fn monoio_server(connections: usize, announce: mpsc::Sender<SocketAddr>) -> io::Result<()> {
    use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
    async fn session(mut stream: monoio::net::TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut buffer = Vec::with_capacity(ROOM);
        loop {
            let (read, filled) = stream.read(buffer).await;
            if read? == 0 {
                return Ok(());
            }
            let (written, mut emptied) = stream.write_all(filled).await;
            written?;
            emptied.clear();
            buffer = emptied;
        }
    }
    monoio_run(async {
        let listener = monoio::net::TcpListener::bind("127.0.0.1:0")?;
        announce.send(listener.local_addr()?).map_err(io::Error::other)?;
        let mut sessions = Vec::new();
        for _ in 0..connections {
            let (stream, _) = listener.accept().await?;
            sessions.push(monoio::spawn(session(stream)));
        }
        for session in sessions {
            session.await?;
        }
        Ok(())
    })
}
