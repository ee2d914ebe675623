//! zstd: compressed streams, both ways, checked with the program of that name. (Its C library calls nothing back.)

mod common;

use common::{Program, has_tool, killed, noise, run};
use coop::Killed;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::process::Command;

#[test]
fn the_program_reads_what_it_writes_and_it_reads_what_the_program_writes() {
    if !has_tool(&["zstd", "--version"]) {
        return;
    }
    let content = noise(3, 3_000_000);
    run(|| {
        let (mut unpacking, unpacker) = Program::connected(Command::new("zstd").args(["-d", "-c", "-q"]));
        let (mut packing, packer) = Program::connected(Command::new("zstd").args(["-c", "-q"]));
        coop::scope(|s| {
            // content → crate → zstd -d → zstd → crate → content, all at once.
            s.try_spawn(|| {
                let mut encoder = zstd::Encoder::new(&unpacker, 3)?;
                encoder.write_all(&content)?;
                encoder.finish()?.shutdown(Shutdown::Write)
            });
            s.try_spawn(|| {
                io::copy(&mut &unpacker, &mut &packer)?;
                packer.shutdown(Shutdown::Write)
            });
            let mut got = Vec::new();
            zstd::Decoder::new(&packer)?.read_to_end(&mut got)?;
            assert!(got == content);
            Ok::<_, io::Error>(())
        })?;
        assert!(unpacking.ended()?.success() && packing.ended()?.success());
        Ok(())
    });
}

#[test]
fn a_kill_reaches_through_it() {
    run(|| {
        let reading = killed(|conn| zstd::Decoder::new(conn).unwrap().read(&mut [0; 16]).unwrap_err())?;
        assert!(Killed::is(&reading));
        Ok(())
    });
}
