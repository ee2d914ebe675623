//! The limit: loops that do nothing but echo, written by hand.

use super::Cell;
use io_uring::types::{BufRingEntry, Fd};
use io_uring::{IoUring, cqueue, opcode, squeue};
use std::collections::VecDeque;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU16, Ordering};

fn check(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

fn owned(fd: i32) -> io::Result<OwnedFd> {
    check(fd as isize)?;
    // SAFETY: the kernel has just given this process the descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// epoll, level-triggered, and plain calls: a receive, and a send, for each connection that is ready.
pub fn epoll(cell: Cell, listener: TcpListener) -> io::Result<()> {
    struct Connection {
        socket: OwnedFd,
        buffer: Vec<u8>,
        /// What of the buffer is still to be sent.
        begin: usize,
        end: usize,
    }
    // SAFETY: no preconditions.
    let poll = owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
    let watch = |operation, socket: &OwnedFd, events: i32, name| {
        let mut event = libc::epoll_event { events: events as u32, u64: name };
        // SAFETY: both are open; the event is read during the call.
        check(unsafe { libc::epoll_ctl(poll.as_raw_fd(), operation, socket.as_raw_fd(), &mut event) } as isize)
    };
    let mut open = Vec::new();
    for index in 0..cell.connections {
        // SAFETY: no address is asked for.
        let socket =
            owned(unsafe { libc::accept4(listener.as_raw_fd(), null_mut(), null_mut(), libc::SOCK_NONBLOCK) })?;
        watch(libc::EPOLL_CTL_ADD, &socket, libc::EPOLLIN, index as u64)?;
        open.push(Some(Connection { socket, buffer: vec![0; cell.room()], begin: 0, end: 0 }));
    }
    let mut left = open.len();
    let mut events = vec![libc::epoll_event { events: 0, u64: 0 }; 1024];
    while left > 0 {
        // SAFETY: there is room for as many events as the call is told.
        let count = unsafe { libc::epoll_wait(poll.as_raw_fd(), events.as_mut_ptr(), events.len() as i32, -1) };
        let count = match check(count as isize) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            count => count?,
        };
        for event in &events[..count] {
            let name = event.u64;
            let Some(connection) = &mut open[name as usize] else { continue };
            let was_blocked = connection.begin < connection.end;
            if !was_blocked {
                let Connection { socket, buffer, .. } = connection;
                // SAFETY: the buffer is writable for its length.
                match check(unsafe { libc::recv(socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) }) {
                    Ok(n) if n > 0 => (connection.begin, connection.end) = (0, n),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                    // The client has what it wanted.
                    _ => {
                        open[name as usize] = None;
                        left -= 1;
                        continue;
                    }
                }
            }
            let rest = &connection.buffer[connection.begin..connection.end];
            let fd = connection.socket.as_raw_fd();
            // SAFETY: the rest is readable for its length.
            match check(unsafe { libc::send(fd, rest.as_ptr().cast(), rest.len(), libc::MSG_NOSIGNAL) }) {
                Ok(n) => connection.begin += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            let is_blocked = connection.begin < connection.end;
            if is_blocked != was_blocked {
                let events = if is_blocked { libc::EPOLLOUT } else { libc::EPOLLIN };
                watch(libc::EPOLL_CTL_MOD, &connection.socket, events, name)?;
            }
        }
    }
    Ok(())
}

/// Buffers that the kernel takes from, and that are given back to it.
struct Buffers {
    entries: *mut BufRingEntry,
    layout: std::alloc::Layout,
    memory: Vec<u8>,
    room: usize,
    count: u16,
    tail: u16,
}

impl Buffers {
    const GROUP: u16 = 0;

    fn new(ring: &IoUring, count: u16, room: usize) -> io::Result<Self> {
        let size = size_of::<BufRingEntry>() * usize::from(count);
        let layout = std::alloc::Layout::from_size_align(size, 4096).map_err(io::Error::other)?;
        // SAFETY: the size is not zero; entries are plain data. The memory is freed after the ring (see `ring`).
        let entries = unsafe {
            let entries = std::alloc::alloc_zeroed(layout).cast::<BufRingEntry>();
            ring.submitter().register_buf_ring_with_flags(entries as u64, count, Self::GROUP, 0)?;
            entries
        };
        let memory = vec![0; room * usize::from(count)];
        let mut buffers = Buffers { entries, layout, memory, room, count, tail: 0 };
        (0..count).for_each(|name| buffers.give(name));
        Ok(buffers)
    }

    fn of(&self, name: u16) -> *const u8 {
        self.memory[usize::from(name) * self.room..].as_ptr()
    }

    /// Gives a buffer to the kernel.
    fn give(&mut self, name: u16) {
        // SAFETY: the entry is one of `count`; the kernel does not look at it before the tail has passed it.
        unsafe {
            let entry = &mut *self.entries.add(usize::from(self.tail & (self.count - 1)));
            entry.set_addr(self.of(name) as u64);
            entry.set_len(self.room as u32);
            entry.set_bid(name);
            self.tail = self.tail.wrapping_add(1);
            (*BufRingEntry::tail(self.entries).cast::<AtomicU16>()).store(self.tail, Ordering::Release);
        }
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout; the ring that knew of it is closed.
        unsafe { std::alloc::dealloc(self.entries.cast(), self.layout) };
    }
}

/// io_uring: a receive for many messages on each connection (multishot), into buffers that the kernel chooses (provided
/// buffers), and a send each; everything that is to be sent, and the wait, is one `io_uring_enter`.
pub fn ring(cell: Cell, listener: TcpListener) -> io::Result<()> {
    #[derive(Default)]
    struct Connection {
        socket: Option<OwnedFd>,
        /// What is being sent, and what comes after: a buffer, and how much of it.
        waiting: VecDeque<(u16, u32)>,
        is_receiving: bool,
    }
    const SEND: u64 = 1 << 32;

    let mut ring: IoUring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all()
        .setup_clamp()
        .setup_cqsize(16384)
        .build(4096)?;
    ring.submitter().register_ring_fd()?;
    let count = (cell.connections * 2).next_power_of_two().max(16) as u16;
    let mut buffers = Buffers::new(&ring, count, cell.room())?;
    let mut open: Vec<Connection> = Vec::new();
    let receive = |fd: &OwnedFd, name: usize| {
        opcode::RecvMulti::new(Fd(fd.as_raw_fd()), Buffers::GROUP).build().user_data(name as u64)
    };
    let send = |fd: &OwnedFd, name: usize, buffer: *const u8, len: u32| {
        let flags = libc::MSG_WAITALL | libc::MSG_NOSIGNAL;
        opcode::Send::new(Fd(fd.as_raw_fd()), buffer, len).flags(flags).build().user_data(name as u64 | SEND)
    };
    fn push(ring: &mut IoUring, entry: &squeue::Entry) -> io::Result<()> {
        // SAFETY: buffers, and descriptors, stay until the ring is closed.
        while unsafe { ring.submission().push(entry) }.is_err() {
            ring.submit()?;
        }
        Ok(())
    }
    for index in 0..cell.connections {
        // SAFETY: no address is asked for.
        let socket = owned(unsafe { libc::accept4(listener.as_raw_fd(), null_mut(), null_mut(), 0) })?;
        push(&mut ring, &receive(&socket, index))?;
        open.push(Connection { socket: Some(socket), waiting: VecDeque::new(), is_receiving: true });
        // Those that are there already are served while the others come.
        ring.submit()?;
    }
    let mut left = open.len();
    let mut completions = Vec::new();
    while left > 0 {
        match ring.submit_and_wait(1) {
            Err(error) if !matches!(error.raw_os_error(), Some(libc::EINTR | libc::EBUSY)) => return Err(error),
            _ => completions.extend(ring.completion()),
        }
        for completion in completions.drain(..) {
            let index = completion.user_data() as u32 as usize;
            let (is_send, result) = (completion.user_data() & SEND != 0, completion.result());
            let connection = &mut open[index];
            let Some(socket) = &connection.socket else { continue };
            if is_send {
                let Some((buffer, len)) = connection.waiting.pop_front() else { continue };
                buffers.give(buffer);
                if result >= 0 && result as u32 != len {
                    return Err(io::Error::other("the kernel sends all, or fails"));
                }
                if let Some(&(buffer, len)) = connection.waiting.front() {
                    push(&mut ring, &send(socket, index, buffers.of(buffer), len))?;
                }
            } else {
                connection.is_receiving = cqueue::more(completion.flags());
                if let Some(buffer) = cqueue::buffer_select(completion.flags())
                    && result > 0
                {
                    connection.waiting.push_back((buffer, result as u32));
                    if connection.waiting.len() == 1 {
                        push(&mut ring, &send(socket, index, buffers.of(buffer), result as u32))?;
                    }
                } else if result != -libc::ENOBUFS {
                    // The client has what it wanted.
                    connection.socket = None;
                    left -= 1;
                    continue;
                }
            }
            // There was no buffer: then there is one when something has been sent.
            if !connection.is_receiving && (is_send || connection.waiting.is_empty()) {
                push(&mut ring, &receive(socket, index))?;
                connection.is_receiving = true;
            }
        }
    }
    drop(ring);
    Ok(())
}
