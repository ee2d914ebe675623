//! `future::Async`: descriptors for futures.

use super::child::{child, descriptors};
use super::{Stopped, Trace, let_others_run, milliseconds};
use coop::future::{self, Async};
use coop::net::{TcpListener, TcpStream, UnixStream};
use coop::{block_on, spawn};
use futures::future::{join_all, select};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

fn pair() -> (Async<UnixStream>, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (Async::new(ours), theirs)
}

fn tcp_pair() -> (Async<TcpStream>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (Async::new(listener.accept().unwrap().0), theirs)
}

/// Polls once, for nobody.
fn once<T>(poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    poll(&mut Context::from_waker(Waker::noop()))
}

#[coop::test]
fn what_comes_is_received_in_order_up_to_the_end() {
    let (ours, theirs) = tcp_pair();
    let mut peer = spawn(move || -> io::Result<()> {
        for word in ["one", "two"] {
            coop::sleep(milliseconds(1))?;
            theirs.send_all(word.as_bytes())?;
        }
        theirs.shutdown(Shutdown::Write)?;
        let mut buf = [0; 8];
        theirs.recv_exact(&mut buf)?;
        assert_eq!(&buf, b"answered");
        assert_eq!(theirs.recv(&mut buf)?, 0);
        Ok(())
    });
    let text = block_on(async {
        let (mut text, mut buf) = (Vec::new(), [0; 64]);
        loop {
            match ours.recv(&mut buf).await? {
                0 => break,
                n => text.extend_from_slice(&buf[..n]),
            }
        }
        assert_eq!(ours.recv(&mut []).await?, 0, "no room, no wait");
        let parts = [IoSlice::new(b"answ"), IoSlice::new(b"ered")];
        assert_eq!(poll_fn(|cx| ours.poll_send_vectored(cx, &parts)).await?, 8);
        ours.shutdown(Shutdown::Write)?;
        io::Result::Ok(text)
    });
    assert_eq!(text.unwrap().unwrap(), b"onetwo");
    peer.join().unwrap().unwrap();
    ours.shutdown(Shutdown::Write).unwrap();
}

#[coop::test]
fn a_sender_waits_for_room_and_everything_arrives() {
    const SIZE: usize = 4 << 20;
    let (ours, theirs) = pair();
    let mut reader = spawn(move || -> io::Result<usize> {
        let (mut buf, mut came) = (vec![0; 100_000], 0);
        loop {
            match theirs.recv(&mut buf)? {
                0 => return Ok(came),
                n => {
                    assert!(buf[..n].iter().enumerate().all(|(at, byte)| *byte == ((came + at) % 251) as u8));
                    came += n;
                }
            }
        }
    });
    let bytes: Vec<u8> = (0..SIZE).map(|at| (at % 251) as u8).collect();
    block_on(async {
        let mut left = &bytes[..];
        while !left.is_empty() {
            let n = ours.send(left).await.unwrap();
            assert!(n > 0);
            left = &left[n..];
        }
    })
    .unwrap();
    drop(ours);
    assert_eq!(reader.join().unwrap().unwrap(), SIZE);
}

#[coop::test]
fn of_parts_the_empty_ones_do_not_count_and_nothing_is_sent_at_once() {
    let (ours, theirs) = pair();
    let parts: Vec<_> = (0..2000).map(|_| IoSlice::new(b"")).chain([IoSlice::new(b"text")]).collect();
    assert!(matches!(once(|cx| ours.poll_send_vectored(cx, &parts)), Poll::Ready(Ok(4))));
    let mut buf = [0; 8];
    assert_eq!(theirs.recv(&mut buf).unwrap(), 4);
    // Though there is no room, and somebody waits for it.
    let full = vec![0; 4 << 20];
    while once(|cx| ours.poll_send(cx, &full)).is_ready() {}
    assert!(matches!(once(|cx| ours.poll_send(cx, b"")), Poll::Ready(Ok(0))));
}

#[coop::test]
fn a_future_that_is_dropped_has_received_nothing() {
    let (ours, theirs) = pair();
    let mut buf = [0; 8];
    let stopped = coop::timeout(milliseconds(1), || Ok::<_, Stopped>(block_on(ours.recv(&mut buf))?.unwrap()));
    assert_eq!(stopped, Err(Stopped::TimedOut));
    // Its poll is still in flight, and wakes nobody.
    theirs.send_all(b"later").unwrap();
    let_others_run();
    assert_eq!(ours.get_ref().recv(&mut buf).unwrap(), 5);
    assert!(once(|cx| ours.poll_recv(cx, &mut buf)).is_pending());
    theirs.send_all(b"again").unwrap();
    assert_eq!(block_on(ours.recv(&mut buf)).unwrap().unwrap(), 5);
    let theirs = Async::new(theirs);
    let stream = ours.into_inner();
    stream.send_all(b"back").unwrap();
    assert_eq!(block_on(theirs.recv(&mut buf)).unwrap().unwrap(), 4);
}

#[coop::test]
fn what_raced_another_future_is_there_for_the_next() {
    let (ours, theirs) = pair();
    let mut all = Vec::new();
    let mut sender = spawn(move || {
        for n in 0..100u8 {
            theirs.send_all(&[n]).unwrap();
            coop::sleep(Duration::from_micros(100)).unwrap();
        }
    });
    let mut losses = 0;
    block_on(async {
        while all.len() < 100 {
            let mut byte = [0; 1];
            let received = {
                let receives = pin!(ours.recv(&mut byte));
                match select(receives, pin!(future::sleep(Duration::from_micros(150)))).await {
                    futures::future::Either::Left((n, _)) => n.unwrap(),
                    futures::future::Either::Right(((), _)) => 0,
                }
            };
            match received {
                0 => losses += 1,
                _ => all.push(byte[0]),
            }
        }
    })
    .unwrap();
    sender.join().unwrap();
    assert_eq!(all, (0..100).collect::<Vec<u8>>());
    assert!(losses < 1000);
}

#[coop::test]
fn readiness_is_told_of_whatever_can_be_polled() {
    let (reader, writer) = io::pipe().unwrap();
    let reader = Async::new(reader);
    let trace = Trace::default();
    let told = trace.clone();
    let mut fills = spawn(move || {
        told.say("writing");
        (&writer).write_all(b"in").unwrap();
        writer
    });
    block_on(poll_fn(|cx| reader.poll_readable(cx))).unwrap().unwrap();
    trace.say("readable");
    let mut buf = [0; 2];
    reader.get_ref().read_exact(&mut buf).unwrap();
    trace.is(&["writing", "readable"]);
    assert!(once(|cx| reader.poll_readable(cx)).is_pending());
    let writer = Async::new(fills.join().unwrap());
    assert!(matches!(once(|cx| writer.poll_writable(cx)), Poll::Ready(Ok(()))));
    drop(reader);
    assert!(matches!(once(|cx| writer.poll_writable(cx)), Poll::Ready(Ok(()))), "it would give EPIPE");
}

#[coop::test]
fn errors_are_those_of_the_calls() {
    let (ours, theirs) = pair();
    drop(theirs);
    let error = block_on(ours.send(b"to nobody")).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    let (ours, theirs) = tcp_pair();
    block_on(ours.send(b"unread")).unwrap().unwrap();
    // To close with something unread is a reset.
    while coop::net::TcpStream::peek(&theirs, &mut [0; 8]).unwrap() == 0 {}
    drop(theirs);
    let error = block_on(ours.recv(&mut [0; 8])).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn without_a_cooperator_it_is_an_error_that_names_the_fix() {
    let ours = coop::run(|| pair().0);
    let Poll::Ready(Err(error)) = once(|cx| ours.poll_recv(cx, &mut [0; 8])) else { panic!("it cannot wait") };
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("coop::run"), "{error}");
}

#[coop::test]
fn one_task_receives_while_another_sends() {
    let (ours, theirs) = pair();
    let echo = spawn(move || {
        let mut buf = [0; 1000];
        while let Ok(n @ 1..) = theirs.recv(&mut buf) {
            theirs.send_all(&buf[..n]).unwrap();
        }
    });
    let received = coop::scope(|s| -> Result<usize, coop::Killed> {
        let mut receiver = s.spawn(|| {
            block_on(async {
                let (mut buf, mut came) = ([0; 4096], 0);
                while came < 100_000 {
                    came += ours.recv(&mut buf).await.unwrap();
                }
                came
            })
        });
        block_on(async {
            let (bytes, mut sent) = (vec![7; 100_000], 0);
            while sent < bytes.len() {
                sent += ours.send(&bytes[sent..]).await.unwrap();
            }
        })?;
        receiver.join().unwrap()
    });
    assert_eq!(received, Ok(100_000));
    drop(ours);
    drop(echo);
}

#[coop::test]
fn a_stream_that_always_has_something_gives_way() {
    let (ours, theirs) = pair();
    theirs.send_all(&[1; 2000]).unwrap();
    let ran = Rc::new(Cell::new(0));
    let counted = ran.clone();
    let other = spawn(move || {
        while coop::yield_now().is_ok() {
            counted.set(counted.get() + 1);
        }
    });
    block_on(async {
        let mut byte = [0; 1];
        for _ in 0..2000 {
            ours.recv(&mut byte).await.unwrap();
        }
    })
    .unwrap();
    assert!(ran.get() >= 2000 / 70, "the other task has run {} times", ran.get());
    other.kill();
}

#[coop::test]
fn a_kill_ends_the_wait_and_takes_nothing() {
    let (ours, theirs) = pair();
    let ours = Rc::new(ours);
    let lent = ours.clone();
    let mut task = spawn(move || block_on(async { lent.recv(&mut [0; 8]).await }).is_err());
    let_others_run();
    task.kill();
    assert!(task.join().unwrap());
    theirs.send_all(b"whole").unwrap();
    assert_eq!(block_on(ours.recv(&mut [0; 8])).unwrap().unwrap(), 5);
}

/// A Waker of the user's that waits in its `wake`, and says so.
struct Waits(AtomicUsize, Waker);

impl Wake for Waits {
    fn wake(self: Arc<Self>) {
        coop::yield_now().unwrap();
        self.0.fetch_add(1, SeqCst);
        self.1.wake_by_ref();
    }
}

#[coop::test]
fn a_foreign_waker_is_woken_by_a_task() {
    let (ours, theirs) = pair();
    let waits: RefCell<Option<Arc<Waits>>> = RefCell::default();
    let sends = spawn(move || theirs.send_all(b"hello"));
    let n = block_on(poll_fn(|cx| {
        let mut waits = waits.borrow_mut();
        let waits = waits.get_or_insert_with(|| Arc::new(Waits(AtomicUsize::new(0), cx.waker().clone())));
        ours.poll_recv(&mut Context::from_waker(&Waker::from(waits.clone())), &mut [0; 8])
    }));
    assert_eq!(n.unwrap().unwrap(), 5);
    assert_eq!(waits.into_inner().unwrap().0.load(SeqCst), 1);
    drop(sends);
}

#[cfg_attr(panic = "abort", ignore = "panics, or starts itself again")]
#[cfg_attr(tsan, ignore = "ThreadSanitizer needs memory of its own")]
#[test]
fn where_there_is_no_stack_for_it_a_foreign_waker_is_woken_later() {
    child!(|| {
        coop::run(|| {
            let (ours, theirs) = pair();
            // Address space for a few more stacks.
            let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
            let used = pages.split(' ').next().unwrap().parse::<u64>().unwrap() * 4096;
            let few = libc::rlimit { rlim_cur: used + (256 << 20), rlim_max: used + (256 << 20) };
            // SAFETY: `few` is readable. This is a process of its own.
            assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &few) }, 0);
            let tasks = Rc::new(RefCell::new(Vec::new()));
            let kills = tasks.clone();
            let trace = Trace::default();
            let told = trace.clone();
            let _killer = spawn(move || {
                coop::sleep(milliseconds(50)).unwrap();
                told.say("stacks are free again");
                kills.borrow_mut().drain(..).for_each(|task: coop::JoinHandle<_>| task.kill());
            });
            loop {
                let task = spawn(|| coop::sleep(Duration::from_secs(1000)));
                if task.is_finished() {
                    break;
                }
                tasks.borrow_mut().push(task);
            }
            let mut foreign = None;
            let n = block_on(poll_fn(|cx| {
                let is_first = foreign.is_none();
                let waits = || Waker::from(Arc::new(Waits(AtomicUsize::new(0), cx.waker().clone())));
                let foreign = foreign.get_or_insert_with(waits);
                let poll = ours.poll_recv(&mut Context::from_waker(foreign), &mut [0; 8]);
                if is_first {
                    theirs.send_all(b"hello").unwrap();
                }
                poll
            }));
            trace.say(format!("{} bytes", n.unwrap().unwrap()));
            trace.is(&["stacks are free again", "5 bytes"]);
        });
    })
    .succeeded();
}

#[coop::test]
fn a_hundred_in_one_future_are_all_served() {
    let (ours, theirs): (Vec<_>, Vec<_>) = (0..100).map(|_| pair()).unzip();
    let mut sender = spawn(move || {
        for (n, conn) in (0..).zip(&theirs) {
            conn.send_all(&[n]).unwrap();
        }
        theirs
    });
    let receive = |conn: Async<UnixStream>| async move {
        let mut byte = [0; 1];
        conn.recv(&mut byte).await.unwrap();
        byte[0]
    };
    let received = block_on(join_all(ours.into_iter().map(receive))).unwrap();
    assert_eq!(received, (0..100).collect::<Vec<u8>>());
    sender.join().unwrap();
}

#[coop::test]
fn dropping_it_closes_the_descriptor_though_a_poll_was_in_flight() {
    let (ours, theirs) = tcp_pair();
    assert!(once(|cx| ours.poll_recv(cx, &mut [0; 8])).is_pending());
    let_others_run();
    drop(ours);
    // A poll that went on would keep the connection.
    assert_eq!(theirs.recv(&mut [0; 8]).unwrap(), 0);
}

#[cfg_attr(panic = "abort", ignore = "panics, or starts itself again")]
#[test]
fn no_descriptor_is_left_of_any_way_to_end() {
    child!(|| {
        let round = || {
            coop::run(|| {
                let (pending, _theirs) = pair();
                assert!(once(|cx| pending.poll_recv(cx, &mut [0; 8])).is_pending());
                let (fresh, _theirs) = pair();
                // The submission has not even been handed over.
                assert!(once(|cx| fresh.poll_recv(cx, &mut [0; 8])).is_pending());
                drop(fresh);
                let (moved, _theirs) = pair();
                let mut killed = spawn(move || block_on(async { moved.recv(&mut [0; 8]).await }).is_err());
                let_others_run();
                killed.kill();
                assert!(killed.join().unwrap());
                drop(pending.into_inner());
                let (unwound, _theirs) = pair();
                let mut panics = spawn(move || {
                    assert!(once(|cx| unwound.poll_recv(cx, &mut [0; 8])).is_pending());
                    panic!("on purpose");
                });
                assert!(panics.join().is_err());
            });
        };
        round();
        let before = descriptors();
        (0..10).for_each(|_| round());
        assert_eq!(descriptors(), before);
    })
    .succeeded();
}

#[test]
fn one_that_outlives_its_cooperator_serves_the_next() {
    let (ours, theirs) = coop::run(|| {
        let (ours, theirs) = pair();
        assert!(once(|cx| ours.poll_recv(cx, &mut [0; 8])).is_pending());
        let_others_run();
        (ours, theirs)
    });
    coop::run(|| {
        theirs.send_all(b"hello").unwrap();
        assert_eq!(block_on(ours.recv(&mut [0; 8])).unwrap().unwrap(), 5);
        assert!(once(|cx| ours.poll_recv(cx, &mut [0; 8])).is_pending());
    });
    drop(ours);
}

#[test]
fn one_that_is_forgotten_does_not_keep_its_cooperator() {
    coop::run(|| {
        let (ours, theirs) = pair();
        assert!(once(|cx| ours.poll_recv(cx, &mut [0; 8])).is_pending());
        // With a foreign Waker, too.
        let (other, _theirs) = pair();
        let foreign = Waker::from(Arc::new(Waits(AtomicUsize::new(0), Waker::noop().clone())));
        assert!(other.poll_recv(&mut Context::from_waker(&foreign), &mut [0; 8]).is_pending());
        let_others_run();
        std::mem::forget((ours, other, theirs));
    });
}

#[cfg(feature = "futures-io")]
#[coop::test]
fn other_peoples_readers_and_writers_run_on_it() {
    use futures::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
    let (ours, theirs) = pair();
    let mut peer = spawn(move || -> io::Result<String> {
        theirs.send_all(b"first line\nsecond line\nrest")?;
        theirs.shutdown(Shutdown::Write)?;
        let mut all = String::new();
        (&theirs).read_to_string(&mut all)?;
        Ok(all)
    });
    block_on(async {
        let (reads, mut writes) = ours.split();
        let mut reads = BufReader::new(reads);
        let mut line = String::new();
        reads.read_line(&mut line).await?;
        assert_eq!(line, "first line\n");
        let copied = futures::io::copy(&mut reads, &mut writes).await?;
        assert_eq!(copied, 16);
        writes.close().await
    })
    .unwrap()
    .unwrap();
    assert_eq!(peer.join().unwrap().unwrap(), "second line\nrest");
}

/// A Waker's drop is a user's, and may panic: by then nothing watches the descriptor any more.
#[cfg_attr(panic = "abort", ignore = "panics, or starts itself again")]
#[test]
fn a_waker_whose_drop_panics_leaves_no_poll_behind() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }
    coop::run(|| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let listener = Async::new(listener);
        let mut task = spawn(move || {
            let waker = Waker::from(Arc::new(Panics));
            assert!(listener.poll_readable(&mut Context::from_waker(&waker)).is_pending());
            drop(waker);
            coop::sleep(Duration::from_millis(1)).unwrap();
        });
        assert!(task.join().is_err());
        assert_eq!(coop::__private::census().operations, 0);
        std::net::TcpListener::bind(address).expect("the port is free");
    });
}
