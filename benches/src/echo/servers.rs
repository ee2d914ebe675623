//! The runtimes' servers, as their documentation writes them: a task a connection, which receives and sends all of it back.

use super::Cell;
use crate::peers;
use std::io;
use std::net::TcpListener;
use std::os::fd::{FromRawFd, IntoRawFd};

pub fn coop(cell: Cell, listener: TcpListener) -> io::Result<()> {
    fn session(stream: &coop::net::TcpStream, room: usize) -> io::Result<()> {
        let mut buffer = vec![0; room];
        loop {
            match stream.recv(&mut buffer)? {
                0 => return Ok(()),
                n => stream.send_all(&buffer[..n])?,
            }
        }
    }
    coop::run(|| {
        let listener = coop::net::TcpListener::try_from(listener)?;
        coop::scope(|s| -> io::Result<()> {
            for _ in 0..cell.connections {
                let (stream, _) = listener.accept()?;
                s.try_spawn(move || session(&stream, cell.room()));
            }
            Ok(())
        })
    })
    .or_else(left)
}

pub fn tokio(cell: Cell, listener: TcpListener) -> io::Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    async fn session(mut stream: tokio::net::TcpStream, room: usize) -> io::Result<()> {
        let mut buffer = vec![0; room];
        loop {
            match stream.read(&mut buffer).await? {
                0 => return Ok(()),
                n => stream.write_all(&buffer[..n]).await?,
            }
        }
    }
    peers::tokio::block_on(async move {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let mut sessions = tokio::task::JoinSet::new();
        for _ in 0..cell.connections {
            let (stream, _) = listener.accept().await?;
            sessions.spawn(session(stream, cell.room()));
        }
        sessions.join_all().await.into_iter().try_for_each(|result| result.or_else(left))
    })
}

pub fn monoio(cell: Cell, listener: TcpListener) -> io::Result<()> {
    use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
    async fn session(mut stream: monoio::net::TcpStream, room: usize) -> io::Result<()> {
        let mut buffer = Vec::with_capacity(room);
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
    peers::monoio::run(async move {
        let listener = monoio::net::TcpListener::from_std(listener)?;
        let mut sessions = Vec::new();
        for _ in 0..cell.connections {
            let (stream, _) = listener.accept().await?;
            sessions.push(monoio::spawn(session(stream, cell.room())));
        }
        for session in sessions {
            session.await.or_else(left)?;
        }
        Ok(())
    })
}

pub fn compio(cell: Cell, listener: TcpListener) -> io::Result<()> {
    use compio::BufResult;
    use compio::io::{AsyncRead, AsyncWriteExt};
    async fn session(mut stream: compio::net::TcpStream, room: usize) -> io::Result<()> {
        let mut buffer = Vec::with_capacity(room);
        loop {
            let BufResult(read, filled) = stream.read(buffer).await;
            if read? == 0 {
                return Ok(());
            }
            let BufResult(written, mut emptied) = stream.write_all(filled).await;
            written?;
            emptied.clear();
            buffer = emptied;
        }
    }
    peers::compio::run(async move {
        let listener = compio::net::TcpListener::from_std(listener)?;
        let mut sessions = Vec::new();
        for _ in 0..cell.connections {
            let (stream, _) = listener.accept().await?;
            sessions.push(compio::runtime::spawn(session(stream, cell.room())));
        }
        for session in sessions {
            session.await.expect("no task panics").or_else(left)?;
        }
        Ok(())
    })
}

pub fn glommio(cell: Cell, listener: TcpListener) -> io::Result<()> {
    use futures_lite::{AsyncReadExt, AsyncWriteExt};
    async fn session(mut stream: glommio::net::TcpStream, room: usize) -> io::Result<()> {
        let mut buffer = vec![0; room];
        loop {
            match stream.read(&mut buffer).await? {
                0 => return Ok(()),
                n => stream.write_all(&buffer[..n]).await?,
            }
        }
    }
    peers::glommio::run(async move {
        // SAFETY: the listener gives its descriptor up.
        let listener = unsafe { glommio::net::TcpListener::from_raw_fd(listener.into_raw_fd()) };
        let mut sessions = Vec::new();
        for _ in 0..cell.connections {
            let stream = listener.accept().await.map_err(io::Error::from)?;
            sessions.push(glommio::spawn_local(session(stream, cell.room())));
        }
        for session in sessions {
            session.await.or_else(left)?;
        }
        Ok(())
    })
}

pub fn smol(cell: Cell, listener: TcpListener) -> io::Result<()> {
    use futures_lite::{AsyncReadExt, AsyncWriteExt};
    async fn session(mut stream: smol::net::TcpStream, room: usize) -> io::Result<()> {
        let mut buffer = vec![0; room];
        loop {
            match stream.read(&mut buffer).await? {
                0 => return Ok(()),
                n => stream.write_all(&buffer[..n]).await?,
            }
        }
    }
    peers::smol::run(async move {
        let listener = smol::net::TcpListener::from(smol::Async::new(listener)?);
        let mut sessions = Vec::new();
        for _ in 0..cell.connections {
            let (stream, _) = listener.accept().await?;
            sessions.push(peers::smol::spawn(session(stream, cell.room())));
        }
        for session in sessions {
            session.await.or_else(left)?;
        }
        Ok(())
    })
}

/// A client that closes while answers are on their way to it resets the connection: it has what it wanted.
fn left(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error),
    }
}
