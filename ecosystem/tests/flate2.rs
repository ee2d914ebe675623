//! flate2: compressed streams, both ways, checked with `gzip`.

mod common;

use common::{Program, has_tool, killed, noise, pair, run};
use coop::Killed;
use coop::net::TcpStream;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::process::Command;

#[test]
fn gzip_reads_what_it_writes_and_it_reads_what_gzip_writes() {
    if !has_tool(&["gzip", "--version"]) {
        return;
    }
    let content = noise(2, 3_000_000);
    run(|| {
        let (mut unpacking, unpacker) = Program::connected(Command::new("gzip").args(["-d", "-c"]));
        let (mut packing, packer) = Program::connected(Command::new("gzip").arg("-c"));
        coop::scope(|s| {
            // content → flate2 → gzip -d → gzip → flate2 → content, all at once.
            s.try_spawn(|| {
                let mut encoder = GzEncoder::new(&unpacker, Compression::default());
                encoder.write_all(&content)?;
                encoder.finish()?.shutdown(Shutdown::Write)
            });
            s.try_spawn(|| {
                io::copy(&mut &unpacker, &mut &packer)?;
                packer.shutdown(Shutdown::Write)
            });
            let mut got = Vec::new();
            GzDecoder::new(&packer).read_to_end(&mut got)?;
            assert!(got == content);
            Ok::<_, io::Error>(())
        })?;
        assert!(unpacking.ended()?.success() && packing.ended()?.success());
        Ok(())
    });
}

#[test]
fn a_hundred_compressed_connections_on_one_thread() {
    run(|| {
        coop::scope(|s| {
            for seed in 0..100 {
                let (ours, theirs) = pair()?;
                s.try_spawn(move || {
                    let mut encoder = GzEncoder::new(ours, Compression::fast());
                    for piece in noise(seed, 100_000).chunks(10_000) {
                        encoder.write_all(piece)?;
                        encoder.flush()?;
                        coop::yield_now()?;
                    }
                    encoder.finish().map(drop)
                });
                s.try_spawn(move || {
                    let mut got = Vec::new();
                    GzDecoder::new(theirs).read_to_end(&mut got)?;
                    assert!(got == noise(seed, 100_000));
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
        let reading = killed(|conn| GzDecoder::new(conn).read(&mut [0; 16]).unwrap_err())?;
        assert!(Killed::is(&reading));
        // Nobody reads what it writes.
        let writing = killed(|conn: TcpStream| {
            let mut encoder = GzEncoder::new(conn, Compression::none());
            let error = (0..1000).find_map(|seed| encoder.write_all(&noise(seed, 100_000)).err());
            error.expect("no socket takes so much")
        })?;
        assert!(Killed::is(&writing));
        Ok(())
    });
}
