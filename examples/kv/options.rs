//! The command line.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use clap::Parser;

/// A key-value store that speaks the Redis protocol, on coop tasks.
#[derive(Parser, Clone, Debug, PartialEq, Eq)]
#[command(name = "kv")]
pub struct Options {
    /// Port to listen on; 0 lets the kernel choose
    #[arg(long, default_value_t = 7379)]
    pub port: u16,

    /// Address to listen on. There are no passwords: leave it a loopback address
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub bind: IpAddr,

    /// Connections at one time; more are told so and closed
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub maxclients: u32,

    /// Bytes one client may have sent that make no complete request yet, at least 1mb; beyond, it is disconnected
    #[arg(long, default_value = "1gb", value_name = "SIZE", value_parser = query_buffer)]
    pub max_query_buffer: usize,
}

impl Options {
    /// Where to listen.
    pub fn address(&self) -> SocketAddr {
        (self.bind, self.port).into()
    }
}

fn query_buffer(text: &str) -> Result<usize, String> {
    match size(text) {
        Some(bytes @ 0x10_0000..) => Ok(bytes),
        Some(_) => Err("less than 1mb".into()),
        None => Err("not a size: a number of bytes, or with a unit, as in 512kb, 64mb, 1gb".into()),
    }
}

/// A number of bytes the way redis.conf writes it: `1k` is 1000, `1kb` is 1024.
fn size(text: &str) -> Option<usize> {
    let text = text.to_ascii_lowercase();
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let unit = match unit {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    digits.parse::<usize>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::try_parse_from(line.split_whitespace()).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults() {
        let options = parse("kv").expect("no option is required");
        assert_eq!(options.address().to_string(), "127.0.0.1:7379");
        assert_eq!((options.maxclients, options.max_query_buffer), (10_000, 1 << 30));
    }

    #[test]
    fn everything_can_be_set() {
        let options = parse("kv --port 0 --bind ::1 --maxclients 3 --max-query-buffer 2MB").expect("all well formed");
        assert_eq!(options.address().to_string(), "[::1]:0");
        assert_eq!((options.maxclients, options.max_query_buffer), (3, 2 << 20));
    }

    #[test]
    fn sizes() {
        let cases =
            [("1", 1), ("7b", 7), ("2k", 2000), ("2kb", 2048), ("3M", 3_000_000), ("3mb", 3 << 20), ("1gB", 1 << 30)];
        for (text, bytes) in cases {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "mb", "1tb", "-1", "1.5mb", "1 mb", "99999999999gb"] {
            assert_eq!(size(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_refused_with_a_reason() {
        let cases = [
            ("kv --port 70000", "70000 is not in 0..=65535"),
            ("kv --bind localhost", "invalid IP address syntax"),
            ("kv --maxclients 0", "0 is not in 1.."),
            ("kv --max-query-buffer 1k", "less than 1mb"),
            ("kv --max-query-buffer big", "not a size"),
            ("kv --appendonly yes", "unexpected argument '--appendonly'"),
            ("kv redis.conf", "unexpected argument 'redis.conf'"),
        ];
        for (line, reason) in cases {
            let error = parse(line).expect_err(line);
            assert!(error.contains(reason), "{line}: {error}");
        }
    }
}
