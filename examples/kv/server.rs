//! What all connections share: the data, the subscriptions, and the figures that `INFO` reports.

use std::{
    cell::RefCell,
    fmt::{Display, Write},
    rc::Rc,
};

use crate::{
    options::Options,
    pubsub::{Mailbox, PubSub},
    store::{Millis, Store},
};

/// The version of Redis whose answers these are.
pub const REDIS_VERSION: &str = "7.0.15";

/// The state of a server, without its sockets.
pub struct Server<M> {
    /// The data.
    pub store: Store,
    /// Who listens to which channel.
    pub pubsub: PubSub<M>,
    /// How it was started.
    pub options: Options,
    /// What has happened since.
    pub stats: Stats,
}

/// A server, as its connections hold it. It is borrowed while requests run, and never across a wait.
pub type Shared<M> = Rc<RefCell<Server<M>>>;

/// Figures of a server.
#[derive(Default)]
pub struct Stats {
    /// When it started.
    pub started: Millis,
    /// Connections now.
    pub connected: u32,
    /// Connections ever accepted; the last one's id.
    pub connections: u64,
    /// Connections turned away because there were too many.
    pub rejected: u64,
    /// Commands processed.
    pub commands: u64,
}

impl<M: Mailbox> Server<M> {
    /// An empty server that started at `now`.
    pub fn new(options: Options, now: Millis) -> Shared<M> {
        let stats = Stats { started: now, ..Stats::default() };
        Rc::new(RefCell::new(Self { store: Store::new(), pubsub: PubSub::new(), options, stats }))
    }

    /// The text of `INFO` with the sections that `wanted` picks.
    pub fn info(&self, now: Millis, wanted: impl Fn(&str) -> bool) -> String {
        let (stats, store, options) = (&self.stats, &self.store, &self.options);
        let uptime = now.saturating_sub(stats.started) / 1000;
        let sections: [(&str, &[(&str, &dyn Display)]); 4] = [
            (
                "Server",
                &[
                    ("redis_version", &REDIS_VERSION),
                    ("redis_mode", &"standalone"),
                    ("runtime", &"coop"),
                    ("os", &std::env::consts::OS),
                    ("arch_bits", &usize::BITS),
                    ("process_id", &std::process::id()),
                    ("tcp_port", &options.port),
                    ("uptime_in_seconds", &uptime),
                    ("uptime_in_days", &(uptime / 86_400)),
                ],
            ),
            ("Clients", &[("connected_clients", &stats.connected), ("maxclients", &options.maxclients)]),
            (
                "Stats",
                &[
                    ("total_connections_received", &stats.connections),
                    ("total_commands_processed", &stats.commands),
                    ("rejected_connections", &stats.rejected),
                    ("expired_keys", &store.expired()),
                    ("pubsub_channels", &self.pubsub.channels()),
                ],
            ),
            ("Keyspace", &[]),
        ];
        let mut text = String::new();
        for (name, figures) in sections.into_iter().filter(|(name, _)| wanted(name)) {
            let gap = if text.is_empty() { "" } else { "\r\n" };
            // Writing to a String cannot fail.
            let _ = write!(text, "{gap}# {name}\r\n");
            for (figure, value) in figures {
                let _ = write!(text, "{figure}:{value}\r\n");
            }
            if name == "Keyspace" && store.len() > 0 {
                let _ = write!(text, "db0:keys={},expires={},avg_ttl=0\r\n", store.len(), store.expiring());
            }
        }
        text
    }

    /// The settings that `CONFIG GET` can ask for, under Redis's names.
    pub fn settings(&self) -> [(&'static str, String); 9] {
        let Options { port, bind, maxclients, max_query_buffer } = &self.options;
        [
            ("appendonly", "no".into()),
            ("bind", bind.to_string()),
            ("client-query-buffer-limit", max_query_buffer.to_string()),
            ("databases", "1".into()),
            ("maxclients", maxclients.to_string()),
            ("port", port.to_string()),
            ("proto-max-bulk-len", crate::resp::MAX_BULK.to_string()),
            ("save", String::new()),
            ("timeout", "0".into()),
        ]
    }
}
