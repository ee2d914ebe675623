//! The command line, and what rustls makes of it.

use std::{io, net::SocketAddr, path::Path, path::PathBuf, sync::Arc, time::Duration};

use clap::Parser;
use examples::while_doing;
use rustls::{
    ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};

/// Takes TLS connections and passes on what is in them, or the other way round.
#[derive(Parser, Clone, Debug)]
#[command(name = "tls-proxy")]
pub struct Options {
    /// Address to listen at; port 0 lets the kernel choose
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7002")]
    pub listen: SocketAddr,

    /// Where connections go. A name is looked up for each; of several addresses the first that answers is used
    #[arg(long, value_name = "HOST:PORT", value_parser = upstream)]
    pub upstream: String,

    /// Take plain connections, and speak TLS with the upstream
    #[arg(long, requires = "ca", conflicts_with_all = ["certificate", "key"])]
    client: bool,

    /// PEM file with the certificate to show, and those between it and the one that clients know
    #[arg(long, value_name = "FILE", required_unless_present = "client")]
    certificate: Option<PathBuf>,

    /// PEM file with the certificate's private key
    #[arg(long, value_name = "FILE", required_unless_present = "client")]
    key: Option<PathBuf>,

    /// PEM file with the certificates one of which must vouch for the upstream's
    #[arg(long, value_name = "FILE", requires = "client")]
    ca: Option<PathBuf>,

    /// Name the upstream's certificate must be for, instead of the upstream's own
    #[arg(long, value_name = "NAME", requires = "client")]
    server_name: Option<String>,

    /// Protocols to agree on by ALPN, the best first
    #[arg(long, value_name = "PROTOCOL,…", value_delimiter = ',', value_parser = protocol)]
    alpn: Vec<String>,

    /// Seconds a handshake may take; fractions are allowed
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = examples::seconds)]
    pub handshake_timeout: Duration,

    /// Seconds to wait for the upstream to answer
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = examples::seconds)]
    pub connect_timeout: Duration,

    /// Seconds after which a connection on which nothing moves, in either direction, is ended
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = examples::seconds)]
    pub idle: Duration,

    /// How many connections there may be at once; more are turned away
    #[arg(long, value_name = "N", default_value = "1024", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_connections: u32,

    /// Seconds that a peer has, when the proxy stops, to read what was on its way to it
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = examples::seconds)]
    pub grace: Duration,

    /// Say for each connection what was agreed on
    #[arg(long)]
    pub verbose: bool,
}

/// Which side of TLS the proxy is, and what it needs for that.
pub enum Side {
    Server(Arc<ServerConfig>),
    Client(Arc<ClientConfig>, ServerName<'static>),
}

impl Side {
    /// Reads the files.
    ///
    /// # Errors
    /// What is wrong with them, and with which.
    pub fn new(options: &Options) -> io::Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let alpn = options.alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let Options { certificate, key, ca, .. } = options;
        match (certificate, key, ca) {
            (Some(chain), Some(key), _) => {
                let certificates = certificates(chain)?;
                let key = PrivateKeyDer::from_pem_file(key).map_err(cannot_use(key))?;
                let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
                let builder = builder.map_err(io::Error::other)?.with_no_client_auth();
                let mut config = builder.with_single_cert(certificates, key).map_err(cannot_use(chain))?;
                config.alpn_protocols = alpn;
                Ok(Self::Server(Arc::new(config)))
            }
            (.., Some(ca)) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(ca)? {
                    roots.add(certificate).map_err(cannot_use(ca))?;
                }
                let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
                let builder = builder.map_err(io::Error::other)?.with_root_certificates(roots);
                let mut config = builder.with_no_client_auth();
                config.alpn_protocols = alpn;
                let name = options.server_name.as_deref().unwrap_or_else(|| host(&options.upstream));
                let name = ServerName::try_from(name.to_owned());
                let name = name.map_err(|error| io::Error::other(format!("no name of a server: {error}")))?;
                Ok(Self::Client(Arc::new(config), name))
            }
            // The command line has been checked.
            _ => Err(io::Error::other("neither a certificate with its key nor certificates to trust in")),
        }
    }

    /// The state of a new connection.
    ///
    /// # Errors
    /// That rustls cannot use the configuration.
    pub fn connection(&self) -> io::Result<Connection> {
        match self {
            Self::Server(config) => ServerConnection::new(config.clone()).map(Connection::from),
            Self::Client(config, name) => ClientConnection::new(config.clone(), name.clone()).map(Connection::from),
        }
        .map_err(io::Error::other)
    }
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_file_iter(path).map_err(cannot_use(path))?;
    let certificates: Vec<_> = certificates.collect::<Result<_, _>>().map_err(cannot_use(path))?;
    if certificates.is_empty() {
        return Err(cannot_use(path)("there is no certificate in it"));
    }
    Ok(certificates)
}

fn cannot_use<E: ToString>(path: &Path) -> impl FnOnce(E) -> io::Error {
    let doing = while_doing(format!("cannot use {}", path.display()));
    move |error| doing(io::Error::other(error.to_string()))
}

fn upstream(text: &str) -> Result<String, String> {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(text.to_owned()),
        _ => Err("not a host and a port, as in example.org:443".into()),
    }
}

fn host(upstream: &str) -> &str {
    let host = upstream.rsplit_once(':').map_or(upstream, |(host, _)| host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn protocol(text: &str) -> Result<String, String> {
    if (1..=255).contains(&text.len()) { Ok(text.to_owned()) } else { Err("not of 1 to 255 bytes".into()) }
}
