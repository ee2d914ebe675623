//! mailin: an SMTP server whose lines come from coop's streams, asked by `curl` and, on other threads, by the crate lettre.

mod common;

use common::{Directory, Program, has_tool, killed, noise, run};
use coop::Killed;
use coop::net::{TcpListener, TcpStream};
use lettre::message::header::ContentType;
use lettre::{Message, SmtpTransport, Transport};
use mailin::response::{self, NO_MAILBOX, OK};
use mailin::{Action, Handler, Response, SessionBuilder};
use std::cell::RefCell;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::rc::Rc;

#[derive(Debug, Default, PartialEq)]
struct Mail {
    from: String,
    to: Vec<String>,
    text: Vec<u8>,
}

/// What a session does with mails: it takes those to example.org.
struct Mailbox {
    mail: Mail,
    arrived: Rc<RefCell<Vec<Mail>>>,
}

impl Handler for Mailbox {
    fn rcpt(&mut self, to: &str) -> Response {
        if to.ends_with("@example.org") { OK } else { NO_MAILBOX }
    }

    fn data_start(&mut self, _domain: &str, from: &str, _is8bit: bool, to: &[String]) -> Response {
        self.mail = Mail { from: from.into(), to: to.into(), text: Vec::new() };
        response::START_DATA
    }

    fn data(&mut self, buf: &[u8]) -> io::Result<()> {
        self.mail.text.extend_from_slice(buf);
        Ok(())
    }

    fn data_end(&mut self) -> Response {
        self.arrived.borrow_mut().push(std::mem::take(&mut self.mail));
        OK
    }
}

/// Serves one connection.
fn serve(conn: TcpStream, arrived: Rc<RefCell<Vec<Mail>>>) -> io::Result<()> {
    let handler = Mailbox { mail: Mail::default(), arrived };
    let mut session = SessionBuilder::new("mx.example.org").build(IpAddr::V4(Ipv4Addr::LOCALHOST), handler);
    session.greeting().write_to(&mut &conn)?;
    let (mut lines, mut line) = (BufReader::new(&conn), Vec::new());
    while lines.read_until(b'\n', &mut line)? > 0 {
        let response = session.process(&line);
        match response.action {
            Action::NoReply => {}
            Action::Close => return response.write_to(&mut &conn),
            _ => response.write_to(&mut &conn)?,
        }
        line.clear();
    }
    Ok(())
}

/// A server, each session a task; then `story`, which gets its port.
fn with_server(story: impl FnOnce(u16, &RefCell<Vec<Mail>>) -> io::Result<()>) {
    run(|| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let arrived = Rc::new(RefCell::default());
        let mails: Rc<RefCell<Vec<Mail>>> = Rc::clone(&arrived);
        let server = coop::spawn(move || -> io::Result<()> {
            loop {
                let (conn, arrived) = (listener.accept()?.0, Rc::clone(&mails));
                coop::spawn(move || serve(conn, arrived));
            }
        });
        let result = story(port, &arrived);
        server.kill();
        result
    });
}

#[test]
fn curl_delivers_mails() {
    if !has_tool(&["curl", "--version"]) {
        return;
    }
    let directory = Directory::new();
    // Lines of letters, one of them a dot alone, which means the end unless it is escaped.
    let letters = noise(5, 200_000).iter().map(|byte| char::from(b'a' + byte % 26)).collect::<Vec<_>>();
    let lines = letters.chunks(70).map(|line| line.iter().collect::<String>());
    let text = format!("Subject: test\r\n\r\n{}\r\n.\r\nthe end\r\n", lines.collect::<Vec<_>>().join("\r\n"));
    directory.write("mail", &text);
    with_server(|port, arrived| {
        let curl = |to: &str| {
            let mut command = Command::new("curl");
            command.args(["--silent", "--noproxy", "*", "--mail-from", "ann@example.org", "--mail-rcpt", to]);
            command.arg("--upload-file").arg(directory.path("mail")).arg(format!("smtp://127.0.0.1:{port}"));
            Program::connected(&mut command).0.ended()
        };
        assert!(curl("bob@example.org")?.success());
        assert!(!curl("bob@example.com")?.success(), "it is not ours");
        let mail = Mail { from: "ann@example.org".into(), to: vec!["bob@example.org".into()], text: text.into_bytes() };
        assert_eq!(*arrived.borrow(), [mail]);
        Ok(())
    });
}

#[test]
fn lettre_delivers_mails_from_other_threads() {
    with_server(|port, arrived| {
        coop::scope(|s| {
            for n in 0..30 {
                s.try_spawn(move || {
                    let mail = Message::builder()
                        .from("Ann <ann@example.org>".parse().unwrap())
                        .to(format!("user{n}@example.org").parse().unwrap())
                        .subject(format!("Number {n}"))
                        .header(ContentType::TEXT_PLAIN)
                        .body(format!("Hello, user {n}."))
                        .unwrap();
                    // It connects, and waits for each answer, with blocking calls of std's.
                    let sent = coop::unblock(move || {
                        SmtpTransport::builder_dangerous("127.0.0.1").port(port).build().send(&mail).map(drop)
                    })?;
                    sent.map_err(io::Error::other)
                });
            }
            Ok::<_, io::Error>(())
        })?;
        let mut arrived = arrived.borrow_mut();
        arrived.sort_by_key(|mail| mail.to[0]["user".len()..].split('@').next().unwrap().parse::<u32>().unwrap());
        assert_eq!(arrived.len(), 30);
        for (n, mail) in arrived.iter().enumerate() {
            assert_eq!(mail.to, [format!("user{n}@example.org")]);
            let text = String::from_utf8_lossy(&mail.text);
            assert!(
                text.contains(&format!("Subject: Number {n}\r\n")) && text.contains(&format!("Hello, user {n}.\r\n"))
            );
        }
        Ok(())
    });
}

#[test]
fn a_kill_reaches_through_it() {
    run(|| {
        let error = killed(|conn| serve(conn, Rc::default()).unwrap_err())?;
        assert!(Killed::is(&error));
        Ok(())
    });
}
