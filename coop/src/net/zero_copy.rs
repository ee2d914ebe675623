//! Sending without copying: the kernel sends from the memory itself, and says later that it no longer needs it.
//!
//! ```text
//!   send_all(buffer) ──▶ parcel, with the buffer ──▶ completion: so much was sent ──▶ the sender goes on, or is killed
//!                             │                                                      and has nothing to do with it any more
//!                             └──▶ notification: the peer has it ──▶ the buffer is freed
//!                                  none comes before the Cooperator ends: the buffer stays for ever
//! ```

use super::send::{send, send_all};
use super::socket::{Socket, begin};
use crate::cooperator::Cooperator;
use crate::coordinator::{Coordinator, Settled};
use crate::fiber::{Detail, Reason};
use crate::handle::drain;
use crate::io::Partial;
use crate::ring::{Completion, NOTIFICATION, Sqe};
use crate::task;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::marker::PhantomPinned;
use std::ops::Deref;
use std::panic::Location;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;

/// Buffers smaller than this are copied, unless somebody says otherwise.
const ABOVE: usize = 256 * 1024;

/// Bytes that are given away to be sent: a `Vec<u8>`, or an `Arc<[u8]>` that others read too.
///
/// ```
/// use coop::net::SendBuffer;
/// use std::sync::Arc;
/// let page: Arc<[u8]> = Arc::from(*b"a page");
/// assert_eq!(&*SendBuffer::from(page.clone()), &*SendBuffer::from(page.to_vec()));
/// ```
#[derive(Clone, Debug)]
pub struct SendBuffer(Bytes);

#[derive(Clone, Debug)]
enum Bytes {
    Owned(Vec<u8>),
    Shared(Arc<[u8]>),
}

impl Deref for SendBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Owned(bytes) => bytes,
            Bytes::Shared(bytes) => bytes,
        }
    }
}

impl From<Vec<u8>> for SendBuffer {
    fn from(bytes: Vec<u8>) -> Self {
        SendBuffer(Bytes::Owned(bytes))
    }
}

impl From<Arc<[u8]>> for SendBuffer {
    fn from(bytes: Arc<[u8]>) -> Self {
        SendBuffer(Bytes::Shared(bytes))
    }
}

/// What is known of sending over a stream without copying.
#[derive(Default)]
struct Known {
    /// The kernel copies all the same, or knows no other way.
    is_copied: Cell<bool>,
    /// Bytes that the kernel may still read.
    outstanding: Cell<usize>,
}

/// A buffer, counted as long as there is one.
struct Held {
    bytes: SendBuffer,
    known: Rc<Known>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.known.outstanding.set(self.known.outstanding.get() - self.bytes.len());
    }
}

/// One submission, and the buffer from which it sends. It stays in its place until its last completion, and then goes by itself.
struct Parcel {
    /// Until the kernel no longer needs it.
    buffer: RefCell<Option<Rc<Held>>>,
    known: Rc<Known>,
    user_data: Cell<u64>,
    result: Cell<Option<i32>>,
    /// Held until there is a result.
    arrived: Coordinator,
    /// The sender has what he wanted, and does not look at it any more: where it is, by the pointer of its box.
    left: Cell<Option<NonNull<Parcel>>>,
    _pinned: PhantomPinned,
}

thread_local! {
    /// Parcels that have arrived, to be freed when nothing refers to them any more, not even the call that put them here.
    static SPENT: Spent = const { Spent(RefCell::new(Vec::new())) };
}

struct Spent(RefCell<Vec<NonNull<Parcel>>>);

impl Spent {
    fn clear(&self) {
        for parcel in self.0.take() {
            // SAFETY: it was boxed; sender and kernel have both left it.
            drop(unsafe { Box::from_raw(parcel.as_ptr()) });
        }
    }
}

impl Drop for Spent {
    fn drop(&mut self) {
        self.clear();
    }
}

// SAFETY: it is leaked from its box, and freed after its last completion only: by the sender if he comes later, else by `SPENT`.
unsafe impl Completion for Parcel {
    fn complete(&self, result: i32, flags: u32, last: bool) {
        if flags & NOTIFICATION == 0 {
            self.result.set(Some(result));
            self.arrived.release();
            if !last && let Some(cooperator) = Cooperator::current() {
                cooperator.slots().linger(self.user_data.get());
            }
        } else if result < 0 {
            self.known.is_copied.set(true);
        }
        if last {
            drop(self.buffer.take());
            if let Some(parcel) = self.left.get() {
                // At the end of the thread nobody frees it any more.
                let _ = SPENT.try_with(|spent| spent.0.borrow_mut().push(parcel));
            }
        }
    }
}

/// The sender's side of a parcel.
struct Sender(NonNull<Parcel>);

impl Sender {
    fn parcel(&self) -> &Parcel {
        // SAFETY: it is not freed before the sender has left it.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let parcel = self.parcel();
        if parcel.buffer.borrow().is_some() {
            parcel.left.set(Some(self.0));
        } else {
            // SAFETY: it was boxed; its last completion has been.
            drop(unsafe { Box::from_raw(self.0.as_ptr()) });
        }
    }
}

/// Sends large buffers over a TCP connection from where they are, without a copy of the kernel's (`IORING_OP_SEND_ZC`). Made by
/// [`TcpStream::zero_copy`](super::TcpStream::zero_copy).
///
/// The buffer is given away, and freed when the kernel has said that it no longer needs it: when the peer has acknowledged it. That
/// nobody waits for. A peer that does not read keeps a buffer for as long as the connection lasts. If the Cooperator ends first,
/// such a buffer is never freed: what was sent arrives as it was.
///
/// It pays where the network device reads memory itself. Where the kernel has to copy all the same, as it does between
/// processes of one machine, it says so, and from then on this sends as [`send_all`](super::TcpStream::send_all) does: over the
/// loopback interface a send without a copy took 1.5 times the processor time of a plain one for 256 KiB, and 2.3 times for 1 MiB. So
/// are buffers sent that are smaller than 256 KiB, or than [`above`](ZeroCopy::above) says, and all of them where there is no such
/// operation: before Linux 6.2, on a [hardened](crate::Builder::hardened) ring, by epoll. In a [simulation](crate::sim)
/// the seed decides when a buffer comes back, and whether it was copied.
///
/// It stays on its thread. Dropping it waits for nothing.
///
/// ```
/// use coop::net::{TcpListener, TcpStream};
/// use std::{io, sync::Arc};
/// coop::run(|| -> io::Result<()> {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let address = listener.local_addr()?;
///     let file: Arc<[u8]> = vec![7; 1_000_000].into();
///     let mut server = coop::spawn(move || -> io::Result<()> {
///         let (conn, _) = listener.accept()?;
///         let sender = conn.zero_copy();
///         sender.send_all(file.clone())?;       // as often as one likes, to as many as one likes
///         sender.send_all(file)
///     });
///     let client = TcpStream::connect(address)?;
///     let mut got = vec![0; 2_000_000];
///     client.recv_exact(&mut got)?;
///     assert!(got.iter().all(|byte| *byte == 7));
///     server.join()?
/// }).unwrap();
/// ```
pub struct ZeroCopy<'a> {
    socket: &'a Socket,
    above: usize,
    known: Rc<Known>,
}

impl<'a> ZeroCopy<'a> {
    pub(super) fn new(socket: &'a Socket) -> Self {
        ZeroCopy { socket, above: ABOVE, known: Rc::default() }
    }

    /// Buffers of at least so many bytes are not copied; 262,144 unless this says otherwise. At `usize::MAX` all are.
    pub fn above(mut self, bytes: usize) -> Self {
        self.above = bytes;
        self
    }

    /// Whether the kernel has said that it copies all the same, or does not know how not to: then all is sent by plain sends.
    pub fn is_copied(&self) -> bool {
        self.known.is_copied.get()
    }

    /// Bytes of the buffers that are not freed yet: those that are being sent, and those that the peer has not acknowledged.
    pub fn outstanding(&self) -> usize {
        self.known.outstanding.get()
    }

    /// Sends all of a buffer. It returns when all is in the kernel's hands, as [`send_all`](super::TcpStream::send_all) does.
    ///
    /// A wait point; kill-checked: a kill returns at once, also when the peer does not read, and the buffer stays as long as it must. A
    /// kill or an error can leave it sent in part: the error is then a [`Partial`](crate::io::Partial), which says how far.
    ///
    /// # Errors
    /// As [`send`](super::TcpStream::send).
    #[track_caller]
    pub fn send_all(&self, buffer: impl Into<SendBuffer>) -> io::Result<()> {
        let buffer: SendBuffer = buffer.into();
        let place = Location::caller();
        if buffer.len() < self.above.max(1) || self.known.is_copied.get() {
            return send_all(self.socket, &buffer);
        }
        SPENT.with(Spent::clear);
        self.known.outstanding.set(self.known.outstanding.get() + buffer.len());
        let held = Rc::new(Held { bytes: buffer, known: self.known.clone() });
        let (len, mut done, mut must_copy) = (held.bytes.len(), 0, false);
        while done < len {
            let result = match must_copy {
                false => begin().and_then(|cooperator| self.send_some(cooperator, &held, done, place)),
                true => send(self.socket, &held.bytes[done..]),
            };
            match result {
                // No memory for it just now, or no such operation.
                Ok(0) => must_copy = true,
                Ok(n) => done += n,
                Err(error) => return Err(Partial::error(done, error)),
            }
        }
        Ok(())
    }

    /// Sends what is left of a buffer, or some of that. Nothing: it has to be copied.
    fn send_some(
        &self,
        cooperator: &Cooperator,
        held: &Rc<Held>,
        done: usize,
        place: &'static Location<'static>,
    ) -> io::Result<usize> {
        let parcel = Box::into_raw(Box::new(Parcel {
            buffer: RefCell::new(Some(held.clone())),
            known: self.known.clone(),
            user_data: Cell::new(0),
            result: Cell::new(None),
            arrived: Coordinator::held(),
            left: Cell::new(None),
            _pinned: PhantomPinned,
        }));
        // SAFETY: a box's pointer is not null.
        let sender = Sender(unsafe { NonNull::new_unchecked(parcel) });
        let parcel = sender.parcel();
        let rest = &held.bytes[done..];
        // The kernel itself goes on until all is sent, or the connection or a cancel ends it.
        let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
        let sqe = Sqe::send_zero_copy(self.socket.fd(), rest.as_ptr(), rest.len(), flags);
        // SAFETY: the parcel stays in place until its last completion, and keeps the buffer, whose memory moves with nobody, since
        // everybody only reads it.
        parcel.user_data.set(unsafe { cooperator.submit(sqe, parcel) });
        let reason = Reason::on("send", Detail::Descriptor(self.socket.fd()));
        let is_killed = parcel.arrived.wait(&cooperator.scheduler, true, 0, reason, place) == Settled::Killed;
        if is_killed {
            cooperator.cancel(parcel.user_data.get());
            drain(cooperator, || parcel.result.get().is_none(), &parcel.arrived, place);
        }
        let result = parcel.result.get().unwrap_or(0);
        match -result {
            ..=0 => Ok(result as usize),
            libc::ECANCELED | libc::EINTR if is_killed => Err(task::delivered(cooperator).into()),
            libc::EINTR | libc::ENOMEM | libc::ENOBUFS => Ok(0),
            libc::EINVAL | libc::EACCES | libc::EOPNOTSUPP => {
                self.known.is_copied.set(true);
                Ok(0)
            }
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }
}

impl fmt::Debug for ZeroCopy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZeroCopy")
            .field("socket", &self.socket.fd())
            .field("above", &self.above)
            .field("is_copied", &self.is_copied())
            .field("outstanding", &self.outstanding())
            .finish()
    }
}
