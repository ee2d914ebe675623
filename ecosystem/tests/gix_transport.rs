//! gix-transport: the git protocol over coop's streams, against `git daemon`.

mod common;

use common::{Directory, Program, has_tool, killed, noise, run, tells_of_the_kill};
use coop::net::UnixStream;
use gix_transport::client::blocking_io::Transport;
use gix_transport::client::git::ConnectMode;
use gix_transport::client::git::blocking_io::Connection;
use gix_transport::client::{MessageKind, WriteMode};
use gix_transport::{Protocol, Service};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;

/// Has git do something in a repository; gives what it prints. Blocks the thread: it is short.
fn git(repository: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.current_dir(repository).args(["-c", "user.name=Ann", "-c", "user.email=ann@example.org"]).args(arguments);
    let output = command.env("GIT_CONFIG_GLOBAL", "/dev/null").output().expect("it is installed");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("ASCII").trim().to_owned()
}

/// A directory with a repository `one` of some commits.
fn repository() -> Option<(Directory, String)> {
    if !has_tool(&["git", "--version"]) || !has_tool(&["sh", "-c", "test -x \"$(git --exec-path)/git-daemon\""]) {
        return None;
    }
    let directory = Directory::new();
    let one = directory.path("one");
    std::fs::create_dir(&one).expect("the directory takes directories");
    git(&one, &["init", "--quiet", "--initial-branch=main"]);
    for n in 0..3 {
        directory.write(&format!("one/file{n}"), noise(n, 200_000));
        git(&one, &["add", "."]);
        git(&one, &["commit", "--quiet", "--message", &format!("number {n}")]);
    }
    let head = git(&one, &["rev-parse", "HEAD"]);
    Some((directory, head))
}

type Git<'a> = Connection<&'a UnixStream, &'a UnixStream>;

fn connection(conn: &UnixStream) -> Git<'_> {
    Connection::new(conn, conn, Protocol::V1, "/one", Some(("localhost", None)), ConnectMode::Daemon, false)
}

/// The server's names of things, as lines of hash and name.
fn names(git: &mut Git<'_>) -> io::Result<Vec<String>> {
    let answer = git.handshake(Service::UploadPack, &[]).map_err(io::Error::other)?;
    assert_eq!(answer.actual_protocol, Protocol::V1);
    assert!(answer.capabilities.contains("side-band-64k"));
    let (mut names, mut line) = (Vec::new(), String::new());
    let mut lines = answer.refs.expect("the first version of the protocol tells them at once");
    while lines.readline_str(&mut line)? > 0 {
        names.push(std::mem::take(&mut line).trim().to_owned());
    }
    Ok(names)
}

/// The pack with all that belongs to a commit.
fn fetch(git: &mut Git<'_>, commit: &str) -> io::Result<Vec<u8>> {
    let request = git.request(WriteMode::OneLfTerminatedLinePerWriteCall, MessageKind::Text(b"done"), false);
    let mut request = request.map_err(io::Error::other)?;
    // Each call writes a packet.
    request.write_all(format!("want {commit} side-band-64k ofs-delta").as_bytes())?;
    request.write_message(MessageKind::Flush)?;
    let mut answer = request.into_read()?;
    let mut line = String::new();
    answer.readline_str(&mut line)?;
    assert_eq!(line.trim(), "NAK", "nothing is in common");
    answer.set_progress_handler(Some(Box::new(|is_error, text| {
        assert!(!is_error, "{}", String::from_utf8_lossy(text));
        ControlFlow::Continue(())
    })));
    let mut pack = Vec::new();
    answer.read_to_end(&mut pack)?;
    Ok(pack)
}

fn daemon(directory: &Directory) -> (Program, UnixStream) {
    let mut command = Command::new("git");
    // The repository may be another user's.
    command.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "safe.directory").env("GIT_CONFIG_VALUE_0", "*");
    let base = format!("--base-path={}", directory.text(""));
    Program::connected(command.args(["daemon", "--inetd", "--export-all", "--log-destination=stderr", &base]))
}

#[test]
fn a_repository_is_fetched() {
    let Some((directory, head)) = repository() else { return };
    let fetched = directory.path("fetched");
    std::fs::create_dir(&fetched).expect("the directory takes directories");
    git(&fetched, &["init", "--quiet"]);
    run(|| {
        let (_daemon, conn) = daemon(&directory);
        let mut connection = connection(&conn);
        assert_eq!(names(&mut connection)?, [format!("{head} HEAD"), format!("{head} refs/heads/main")]);
        let pack = fetch(&mut connection, &head)?;

        // git makes a repository of it, and finds nothing missing.
        let mut indexer = Command::new("git");
        indexer.current_dir(&fetched).args(["index-pack", "--stdin", "--fix-thin"]);
        let (mut indexing, pipe) = Program::connected(&mut indexer);
        pipe.send_all(&pack)?;
        pipe.shutdown(Shutdown::Write)?;
        assert!(indexing.ended()?.success());
        git(&fetched, &["update-ref", "HEAD", &head]);
        git(&fetched, &["fsck", "--full", "--strict"]);
        assert_eq!(git(&fetched, &["log", "--format=%s"]), "number 2\nnumber 1\nnumber 0");
        Ok(())
    });
}

#[test]
fn ten_fetches_at_once_on_one_thread() {
    let Some((directory, head)) = repository() else { return };
    run(|| {
        coop::scope(|s| {
            for _ in 0..10 {
                s.try_spawn(|| {
                    let (_daemon, conn) = daemon(&directory);
                    let mut connection = connection(&conn);
                    names(&mut connection)?;
                    let pack = fetch(&mut connection, &head)?;
                    // Three commits, three directories and three files.
                    assert_eq!(pack[..12], *b"PACK\0\0\0\x02\0\0\0\x09");
                    Ok(())
                });
            }
            Ok::<_, io::Error>(())
        })
    });
}

#[test]
fn a_kill_reaches_through_it() {
    run(|| {
        let error = killed(|conn| {
            let host = Some(("localhost", None));
            let mut git = Connection::new(&conn, &conn, Protocol::V1, "/one", host, ConnectMode::Daemon, false);
            git.handshake(Service::UploadPack, &[]).map(drop).unwrap_err()
        })?;
        assert!(tells_of_the_kill(&error), "{error:?}");
        Ok(())
    });
}
