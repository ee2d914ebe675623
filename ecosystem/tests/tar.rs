//! tar: archives over a socket, both ways, checked with the program of that name.

mod common;

use common::{Directory, Program, has_tool, killed, noise, run};
use coop::Killed;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::net::Shutdown;
use std::process::Command;
use tar::{Archive, Builder, Header};

fn files() -> BTreeMap<String, Vec<u8>> {
    let long = "a name that does not fit into the header of its entry, ".repeat(4);
    let names = (0..50).map(|n| format!("directory/file {n}")).chain([long]);
    names.enumerate().map(|(n, name)| (name, noise(n as u64, 4000 * n + 1))).collect()
}

#[test]
fn the_program_unpacks_what_it_packs_and_it_unpacks_what_the_program_packs() {
    if !has_tool(&["tar", "--version"]) {
        return;
    }
    let directory = Directory::new();
    run(|| {
        let mut command = Command::new("tar");
        let (mut unpacking, conn) = Program::connected(command.arg("-xf-").arg("-C").arg(directory.path(".")));
        let mut archive = Builder::new(&conn);
        for (name, content) in files() {
            let mut header = Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, &content[..])?;
        }
        archive.into_inner()?.shutdown(Shutdown::Write)?;
        assert!(unpacking.ended()?.success());

        let mut command = Command::new("tar");
        let (mut packing, conn) = Program::connected(command.arg("-cf-").arg("-C").arg(directory.path(".")).arg("."));
        let mut got = BTreeMap::new();
        for entry in Archive::new(&conn).entries()? {
            let mut entry = entry?;
            if entry.header().entry_type().is_file() {
                let name = entry.path()?.display().to_string();
                let mut content = Vec::new();
                entry.read_to_end(&mut content)?;
                got.insert(name.trim_start_matches("./").to_owned(), content);
            }
        }
        assert!(got == files());
        // It pads its output, which nobody has to read; but it writes it.
        io::copy(&mut &conn, &mut io::sink())?;
        assert!(packing.ended()?.success());
        Ok(())
    });
}

#[test]
fn a_kill_reaches_through_it() {
    run(|| {
        let error = killed(|conn| {
            let mut archive = Archive::new(conn);
            let mut entries = archive.entries().unwrap();
            entries.next().unwrap().map(drop).unwrap_err()
        })?;
        assert!(Killed::is(&error));
        Ok(())
    });
}
