//! imap: mail boxes over coop's streams, against `dovecot`.

mod common;

use common::{Directory, Program, appears, has_tool, killed_while, run};
use coop::Killed;
use coop::net::UnixStream;
use coop::sync::Event;
use imap::Session;
use imap::error::Error;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// A server of this test's own, where every name and every password will do.
struct Server {
    program: Program,
    directory: Directory,
}

impl Server {
    fn start() -> Option<Server> {
        // It becomes several other users, which only root can.
        if !has_tool(&["sh", "-c", "command -v dovecot && [ $(id --user) = 0 ]"]) {
            return None;
        }
        let directory = Directory::new();
        let [run, home, socket] = ["run", "home", "imap.sock"].map(|name| directory.text(name));
        fs::create_dir(&home).expect("the directory takes directories");
        fs::set_permissions(&home, Permissions::from_mode(0o777)).expect("it is ours");
        let config = format!(
            "base_dir = {run}\nlog_path = /dev/stderr\nprotocols = imap\nssl = no\nmail_location = maildir:~/%u\n\
             passdb {{\n driver = static\n args = nopassword=y\n}}\n\
             userdb {{\n driver = static\n args = uid=nobody gid=nogroup home={home}\n}}\nfirst_valid_uid = 1\n\
             service imap-login {{\n inet_listener imap {{\n  port = 0\n }}\n inet_listener imaps {{\n  port = 0\n }}\n \
             unix_listener {socket} {{\n  mode = 0666\n }}\n}}\n"
        );
        directory.write("dovecot.conf", config);
        let mut command = Command::new("dovecot");
        let program = Program::start(command.arg("-F").arg("-c").arg(directory.path("dovecot.conf")));
        program.line_with("starting up");
        appears(&directory.path("imap.sock"));
        Some(Server { program, directory })
    }

    fn login(&self, user: &str) -> io::Result<Session<UnixStream>> {
        let mut client = imap::Client::new(UnixStream::connect(self.directory.path("imap.sock"))?);
        client.read_greeting().map_err(io_error)?;
        client.login(user, "a password").map_err(|(error, _)| io_error(error))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its other processes end with it.
        self.program.end_by(libc::SIGTERM);
    }
}

fn io_error(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        other => io::Error::other(other),
    }
}

fn mail(subject: &str, lines: usize) -> String {
    format!("From: ann@example.org\r\nSubject: {subject}\r\n\r\n{}", "A line of text.\r\n".repeat(lines))
}

/// Appends mails, and sees that they can be found and read.
fn use_a_mailbox(session: &mut Session<UnixStream>) -> io::Result<()> {
    for n in 0..10 {
        session.append("INBOX", mail(&format!("number {n}"), 100 * n)).map_err(io_error)?;
    }
    assert_eq!(session.select("INBOX").map_err(io_error)?.exists, 10);
    for n in 0..10 {
        let found = session.search(format!("SUBJECT \"number {n}\"")).map_err(io_error)?;
        assert_eq!(found, [n as u32 + 1].into());
        let fetched = session.fetch((n + 1).to_string(), "BODY[]").map_err(io_error)?;
        assert_eq!(
            fetched.iter().next().and_then(|mail| mail.body()),
            Some(mail(&format!("number {n}"), 100 * n).as_bytes())
        );
    }
    session.logout().map_err(io_error)
}

#[test]
fn mails_are_appended_found_and_fetched() {
    let Some(server) = Server::start() else { return };
    run(|| use_a_mailbox(&mut server.login("ann")?));
}

#[test]
fn twenty_sessions_on_one_thread() {
    let Some(server) = Server::start() else { return };
    run(|| {
        coop::scope(|s| {
            for n in 0..20 {
                let server = &server;
                s.try_spawn(move || use_a_mailbox(&mut server.login(&format!("user{n}"))?));
            }
            Ok(())
        })
    });
}

#[test]
fn one_session_is_told_what_another_does() {
    let Some(server) = Server::start() else { return };
    run(|| {
        let is_selected = Event::new();
        coop::scope(|s| {
            s.try_spawn(|| {
                is_selected.wait()?;
                server.login("ann")?.append("INBOX", mail("an answer", 1)).map_err(io_error)
            });
            let mut session = server.login("ann")?;
            assert_eq!(session.select("INBOX").map_err(io_error)?.exists, 0);
            is_selected.set();
            session.idle().map_err(io_error)?.wait().map_err(io_error)?;
            assert_eq!(session.search("ALL").map_err(io_error)?.len(), 1);
            Ok(())
        })
    });
}

#[test]
fn a_kill_reaches_through_it() {
    let Some(server) = Server::start() else { return };
    run(|| {
        let mut session = server.login("ann")?;
        session.select("INBOX").map_err(io_error)?;
        // While it waits for news. (It tries to say goodbye then, which is refused as well.)
        let error = killed_while(move || io_error(session.idle().and_then(|idle| idle.wait()).unwrap_err()))?;
        assert!(Killed::is(&error));
        Ok(())
    });
}
