//! A network between the sockets of one thread: which addresses there are, who listens where, and what is on its way.
//!
//! ```text
//!    task's socket ◀──Unix──▶ end ─┐  packets, each with the time     ┌─ end ◀──Unix──▶ task's socket
//!    (a real descriptor)           └─▶ at which it arrives ──────────▶┘
//! ```
//!
//! What tasks hold are real descriptors: calls that do not block, polls, shutdowns and closes are the kernel's. Only the other end
//! is the simulator's. Whenever the ring is entered it takes what was sent, keeps it for as long as it is on its way, and delivers
//! it. The kernel is also the table of who is bound to what: see `name`.
//!
//! A reset is the close of an end in which something is unread, for that is what the kernel tells the other side as ECONNRESET. So
//! the first byte of each connection is one that nobody has sent, and the last byte that was read stays there.

use super::chance::{Chance, Choice};
use super::connection::{Connection, Link};
use super::name::{Names, UnixName};
use super::socket;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::time::Duration;

/// The host of tasks that are on no other.
pub(crate) const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// How the network behaves. Times in nanoseconds.
#[derive(Clone, Debug)]
pub(crate) struct Behaviour {
    pub(crate) delay: Range<u64>,
    /// Bytes a second.
    pub(crate) bandwidth: Option<u64>,
    /// Per packet of a stream.
    pub(crate) reset: f64,
    pub(crate) loss: f64,
    pub(crate) duplication: f64,
}

impl Default for Behaviour {
    fn default() -> Self {
        Behaviour { delay: 100_000..2_000_000, bandwidth: None, reset: 0.0, loss: 0.0, duplication: 0.0 }
    }
}

/// See the module.
pub(crate) struct Network {
    began: u64,
    now: Rc<Cell<u64>>,
    pub(super) chance: Rc<Chance>,
    names: Names,
    state: RefCell<State>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) behaviour: Behaviour,
    hosts: BTreeMap<IpAddr, Host>,
    by_name: BTreeMap<String, IpAddr>,
    /// Tasks that are the first of a host.
    tasks: BTreeMap<u64, IpAddr>,
    /// Pairs between which nothing passes, the smaller address first.
    cuts: BTreeSet<(IpAddr, IpAddr)>,
    /// What is known of sockets, by their cookie.
    sockets: HashMap<u64, Known>,
    pub(super) connections: BTreeMap<u64, Connection>,
    mouths: BTreeMap<u64, Mouth>,
    /// The sockets from which datagrams are delivered, each called as their source.
    sources: BTreeMap<SocketAddr, OwnedFd>,
    datagrams: BTreeMap<(u64, u64), Datagram>,
    next: u64,
    next_port: BTreeMap<IpAddr, u16>,
    /// Connects that have ended: whose, and how.
    pub(super) connected: Vec<(u64, i32)>,
    scratch: Vec<u8>,
}

struct Host {
    name: String,
    is_up: bool,
}

/// A socket that a task has made.
#[derive(Default)]
struct Known {
    host: Option<IpAddr>,
    options: HashMap<(i32, i32), Vec<u8>>,
    /// Of a datagram socket that is connected.
    mouth: Option<u64>,
}

/// The simulator's end of a datagram socket that is connected.
struct Mouth {
    fd: OwnedFd,
    host: IpAddr,
    local: SocketAddr,
    peer: SocketAddr,
}

struct Datagram {
    from_host: IpAddr,
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
    /// It has arrived, and waits for room.
    is_waiting: bool,
}

/// As many datagrams wait for room at their receivers before more are lost.
const WAITING: usize = 256;

/// The longest datagram of IPv4.
const LONGEST: usize = 65_507;

fn error(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

impl State {
    /// The host that an address is on, seen from `host`.
    pub(super) fn host_at(&self, address: SocketAddr, host: IpAddr) -> IpAddr {
        if address.ip().is_loopback() || address.ip().is_unspecified() { host } else { address.ip() }
    }

    fn is_up(&self, host: IpAddr) -> bool {
        self.hosts.get(&host).is_none_or(|host| host.is_up)
    }

    fn pair(a: IpAddr, b: IpAddr) -> (IpAddr, IpAddr) {
        (a.min(b), a.max(b))
    }

    /// Whether what is on its way from one to the other arrives.
    pub(super) fn passes(&self, from: IpAddr, to: IpAddr) -> Link {
        if !self.is_up(from) || !self.is_up(to) || self.cuts.contains(&Self::pair(from, to)) {
            Link::Cut
        } else {
            Link::Open
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// A host as people call it.
    fn called(&self, host: IpAddr) -> String {
        self.hosts.get(&host).map_or_else(|| host.to_string(), |host| host.name.clone())
    }
}

impl Network {
    pub(crate) fn new(now: Rc<Cell<u64>>, chance: Rc<Chance>, behaviour: Behaviour) -> Self {
        let state = State { behaviour, ..State::default() };
        Network { began: now.get(), now, chance, names: Names::new(), state: RefCell::new(state) }
    }

    pub(super) fn now(&self) -> u64 {
        self.now.get()
    }

    /// How long a packet of `len` bytes is on its way.
    pub(super) fn delay(&self, behaviour: &Behaviour, from: IpAddr, to: IpAddr, len: usize) -> u64 {
        // Within a host.
        let Range { start, end } = if from == to { 1_000..20_000 } else { behaviour.delay.clone() };
        let transmission = behaviour.bandwidth.map_or(0, |bandwidth| {
            (len as u128 * 1_000_000_000 / u128::from(bandwidth.max(1))).min(u128::from(u64::MAX / 4)) as u64
        });
        start + self.chance.below(Choice::Delay, end.saturating_sub(start) as usize) as u64 + transmission
    }

    /// Writes what the program says into the journal.
    pub(crate) fn note(&self, what: std::fmt::Arguments<'_>) {
        self.chance.note(self.now(), what);
    }

    /// A number below `bound`, for the program.
    pub(crate) fn draw(&self, bound: usize) -> usize {
        self.chance.below(Choice::Program, bound)
    }

    /// How much time has passed since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.now() - self.began)
    }

    // What there is, and what is cut.

    pub(crate) fn set_behaviour(&self, behaviour: Behaviour) {
        self.state.borrow_mut().behaviour = behaviour;
    }

    pub(crate) fn behaviour(&self) -> Behaviour {
        self.state.borrow().behaviour.clone()
    }

    pub(crate) fn add_name(&self, name: &str, ip: IpAddr) {
        self.state.borrow_mut().by_name.insert(name.to_owned(), ip);
    }

    /// The address of a name or host, in words or digits.
    pub(crate) fn look_up(&self, name: &str) -> Option<IpAddr> {
        match name {
            "localhost" => Some(Ipv4Addr::LOCALHOST.into()),
            _ => self.state.borrow().by_name.get(name).copied().or_else(|| name.parse().ok()),
        }
    }

    /// False if the name or the address is another's.
    pub(crate) fn add_host(&self, name: &str, ip: IpAddr) -> bool {
        let state = &mut *self.state.borrow_mut();
        if state.hosts.contains_key(&ip) || state.by_name.contains_key(name) {
            return false;
        }
        state.hosts.insert(ip, Host { name: name.to_owned(), is_up: true });
        state.by_name.insert(name.to_owned(), ip);
        true
    }

    /// From now on `task`, and all below it, are on `host`.
    pub(crate) fn settle(&self, task: u64, host: IpAddr) {
        self.state.borrow_mut().tasks.insert(task, host);
    }

    /// The host whose first task this is.
    pub(crate) fn host_of_task(&self, task: u64) -> Option<IpAddr> {
        self.state.borrow().tasks.get(&task).copied()
    }

    pub(crate) fn partition(&self, a: IpAddr, b: IpAddr) {
        let state = &mut *self.state.borrow_mut();
        if a != b && state.cuts.insert(State::pair(a, b)) {
            self.chance.note(self.now(), format_args!("partition: {} | {}", state.called(a), state.called(b)));
        }
    }

    /// The hosts there are, but one.
    pub(crate) fn others(&self, host: IpAddr) -> Vec<IpAddr> {
        self.state.borrow().hosts.keys().copied().filter(|other| *other != host).chain([ELSEWHERE]).collect()
    }

    /// Between two, or everywhere.
    pub(crate) fn heal(&self, between: Option<(IpAddr, IpAddr)>) {
        let state = &mut *self.state.borrow_mut();
        match between {
            Some((a, b)) if state.cuts.remove(&State::pair(a, b)) => {
                self.chance.note(self.now(), format_args!("heal: {} - {}", state.called(a), state.called(b)));
            }
            None if !state.cuts.is_empty() => {
                state.cuts.clear();
                self.chance.note(self.now(), format_args!("heal: everything"));
            }
            _ => {}
        }
    }

    pub(crate) fn is_up(&self, host: IpAddr) -> bool {
        self.state.borrow().is_up(host)
    }

    /// From now on nothing leaves or reaches the host, and what its connections were is forgotten there.
    pub(crate) fn take_down(&self, host: IpAddr) {
        let state = &mut *self.state.borrow_mut();
        self.chance.note(self.now(), format_args!("crash: {}", state.called(host)));
        if let Some(known) = state.hosts.get_mut(&host) {
            known.is_up = false;
        }
        for connection in state.connections.values_mut() {
            connection.crash(host);
        }
        state.mouths.retain(|_, mouth| mouth.host != host);
    }

    pub(crate) fn bring_up(&self, host: IpAddr) {
        let state = &mut *self.state.borrow_mut();
        if let Some(known) = state.hosts.get_mut(&host) {
            known.is_up = true;
        }
        self.chance.note(self.now(), format_args!("restart: {}", state.called(host)));
    }

    // Sockets.

    /// A socket that is to stand for an IP socket of `kind`, made by a task on `host`.
    pub(crate) fn open(&self, kind: libc::c_int, host: Option<IpAddr>) -> io::Result<OwnedFd> {
        let kind = kind & !(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK);
        let fd = socket::unix(kind)?;
        socket::widen(fd.as_raw_fd());
        let known = Known { host, ..Known::default() };
        self.state.borrow_mut().sockets.insert(socket::cookie(fd.as_raw_fd()), known);
        Ok(fd)
    }

    /// Whether a descriptor is a socket that stands for an IP socket.
    pub(crate) fn is_ours(&self, fd: RawFd) -> bool {
        socket::option(fd, libc::SO_DOMAIN) == libc::AF_UNIX
            && (self.state.borrow().sockets.contains_key(&socket::cookie(fd)) || socket::name_of(fd).to_ip().is_some())
    }

    /// Binds a socket.
    pub(crate) fn bind(&self, fd: RawFd, address: SocketAddr) -> io::Result<()> {
        let state = &mut *self.state.borrow_mut();
        let known = state.sockets.entry(socket::cookie(fd)).or_default();
        let host = match known.host {
            Some(host) if address.ip() == host || address.ip().is_loopback() || address.ip().is_unspecified() => host,
            Some(_) => return Err(error(libc::EADDRNOTAVAIL)),
            None if address.ip().is_loopback() || address.ip().is_unspecified() => ELSEWHERE,
            // Who is nowhere may be anywhere.
            None => address.ip(),
        };
        known.host = Some(host);
        if address.port() != 0 {
            return socket::bind(fd, &self.names.bound(protocol(fd), host, address));
        }
        self.bind_ephemeral(state, fd, host, address)
    }

    /// Binds a socket to a port that is free.
    fn bind_ephemeral(&self, state: &mut State, fd: RawFd, host: IpAddr, address: SocketAddr) -> io::Result<()> {
        const FIRST: u16 = 49152;
        let next = state.next_port.entry(host).or_insert(FIRST);
        for _ in 0..=u16::MAX - FIRST {
            let port = *next;
            *next = if port == u16::MAX { FIRST } else { port + 1 };
            let name = self.names.bound(protocol(fd), host, SocketAddr::new(address.ip(), port));
            match socket::bind(fd, &name) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                result => return result,
            }
        }
        Err(error(libc::EADDRINUSE))
    }

    /// The sockets that what is sent to `to` may be for, the closest first.
    fn candidates(&self, protocol: &str, to: SocketAddr, from_host: IpAddr, state: &State) -> Vec<UnixName> {
        let host = state.host_at(to, from_host);
        let any = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED)];
        let exact = (!to.ip().is_unspecified()).then_some(to);
        let any = any.into_iter().map(|ip| SocketAddr::new(ip, to.port()));
        exact.into_iter().chain(any).map(|address| self.names.bound(protocol, host, address)).collect()
    }

    /// A connection that was accepted is in a task's hands: it gets the byte that is never read.
    pub(crate) fn welcome(&self, fd: RawFd) {
        if let Some((connection, end)) = socket::peer_of(fd).connection()
            && let Some(connection) = self.state.borrow_mut().connections.get_mut(&connection)
        {
            connection.ends[end].cookie = socket::cookie(fd);
            let _ = socket::send(fd, b".");
        }
    }

    /// What a socket's own address is: for one that listens at any address, an accepted one is at a certain one.
    pub(crate) fn local(&self, fd: RawFd) -> Option<SocketAddr> {
        let (connection, end) = socket::peer_of(fd).connection()?;
        self.state.borrow().connections.get(&connection).map(|connection| connection.ends[end].address)
    }

    /// Sets an option of a socket that is ours. `None`: the kernel does.
    pub(crate) fn set_option(&self, fd: RawFd, level: i32, name: i32, value: &[u8]) -> Option<io::Result<()>> {
        let sizes = [libc::SO_SNDBUF, libc::SO_RCVBUF];
        if level == libc::SOL_SOCKET && !sizes.contains(&name) && name != libc::SO_LINGER || !self.is_ours(fd) {
            return None;
        }
        let mut value = value.to_vec();
        if level == libc::SOL_SOCKET
            && sizes.contains(&name)
            && let Ok(size) = value[..].try_into()
        {
            // As the kernel does, for its own bookkeeping.
            value = i32::from_ne_bytes(size).saturating_mul(2).to_ne_bytes().to_vec();
        }
        let state = &mut *self.state.borrow_mut();
        state.sockets.entry(socket::cookie(fd)).or_default().options.insert((level, name), value);
        Some(Ok(()))
    }

    /// An option of a socket that is ours. `None`: ask the kernel.
    pub(crate) fn option(&self, fd: RawFd, level: i32, name: i32) -> Option<Vec<u8>> {
        if level == libc::SOL_SOCKET && (name == libc::SO_ERROR || name == libc::SO_DOMAIN) || !self.is_ours(fd) {
            return None;
        }
        let state = self.state.borrow();
        let set = state.sockets.get(&socket::cookie(fd)).and_then(|known| known.options.get(&(level, name)));
        let default = match (level, name) {
            (libc::SOL_SOCKET, _) => return set.cloned(),
            (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS) => 64,
            (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE) => 7200,
            (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL) => 75,
            (libc::IPPROTO_TCP, libc::TCP_KEEPCNT) => 9,
            (libc::IPPROTO_IP, libc::IP_MULTICAST_TTL | libc::IP_MULTICAST_LOOP) => 1,
            _ => 0i32,
        };
        Some(set.cloned().unwrap_or_else(|| default.to_ne_bytes().to_vec()))
    }

    /// Whether closing a socket resets its connection.
    pub(super) fn resets_when_closed(state: &State, cookie: u64) -> bool {
        let linger =
            state.sockets.get(&cookie).and_then(|known| known.options.get(&(libc::SOL_SOCKET, libc::SO_LINGER)));
        // `struct linger`: on, and 0 seconds.
        linger.is_some_and(|value| value.len() == 8 && value[..4] != [0; 4] && value[4..] == [0; 4])
    }

    /// How far has been sent through the connected socket of a task's: which connection, which end of it, and how many bytes.
    pub(super) fn sent(&self, fd: RawFd) -> Option<(u64, usize, u64)> {
        let (id, end) = socket::peer_of(fd).connection()?;
        let sent = self.state.borrow().connections.get(&id)?.sent(end)?;
        Some((id, end, sent))
    }

    /// Whether so many bytes from an end of a connection have reached the other, or never will.
    pub(super) fn has_arrived(&self, connection: u64, end: usize, sent: u64) -> bool {
        self.state.borrow().connections.get(&connection).is_none_or(|connection| connection.has_arrived(end, sent))
    }

    // Connecting.

    /// Begins a connect. Its end is told by `take_connected`.
    pub(super) fn connect(&self, user_data: u64, fd: RawFd, to: SocketAddr) {
        let state = &mut *self.state.borrow_mut();
        match self.try_connect(state, user_data, fd, to) {
            Ok(()) => {}
            Err(error) => state.connected.push((user_data, -error.raw_os_error().unwrap_or(libc::EIO))),
        }
    }

    fn try_connect(&self, state: &mut State, user_data: u64, fd: RawFd, to: SocketAddr) -> io::Result<()> {
        if socket::peer_of(fd).to_ip().is_some() {
            return Err(error(libc::EISCONN));
        }
        let known = state.sockets.entry(socket::cookie(fd)).or_default();
        let host = *known.host.get_or_insert(ELSEWHERE);
        let to_host = state.host_at(to, host);
        let own_ip = if to.ip().is_loopback() || to.ip().is_unspecified() { to.ip() } else { host };
        let local = match socket::name_of(fd).to_ip() {
            Some(local) => local,
            None => {
                let ip = if own_ip.is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { own_ip };
                self.bind_ephemeral(state, fd, host, SocketAddr::new(ip, 0))?;
                socket::name_of(fd).to_ip().ok_or_else(|| error(libc::EIO))?
            }
        };
        let local = if local.ip().is_unspecified() { SocketAddr::new(own_ip, local.port()) } else { local };
        let delay = self.delay(&state.behaviour, host, to_host, 0);
        let id = state.number();
        let cookie = socket::cookie(fd);
        let connection = Connection::opening((host, local, cookie), (to_host, to), user_data, fd, self.now() + delay);
        self.chance.note(self.now(), format_args!("{local} -> {to}: connect"));
        state.connections.insert(id, connection);
        Ok(())
    }

    /// Nobody waits for this connect any more.
    pub(super) fn abandon(&self, user_data: u64) {
        let state = &mut *self.state.borrow_mut();
        for connection in state.connections.values_mut() {
            connection.abandon(user_data);
        }
    }

    /// The simulator's end of a connection with who listens at `to`.
    pub(super) fn reach(
        &self,
        id: u64,
        to: SocketAddr,
        from: SocketAddr,
        from_host: IpAddr,
        state: &State,
    ) -> io::Result<OwnedFd> {
        let mut last = error(libc::ECONNREFUSED);
        for name in self.candidates("tcp", to, from_host, state) {
            let fd = socket::unix(libc::SOCK_STREAM)?;
            socket::bind(fd.as_raw_fd(), &self.names.peer(id, 1, from))?;
            match socket::connect(fd.as_raw_fd(), &name) {
                Ok(()) => return Ok(fd),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Connects the socket of whoever asked for a connection.
    pub(super) fn meet(&self, id: u64, fd: RawFd, to: SocketAddr) -> io::Result<OwnedFd> {
        let end = socket::meet(fd, &self.names.peer(id, 0, to))?;
        socket::send(fd, b".")?;
        Ok(end)
    }

    // Datagrams.

    /// Sends a datagram from a socket that is ours. `None`: it is not.
    pub(crate) fn send_to(&self, fd: RawFd, bytes: &[u8], to: SocketAddr) -> Option<io::Result<usize>> {
        if !self.is_ours(fd) {
            return None;
        }
        if bytes.len() > LONGEST {
            return Some(Err(error(libc::EMSGSIZE)));
        }
        let state = &mut *self.state.borrow_mut();
        let host = state.sockets.get(&socket::cookie(fd)).and_then(|known| known.host).unwrap_or(ELSEWHERE);
        if socket::name_of(fd).to_ip().is_none()
            && let Err(error) = self.bind_ephemeral(state, fd, host, SocketAddr::new(host, 0))
        {
            return Some(Err(error));
        }
        let from = source(socket::name_of(fd).to_ip()?, to, host);
        self.dispatch(state, host, from, to, bytes);
        Some(Ok(bytes.len()))
    }

    /// Sets the peer of a datagram socket.
    pub(crate) fn connect_datagrams(&self, fd: RawFd, to: SocketAddr) -> Option<io::Result<()>> {
        if !self.is_ours(fd) {
            return None;
        }
        let state = &mut *self.state.borrow_mut();
        let mut connect = || {
            let host = state.sockets.get(&socket::cookie(fd)).and_then(|known| known.host).unwrap_or(ELSEWHERE);
            if socket::name_of(fd).to_ip().is_none() {
                self.bind_ephemeral(state, fd, host, SocketAddr::new(host, 0))?;
            }
            let bound = socket::name_of(fd).to_ip().ok_or_else(|| error(libc::EIO))?;
            let id = state.number();
            let mouth = socket::unix(libc::SOCK_DGRAM)?;
            let name = self.names.peer(id, 0, to);
            socket::bind(mouth.as_raw_fd(), &name)?;
            socket::connect(fd, &name)?;
            let known = state.sockets.entry(socket::cookie(fd)).or_default();
            if let Some(former) = known.mouth.replace(id) {
                state.mouths.remove(&former);
            }
            state.mouths.insert(id, Mouth { fd: mouth, host, local: bound, peer: to });
            Ok(())
        };
        Some(connect())
    }

    /// Puts a datagram on its way.
    fn dispatch(&self, state: &mut State, from_host: IpAddr, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let to_host = state.host_at(to, from_host);
        let len = bytes.len();
        let behaviour = state.behaviour.clone();
        // Both are drawn, whatever comes of the first: to take one back changes no other.
        let is_apart = from_host != to_host;
        let lost = is_apart && self.chance.with_probability(Choice::Loss, behaviour.loss);
        let doubled = is_apart && self.chance.with_probability(Choice::Duplicate, behaviour.duplication);
        if lost {
            return self.chance.note(self.now(), format_args!("{from} -> {to}: a datagram of {len} bytes is lost"));
        }
        if doubled {
            self.chance.note(self.now(), format_args!("{from} -> {to}: a datagram of {len} bytes is doubled"));
        }
        for _ in 0..=usize::from(doubled) {
            let at = self.now() + self.delay(&behaviour, from_host, to_host, len);
            let datagram = Datagram { from_host, from, to, bytes: bytes.to_vec(), is_waiting: false };
            let number = state.number();
            state.datagrams.insert((at, number), datagram);
        }
    }

    /// What tasks have sent through datagram sockets that are connected.
    fn collect_datagrams(&self, state: &mut State) {
        let mut buffer = std::mem::take(&mut state.scratch);
        buffer.resize(LONGEST, 0);
        let mouths: Vec<_> = state.mouths.iter().map(|(id, mouth)| (*id, mouth.fd.as_raw_fd())).collect();
        for (id, fd) in mouths {
            while let Ok(n) = socket::receive(fd, &mut buffer, 0) {
                let Some(mouth) = state.mouths.get(&id) else { break };
                let (host, peer) = (mouth.host, mouth.peer);
                let from = source(mouth.local, peer, host);
                self.dispatch(state, host, from, peer, &buffer[..n]);
            }
        }
        state.scratch = buffer;
    }

    /// Delivers the datagrams that have arrived. Gives whether any was.
    fn deliver_datagrams(&self, state: &mut State) -> bool {
        let now = self.now();
        let due: Vec<_> = state.datagrams.range(..=(now, u64::MAX)).map(|(key, _)| *key).collect();
        let mut has_delivered = false;
        for key in due {
            let Some(datagram) = state.datagrams.get(&key) else { continue };
            let delivery = self.deliver_datagram(state, datagram);
            if let Delivery::NoRoom = delivery
                && state.datagrams.values().filter(|datagram| datagram.is_waiting).count() < WAITING
            {
                if let Some(datagram) = state.datagrams.get_mut(&key) {
                    datagram.is_waiting = true;
                }
                continue;
            }
            has_delivered = true;
            if let Some(Datagram { from, to, bytes, .. }) = state.datagrams.remove(&key) {
                let end = match delivery {
                    Delivery::Done => "",
                    Delivery::From(source, fd) => {
                        state.sources.insert(source, fd);
                        ""
                    }
                    Delivery::NoRoom => " finds no room",
                    Delivery::Lost => " reaches nobody",
                };
                let len = bytes.len();
                self.chance.note(now, format_args!("{from} -> {to}: a datagram of {len} bytes{end}"));
            }
        }
        has_delivered
    }

    fn deliver_datagram(&self, state: &State, datagram: &Datagram) -> Delivery {
        let Datagram { from_host, from, to, bytes, .. } = datagram;
        if let Link::Cut = state.passes(*from_host, state.host_at(*to, *from_host)) {
            return Delivery::Lost;
        }
        let made = match state.sources.get(from) {
            Some(_) => None,
            None => {
                let Ok(fd) = socket::unix(libc::SOCK_DGRAM) else { return Delivery::Lost };
                if socket::bind(fd.as_raw_fd(), &self.names.peer(0, 0, *from)).is_err() {
                    return Delivery::Lost;
                }
                Some(fd)
            }
        };
        let plain = state.sources.get(from).or(made.as_ref()).map_or(-1, AsRawFd::as_raw_fd);
        let to_host = state.host_at(*to, *from_host);
        for name in self.candidates("udp", *to, *from_host, state) {
            // A socket that is connected receives from its peer only.
            let bound = name.to_ip();
            let is_of = |mouth: &&Mouth| (mouth.host, Some(mouth.local), mouth.peer) == (to_host, bound, *from);
            let mouth = state.mouths.values().find(is_of);
            let fd = mouth.map_or(plain, |mouth| mouth.fd.as_raw_fd());
            match socket::send_to(fd, bytes, &name) {
                Ok(_) => return made.map_or(Delivery::Done, |fd| Delivery::From(*from, fd)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Delivery::NoRoom,
                Err(_) => {}
            }
        }
        Delivery::Lost
    }

    // The passing of time.

    /// Takes what was sent and delivers what has arrived, by now.
    pub(super) fn pump(&self) {
        let state = &mut *self.state.borrow_mut();
        self.collect_datagrams(state);
        loop {
            let delivered = self.deliver_datagrams(state);
            let moved = self.pump_connections(state);
            if !delivered && !moved {
                break;
            }
        }
    }

    fn pump_connections(&self, state: &mut State) -> bool {
        let mut has_moved = false;
        let ids: Vec<u64> = state.connections.keys().copied().collect();
        for id in ids {
            let Some(mut connection) = state.connections.remove(&id) else { continue };
            has_moved |= connection.pump(id, self, state);
            if !connection.is_over() {
                state.connections.insert(id, connection);
            }
        }
        has_moved
    }

    /// Connects that have ended.
    pub(super) fn take_connected(&self) -> Vec<(u64, i32)> {
        std::mem::take(&mut self.state.borrow_mut().connected)
    }

    /// When the next thing arrives, if tasks do nothing more.
    pub(crate) fn next_event(&self) -> Option<u64> {
        let state = self.state.borrow();
        let datagram = state.datagrams.iter().find(|(_, datagram)| !datagram.is_waiting).map(|((at, _), _)| *at);
        state.connections.values().filter_map(Connection::next_event).chain(datagram).min()
    }

    /// Whether there is anything that tasks could have sent something through.
    pub(super) fn is_alive(&self) -> bool {
        let state = self.state.borrow();
        !(state.connections.is_empty() && state.mouths.is_empty() && state.datagrams.is_empty())
    }
}

enum Delivery {
    Done,
    /// Through a socket that is to be kept.
    From(SocketAddr, OwnedFd),
    NoRoom,
    Lost,
}

/// The source of what a socket bound to `bound` sends.
fn source(bound: SocketAddr, to: SocketAddr, host: IpAddr) -> SocketAddr {
    match bound.ip() {
        ip if !ip.is_unspecified() => bound,
        _ if to.ip().is_loopback() => SocketAddr::new(to.ip(), bound.port()),
        _ => SocketAddr::new(host, bound.port()),
    }
}

fn protocol(fd: RawFd) -> &'static str {
    if socket::option(fd, libc::SO_TYPE) == libc::SOCK_DGRAM { "udp" } else { "tcp" }
}
