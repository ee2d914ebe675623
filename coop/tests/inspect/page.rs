//! The status page: what it answers, whom it refuses, and how it looks in a browser.

use coop::inspect::serve;
use coop::net::TcpStream;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The answer to these bytes.
fn ask(address: SocketAddr, request: &str) -> String {
    let mut conn = TcpStream::connect(address).unwrap();
    conn.send_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    conn.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

fn get(address: SocketAddr, path: &str) -> String {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: */*\r\n\r\n"))
}

#[coop::task(name = "<script>alert(1)</script>")]
fn hostile() -> Result<(), coop::Killed> {
    coop::sleep(Duration::from_secs(3600))
}

#[test]
fn every_page_answers_and_escapes_what_it_shows() {
    coop::run(|| {
        let page = serve("127.0.0.1:0").unwrap();
        let task = hostile::spawn();
        let address = page.local_addr();
        for path in ["/", "/state", "/?x=1"] {
            let html = get(address, path);
            assert!(html.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"), "{html}");
            assert!(html.contains("&lt;script&gt;alert(1)") && !html.contains("<script>alert"), "{path}");
            assert!(html.contains("<svg ") && html.contains("status-page") && html.contains("status-request"));
            assert!(!html.contains("http://") && !html.contains("https://"), "nothing from elsewhere");
            assert!(html.contains("Content-Security-Policy: default-src 'none'"));
        }
        let dump = get(address, "/dump");
        assert!(dump.contains("\r\n\r\nCooperator '") && dump.contains("  <script>alert(1)</script> #"), "{dump}");
        assert!(dump.contains("Content-Type: text/plain") && dump.contains("X-Content-Type-Options: nosniff"));
        let metrics = get(address, "/metrics");
        assert!(metrics.contains("text/plain; version=0.0.4") && metrics.contains("\ncoop_tasks_live{"), "{metrics}");
        let timeline = get(address, "/timeline.json");
        let (_, json) = timeline.split_once("\r\n\r\n").unwrap();
        serde_json::from_str::<serde_json::Value>(json).unwrap();
        assert!(get(address, "/nowhere").starts_with("HTTP/1.1 404 "));
        task.kill();
        page.stop();
    });
}

#[test]
fn head_has_no_body_and_nothing_else_is_a_method() {
    coop::run(|| {
        let page = serve("127.0.0.1:0").unwrap();
        let address = page.local_addr();
        let head = ask(address, "HEAD /dump HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "get"] {
            let answer = ask(address, &format!("{method} / HTTP/1.1\r\nHost: localhost\r\n\r\n"));
            assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("\r\nAllow: GET, HEAD\r\n"), "{answer}");
        }
        page.stop();
    });
}

#[test]
fn it_refuses_other_hosts_long_requests_and_other_addresses() {
    coop::run(|| {
        let page = serve("127.0.0.1:0").unwrap();
        let address = page.local_addr();
        let foreign = ask(address, "GET / HTTP/1.1\r\nHost: rebound.example.org\r\n\r\n");
        assert!(foreign.starts_with("HTTP/1.1 403 "), "{foreign}");
        assert!(ask(address, "GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400 "), "no host");
        let long = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(20_000));
        assert!(ask(address, &long).starts_with("HTTP/1.1 431 "));
        assert!(ask(address, "\u{16}\u{3}\u{1}\r\n\r\n").starts_with("HTTP/1.1 400 "));
        page.stop();
        let error = serve("0.0.0.0:0").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    });
}

#[test]
fn slow_and_silent_clients_hold_up_nobody() {
    coop::run(|| {
        let page = serve("127.0.0.1:0").unwrap();
        let address = page.local_addr();
        let silent: Vec<TcpStream> = (0..7).map(|_| TcpStream::connect(address).unwrap()).collect();
        silent.iter().for_each(|conn| conn.send_all(b"GET / HT").unwrap());
        assert!(get(address, "/dump").starts_with("HTTP/1.1 200 "), "one of eight is free");
        drop(silent);
        page.stop();
    });
}

#[test]
fn trees_of_all_cooperators_are_on_it() {
    coop::Builder::new()
        .name("first")
        .cooperators(2)
        .run(|| {
            let page = serve("127.0.0.1:0").unwrap();
            #[coop::task]
            fn elsewhere() -> Result<(), coop::Killed> {
                coop::sleep(Duration::from_secs(3600))
            }
            let other = coop::cooperators().get(1).unwrap().clone();
            let _task = elsewhere::submit(&other).map_err(drop).unwrap();
            coop::sleep(Duration::from_millis(20)).unwrap();
            let dump = get(page.local_addr(), "/dump");
            assert!(dump.contains("Cooperator 'first', ") && dump.contains("  elsewhere #2: sleep"), "{dump}");
        })
        .unwrap();
}

/// Whether a program is there. Where it must be (`CI=true`) its absence is a failure.
fn has(program: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()));
    if !found {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{program} is not installed");
        eprintln!("skipped: {program} is not installed");
    }
    found
}

/// What a program says, run on a thread: this one has the page to serve.
fn output(mut command: Command) -> std::process::Output {
    coop::unblock(move || command.output()).unwrap().unwrap()
}

#[test]
fn curl_reads_it() {
    if !has("curl") {
        return;
    }
    coop::run(|| {
        let page = serve("localhost:0").unwrap();
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "20", "-w", " %{http_code}"]).arg(format!("http://{}/dump", page.local_addr()));
        let said = String::from_utf8(output(curl).stdout).unwrap();
        assert!(said.ends_with(" 200") && said.contains("root #1: "), "{said}");
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "20", "-H", "Host: example.org", "-o", "/dev/null", "-w", "%{http_code}"]);
        curl.arg(format!("http://{}/", page.local_addr()));
        assert_eq!(output(curl).stdout, b"403");
        page.stop();
    });
}

/// Work to look at: some wait, some compute, some talk.
#[coop::task(stack = "64k")]
fn session(conn: coop::net::UnixStream) -> io::Result<()> {
    let mut buf = [0; 64];
    while let n @ 1.. = conn.recv(&mut buf)? {
        // Some tenths of a millisecond: enough to be seen, and not to be foreseen by the compiler.
        (0..200_000u64).fold(0, |sum, number| std::hint::black_box(sum + number));
        conn.send_all(&buf[..n])?;
    }
    Ok(())
}

#[coop::task]
fn client(conn: coop::net::UnixStream) -> io::Result<()> {
    loop {
        conn.send_all(b"ping")?;
        conn.recv(&mut [0; 64])?;
        coop::sleep(Duration::from_millis(2))?;
    }
}

#[test]
fn a_browser_shows_it() {
    if !has("chromium") {
        return;
    }
    coop::Builder::new()
        .name("shown")
        .run(|| {
            let pairs = (0..4).map(|_| coop::net::UnixStream::pair().unwrap());
            let tasks: Vec<_> = pairs.map(|(near, far)| (session::spawn(far), client::spawn(near))).collect();
            let _sleeper = hostile::builder().daemon().spawn();
            let page = serve("127.0.0.1:0").unwrap();
            let folder = std::env::temp_dir().join(format!("coop-page-{}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            let chromium = |arguments: &[&str]| {
                let mut command = Command::new("chromium");
                command.args([
                    "--headless",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--no-first-run",
                    "--window-size=1240,1500",
                ]);
                command.arg(format!("--user-data-dir={}", folder.join("profile").display())).args(arguments);
                command.arg(format!("http://{}/", page.local_addr()));
                output(command)
            };
            // After the scripts have run: the page has asked for its state at least once. A machine that is busy may have run no task
            // meanwhile for long enough to be seen.
            let parts = [
                "session",
                "client",
                "status-request",
                "id=\"live\">live<",
                "<svg viewBox",
                "class=\"run\"",
                "&lt;script&gt;alert",
            ];
            let mut missing = None;
            for _ in 0..10 {
                let dom = chromium(&["--virtual-time-budget=5000", "--dump-dom"]);
                let dom = String::from_utf8_lossy(&dom.stdout).into_owned();
                missing = parts.iter().find(|part| !dom.contains(**part)).map(|part| (part, dom));
                if missing.is_none() {
                    break;
                }
            }
            if let Some((part, dom)) = missing {
                panic!("{part:?} in\n{dom}");
            }
            // Where it can be looked at, if somebody says where.
            let shots = std::env::var_os("COOP_SCREENSHOTS").map_or(folder.clone(), Into::into);
            for (name, option) in [("light", None), ("dark", Some("--blink-settings=preferredColorScheme=0"))] {
                let png = shots.join(format!("{name}.png"));
                let screenshot = format!("--screenshot={}", png.display());
                let arguments: Vec<&str> = std::iter::once(screenshot.as_str()).chain(option).collect();
                let said = chromium(&arguments);
                assert!(is_picture(&png), "{}", String::from_utf8_lossy(&said.stderr));
            }
            for (session, client) in tasks {
                client.kill();
                session.kill();
            }
            page.stop();
            std::fs::remove_dir_all(&folder).unwrap();
        })
        .unwrap();
}

/// Whether there is something to be seen: an empty page is a few kilobytes at that size.
fn is_picture(png: &Path) -> bool {
    let bytes = std::fs::read(png).unwrap_or_default();
    bytes.starts_with(b"\x89PNG") && bytes.len() > 30_000
}
