//! A server and its client in processes of their own, for `echo-instructions.sh`: what counts a process's instructions counts the server's
//! alone, and does not hold the client up.

use super::client;
use super::{Cell, SERVERS, listen};
use crate::sys::{CpuClock, raise_descriptors};
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

/// The first argument of the server: `--serve SERVER SIZE CONNECTIONS PIPELINE`. Says its address, and ends when all connections have.
pub const SERVE: &str = "--serve";

/// The first argument of the client: `--ask ADDRESS SIZE CONNECTIONS PIPELINE N PAUSE`, the pause in microseconds. Says how many messages it has had echoed.
pub const ASK: &str = "--ask";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The next argument.
fn next(arguments: &mut impl Iterator<Item = String>) -> Result<String> {
    arguments.next().ok_or_else(|| "an argument is missing".into())
}

fn cell(arguments: &mut impl Iterator<Item = String>) -> Result<Cell> {
    let mut number = || -> Result<usize> { Ok(next(arguments)?.parse()?) };
    let cell = Cell { size: number()?, connections: number()?, pipeline: number()? };
    raise_descriptors(4 * cell.connections as u64 + 256);
    Ok(cell)
}

/// The server's process.
pub fn serve(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    exit_code((|| {
        let name = next(&mut arguments)?;
        let server = SERVERS.iter().find(|(other, ..)| *other == name);
        let &(_, _, server) = server.ok_or_else(|| format!("{name} is no server"))?;
        let cell = cell(&mut arguments)?;
        let listener = listen()?;
        println!("{}", listener.local_addr()?);
        io::stdout().flush()?;
        Ok(server(cell, listener)?)
    })())
}

/// The client's.
pub fn ask(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    exit_code((|| {
        let address = next(&mut arguments)?.parse()?;
        let cell = cell(&mut arguments)?;
        let n = next(&mut arguments)?.parse()?;
        let pause = Duration::from_micros(next(&mut arguments)?.parse()?);
        let (answered, _) = client::ask(address, cell, n, CpuClock::OF_PROCESS, pause)?;
        println!("{answered}");
        Ok(())
    })())
}

fn exit_code(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
