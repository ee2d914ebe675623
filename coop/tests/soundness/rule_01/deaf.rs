//! Reports that nobody hears: a standard error whose reader has gone gives EPIPE, at which `eprintln!` panics. A panic in place of
//! an abort, or in the midst of a wait, would unwind frames from which others borrow.

use crate::child::child;
use coop::list::{EmbeddedList, Entry};
use coop::net::UnixStream;
use coop::{Builder, Cause, op};
use std::cell::RefCell;
use std::os::fd::AsRawFd;
use std::pin::pin;
use std::time::Duration;

/// From now on nobody reads what this process says.
fn deafen() {
    let (reader, writer) = std::io::pipe().unwrap();
    // SAFETY: replaces standard error.
    assert_eq!(unsafe { libc::dup2(writer.as_raw_fd(), 2) }, 2);
    drop(reader);
    assert!(std::panic::catch_unwind(|| eprintln!("to nobody")).is_err());
}

#[test]
fn an_entry_that_is_dropped_while_it_is_looked_at_still_aborts() {
    child!(|| {
        deafen();
        let list = pin!(EmbeddedList::new());
        let entry = RefCell::new(Some(Box::pin(Entry::new(String::from("looked at")))));
        list.as_ref().push_back(entry.borrow().as_ref().unwrap().as_ref());
        list.for_each(|_| drop(entry.take()));
    })
    .died_of(libc::SIGABRT);
}

#[test]
fn a_wait_inside_no_switch_still_aborts() {
    child!(|| {
        deafen();
        coop::run(|| {
            let (ours, _theirs) = UnixStream::pair().unwrap();
            let mut buffer = [0; 8];
            let _ =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| coop::no_switch(|| ours.recv(&mut buffer))));
        });
    })
    .died_of(libc::SIGABRT);
}

#[test]
fn reports_that_go_nowhere_change_nothing() {
    child!(|| {
        deafen();
        let stuck = coop::run(|| coop::Coordinator::held().acquire().map(drop));
        assert!(stuck.is_err_and(|killed| killed.cause() == Cause::Resources), "a deadlock");
        let lingers = || {
            drop(coop::spawn(|| coop::shield(Duration::MAX, || coop::sleep(Duration::from_millis(10)))));
            coop::yield_now()
        };
        Builder::new().grace(Duration::from_millis(1)).run(lingers).unwrap().unwrap();
        coop::run(|| {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let mut stubborn = coop::spawn(|| (0..20_000).filter(|_| coop::sleep(Duration::MAX).is_err()).count());
            stubborn.kill();
            assert_eq!(stubborn.join().unwrap(), 20_000, "a swallowed kill");
            thread_local!(static OPEN: u8 = const { 7 });
            let mut buffer = [0; 8];
            coop::wait_all(|s| {
                s.spawn(|| OPEN.with(|_| assert_eq!(ours.recv(&mut buffer).unwrap(), 5)));
                coop::yield_now().unwrap();
                theirs.send_all(b"whole").unwrap();
            });
            assert_eq!(&buffer[..5], b"whole", "an open frame");
            coop::wait_all(|s| drop(s.start(op::recv(&ours, &mut buffer))));
        });
    })
    .succeeded();
}
