//! ureq: an HTTP client whose connections are coop's, against Python's server of files. Its own kind of connection would block
//! the thread; a `Transport` of some forty lines is all that it needs.

mod common;

use common::{Directory, Program, has_tool, killed_while, noise, run};
use coop::Killed;
use coop::net::{TcpListener, TcpStream};
use coop::op;
use std::io::{self, Read, Write};
use std::process::Command;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport};
use ureq::{Agent, Error};

const PYTHON: &str = "/usr/bin/python3";

/// Connects by coop.
#[derive(Debug)]
struct CoopConnector;

impl Connector for CoopConnector {
    type Out = CoopTransport;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<CoopTransport>, Error> {
        let connect = || TcpStream::connect(&details.addrs[..]);
        let stream = within(details.timeout, connect)?;
        let (input, output) = (details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(CoopTransport { stream, buffers: LazyBuffers::new(input, output) }))
    }
}

#[derive(Debug)]
struct CoopTransport {
    stream: TcpStream,
    buffers: LazyBuffers,
}

impl Transport for CoopTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let output = &self.buffers.output()[..amount];
        within(timeout.for_write(), || (&self.stream).write_all(output))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let input = self.buffers.input_append_buf();
        let n = within(timeout.for_read(), || (&self.stream).read(input))?;
        self.buffers.input_appended(n);
        Ok(n > 0)
    }

    fn is_open(&mut self) -> bool {
        // Something to read would be an end, or an answer that nobody has asked for.
        let is_quiet = coop::select! {
            _ = op::peek(&self.stream, &mut [0]) => false,
            default => true,
        };
        is_quiet.unwrap_or(false)
    }
}

/// What ureq's timeouts are to coop: deadlines.
fn within<T>(timeout: NextTimeout, call: impl FnOnce() -> io::Result<T>) -> Result<T, Error> {
    let reason = timeout.reason;
    match timeout.not_zero() {
        None => call().map_err(Error::Io),
        Some(after) => coop::timeout(*after, call).map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => Error::Timeout(reason),
            _ => Error::Io(error),
        }),
    }
}

fn agent() -> Agent {
    Agent::with_parts(Agent::config_builder().proxy(None).build(), CoopConnector, DefaultResolver::default())
}

fn io_error(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        other => io::Error::other(other),
    }
}

#[test]
fn fifty_downloads_at_once_on_one_thread() {
    if !has_tool(&[PYTHON, "--version"]) {
        return;
    }
    let directory = Directory::new();
    for n in 0..50 {
        directory.write(&format!("file{n}"), noise(n, 20_000 * n as usize));
    }
    let mut command = Command::new(PYTHON);
    command.args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory"]).arg(directory.path("."));
    let python = Program::start(&mut command);
    let line = python.line_with("Serving HTTP on");
    let port: u16 = line.split_whitespace().skip_while(|word| *word != "port").nth(1).unwrap().parse().unwrap();
    run(|| {
        let agent = agent();
        coop::scope(|s| {
            for n in 0..50 {
                let agent = &agent;
                s.try_spawn(move || {
                    let response = agent.get(format!("http://127.0.0.1:{port}/file{n}")).call().map_err(io_error)?;
                    let body = response.into_body().read_to_vec().map_err(io_error)?;
                    assert!(body == noise(n, 20_000 * n as usize));
                    Ok(())
                });
            }
            Ok::<_, io::Error>(())
        })?;
        let missing = agent.get(format!("http://127.0.0.1:{port}/missing")).call();
        assert!(matches!(missing, Err(Error::StatusCode(404))));
        Ok(())
    });
}

#[test]
fn a_connection_is_used_again() {
    run(|| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let mut server = coop::spawn(move || -> io::Result<u32> {
            // One connection, and no other.
            let (conn, mut requests) = (listener.accept()?.0, 0);
            let mut head = Vec::new();
            let mut byte = [0];
            while (&conn).read(&mut byte)? > 0 {
                head.push(byte[0]);
                if head.ends_with(b"\r\n\r\n") {
                    conn.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")?;
                    head.clear();
                    requests += 1;
                }
            }
            Ok(requests)
        });
        let agent = agent();
        for _ in 0..10 {
            let mut response = agent.get(format!("http://{address}/")).call().map_err(io_error)?;
            assert_eq!(response.body_mut().read_to_string().map_err(io_error)?, "hello");
        }
        drop(agent);
        assert_eq!(server.join()??, 10);
        Ok(())
    });
}

#[test]
fn a_kill_and_a_timeout_reach_through_it() {
    run(|| {
        // It accepts, by its queue, and says nothing.
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}/", listener.local_addr()?);
        let asked = url.clone();
        let error = killed_while(move || agent().get(asked).call().map(drop).unwrap_err())?;
        assert!(Killed::is(&io_error(error)));

        let short = Some(std::time::Duration::from_millis(20));
        let error = agent().get(url).config().timeout_global(short).build().call().map(drop).unwrap_err();
        assert!(matches!(error, Error::Timeout(_)), "{error:?}");
        Ok(())
    });
}
