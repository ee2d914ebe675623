//! The command line.

use std::{net::SocketAddr, time::Duration};

use clap::Parser;

/// Rooms to talk in, for line clients over TCP and for WebSocket clients.
#[derive(Parser, Clone, Debug, PartialEq, Eq)]
#[command(name = "chat")]
pub struct Options {
    /// Address to listen at for clients that send lines; port 0 lets the kernel choose
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7090")]
    pub lines: SocketAddr,

    /// Address to listen at for WebSocket clients
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7091")]
    pub websockets: SocketAddr,

    /// Clients at one time; more are told so and closed
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub clients: u32,

    /// Messages of a room that are kept for members who have not read them yet; who lags by more misses the oldest
    #[arg(long, value_name = "MESSAGES", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub backlog: u32,

    /// Seconds after which a client that does not read is dropped; fractions are allowed
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = examples::seconds)]
    pub stall: Duration,

    /// Seconds that clients have, when the server stops, to read what is left for them
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = examples::seconds)]
    pub grace: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::try_parse_from(line.split_whitespace()).map_err(|error| error.to_string())
    }

    #[test]
    fn everything_can_be_set() {
        let options = parse("chat").expect("no option is required");
        assert_eq!((options.lines.port(), options.websockets.port(), options.backlog), (7090, 7091, 1024));
        let line = "chat --lines [::1]:0 --websockets 127.0.0.1:1 --clients 2 --backlog 3 --stall 0.5 --grace 4";
        let options = parse(line).expect("all well formed");
        assert_eq!((options.clients, options.backlog, options.stall), (2, 3, Duration::from_millis(500)));
    }

    #[test]
    fn what_is_wrong_is_refused_with_a_reason() {
        let cases = [
            ("chat --lines localhost", "invalid socket address"),
            ("chat --clients 0", "0 is not in 1.."),
            ("chat --backlog 0", "0 is not in 1..="),
            ("chat --stall 0", "more than 0"),
            ("chat --room lobby", "unexpected argument '--room'"),
            ("chat lobby", "unexpected argument 'lobby'"),
        ];
        for (line, reason) in cases {
            let error = parse(line).expect_err(line);
            assert!(error.contains(reason), "{line}: {error}");
        }
    }
}
