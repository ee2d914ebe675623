//! What the connections of one Cooperator share. Nothing of it is locked; the options and the directory all Cooperators
//! have.

use std::{cell::Cell, cell::RefCell, convert::Infallible, io, iter::Sum, ops::Add, rc::Rc, sync::Arc};

use coop::{
    TaskBuilder,
    chan::passage,
    net::{TcpListener, TcpStream},
};
use examples::accept_all;

use crate::{cache::Cache, connection, head::Date, log::Log, options::Options, patience::Patience, site::Site};

/// The state of a Cooperator.
pub struct Server {
    pub options: Arc<Options>,
    pub site: Arc<Site>,
    pub cache: RefCell<Cache>,
    pub date: RefCell<Date>,
    pub patience: Patience,
    pub log: Option<Log>,
    pub live: Cell<u32>,
    /// Empty buffers for answers: only connections that have something to send hold one, and the one that was used
    /// last, which the processor still has at hand, is used next.
    pub spare: RefCell<Vec<Vec<u8>>>,
    pub statistics: Cell<Statistics>,
}

/// What has happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    pub connections: u64,
    pub requests: u64,
    /// Answers that their clients have not got to the end.
    pub broken: u64,
}

/// Spare buffers that are kept, and how large they may be.
const SPARE: usize = 64;
const SPARE_SIZE: usize = 64 * 1024;

impl Server {
    /// An empty buffer.
    pub fn buffer(&self) -> Vec<u8> {
        self.spare.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes a buffer back.
    pub fn give_back(&self, mut buffer: Vec<u8>) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE && (1..=SPARE_SIZE).contains(&buffer.capacity()) {
            buffer.clear();
            spare.push(buffer);
        }
    }

    pub fn count(&self, change: impl FnOnce(&mut Statistics)) {
        let mut statistics = self.statistics.get();
        change(&mut statistics);
        self.statistics.set(statistics);
    }
}

impl Add for Statistics {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            connections: self.connections + other.connections,
            requests: self.requests + other.requests,
            broken: self.broken + other.broken,
        }
    }
}

impl Sum for Statistics {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Self::add)
    }
}

/// Serves with a listener until nobody holds the other end of `stop`, through which nothing ever comes.
///
/// ```text
///   serve ──┬── log
///           └── scope ──┬── accept ── each connection's first word
///                       └── connection …
/// ```
///
/// # Errors
/// Those of accept4(2) that do not pass.
pub fn serve(
    listener: &TcpListener,
    options: Arc<Options>,
    site: Arc<Site>,
    stop: &passage::Receiver<Infallible>,
) -> io::Result<Statistics> {
    // The log ends last: when the server, which holds the other end of its channel, has gone.
    coop::scope(|outer| {
        let log = options.log.then(|| Log::start(outer));
        let server = Rc::new(Server {
            cache: RefCell::new(Cache::new(options.cache_of_each())),
            date: RefCell::new(Date::new()),
            patience: Patience::new(options.grace),
            log: log.transpose()?,
            live: Cell::default(),
            spare: RefCell::default(),
            statistics: Cell::default(),
            options,
            site,
        });
        coop::scope(|s| {
            let server = &server;
            s.try_spawn(move || {
                accept_all(listener, |(conn, peer): (TcpStream, _)| {
                    let serve = move || connection::serve(conn, peer, server);
                    TaskBuilder::new().name("connection").stack(64 << 10).spawn_in(s, serve);
                })
            });
            // Closed, or an accept has failed and with it this scope.
            let _ = stop.recv();
            server.patience.stop();
            s.kill();
            io::Result::Ok(())
        })?;
        Ok(server.statistics.get())
    })
}
