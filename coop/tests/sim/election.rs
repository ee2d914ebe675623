//! Three nodes that elect a leader by majority, over datagrams. A node that forgets in a crash whom it has voted for can vote twice,
//! and then there are two leaders: the simulator finds that, and finds nothing once votes are on disk.

use coop::net::UdpSocket;
use coop::sim::{self, NetOptions};
use coop::time::Instant;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

const NODES: u8 = 3;

/// What survives a crash of its node.
#[derive(Clone, Copy, Default)]
struct Disk {
    term: u8,
    vote: Option<u8>,
}

/// Who has led in each term.
type Leaders = Rc<RefCell<BTreeMap<u8, BTreeSet<u8>>>>;

const ASK: u8 = 1;
const VOTE: u8 = 2;
const LEAD: u8 = 3;

struct Node {
    id: u8,
    socket: UdpSocket,
    disk: Rc<Cell<Disk>>,
    state: Disk,
    writes_votes: bool,
    votes: BTreeSet<u8>,
    is_leader: bool,
    leaders: Leaders,
}

impl Node {
    fn run(&mut self) -> io::Result<()> {
        let mut deadline = self.next_deadline();
        loop {
            let patience = deadline.duration_since(Instant::now());
            let mut message = [0; 3];
            match coop::timeout(patience, || self.socket.recv_from(&mut message)) {
                Ok(_) => {
                    if self.receive(message)? {
                        deadline = self.next_deadline();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    if self.is_leader {
                        self.tell_all(LEAD)?;
                    } else {
                        self.stand()?;
                    }
                    deadline = self.next_deadline();
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn next_deadline(&self) -> Instant {
        let millis = if self.is_leader { 50 } else { 150 + sim::random(150) as u64 };
        Instant::now() + Duration::from_millis(millis)
    }

    fn set(&mut self, state: Disk) {
        self.state = state;
        let vote = if self.writes_votes { state.vote } else { None };
        self.disk.set(Disk { vote, ..state });
    }

    fn stand(&mut self) -> io::Result<()> {
        self.set(Disk { term: self.state.term + 1, vote: Some(self.id) });
        self.votes = [self.id].into();
        self.tell_all(ASK)
    }

    fn tell_all(&self, what: u8) -> io::Result<()> {
        (0..NODES).filter(|to| *to != self.id).try_for_each(|to| self.tell(to, what))
    }

    fn tell(&self, to: u8, what: u8) -> io::Result<()> {
        self.socket.send_to(&[what, self.state.term, self.id], format!("node-{to}:1")).map(drop)
    }

    /// Whether it was something to wait for longer after.
    fn receive(&mut self, [what, term, from]: [u8; 3]) -> io::Result<bool> {
        if term > self.state.term {
            self.set(Disk { term, vote: None });
            self.is_leader = false;
        }
        if term < self.state.term {
            return Ok(false);
        }
        match what {
            ASK if self.state.vote.is_none_or(|vote| vote == from) => {
                self.set(Disk { vote: Some(from), ..self.state });
                self.tell(from, VOTE)?;
            }
            VOTE if !self.is_leader => {
                self.votes.insert(from);
                if self.votes.len() * 2 > usize::from(NODES) {
                    self.is_leader = true;
                    let mut leaders = self.leaders.borrow_mut();
                    let of_term = leaders.entry(term).or_default();
                    of_term.insert(self.id);
                    sim::note(format_args!("node {} leads in term {term}", self.id));
                    assert_eq!(of_term.len(), 1, "two leaders in term {term}");
                }
            }
            LEAD => {}
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// A cluster over ten seconds, in which nodes crash and links fail. Gives how many terms have had a leader.
fn cluster(writes_votes: bool) -> io::Result<usize> {
    let leaders = Leaders::default();
    let mut hosts = Vec::new();
    for id in 0..NODES {
        let (leaders, disk) = (leaders.clone(), Rc::new(Cell::new(Disk::default())));
        hosts.push(sim::host(&format!("node-{id}"), [10, 0, 0, id], move || {
            let socket = UdpSocket::bind("0.0.0.0:1")?;
            let (disk, leaders) = (disk.clone(), leaders.clone());
            let (state, votes) = (disk.get(), BTreeSet::new());
            Node { id, socket, disk, state, writes_votes, votes, is_leader: false, leaders }.run()
        })?);
    }
    for _ in 0..10 {
        coop::sleep(Duration::from_millis(sim::random(1000) as u64))?;
        let host = &hosts[sim::random(hosts.len())];
        match sim::random(3) {
            0 => sim::net().isolate(host),
            1 => sim::net().heal_all(),
            _ => host.restart()?,
        }
    }
    Ok(leaders.borrow().len())
}

fn unreliable() -> sim::Builder {
    sim::Builder::new()
        .net(NetOptions::new().datagram_loss(0.05).delay(Duration::from_millis(1)..Duration::from_millis(60)))
}

#[test]
fn there_is_one_leader_a_term_however_nodes_crash_if_votes_are_written_down() {
    let terms = Cell::new(0);
    unreliable().check(0..300, || -> io::Result<()> {
        terms.set(terms.get() + cluster(true)?);
        Ok(())
    });
    assert!(terms.get() > 600, "there were elections: {}", terms.get());
}

#[test]
fn a_node_that_forgets_its_vote_is_found_out() {
    let check = || unreliable().check(0..300, || cluster(false).map(drop));
    let failed = catch_unwind(AssertUnwindSafe(check)).expect_err("one of 300 seeds shows it");
    let report = failed.downcast_ref::<String>().expect("a report");
    assert!(report.contains("two leaders in term"), "{report}");
    assert!(report.contains("restart: node-"), "without a restart nothing is forgotten:\n{report}");
}
