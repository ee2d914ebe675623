//! Rule 2: what the kernel may write to is borrowed by a frame that is not left before the last completion.
//!
//! Each test leaves such a frame in another way while a receive is in flight, then has bytes come, and looks: the buffer must not
//! change any more, and the bytes must be there for the next who receives.

use crate::child::child;
use coop::net::UnixStream;
use coop::{Killed, op};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

const UNTOUCHED: [u8; 16] = [0xAA; 16];

/// Lets `leave` begin to receive into a buffer and leave it again, without a byte having come; then looks.
#[track_caller]
fn nothing_is_written_after(leave: impl FnOnce(&UnixStream, &mut [u8])) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut buffer = UNTOUCHED;
    leave(&ours, &mut buffer);
    assert_eq!(coop::__private::census().operations, 0, "the kernel has nothing any more");
    theirs.send_all(b"too late").unwrap();
    coop::sleep(Duration::from_millis(1)).unwrap();
    assert_eq!(buffer, UNTOUCHED, "the buffer is ours again");
    let mut next = [0; 16];
    assert_eq!((ours.recv(&mut next).unwrap(), &next[..8]), (8, &b"too late"[..]), "and the bytes went to nobody");
}

/// Gives a started receive time to be submitted.
fn let_it_fly() {
    for _ in 0..3 {
        let _ = coop::sleep(Duration::from_micros(200));
    }
    assert_eq!(coop::__private::census().operations, 1, "it flies");
}

#[test]
fn a_handle_that_is_dropped() {
    coop::run(|| {
        nothing_is_written_after(|conn, buffer| {
            coop::wait_all(|s| {
                let incoming = s.start(op::recv(conn, buffer));
                let_it_fly();
                drop(incoming);
                assert_eq!(coop::__private::census().operations, 0, "drained by the drop, not by the scope");
            });
        });
    });
}

#[test]
fn a_handle_that_is_forgotten() {
    coop::run(|| {
        nothing_is_written_after(|conn, buffer| {
            coop::wait_all(|s| {
                std::mem::forget(s.start(op::recv(conn, buffer)));
                let_it_fly();
            });
        });
    });
}

#[test]
fn a_handle_that_is_forgotten_by_a_child_in_what_it_returns() {
    coop::run(|| {
        nothing_is_written_after(|conn, buffer| {
            coop::wait_all(|s| {
                std::mem::forget(s.spawn(|| s.start(op::recv(conn, buffer))));
                coop::yield_now().unwrap();
                let_it_fly();
            });
        });
    });
}

#[test]
fn a_handle_that_a_child_drops() {
    coop::run(|| {
        nothing_is_written_after(|conn, buffer| {
            coop::wait_all(|s| {
                let incoming = s.start(op::recv(conn, buffer));
                let_it_fly();
                s.spawn(move || drop(incoming)).join().unwrap();
                assert_eq!(coop::__private::census().operations, 0);
            });
        });
    });
}

#[test]
fn a_handle_that_travels_through_children_and_is_dropped_by_the_last() {
    coop::run(|| {
        nothing_is_written_after(|conn, buffer| {
            coop::wait_all(|s| {
                let mut incoming = s.start(op::recv(conn, buffer));
                for _ in 0..3 {
                    let mut child = s.spawn(move || {
                        // It stays in flight when another arm wins, and goes back as the child's value.
                        coop::select! {
                            got = &mut incoming => panic!("{got:?}"),
                            _ = op::after(Duration::from_micros(200)) => incoming,
                        }
                    });
                    incoming = child.join().unwrap().unwrap();
                    let_it_fly();
                }
                s.spawn(move || coop::wait_all(|inner| drop(inner.spawn(move || drop(incoming)))));
            });
        });
    });
}

#[test]
fn an_operation_of_an_outer_scope_that_a_child_of_an_inner_one_starts_and_forgets() {
    coop::run(|| {
        nothing_is_written_after(|conn, buffer| {
            coop::wait_all(|outer| {
                coop::wait_all(|inner| drop(inner.spawn(|| std::mem::forget(outer.start(op::recv(conn, buffer))))));
                let_it_fly();
            });
        });
    });
}

#[test]
fn a_handle_whose_waiting_child_is_killed() {
    coop::run(|| {
        nothing_is_written_after(|conn, buffer| {
            coop::wait_all(|s| {
                let incoming = s.start(op::recv(conn, buffer));
                let mut child = s.spawn(move || incoming.wait().map(drop));
                let_it_fly();
                child.kill();
                assert!(Killed::is(&child.join().unwrap().unwrap_err()));
            });
        });
    });
}

#[test]
fn a_handle_that_is_cancelled() {
    coop::run(|| {
        nothing_is_written_after(|conn, buffer| {
            coop::wait_all(|s| {
                let incoming = s.start(op::recv(conn, buffer));
                let_it_fly();
                assert!(incoming.cancel().is_none());
            });
        });
    });
}

#[test]
fn a_scope_whose_body_panics() {
    coop::run(|| {
        nothing_is_written_after(|conn, buffer| {
            let body = || {
                coop::wait_all(|s| {
                    let _dropped_by_unwinding = s.start(op::recv(conn, buffer));
                    let_it_fly();
                    panic!("on purpose")
                })
            };
            assert!(catch_unwind(AssertUnwindSafe(body)).is_err());
        });
    });
}

#[test]
fn a_scope_whose_body_panics_after_it_has_forgotten_the_handle() {
    coop::run(|| {
        nothing_is_written_after(|conn, buffer| {
            let body = || {
                coop::wait_all(|s| {
                    std::mem::forget(s.start(op::recv(conn, buffer)));
                    let_it_fly();
                    panic!("on purpose")
                })
            };
            assert!(catch_unwind(AssertUnwindSafe(body)).is_err());
        });
    });
}

#[test]
fn a_scope_whose_child_panics() {
    coop::run(|| {
        nothing_is_written_after(|conn, buffer| {
            let body = || {
                coop::wait_all(|s| {
                    let incoming = s.start(op::recv(conn, buffer));
                    let_it_fly();
                    s.spawn(|| panic!("on purpose"));
                    incoming.wait().map(drop)
                })
            };
            assert!(catch_unwind(AssertUnwindSafe(body)).is_err());
        });
    });
}

#[test]
fn a_scope_in_a_destructor_that_a_panic_runs() {
    struct Receives<'a>(&'a UnixStream, &'a mut [u8]);
    impl Drop for Receives<'_> {
        fn drop(&mut self) {
            assert!(std::thread::panicking());
            coop::wait_all(|s| {
                std::mem::forget(s.start(op::recv(self.0, self.1)));
            });
        }
    }
    coop::run(|| {
        nothing_is_written_after(|conn, buffer| {
            let panics = || {
                let _receives = Receives(conn, buffer);
                panic!("on purpose")
            };
            assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        });
    });
}

#[test]
fn a_blocking_receive_that_is_killed() {
    coop::run(|| {
        nothing_is_written_after(|conn, buffer| {
            coop::wait_all(|s| {
                let mut child = s.spawn(|| conn.recv(buffer));
                coop::yield_now().unwrap();
                let_it_fly();
                child.kill();
                assert!(Killed::is(&child.join().unwrap().unwrap_err()));
            });
        });
    });
}

#[test]
fn a_blocking_receive_whose_time_is_up() {
    coop::run(|| {
        nothing_is_written_after(|conn, buffer| {
            let received = coop::timeout(Duration::from_millis(1), || conn.recv(buffer));
            assert_eq!(received.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
        });
    });
}

#[test]
fn an_arm_that_loses() {
    coop::run(|| {
        nothing_is_written_after(|conn, buffer| {
            let late = coop::select! {
                n = op::recv(conn, buffer) => panic!("{n:?}"),
                _ = op::after(Duration::from_millis(1)) => true,
            };
            assert_eq!(late, Ok(true));
        });
    });
}

#[test]
fn a_root_that_ends_over_a_receiving_child() {
    child!(|| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let theirs = std::os::unix::net::UnixStream::from(std::os::fd::OwnedFd::from(theirs));
        let buffer: &'static mut [u8; 16] = Box::leak(Box::new(UNTOUCHED));
        let address: *const [u8; 16] = buffer;
        coop::run(|| {
            drop(coop::spawn(move || ours.recv(buffer).map(drop)));
            coop::yield_now().unwrap();
            let_it_fly();
        });
        let _ = std::io::Write::write_all(&mut &theirs, b"too late");
        // SAFETY: leaked above; the task that borrowed it has ended.
        assert_eq!(unsafe { *address }, UNTOUCHED);
    })
    .succeeded();
}

#[test]
fn a_large_send_that_is_dropped_half_sent_takes_no_more_from_its_buffer() {
    coop::run(|| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut bytes = vec![1u8; 4 << 20];
        coop::wait_all(|s| {
            let sending = s.start(op::send_all(&ours, &bytes));
            let_it_fly();
            drop(sending);
        });
        bytes.fill(2);
        drop(ours);
        let mut received = Vec::new();
        std::io::Read::read_to_end(&mut &theirs, &mut received).unwrap();
        assert!(!received.is_empty() && received.len() < 4 << 20, "half sent: {}", received.len());
        assert!(received.iter().all(|byte| *byte == 1), "what was sent was sent before the drop returned");
    });
}
