//! What the kinds of sockets have in common, written once: each kind has it as methods of its own.

/// Descriptors in and out, and the sealed trait. `$socket` makes a `Socket` of a descriptor.
macro_rules! socket_type {
    ($name:ident, $socket:path $(, $std:ty)?) => {
        socket_type!(@out $name);

        /// Takes over a descriptor, which is not looked at: calls on one of another kind give the kernel's errors.
        impl From<OwnedFd> for $name {
            fn from(fd: OwnedFd) -> Self {
                $name { socket: $socket(fd) }
            }
        }

        $(
            /// Takes over a socket of `std`'s. It stays in whatever blocking mode it is in: no call here depends on it.
            impl From<$std> for $name {
                fn from(socket: $std) -> Self {
                    OwnedFd::from(socket).into()
                }
            }
        )?
    };
    (@out $name:ident) => {
        impl Sealed for $name {}

        impl $name {
            /// Another reference to the same socket, by a descriptor of its own: for a task, or a crate, that wants to own the half
            /// it reads from or writes to. (To share one, a reference will do: every call takes `&self`.) What is set or shut
            /// down by one is so for both. Not a wait point.
            ///
            /// # Errors
            /// Those of fcntl(2): too many descriptors.
            pub fn try_clone(&self) -> io::Result<Self> {
                Ok($name { socket: self.socket.try_clone()? })
            }
        }

        impl AsFd for $name {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.socket.as_owned().as_fd()
            }
        }

        impl AsRawFd for $name {
            fn as_raw_fd(&self) -> RawFd {
                self.socket.fd()
            }
        }

        impl From<$name> for OwnedFd {
            fn from(this: $name) -> OwnedFd {
                this.socket.into_owned()
            }
        }
    };
    (listener $name:ident $(, $std:ty)?) => {
        socket_type!(@out $name);

        /// Takes over a descriptor that listens, such as one that was inherited, and sets it non-blocking: accepting on a blocking
        /// one would hang the thread when a peer resets in the wrong moment. Fails where that does (fcntl(2)).
        impl TryFrom<OwnedFd> for $name {
            type Error = io::Error;

            fn try_from(fd: OwnedFd) -> io::Result<Self> {
                let socket = Socket::new(fd);
                socket.set_nonblocking()?;
                Ok($name { socket })
            }
        }

        $(
            /// Takes over a listener of `std`'s, and sets it non-blocking.
            impl TryFrom<$std> for $name {
                type Error = io::Error;

                fn try_from(listener: $std) -> io::Result<Self> {
                    OwnedFd::from(listener).try_into()
                }
            }
        )?
    };
}

/// Sending and receiving bytes.
macro_rules! byte_stream {
    ($name:ident) => {
        impl Connected for $name {
            fn socket(&self) -> &Socket {
                &self.socket
            }
        }

        impl Stream for $name {}

        impl $name {
            /// Receives some bytes: at least one, or 0 at the end of the stream (or for an empty buffer).
            ///
            /// A wait point; kill-checked: bytes that raced a kill are delivered.
            ///
            /// # Errors
            /// Those of recv(2), and [`Killed`](crate::Killed); without a Cooperator `Unsupported`.
            #[inline]
            #[track_caller]
            pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
                recv::recv(&self.socket, buffer)
            }

            /// Receives until `buffer` is full.
            ///
            /// A wait point; kill-checked. A kill or an error can leave the buffer filled in part: the error is then a
            /// [`Partial`](crate::io::Partial), which says how far.
            ///
            /// # Errors
            /// Those of [`recv`](Self::recv), and `UnexpectedEof` when the stream ends first.
            #[track_caller]
            pub fn recv_exact(&self, buffer: &mut [u8]) -> io::Result<()> {
                recv::recv_exact(&self.socket, buffer)
            }

            /// Receives into several buffers, one after the other: at least one byte, or 0 at the end of the stream (or for no
            /// room at all). Of more than 1,024 buffers the first 1,024 are used.
            ///
            /// A wait point; kill-checked: a kill takes nothing from the stream.
            ///
            /// # Errors
            /// As [`recv`](Self::recv).
            #[track_caller]
            pub fn recv_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                ReceivingVectored::new(&self.socket, buffers).block()
            }

            /// Receives into a buffer of the Cooperator's, at most [`Lease::MAX`](super::Lease::MAX) bytes. Empty at the end of the
            /// stream.
            ///
            /// A wait point, during which no buffer is held; kill-checked: a kill takes nothing.
            ///
            /// # Errors
            /// As [`recv`](Self::recv).
            #[track_caller]
            pub fn recv_leased(&self) -> io::Result<super::Lease> {
                super::ReceivingLeased::new(&self.socket).block()
            }

            /// Has the kernel receive before it is asked: see [`RecvAhead`](super::RecvAhead). Not a wait point.
            pub fn recv_ahead(&self) -> super::RecvAhead<'_> {
                super::RecvAhead::new(&self.socket)
            }

            /// Looks at what has come, or comes next, and leaves it there. 0 at the end of the stream (or for an empty buffer).
            ///
            /// A wait point; kill-checked.
            ///
            /// # Errors
            /// As [`recv`](Self::recv).
            #[track_caller]
            pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
                recv::Peeking::new(&self.socket, buffer).block()
            }

            /// Sends some of `buffer`: as much as the socket has room for, at least one byte.
            ///
            /// A wait point; kill-checked: bytes that raced a kill are counted.
            ///
            /// # Errors
            /// Those of send(2) (a peer that is gone is `BrokenPipe`, never a signal), and [`Killed`](crate::Killed).
            #[inline]
            #[track_caller]
            pub fn send(&self, buffer: &[u8]) -> io::Result<usize> {
                send::send(&self.socket, buffer)
            }

            /// Sends all of `buffer`.
            ///
            /// A wait point; kill-checked. A kill or an error can leave it sent in part: the error is then a
            /// [`Partial`](crate::io::Partial), which says how far.
            ///
            /// # Errors
            /// As [`send`](Self::send).
            #[inline]
            #[track_caller]
            pub fn send_all(&self, buffer: &[u8]) -> io::Result<()> {
                send::send_all(&self.socket, buffer)
            }

            /// Sends some of several buffers, one after the other: as much as the socket has room for, at least one byte. Of
            /// more than 1,024 buffers the first 1,024 are looked at.
            ///
            /// A wait point; kill-checked: a kill sends nothing.
            ///
            /// # Errors
            /// As [`send`](Self::send).
            #[track_caller]
            pub fn send_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
                SendingVectored::new(&self.socket, buffers).block()
            }

            /// Closes one or both directions: what was sent is delivered, then the peer sees the end. Not a wait point.
            ///
            /// # Errors
            /// Those of shutdown(2).
            pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
                self.socket.shutdown(how)
            }
        }

        byte_stream!(@io $name, &$name);
        byte_stream!(@io $name, $name);
    };
    (@io $name:ident, $this:ty) => {
        #[doc = concat!("Reading waits as [`recv`](", stringify!($name), "::recv) does: every crate that reads from")]
        /// `std::io::Read` runs on it.
        impl Read for $this {
            #[inline]
            #[track_caller]
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                recv::recv(&self.socket, buffer)
            }

            #[track_caller]
            fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                ReceivingVectored::new(&self.socket, buffers).block()
            }
        }

        #[doc = concat!("Writing waits as [`send`](", stringify!($name), "::send) does. Nothing is buffered, so flushing does")]
        /// nothing.
        impl Write for $this {
            #[inline]
            #[track_caller]
            fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
                send::send(&self.socket, buffer)
            }

            #[track_caller]
            fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
                SendingVectored::new(&self.socket, buffers).block()
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
    };
}

/// Sending and receiving packets over a connected socket. `$packet` is what its users call one; `$end` says when there are no more.
macro_rules! packet_socket {
    ($name:ident, $packet:literal, $end:literal) => {
        impl Connected for $name {
            fn socket(&self) -> &Socket {
                &self.socket
            }
        }

        impl $name {
            #[doc = concat!("Receives a ", $packet, " from the peer the socket is connected to", $end, ". Gives its length in the")]
            /// buffer: what does not fit is discarded.
            ///
            /// A wait point; kill-checked: what raced a kill is delivered.
            ///
            /// # Errors
            /// Those of recv(2), and [`Killed`](crate::Killed); without a Cooperator `Unsupported`.
            #[inline]
            #[track_caller]
            pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
                recv::recv(&self.socket, buffer)
            }

            #[doc = concat!("Receives a ", $packet, " into several buffers, one after the other. At most 1,024 of them are used.")]
            ///
            /// A wait point; kill-checked: a kill takes nothing from the socket.
            ///
            /// # Errors
            /// As [`recv`](Self::recv).
            #[track_caller]
            pub fn recv_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                ReceivingVectored::new(&self.socket, buffers).block()
            }

            /// Receives into a buffer of the Cooperator's, at most [`Lease::MAX`](super::Lease::MAX) bytes. What does
            /// not fit is discarded.
            ///
            /// A wait point, during which no buffer is held; kill-checked: a kill takes nothing.
            ///
            /// # Errors
            /// As [`recv`](Self::recv).
            #[track_caller]
            pub fn recv_leased(&self) -> io::Result<super::Lease> {
                super::ReceivingLeased::new(&self.socket).block()
            }

            #[doc = concat!("Looks at the ", $packet, " that has come, or comes next, and leaves it there.")]
            ///
            /// A wait point; kill-checked.
            ///
            /// # Errors
            /// As [`recv`](Self::recv).
            #[track_caller]
            pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
                recv::Peeking::new(&self.socket, buffer).block()
            }

            #[doc = concat!("Sends a ", $packet, " to the peer the socket is connected to: all of it, or nothing.")]
            ///
            /// A wait point; kill-checked: one that raced a kill was sent.
            ///
            /// # Errors
            /// Those of send(2) (never a signal), and [`Killed`](crate::Killed).
            #[inline]
            #[track_caller]
            pub fn send(&self, buffer: &[u8]) -> io::Result<usize> {
                send::send(&self.socket, buffer)
            }

            #[doc = concat!("Sends a ", $packet, " that is collected from several buffers.")]
            ///
            /// A wait point; kill-checked: a kill sends nothing.
            ///
            /// # Errors
            /// As [`send`](Self::send), and EMSGSIZE for more than 1,024 buffers.
            #[track_caller]
            pub fn send_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
                SendingVectored::new(&self.socket, buffers).block()
            }
        }
    };
}

/// The addresses of both ends of a Unix socket.
macro_rules! unix_addresses {
    ($name:ident) => {
        impl $name {
            /// The path of this end, if it is bound to one; a leading NUL byte tells the abstract namespace.
            ///
            /// # Errors
            /// Those of getsockname(2).
            pub fn local_path(&self) -> io::Result<Option<PathBuf>> {
                Ok(self.socket.local()?.to_path())
            }

            /// The path of the other end, if it is bound to one.
            ///
            /// # Errors
            /// Those of getpeername(2), such as `NotConnected`.
            pub fn peer_path(&self) -> io::Result<Option<PathBuf>> {
                Ok(self.socket.peer()?.to_path())
            }

            /// Who was at the other end when it connected, or made the pair (SO_PEERCRED).
            ///
            /// # Errors
            /// Those of getsockopt(2).
            pub fn peer_cred(&self) -> io::Result<UCred> {
                UCred::of_peer(&self.socket)
            }
        }
    };
}

/// Passing descriptors. `$with` says what they are sent along with.
macro_rules! passing {
    ($name:ident, $with:literal) => {
        impl PassesDescriptors for $name {}

        impl $name {
            #[doc = concat!("Sends descriptors along with ", $with, ".")]
            /// The receiver gets descriptors of his own for the same open files; these stay open here.
            ///
            /// A wait point; kill-checked: a kill sends nothing.
            ///
            /// # Errors
            /// `InvalidInput` for more than [`MAX_DESCRIPTORS`](super::MAX_DESCRIPTORS), and over a stream for no bytes; those of
            /// sendmsg(2), such as ETOOMANYREFS; and [`Killed`](crate::Killed).
            #[track_caller]
            pub fn send_fds(&self, buffer: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
                SendingDescriptors::new(&self.socket, buffer, fds).block()
            }

            /// Receives bytes, as `recv` does, and the descriptors that came along: close-on-exec, and closed when dropped.
            /// (`recv` closes those that come along.)
            ///
            /// A wait point; kill-checked: a kill takes nothing.
            ///
            /// # Errors
            /// [`DescriptorsLost`](super::DescriptorsLost) when this process may not have so many; those of recvmsg(2), and
            /// [`Killed`](crate::Killed). Without a Cooperator `Unsupported`.
            #[track_caller]
            pub fn recv_fds(&self, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
                ReceivingDescriptors::new(&self.socket, buffer).block()
            }
        }
    };
}

pub(super) use {byte_stream, packet_socket, passing, socket_type, unix_addresses};
