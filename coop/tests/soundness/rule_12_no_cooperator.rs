//! Rule 12: on a thread without a Cooperator I/O gives an error that names the fix, spawning panics with it, and drops do nothing.

use coop::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use coop::sync::Mutex;
use coop::{Coordinator, Operation, op};
use std::io;
use std::panic::{UnwindSafe, catch_unwind};
use std::time::Duration;

const FIX: &str =
    "this thread runs no Cooperator: call this inside `coop::run(|| …)` or a function marked `#[coop::main]`";

#[track_caller]
fn names_the_fix<T>(result: io::Result<T>) {
    let error = result.map(drop).unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (io::ErrorKind::Unsupported, FIX));
}

#[track_caller]
fn panics_with_the_fix<T>(f: impl FnOnce() -> T + UnwindSafe) {
    let payload = catch_unwind(|| drop(f())).unwrap_err();
    let text = payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied());
    assert_eq!(text, Some(FIX));
}

#[test]
fn io_gives_an_error_that_names_the_fix() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let unix = UnixListener::bind(format!("\0coop-none-{}", std::process::id())).unwrap();
    // Also where it would not wait.
    io::Write::write_all(&mut &std::os::unix::net::UnixStream::from(std::os::fd::OwnedFd::from(theirs)), b"here")
        .unwrap();
    names_the_fix(ours.recv(&mut [0; 4]));
    names_the_fix(ours.peek(&mut [0; 4]));
    names_the_fix(ours.send(b"x"));
    names_the_fix(io::Read::read(&mut &ours, &mut [0; 4]));
    names_the_fix(op::recv(&ours, &mut [0; 4]).wait());
    names_the_fix(listener.accept());
    names_the_fix(op::accept(&unix).wait());
    names_the_fix(TcpStream::connect(listener.local_addr().unwrap()));
    names_the_fix(UnixStream::connect("\0coop-nowhere"));
    names_the_fix(coop::signal::ctrl_c());
    let partial = ours.recv_exact(&mut [0; 4]).unwrap_err();
    assert_eq!(partial.kind(), io::ErrorKind::Unsupported);
    assert!(partial.to_string().starts_with(FIX), "{partial}");
}

#[test]
fn what_has_no_error_to_give_panics_with_the_fix() {
    panics_with_the_fix(|| coop::spawn(|| ()));
    panics_with_the_fix(|| coop::TaskBuilder::new().spawn(|| ()));
    panics_with_the_fix(coop::current);
    panics_with_the_fix(|| coop::sleep(Duration::ZERO));
    panics_with_the_fix(coop::yield_now);
    panics_with_the_fix(coop::checkpoint);
    panics_with_the_fix(|| coop::wait_all(|_| ()));
    panics_with_the_fix(|| coop::scope(|_| Ok::<(), ()>(())));
    panics_with_the_fix(|| coop::deadline(Duration::ZERO, || ()));
    panics_with_the_fix(|| coop::shield(Duration::ZERO, || ()));
    panics_with_the_fix(coop::remote);
    panics_with_the_fix(coop::dump);
    panics_with_the_fix(|| coop::select! { _ = op::after(Duration::ZERO) => () });
    panics_with_the_fix(|| Coordinator::new().acquire().map(drop));
    panics_with_the_fix(|| Mutex::new(0).lock().map(drop));
    panics_with_the_fix(|| coop::chan::bounded::<u8>(1).1.recv());
}

#[test]
fn what_needs_no_task_works() {
    assert!(!coop::killed() && coop::kill_cause().is_none());
    assert_eq!(coop::no_switch(|| 5), 5);
    let (tx, rx) = coop::chan::bounded(1);
    tx.try_send(1).unwrap();
    assert_eq!(rx.try_recv(), Ok(1));
    let door = Coordinator::held();
    door.release();
    drop(door.try_acquire().unwrap());
    assert_eq!(*Mutex::new(7).try_lock().unwrap(), 7);
}

#[test]
fn drops_do_nothing() {
    let kept = coop::run(|| {
        let signal = coop::signal::listen(libc::SIGUSR2).unwrap();
        (coop::spawn(|| 1), coop::remote().unwrap(), signal, UnixStream::pair().unwrap(), coop::chan::bounded::<u8>(1))
    });
    kept.0.kill();
    drop(kept);
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let mut buffer = [0; 4];
    drop((op::recv(&ours, &mut buffer), op::after(Duration::ZERO), op::send(&ours, b"x")));
}

#[test]
fn another_thread_of_a_process_with_a_cooperator_has_none() {
    coop::run(|| {
        std::thread::spawn(|| {
            assert!(!coop::killed());
            panics_with_the_fix(|| coop::spawn(|| ()));
        })
        .join()
        .unwrap();
    });
}
