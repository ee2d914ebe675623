//! The command line.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Parser;

/// Serves the files of a directory over HTTP/1.1.
#[derive(Parser, Clone, Debug, PartialEq, Eq)]
#[command(name = "http")]
pub struct Options {
    /// Directory to serve. Symbolic links are followed as long as they do not lead out of it; absolute ones never are
    #[arg(default_value = ".", value_name = "DIRECTORY")]
    pub root: PathBuf,

    /// Address to listen at; port 0 lets the kernel choose
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7080")]
    pub listen: SocketAddr,

    /// Threads to serve with, each with a listener of its own: a number, or `per-core`
    #[arg(long, value_name = "N|per-core", default_value = "1", value_parser = cooperators)]
    pub cooperators: usize,

    /// Connections at one time, for each thread; more are told so and closed
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub connections: u32,

    /// Seconds after which a connection without a request is closed; fractions are allowed
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = examples::seconds)]
    pub idle: Duration,

    /// Seconds that a client has for the head of a request, from its first byte on, and for a body
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = examples::seconds)]
    pub head: Duration,

    /// Seconds after which a client that reads nothing of its answer is disconnected
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = examples::seconds)]
    pub stall: Duration,

    /// Seconds that answers under way have when the server stops
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = examples::seconds)]
    pub grace: Duration,

    /// Seconds for which a small file is answered from memory without a look at the disk; 0 to look each time
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds_or_none)]
    pub fresh: Duration,

    /// Megabytes of small files (up to 64 KiB each) kept in memory, by all threads together; 0 for none
    #[arg(long, value_name = "MEGABYTES", default_value_t = 64, value_parser = clap::value_parser!(u32).range(..=1 << 20))]
    pub cache: u32,

    /// Serve and list names that begin with a dot
    #[arg(long)]
    pub hidden: bool,

    /// List no directories
    #[arg(long)]
    pub no_listing: bool,

    /// Write a line for each request to standard error
    #[arg(long)]
    pub log: bool,
}

impl Options {
    /// Bytes of files that each thread keeps.
    pub fn cache_of_each(&self) -> usize {
        ((self.cache as usize) << 20) / self.cooperators
    }
}

fn cooperators(text: &str) -> Result<usize, String> {
    match text.parse() {
        _ if text == "per-core" => Ok(coop::per_core()),
        Ok(count @ 1..=1024) => Ok(count),
        _ => Err("neither a number from 1 to 1024 nor per-core".into()),
    }
}

fn seconds_or_none(text: &str) -> Result<Duration, String> {
    if text.parse() == Ok(0.0) { Ok(Duration::ZERO) } else { examples::seconds(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::try_parse_from(line.split_whitespace()).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults() {
        let options = parse("http").expect("no option is required");
        assert_eq!((options.listen.to_string().as_str(), options.cooperators), ("127.0.0.1:7080", 1));
        assert_eq!((options.root, options.fresh), (PathBuf::from("."), Duration::from_secs(1)));
    }

    #[test]
    fn everything_can_be_set() {
        let line = "http /srv --listen [::1]:0 --cooperators 4 --connections 9 --idle 1 --head 2 --stall 3 --grace 4 \
                    --fresh 0 --cache 8 --hidden --no-listing --log";
        let options = parse(line).expect("all well formed");
        assert_eq!((options.cooperators, options.fresh, options.cache_of_each()), (4, Duration::ZERO, 2 << 20));
        assert!(options.hidden && options.no_listing && options.log);
        assert_eq!(parse("http --cooperators per-core").map(|options| options.cooperators), Ok(coop::per_core()));
    }

    #[test]
    fn what_is_wrong_is_refused_with_a_reason() {
        let cases = [
            ("http --listen 80", "invalid socket address"),
            ("http --cooperators 0", "neither a number from 1 to 1024 nor per-core"),
            ("http --cooperators each", "neither a number from 1 to 1024 nor per-core"),
            ("http --connections 0", "0 is not in 1.."),
            ("http --idle 0", "more than 0"),
            ("http --fresh -1", "unexpected argument '-1'"),
            ("http --fresh never", "not a number of seconds"),
            ("http --cache 99999999", "99999999 is not in 0..=1048576"),
            ("http a b", "unexpected argument 'b'"),
            ("http --directory a", "unexpected argument '--directory'"),
        ];
        for (line, reason) in cases {
            let error = parse(line).expect_err(line);
            assert!(error.contains(reason), "{line}: {error}");
        }
    }
}
