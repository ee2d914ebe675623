//! Sockets: what each call gives, what its errors are, what a kill and a deadline do to it.
//!
//! Against sockets of std's in threads where there is a peer to be had; for the rest between two sockets of coop's. What forks
//! is in `coop/tests/net_alone`: a child has, for a moment, all descriptors of its parent, and a socket that was dropped then
//! is not closed.

mod ahead;
mod common;
mod datagrams;
mod descriptors;
mod leases;
mod names;
mod ready;
mod recv_ahead;
mod splice;
mod tcp;
mod unix;
mod zero_copy;
