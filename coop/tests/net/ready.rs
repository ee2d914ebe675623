//! Waiting until a descriptor is ready, whoever's it is.

use coop::{Operation, op};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A stream of `std`'s, non-blocking, as a library without coop would have it.
fn pair() -> (UnixStream, UnixStream) {
    let (a, b) = UnixStream::pair().unwrap();
    a.set_nonblocking(true).unwrap();
    b.set_nonblocking(true).unwrap();
    (a, b)
}

#[coop::test]
fn a_librarys_connection_is_waited_for_and_the_call_made_by_hand() {
    let (mut ours, mut theirs) = pair();
    let reader = coop::spawn(move || -> std::io::Result<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            op::readable(&ours).wait()?;
            let mut buffer = [0; 4096];
            match ours.read(&mut buffer)? {
                0 => return Ok(all),
                n => all.extend_from_slice(&buffer[..n]),
            }
        }
    });
    let sent: Vec<u8> = (0..1_000_000u32).map(|i| i as u8).collect();
    let mut left = &sent[..];
    while !left.is_empty() {
        op::writable(&theirs).wait().unwrap();
        match theirs.write(left) {
            Ok(n) => left = &left[n..],
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
    }
    drop(theirs);
    let mut reader = reader;
    assert_eq!(reader.join().unwrap().unwrap(), sent);
}

#[coop::test(schedules = 20)]
fn it_is_an_arm_a_handle_and_ends_by_kills_and_deadlines() {
    let (ours, mut theirs) = pair();
    let first = coop::select! {
        ready = op::readable(&ours) => ready.map(|()| "readable"),
        ready = op::writable(&ours) => ready.map(|()| "writable"),
    };
    assert_eq!(first.unwrap().unwrap(), "writable");
    coop::scope(|s| -> std::io::Result<()> {
        let mut news = s.start(op::readable(&ours));
        let before = coop::select! {
            _ = &mut news => "news",
            _ = op::after(Duration::from_millis(1)) => "time",
        }?;
        assert_eq!(before, "time");
        theirs.write_all(b"x")?;
        coop::select! { ready = &mut news => ready? }?;
        Ok(())
    })
    .unwrap();
    // Nothing was taken by looking.
    assert_eq!((&ours).read(&mut [0; 8]).unwrap(), 1);
    let (waited, expired) = coop::deadline(Duration::from_millis(1), || op::readable(&ours).wait());
    assert!(coop::Killed::is(&waited.unwrap_err()) && expired.is_expired());
    let (task, done) = (ours.try_clone().unwrap(), coop::sync::Event::new());
    let mut waiter = coop::spawn(move || {
        let ended = op::readable(&task).wait();
        done.set();
        ended.map_err(|error| coop::Killed::is(&error))
    });
    coop::sleep(Duration::from_millis(1)).unwrap();
    waiter.kill();
    assert_eq!(waiter.join().unwrap(), Err(true));
}

#[coop::test]
fn ends_errors_and_files_are_ready() {
    let (ours, theirs) = pair();
    drop(theirs);
    op::readable(&ours).wait().unwrap();
    op::writable(&ours).wait().unwrap();
    // A reset connection.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    (&client).write_all(b"unread").unwrap();
    op::readable(&accepted).wait().unwrap();
    drop(accepted);
    op::readable(&client).wait().unwrap();
    assert_eq!((&client).read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    let file = std::fs::File::open("/proc/self/exe").unwrap();
    op::readable(&file).wait().unwrap();
    coop::scope(|s| s.start(op::readable(&file)).wait()).unwrap();
}

#[coop::test]
fn a_cloned_socket_is_the_same_connection_with_an_owner_of_its_own() {
    let (ours, theirs) = coop::net::UnixStream::pair().unwrap();
    let (reading, writing) = (ours.try_clone().unwrap(), ours);
    let mut reader = coop::spawn(move || {
        let mut buffer = [0; 8];
        let n = reading.recv(&mut buffer)?;
        std::io::Result::Ok(buffer[..n].to_vec())
    });
    coop::yield_now().unwrap();
    writing.send_all(b"ping").unwrap();
    // The one half may go while the other waits.
    drop(writing);
    let mut buffer = [0; 8];
    assert_eq!(theirs.recv(&mut buffer).unwrap(), 4);
    theirs.send_all(b"pong").unwrap();
    assert_eq!(reader.join().unwrap().unwrap(), b"pong");
    assert_eq!(theirs.recv(&mut buffer).unwrap(), 0, "both have gone");
    let listener = coop::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let again = listener.try_clone().unwrap();
    drop(listener);
    let client = coop::net::TcpStream::connect(again.local_addr().unwrap()).unwrap();
    let (accepted, _) = again.accept().unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(accepted.try_clone().unwrap().recv(&mut buffer).unwrap(), 0);
}

/// To a peer that sends no more, and does not read, who has something to send waits: in the kernel, not by asking it over and over.
/// (io_uring tells of the end of what the peer sends though nobody asks.)
#[test]
fn room_at_a_peer_that_sends_no_more_is_waited_for_asleep() {
    const NAME: &str = "waits-for-room";
    let enters = || {
        let all = coop::inspect::metrics().cooperators;
        all.iter().find(|each| &*each.name == NAME).unwrap().ring.enters
    };
    let full = || {
        let (ours, theirs) = coop::net::UnixStream::pair().unwrap();
        theirs.shutdown(std::net::Shutdown::Write).unwrap();
        while coop::select! { n = op::send(&ours, &[0; 65536]) => n.is_ok(), default => false }.unwrap() {}
        (ours, theirs)
    };
    let a_while = Duration::from_millis(100);
    let story = || {
        let before = enters();
        let (ours, theirs) = full();
        let sent = coop::select! {
            n = op::send(&ours, b"x") => n.unwrap(),
            _ = op::after(a_while) => 0,
        };
        assert_eq!(sent.unwrap(), 0);
        let (waited, _) = coop::deadline(a_while, || ours.send(b"x"));
        assert!(coop::Killed::is(&waited.unwrap_err()));
        let (waited, _) = coop::deadline(a_while, || ours.send_vectored(&[std::io::IoSlice::new(b"x")]));
        assert!(coop::Killed::is(&waited.unwrap_err()));
        coop::scope(|s| -> std::io::Result<()> {
            let mut room = s.start(op::writable(&ours));
            coop::select! {
                _ = &mut room => panic!("there is none"),
                _ = op::after(a_while) => {}
            }?;
            // It is news when there is.
            let mut buffer = vec![0; 1 << 20];
            while coop::select! { n = op::recv(&theirs, &mut buffer) => n? > 0, default => false }? {}
            coop::select! { ready = &mut room => ready? }?;
            Ok(())
        })
        .unwrap();
        let (ours, _theirs) = full();
        let ours = coop::future::Async::new(ours);
        let sent = coop::deadline(a_while, || {
            coop::block_on(std::future::poll_fn(|context| ours.poll_send(context, b"x"))).map(drop)
        });
        assert!(sent.1.is_expired(), "{sent:?}");
        let entered = enters() - before;
        assert!(entered < 500, "{entered} times in half a second");
    };
    coop::Builder::new().name(NAME).run(story).unwrap();
}
