//! `select!` and Handles, over sockets, channels, locks, timers and tasks.

use coop::net::UnixStream;
use coop::sync::Mutex;
use coop::{chan, op};
use std::io;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(3600);

#[test]
fn the_first_arm_that_is_ready_runs_and_the_others_have_had_no_effect() {
    coop::run(|| -> io::Result<()> {
        let (ours, theirs) = UnixStream::pair()?;
        let (tx, rx) = chan::bounded::<u32>(4);
        let mut buf = [0; 8];
        for round in 0..100 {
            tx.try_send(round).unwrap();
            theirs.send_all(b"x")?;
            let mut seen = Vec::new();
            while seen.len() < 2 {
                coop::select! {
                    n = op::recv(&ours, &mut buf) => { assert_eq!(n?, 1); seen.push("byte"); }
                    message = op::receive(&rx) => { assert_eq!(message, Ok(round)); seen.push("message"); }
                    _ = op::after(LONG) => panic!("an hour has passed"),
                }?;
            }
            seen.sort();
            assert_eq!(seen, ["byte", "message"]);
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn arms_take_turns_and_biased_takes_them_in_order() {
    coop::run(|| {
        let (tx, a) = chan::bounded::<u32>(1000);
        let (tx2, b) = chan::bounded::<u32>(1000);
        (0..200).for_each(|n| {
            tx.try_send(n).unwrap();
            tx2.try_send(n).unwrap();
        });
        let (mut from_a, mut from_b) = (0, 0);
        for _ in 0..100 {
            coop::select! {
                _ = op::receive(&a) => from_a += 1,
                _ = op::receive(&b) => from_b += 1,
            }
            .unwrap();
        }
        assert_eq!((from_a, from_b), (50, 50));
        for _ in 0..100 {
            coop::select! { biased;
                _ = op::receive(&a) => from_a += 1,
                _ = op::receive(&b) => from_b += 1,
            }
            .unwrap();
        }
        assert_eq!((from_a, from_b), (150, 50));
    });
}

#[test]
fn a_pending_select_is_woken_by_any_arm() {
    coop::run(|| -> io::Result<()> {
        let (ours, theirs) = UnixStream::pair()?;
        let (tx, rx) = chan::bounded::<u32>(4);
        let gate = Mutex::new(());
        let mut trace = Vec::new();
        coop::wait_all(|s| {
            let held = gate.try_lock().unwrap();
            let mut sleeper = s.spawn(|| {
                for turn in 0..3 {
                    coop::sleep(Duration::from_millis(2)).unwrap();
                    match turn {
                        0 => theirs.send_all(b"hello").unwrap(),
                        1 => tx.send(7).unwrap(),
                        _ => {}
                    }
                }
                drop(held);
                "done"
            });
            for _ in 0..4 {
                let mut buf = [0; 8];
                coop::select! {
                    n = op::recv(&ours, &mut buf) => trace.push(format!("recv {}", n.unwrap())),
                    m = op::receive(&rx) => trace.push(format!("message {}", m.unwrap())),
                    _ = op::lock(&gate), if trace.len() == 2 => trace.push("locked".into()),
                    name = &mut sleeper => trace.push(format!("ended {}", name.unwrap())),
                    _ = op::after(LONG) => trace.push("late".into()),
                }
                .unwrap();
            }
        });
        trace.sort();
        assert_eq!(trace, ["ended done", "locked", "message 7", "recv 5"]);
        Ok(())
    })
    .unwrap();
}

#[test]
fn default_killed_else_and_complete() {
    coop::run(|| {
        let (tx, rx) = chan::bounded::<u32>(4);
        let value = coop::select! { n = op::receive(&rx) => n.unwrap(), default => 99 }.unwrap();
        assert_eq!(value, 99);
        tx.try_send(1).unwrap();
        let value = coop::select! { n = op::receive(&rx) => n.unwrap(), default => 99 }.unwrap();
        assert_eq!(value, 1);
        let value = coop::select! {
            _ = op::receive(&rx), if false => 1,
            complete => 2,
        };
        assert_eq!(value, Ok(2));
        drop(tx);
        let value = coop::select! { Ok(n) = op::receive(&rx) => n, else => 50 };
        assert_eq!(value, Ok(50));
        let mut task = coop::spawn(|| {
            coop::select! { _ = op::after(LONG) => "late", killed(cause) => { assert!(matches!(cause.cause(), coop::Cause::Explicit(_))); "killed" } }
        });
        coop::yield_now().unwrap();
        task.kill();
        assert_eq!(task.join().unwrap(), "killed");
    });
}

#[test]
fn handles_stay_in_flight_while_other_arms_win_and_give_their_buffer_back() {
    coop::run(|| -> io::Result<()> {
        let (ours, theirs) = UnixStream::pair()?;
        let (tx, rx) = chan::bounded::<u32>(8);
        let mut buf = [0; 16];
        let mut got = Vec::new();
        coop::scope(|s| -> io::Result<()> {
            s.spawn(|| {
                for n in 0..3 {
                    tx.send(n).unwrap();
                    coop::sleep(Duration::from_millis(1)).unwrap();
                }
                theirs.send_all(b"one").unwrap();
                coop::sleep(Duration::from_millis(2)).unwrap();
                theirs.send_all(b"two").unwrap();
            });
            let mut incoming = s.start(op::recv(&ours, &mut buf));
            while got.len() < 5 {
                coop::select! {
                    bytes = &mut incoming => {
                        let bytes = bytes?;
                        got.push(String::from_utf8_lossy(bytes.bytes()).into_owned());
                        incoming = s.start(op::recv(&ours, bytes.into_buf()));
                    }
                    n = op::receive(&rx) => got.push(n.unwrap().to_string()),
                }?;
            }
            assert!(incoming.cancel().is_none(), "nothing more came");
            Ok(())
        })?;
        assert_eq!(got, ["0", "1", "2", "one", "two"]);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_forgotten_handle_is_ended_by_its_scope() {
    coop::run(|| -> io::Result<()> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut buf = [0u8; 16];
        coop::scope(|s| -> io::Result<()> {
            std::mem::forget(s.start(op::recv(&ours, &mut buf)));
            coop::yield_now()?;
            Ok(())
        })?;
        theirs.send_all(b"later")?;
        coop::yield_now()?;
        assert_eq!(buf, [0; 16], "the kernel has let go of it");
        let n = ours.recv(&mut buf)?;
        assert_eq!(&buf[..n], b"later");
        Ok(())
    })
    .unwrap();
}

#[test]
fn coordinate_acquires_exactly_one() {
    coop::run(|| {
        let (a, b) = (coop::Coordinator::held(), coop::Coordinator::new());
        let got = coop::coordinate!(&a, &b).unwrap();
        assert_eq!((got.index(), a.is_held(), b.is_held()), (1, true, true));
        let none = coop::coordinate!(&a, &b, timeout = Duration::from_millis(1)).unwrap();
        assert!(none.is_none());
        drop(got);
        assert!(!b.is_held());
        assert_eq!(coop::join!(1 + 1, "two").unwrap(), (2, "two"));
    });
}
