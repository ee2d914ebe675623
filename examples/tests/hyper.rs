//! The `hyper` example against curl, and against hyper's own client, which runs over coop too.

mod common;

use std::{
    io::{ErrorKind, Read, Write},
    net::SocketAddr,
    process::Command,
    rc::Rc,
    thread,
    time::Duration,
};

use common::{Noise, PATIENCE, Program, connect, has_tool, output};
use coop::{
    block_on,
    future::{self, Async, Executor, Timer},
    net::TcpStream,
};
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, StatusCode, Version,
    body::{Bytes, Incoming},
    client::conn::{http1, http2},
};

const HYPER: &str = env!("CARGO_BIN_EXE_hyper");

fn start(arguments: &[&str]) -> Program {
    Program::start(HYPER, &[&["--port", "0"], arguments].concat())
}

fn url(server: &Program, path: &str) -> String {
    format!("http://{}{path}", server.address())
}

/// Runs curl; gives what it printed.
fn curl(arguments: &[&str]) -> String {
    let patience = PATIENCE.as_secs().to_string();
    let (code, printed, errors) = output("curl", &[&["-sS", "--max-time", &patience], arguments].concat());
    assert_eq!(code, Some(0), "curl {arguments:?}: {errors}");
    printed
}

#[test]
fn curl_is_answered_over_both_protocols() {
    if !has_tool("curl") {
        return;
    }
    let server = start(&[]);
    let says = "%{http_version} %{response_code} %{num_connects} ";
    for (protocol, version) in [("--http1.1", "1.1"), ("--http2-prior-knowledge", "2")] {
        assert!(curl(&[protocol, &url(&server, "/")]).contains("POST /echo"));
        assert_eq!(curl(&[protocol, "-d", "hello there", &url(&server, "/echo")]), "hello there");
        // (curl 7.88 itself fails at the second request of such a connection of HTTP/2: curl/curl#10634.)
        if version == "1.1" {
            let lines = curl(&[protocol, "-w", says, &url(&server, "/slow/1"), &url(&server, "/nowhere")]);
            assert!(lines.contains("1.1 200 1 ") && lines.contains("1.1 404 0 "), "{lines}");
        }
        assert!(curl(&[protocol, "-w", says, &url(&server, "/nowhere")]).ends_with(&format!("{version} 404 1 ")));
        let refused = [
            ("/echo", "405"),
            ("/slow/soon", "400"),
            ("/random/1048577", "400"),
            ("/random/-1", "400"),
            ("/slow", "400"),
        ];
        for (path, code) in refused {
            let answer = curl(&[protocol, "-o", "/dev/null", "-w", "%{response_code}", &url(&server, path)]);
            assert_eq!(answer, code, "{path}");
        }
        let head = curl(&[protocol, "-I", &url(&server, "/")]);
        assert!(head.contains("200") && head.contains("content-length"), "{head}");
        let size = curl(&[protocol, "-o", "/dev/null", "-w", "%{size_download}", &url(&server, "/random/100000")]);
        assert_eq!(size, "100000");
    }
    let ended = server.stop();
    assert_eq!((ended.printed, ended.errors.as_str()), (vec!["hyper stops; 0 connections have ended".to_owned()], ""));
}

#[test]
fn the_tree_of_tasks_shows_the_connection_and_the_stream() {
    if !has_tool("curl") {
        return;
    }
    let server = start(&[]);
    let tree = curl(&["--http2-prior-knowledge", &url(&server, "/tasks")]);
    // The stream's task runs, below the connection's.
    let line = |text: &str| tree.lines().position(|line| line.contains(text)).unwrap_or_else(|| panic!("{tree}"));
    assert!(line("root #1") < line("connection #"), "{tree}");
    assert!(tree.contains("block_on at"), "{tree}");
    server.stop();
}

#[test]
fn a_request_that_comes_in_pieces_is_answered_and_a_silent_client_is_not_waited_for() {
    let server = start(&["--patience", "0.5"]);
    let mut silent = server.connect();
    let mut slow = server.connect();
    for piece in ["GET /slow/", "1 HTTP/1.1\r\nhost: here\r\n", "connection: close\r\n\r\n"] {
        slow.write_all(piece.as_bytes()).unwrap();
        thread::sleep(Duration::from_millis(20));
    }
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with(" ms later\n"), "{answer}");
    assert_eq!(silent.read(&mut [0; 8]).unwrap(), 0, "it is closed");
    // One that begins a head, and does not end it, hears that its time is up, or only the end.
    let mut half = server.connect();
    half.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    answer.clear();
    match half.read_to_string(&mut answer) {
        Ok(_) => assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    server.stop();
}

#[test]
fn what_is_no_http_ends_one_connection_and_no_other() {
    let server = start(&[]);
    let mut good = server.connect();
    let mut bad = server.connect();
    bad.write_all(b"\x16\x03\x01 this is no HTTP\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = bad.read_to_end(&mut answer);
    good.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    good.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200 OK"), "{answer}");
    server.stop();
}

fn request(method: Method, path: &str, body: &[u8]) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri(format!("http://server{path}")).header("host", "server");
    request.body(Full::new(Bytes::copy_from_slice(body))).unwrap()
}

async fn text_of(body: Incoming) -> String {
    String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// A client of HTTP/1.1: its connection runs in a task of its own.
async fn http1(address: SocketAddr) -> http1::SendRequest<Full<Bytes>> {
    let conn = future::in_task(move || TcpStream::connect(address)).await.unwrap().unwrap();
    let (sender, connection) = http1::handshake(Async::new(conn)).await.unwrap();
    Executor::new().spawn(connection);
    sender
}

async fn http2(address: SocketAddr) -> http2::SendRequest<Full<Bytes>> {
    let conn = TcpStream::connect(address).unwrap();
    let mut builder = http2::Builder::new(Executor::new());
    let (sender, connection) = builder.timer(Timer).handshake(Async::new(conn)).await.unwrap();
    Executor::new().spawn(connection);
    sender
}

#[test]
fn hypers_client_over_coop_talks_http1() {
    let server = start(&[]);
    let address = server.address();
    coop::run(|| {
        block_on(async {
            let mut sender = http1(address).await;
            for round in 0..50 {
                let response = sender.send_request(request(Method::GET, "/", b"")).await.unwrap();
                assert_eq!((response.status(), response.version()), (StatusCode::OK, Version::HTTP_11));
                assert!(text_of(response.into_body()).await.contains("/echo"));
                let body = format!("round {round}");
                let response = sender.send_request(request(Method::POST, "/echo", body.as_bytes())).await.unwrap();
                assert_eq!(text_of(response.into_body()).await, body);
            }
        })
        .unwrap();
    });
    server.stop();
}

#[test]
fn bodies_larger_than_any_buffer_go_both_ways_at_once() {
    let server = start(&[]);
    let address = server.address();
    let bytes = Noise::new(7).bytes(8 << 20);
    coop::run(|| {
        block_on(async {
            let mut first = http1(address).await;
            let mut second = http2(address).await;
            let echoes = async |body: Incoming| body.collect().await.unwrap().to_bytes();
            let one = first.send_request(request(Method::POST, "/echo", &bytes)).await.unwrap();
            assert_eq!(echoes(one.into_body()).await, bytes);
            let two = second.send_request(request(Method::POST, "/echo", &bytes)).await.unwrap();
            assert_eq!(two.version(), Version::HTTP_2);
            assert_eq!(echoes(two.into_body()).await, bytes);
        })
        .unwrap();
    });
    server.stop();
}

#[test]
fn a_hundred_streams_share_one_connection_of_http2() {
    let server = start(&[]);
    let address = server.address();
    let order = coop::run(|| {
        let order = Rc::new(std::cell::RefCell::new(Vec::new()));
        let sender = block_on(http2(address)).unwrap();
        let mut tasks: Vec<_> = (0..100u64)
            .rev()
            .map(|n| {
                let (mut sender, order) = (sender.clone(), order.clone());
                Executor::new().spawn(async move {
                    let path = format!("/slow/{}", n * 3);
                    let response = sender.send_request(request(Method::GET, &path, b"")).await.unwrap();
                    assert!(text_of(response.into_body()).await.ends_with(" ms later\n"));
                    order.borrow_mut().push(n);
                })
            })
            .collect();
        drop(sender);
        tasks.iter_mut().for_each(|task| task.join().unwrap().unwrap());
        order.take()
    });
    assert_eq!(order.len(), 100);
    // What was asked first is answered last.
    assert!(order.iter().position(|n| *n == 0) < order.iter().position(|n| *n == 99), "{order:?}");
    server.stop();
}

#[test]
fn a_hundred_connections_at_once() {
    let server = start(&[]);
    let address = server.address();
    coop::run(|| {
        let mut clients: Vec<_> = (0..100)
            .map(|n| {
                Executor::new().spawn(async move {
                    let mut sender = if n % 2 == 0 { Ok(http1(address).await) } else { Err(http2(address).await) };
                    for round in 0..10 {
                        let body = format!("{n} {round}");
                        let request = request(Method::POST, "/echo", body.as_bytes());
                        let response = match &mut sender {
                            Ok(sender) => sender.send_request(request).await.unwrap(),
                            Err(sender) => sender.send_request(request).await.unwrap(),
                        };
                        assert_eq!(text_of(response.into_body()).await, body);
                    }
                })
            })
            .collect();
        clients.iter_mut().for_each(|client| client.join().unwrap().unwrap());
    });
    server.stop();
}

#[test]
fn ctrl_c_lets_what_was_asked_be_answered() {
    let server = start(&[]);
    let address = server.address();
    let mut idle = server.connect();
    idle.write_all(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n").unwrap();
    // A first answer says that the connection is served.
    assert!(idle.read(&mut [0; 4096]).unwrap() > 0);
    let (asked, was_asked) = std::sync::mpsc::channel();
    let client = thread::spawn(move || {
        coop::run(|| {
            let (mut first, mut second) = block_on(async { (http1(address).await, http2(address).await) }).unwrap();
            block_on(async {
                // Both are served before what counts is asked.
                for response in [
                    first.send_request(request(Method::GET, "/", b"")).await,
                    second.send_request(request(Method::GET, "/", b"")).await,
                ] {
                    text_of(response.unwrap().into_body()).await;
                }
            })
            .unwrap();
            let slow = request(Method::GET, "/slow/500", b"");
            let mut both = [
                Executor::new().spawn(first.send_request(slow.clone())),
                Executor::new().spawn(second.send_request(slow)),
            ];
            coop::sleep(Duration::from_millis(100)).unwrap();
            asked.send(()).unwrap();
            for response in &mut both {
                let response = response.join().unwrap().unwrap().unwrap();
                assert!(block_on(text_of(response.into_body())).unwrap().ends_with(" ms later\n"));
            }
            // What is asked now is too late.
            assert!(block_on(first.send_request(request(Method::GET, "/", b""))).unwrap().is_err());
        });
    });
    was_asked.recv_timeout(PATIENCE).unwrap();
    server.signal(libc::SIGINT);
    assert_eq!(idle.read(&mut [0; 8]).unwrap(), 0, "an idle connection is closed");
    client.join().unwrap();
    let ended = server.wait();
    assert!(ended.status.success());
    assert_eq!(ended.printed, ["hyper stops; 3 connections have ended"]);
    assert!(std::net::TcpStream::connect(address).is_err(), "nobody listens");
}

#[test]
fn what_takes_longer_than_the_grace_is_killed() {
    let server = start(&["--grace", "0.2"]);
    let mut slow = server.connect();
    slow.write_all(b"GET /slow/1000000 HTTP/1.1\r\nhost: here\r\n\r\n").unwrap();
    // An answer to somebody else says that this one is under way.
    let mut other = connect(server.address());
    other.write_all(b"GET /slow/50 HTTP/1.0\r\n\r\n").unwrap();
    let _ = other.read_to_end(&mut Vec::new());
    let ended = server.stop();
    assert_eq!(ended.printed, ["hyper stops; not all of 1 connections have ended in time"]);
    assert_eq!(slow.read(&mut [0; 8]).unwrap(), 0);
}

#[test]
fn it_says_how_it_is_called() {
    let (code, printed, _) = output(HYPER, &["--help"]);
    assert_eq!(code, Some(0));
    assert!(printed.contains("--grace <SECONDS>") && printed.contains("--patience <SECONDS>"), "{printed}");
    for (arguments, says) in [
        (&["--prot", "1"][..], "unexpected argument"),
        (&["--port", "70000"], "invalid value"),
        (&["--grace", "0"], "more than 0"),
        (&["--patience", "soon"], "not a number of seconds"),
    ] {
        let (code, _, errors) = output(HYPER, arguments);
        assert_eq!(code, Some(2), "{arguments:?}");
        assert!(errors.contains(says), "{arguments:?}: {errors}");
    }
    let server = start(&[]);
    let port = server.address().port().to_string();
    let (code, _, errors) = output(HYPER, &["--port", &port]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("hyper: cannot listen at 127.0.0.1"), "{errors}");
    let mut command = Command::new(HYPER);
    command.args(["--bind", "nowhere"]);
    assert_eq!(Program::spawn(&mut command).wait().status.code(), Some(2));
    server.stop();
}
