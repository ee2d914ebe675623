//! A store with a backup, and clients that try again: an acknowledged write must survive the primary's crash, and a write that is
//! asked for twice must count once.

use coop::net::{TcpListener, TcpStream};
use coop::sim::{self, NetOptions};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

/// What may be wrong with it.
#[derive(Clone, Copy, PartialEq)]
enum Bug {
    None,
    /// It answers before the backup has the write.
    AnswersEarly,
    /// It does not know a request again.
    CountsTwice,
}

/// What one node holds: sums, and the requests that are in them. Lost in a crash.
#[derive(Default)]
struct Table {
    sums: BTreeMap<u8, u32>,
    requests: BTreeSet<(u8, u32)>,
}

impl Table {
    fn apply(&mut self, request: Request, bug: Bug) -> u32 {
        let sum = self.sums.entry(request.key).or_default();
        if self.requests.insert((request.client, request.number)) || bug == Bug::CountsTwice {
            *sum += u32::from(request.amount);
        }
        *sum
    }
}

/// Seven bytes: add an amount to a key. An amount of 0 reads.
#[derive(Clone, Copy)]
struct Request {
    client: u8,
    number: u32,
    key: u8,
    amount: u8,
}

impl Request {
    fn bytes(self) -> [u8; 7] {
        let [a, b, c, d] = self.number.to_be_bytes();
        [self.client, a, b, c, d, self.key, self.amount]
    }

    fn receive(conn: &TcpStream) -> io::Result<Request> {
        let mut bytes = [0; 7];
        conn.recv_exact(&mut bytes)?;
        let [client, a, b, c, d, key, amount] = bytes;
        Ok(Request { client, number: u32::from_be_bytes([a, b, c, d]), key, amount })
    }
}

/// Sends a request and gives the sum it is answered with; over a connection of its own.
fn ask(node: &str, request: Request) -> io::Result<u32> {
    coop::timeout(Duration::from_millis(200), || {
        let conn = TcpStream::connect(node)?;
        conn.send_all(&request.bytes())?;
        let mut sum = [0; 4];
        conn.recv_exact(&mut sum)?;
        Ok(u32::from_be_bytes(sum))
    })
}

/// A node; the primary is the one with a backup.
fn serve(backup: Option<&'static str>, bug: Bug) -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:80")?;
    let table = Rc::new(RefCell::new(Table::default()));
    loop {
        let conn = listener.accept()?.0;
        let table = table.clone();
        coop::spawn(move || -> io::Result<()> {
            let request = Request::receive(&conn)?;
            let sum = table.borrow_mut().apply(request, bug);
            let replicate =
                move || while backup.is_some_and(|backup| ask(backup, request).is_err()) && !coop::killed() {};
            if bug == Bug::AnswersEarly {
                coop::spawn(replicate);
            } else {
                replicate();
            }
            conn.send_all(&sum.to_be_bytes())
        });
    }
}

/// Three clients add; at some moment the primary is gone for good, and they turn to the backup, which has no backup.
fn story(bug: Bug) -> io::Result<()> {
    let primary = sim::host("primary", [10, 0, 0, 1], move || serve(Some("backup:80"), bug))?;
    sim::host("backup", [10, 0, 0, 2], move || serve(None, bug))?;
    coop::yield_now()?;
    let clients: Vec<_> = (0..3u8)
        .map(|client| {
            coop::spawn(move || -> io::Result<u32> {
                let (mut node, mut acknowledged) = ("primary:80", 0);
                for number in 0..5 {
                    let request = Request { client, number, key: client, amount: 1 + client };
                    let mut failures = 0;
                    while ask(node, request).is_err() {
                        failures += 1;
                        if failures == 3 {
                            node = "backup:80";
                        }
                        coop::sleep(Duration::from_millis(10))?;
                    }
                    acknowledged += u32::from(request.amount);
                }
                Ok(acknowledged)
            })
        })
        .collect();
    coop::sleep(Duration::from_millis(sim::random(60) as u64))?;
    primary.crash();
    for (client, mut task) in (0..).zip(clients) {
        let acknowledged = task.join().unwrap()?;
        let read = Request { client: 9, number: u32::from(client), key: client, amount: 0 };
        let sum = loop {
            if let Ok(sum) = ask("backup:80", read) {
                break sum;
            }
        };
        assert!(sum >= acknowledged, "the store has lost an acknowledged write: {sum} of {acknowledged}");
        assert!(sum <= acknowledged, "the store has counted a write twice: {sum} for {acknowledged}");
    }
    Ok(())
}

fn rough() -> sim::Builder {
    sim::Builder::new().net(NetOptions::new().reset(0.02))
}

fn found(bug: Bug) -> String {
    let check = || rough().check(0..200, || story(bug));
    let failed = catch_unwind(AssertUnwindSafe(check)).expect_err("one of 200 seeds shows it");
    failed.downcast_ref::<String>().expect("a report").clone()
}

#[test]
fn what_was_acknowledged_is_there_after_the_crash_and_only_once() {
    rough().check(0..300, || story(Bug::None));
}

#[test]
fn an_answer_before_the_backup_has_the_write_is_found_out() {
    let report = found(Bug::AnswersEarly);
    assert!(report.contains("lost an acknowledged write") && report.contains("crash: primary"), "{report}");
}

#[test]
fn a_write_that_is_counted_twice_is_found_out() {
    let report = found(Bug::CountsTwice);
    assert!(report.contains("counted a write twice"), "{report}");
}
