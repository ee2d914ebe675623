//! `futures_io::{AsyncRead, AsyncWrite}`.

use super::Async;
use crate::net::Stream;
use futures_io::{AsyncRead, AsyncWrite};
use std::io::{IoSlice, Result};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll};

macro_rules! read_and_write {
    ($this:ty) => {
        impl<S: Stream + AsFd> AsyncRead for $this {
            fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize>> {
                self.poll_recv(cx, buf)
            }
        }

        /// Nothing is buffered, so there is nothing to flush. Closing is the end of what is sent (SHUT_WR).
        impl<S: Stream + AsFd> AsyncWrite for $this {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
                self.poll_send(cx, buf)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<Result<usize>> {
                self.poll_send_vectored(cx, bufs)
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
                Poll::Ready(self.shutdown(Shutdown::Write))
            }
        }
    };
}

read_and_write!(Async<S>);
read_and_write!(&Async<S>);
