//! `coop::sim`: systems of several hosts in simulated time, run by a seed.

mod chaos;
mod datagrams;
mod election;
mod hosts;
mod replay;
mod store;
mod streams;
mod zero_copy;
