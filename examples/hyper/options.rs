//! The command line.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use clap::Parser;

/// An HTTP/1.1 and HTTP/2 server of hyper's, on coop tasks.
#[derive(Parser, Clone, Debug)]
#[command(name = "hyper")]
pub struct Options {
    /// Port to listen on; 0 lets the kernel choose
    #[arg(long, default_value_t = 7380)]
    pub port: u16,

    /// Address to listen on
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub bind: IpAddr,

    /// Seconds for a client to say something, and for the head of a request to be complete
    #[arg(long, default_value = "30", value_name = "SECONDS", value_parser = examples::seconds)]
    pub patience: Duration,

    /// Seconds for requests under way to be answered when the server is told to stop
    #[arg(long, default_value = "5", value_name = "SECONDS", value_parser = examples::seconds)]
    pub grace: Duration,
}

impl Options {
    /// Where to listen.
    pub fn address(&self) -> SocketAddr {
        (self.bind, self.port).into()
    }
}
