//! rustls: TLS over coop's streams, by its blocking `StreamOwned`.

mod common;

use common::{Directory, Program, address_in, has_tool, killed, killed_while, noise, pair, run};
use coop::Killed;
use coop::net::{TcpListener, TcpStream};
use coop::sync::Barrier;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use std::cell::Cell;
use std::io::{self, ErrorKind, Read, Write};
use std::process::Command;
use std::sync::Arc;

/// Both sides' configurations, and as files for other programs `ca.pem`, `cert.pem` and `key.pem`.
struct Tls {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    files: Directory,
}

impl Tls {
    fn new() -> Tls {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "the authority of this test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let files = Directory::new();
        files.write("ca.pem", issuer.pem());
        files.write("cert.pem", certificate.pem());
        files.write("key.pem", key.serialize_pem());

        let mut roots = RootCertStore::empty();
        roots.add(issuer.der().clone()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let client = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let client = client.unwrap().with_root_certificates(roots).with_no_client_auth();
        let server = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let server = server.unwrap().with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key);
        Tls { client: Arc::new(client), server: Arc::new(server.unwrap()), files }
    }

    fn client(&self, conn: TcpStream) -> StreamOwned<ClientConnection, TcpStream> {
        let name = ServerName::try_from("localhost").unwrap();
        StreamOwned::new(ClientConnection::new(self.client.clone(), name).unwrap(), conn)
    }

    fn server(&self, conn: TcpStream) -> StreamOwned<ServerConnection, TcpStream> {
        StreamOwned::new(ServerConnection::new(self.server.clone()).unwrap(), conn)
    }
}

#[test]
fn a_server_answers_openssl() {
    if !has_tool(&["openssl", "version"]) {
        return;
    }
    let tls = Tls::new();
    let content = noise(1, 3_000_000);
    run(|| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let mut command = Command::new("openssl");
        command.args(["s_client", "-quiet", "-verify_return_error", "-verify_hostname", "localhost", "-CAfile"]);
        command.arg(tls.files.path("ca.pem")).arg("-connect").arg(listener.local_addr()?.to_string());
        let (mut openssl, typed) = Program::connected(&mut command);
        let mut server = tls.server(listener.accept()?.0);
        coop::scope(|s| {
            s.try_spawn(|| typed.send_all(&content));
            let mut got = vec![0; content.len()];
            server.read_exact(&mut got)?;
            assert!(got == content);
            Ok::<_, io::Error>(())
        })?;
        coop::scope(|s| {
            s.try_spawn(|| {
                let mut got = vec![0; content.len()];
                typed.recv_exact(&mut got)?;
                assert!(got == content);
                Ok(())
            });
            server.write_all(&content)?;
            server.conn.send_close_notify();
            server.flush()
        })?;
        // It answers the end with the end, and ends.
        assert_eq!(server.read(&mut [0])?, 0);
        assert!(openssl.ended()?.success());
        Ok(())
    });
}

#[test]
fn a_client_asks_openssl() {
    if !has_tool(&["openssl", "version"]) {
        return;
    }
    let tls = Tls::new();
    let mut command = Command::new("openssl");
    command.args(["s_server", "-accept", "127.0.0.1:0", "-rev", "-cert"]).arg(tls.files.path("cert.pem"));
    command.arg("-key").arg(tls.files.path("key.pem"));
    let openssl = Program::start(&mut command);
    let address = address_in(&openssl.line_with("ACCEPT "));
    run(|| {
        let mut client = tls.client(TcpStream::connect(address)?);
        for n in 0..100 {
            client.write_all(format!("line {n:03}\n").as_bytes())?;
            let mut answer = [0; 9];
            client.read_exact(&mut answer)?;
            let reversed: String = format!("line {n:03}").chars().rev().collect();
            assert_eq!(answer, *format!("{reversed}\n").as_bytes());
        }
        client.conn.send_close_notify();
        client.flush()?;
        assert_eq!(client.read(&mut [0])?, 0);
        Ok(())
    });
}

#[test]
fn two_hundred_handshakes_at_once_on_one_thread() {
    const CLIENTS: usize = 200;
    let tls = Tls::new();
    run(|| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let all_have_begun = Barrier::new(CLIENTS);
        let answered = Cell::new(0);
        coop::scope(|s| {
            s.try_spawn(|| {
                coop::scope(|sessions| {
                    for _ in 0..CLIENTS {
                        let conn = listener.accept()?.0;
                        sessions.try_spawn(|| {
                            let mut server = tls.server(conn);
                            let mut name = [0; 8];
                            server.read_exact(&mut name)?;
                            server.write_all(&name)?;
                            answered.set(answered.get() + 1);
                            assert_eq!(server.read(&mut name)?, 0, "the client says that this was all");
                            Ok(())
                        });
                    }
                    Ok::<_, io::Error>(())
                })
            });
            for n in 0..CLIENTS {
                let (tls, all_have_begun) = (&tls, &all_have_begun);
                s.try_spawn(move || {
                    let mut client = tls.client(TcpStream::connect(address)?);
                    // Its hello is on the way; the server's answer waits for every other client's.
                    client.conn.write_tls(&mut client.sock)?;
                    all_have_begun.wait()?;
                    client.write_all(&n.to_le_bytes())?;
                    let mut answer = [0; 8];
                    client.read_exact(&mut answer)?;
                    assert_eq!(usize::from_le_bytes(answer), n);
                    client.conn.send_close_notify();
                    client.flush()
                });
            }
            Ok(())
        })?;
        assert_eq!(answered.get(), CLIENTS);
        Ok(())
    });
}

#[test]
fn a_kill_reaches_through_it() {
    let tls = Tls::new();
    let (client, server) = (tls.client.clone(), tls.server.clone());
    run(|| {
        // In the handshake, on either side.
        let mut error = killed(|conn| {
            let name = ServerName::try_from("localhost").unwrap();
            let client = ClientConnection::new(client, name).unwrap();
            StreamOwned::new(client, conn).write_all(b"hello").unwrap_err()
        })?;
        assert!(Killed::is(&error));
        error = killed(|conn| {
            let server = ServerConnection::new(server).unwrap();
            StreamOwned::new(server, conn).read(&mut [0]).unwrap_err()
        })?;
        assert!(Killed::is(&error));

        // After it, while it reads; the other side can tell that the connection was cut.
        let (ours, theirs) = pair()?;
        let (mut client, mut server) = (tls.client(ours), tls.server(theirs));
        let mut serving = coop::spawn(move || server.read(&mut [0; 16]).map(|n| (n, server)));
        client.write_all(b"hello")?;
        let (n, mut server) = serving.join()??;
        assert_eq!(n, 5);
        error = killed_while(move || {
            server.write_all(b"more?").unwrap();
            server.read(&mut [0; 16]).unwrap_err()
        })?;
        assert!(Killed::is(&error));
        let mut rest = Vec::new();
        assert_eq!(client.read_to_end(&mut rest).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(rest, b"more?");
        Ok(())
    });
}
