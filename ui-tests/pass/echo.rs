//! The program on the front page, without a warning.
#![deny(warnings)]
use coop::{net, op};
use std::{io, time::Duration};

/// Echoes until the peer hangs up or is silent for 30 s.
#[coop::task(stack = "64k")]
fn session(conn: net::TcpStream) -> io::Result<()> {
    let mut buf = [0; 4096];
    loop {
        let n = coop::select! {
            n = op::recv(&conn, &mut buf) => n?,
            _ = op::after(Duration::from_secs(30)) => return Ok(()),
        }?;
        if n == 0 {
            return Ok(());
        }
        conn.send_all(&buf[..n])?;
    }
}

fn serve(listener: &net::TcpListener, stop: &coop::chan::Receiver<()>) -> io::Result<()> {
    loop {
        coop::select! {
            accepted = op::accept(listener) => { session::spawn(accepted?.0); }
            _ = op::receive(stop) => return Ok(()),
        }?;
    }
}

#[coop::main]
fn main() -> io::Result<()> {
    let listener = net::TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let (stop, stopped) = coop::chan::bounded(1);
    let mut server = coop::spawn(move || serve(&listener, &stopped));
    let client = net::TcpStream::connect(address)?;
    client.send_all(b"hello")?;
    let mut buf = [0; 5];
    client.recv_exact(&mut buf)?;
    assert_eq!(&buf, b"hello");
    drop(client);
    stop.try_send(()).unwrap();
    server.join()?
}
