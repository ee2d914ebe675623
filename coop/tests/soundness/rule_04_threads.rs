//! Rule 4: tasks never migrate, and what belongs to one thread cannot leave it. (That it does not *compile* to send it is in
//! `escapes`; here it is asked of each public type.)

use coop::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Fails to compile if a type implements a trait: the call is then ambiguous.
macro_rules! assert_not {
    ($trait:ident: $($type:ty),+ $(,)?) => {
        const _: fn() = || {
            $({
                trait AmbiguousIf<A> {
                    fn here() {}
                }
                struct Implements;
                impl<T: ?Sized> AmbiguousIf<()> for T {}
                impl<T: ?Sized + $trait> AmbiguousIf<Implements> for T {}
                <$type as AmbiguousIf<_>>::here();
            })+
        };
    };
}

/// Fails to compile if a type does not implement a trait.
macro_rules! assert_is {
    ($trait:ident: $($type:ty),+ $(,)?) => {
        const _: fn() = || {
            fn here<T: ?Sized + $trait>() {}
            $(here::<$type>();)+
        };
    };
}

type Entry = coop::list::Entry<u8>;
type List = coop::list::EmbeddedList<Entry>;
type Shared = coop::sync::Mutex<u8>;
type Guard = coop::sync::MutexGuard<'static, u8>;

assert_not!(Send: coop::JoinHandle<u8>, coop::ScopedJoinHandle<'static, u8>, coop::Scope<'static, 'static>);
assert_not!(Send: coop::TryScope<'static, 'static, u8>, &'static coop::Scope<'static, 'static>);
assert_not!(Send: coop::Coordinator, &'static coop::Coordinator, coop::Acquired<'static>);
assert_not!(Send: Shared, &'static Shared, Guard, Entry, &'static Entry, List, &'static List);
assert_not!(Send: coop::chan::Sender<u8>, coop::chan::Receiver<u8>, coop::chan::Permit<'static, u8>);
assert_not!(Send: coop::time::Handle<'static>, coop::signal::Signal);
assert_not!(Sync: coop::JoinHandle<u8>, coop::ScopedJoinHandle<'static, u8>, coop::Scope<'static, 'static>);
assert_not!(Sync: coop::TryScope<'static, 'static, u8>, coop::Coordinator, coop::Acquired<'static>, Shared, Guard, Entry, List);
assert_not!(Sync: coop::chan::Sender<u8>, coop::chan::Receiver<u8>, coop::chan::Permit<'static, u8>, coop::time::Handle<'static>);

assert_is!(Send: TcpStream, TcpListener, UnixStream, UnixListener, coop::Remote, coop::RemoteJoinHandle<u8>, coop::Builder);
assert_is!(Sync: TcpStream, TcpListener, UnixStream, UnixListener, coop::Remote);
assert_is!(Send: coop::Killed, coop::TimedOut, coop::JoinError, coop::StartError, coop::io::Partial, coop::TaskBuilder);
assert_is!(Sync: coop::Killed, coop::TimedOut, coop::StartError, coop::io::Partial, coop::Description);

// What carries a value of the user's is sent only with it.
assert_not!(Send: coop::RemoteJoinHandle<std::rc::Rc<u8>>);

#[test]
fn a_task_stays_on_its_thread_whatever_it_waits_for() {
    let runs = || {
        coop::run(|| {
            let home = thread::current().id();
            let remote = coop::remote().unwrap();
            let (ours, theirs) = UnixStream::pair().unwrap();
            coop::wait_all(|s| {
                for _ in 0..8 {
                    s.spawn(|| {
                        let mut byte = [0];
                        for _ in 0..50 {
                            coop::yield_now().unwrap();
                            coop::sleep(Duration::from_nanos(1)).unwrap();
                            theirs.send_all(b"x").unwrap();
                            ours.recv_exact(&mut byte).unwrap();
                            assert_eq!(thread::current().id(), home);
                        }
                    });
                }
                let mut submitted = remote.submit(|| thread::current().id()).map_err(drop).unwrap();
                assert_eq!(submitted.join().unwrap(), home);
            });
        });
    };
    thread::scope(|threads| {
        (0..3).for_each(|_| drop(threads.spawn(runs)));
    });
}

#[test]
fn a_connection_works_in_another_threads_cooperator_and_back() {
    let (to_there, from_here) = mpsc::channel::<TcpStream>();
    let (to_here, from_there) = mpsc::channel::<TcpStream>();
    let there = thread::spawn(move || {
        for mut conn in from_here {
            conn = coop::run(|| {
                let mut word = [0; 4];
                conn.recv_exact(&mut word).unwrap();
                conn.send_all(&word).unwrap();
                conn
            });
            to_here.send(conn).unwrap();
        }
    });
    coop::run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut server = listener.accept().unwrap().0;
        for round in 0..20u32 {
            // A receive that was armed in this Cooperator leaves nothing behind in it.
            let early = coop::timeout(Duration::from_nanos(1), || server.recv(&mut [0; 4]));
            assert_eq!(early.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
            to_there.send(server).unwrap();
            client.send_all(&round.to_ne_bytes()).unwrap();
            let mut answer = [0; 4];
            client.recv_exact(&mut answer).unwrap();
            assert_eq!(u32::from_ne_bytes(answer), round);
            server = from_there.recv().unwrap();
        }
        drop(to_there);
    });
    there.join().unwrap();
}

#[test]
fn two_cooperators_may_wait_for_one_connection() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let receive = || coop::run(|| ours.recv(&mut [0; 1]).unwrap());
    thread::scope(|threads| {
        let receivers = [threads.spawn(receive), threads.spawn(receive)];
        coop::run(|| {
            coop::sleep(Duration::from_millis(5)).unwrap();
            theirs.send_all(b"12").unwrap();
        });
        assert_eq!(receivers.map(|thread| thread.join().unwrap()), [1, 1], "a byte each");
    });
}

#[test]
fn many_threads_submit_to_one_cooperator() {
    coop::run(|| {
        let home = thread::current().id();
        let remote = coop::remote().unwrap();
        let threads: Vec<_> = (0..4)
            .map(|number| {
                let remote = remote.clone();
                thread::spawn(move || {
                    let submit = |n: usize| remote.submit(move || (n, thread::current().id())).map_err(drop).unwrap();
                    let mut handles: Vec<_> = (0..500).map(|n| submit(number * 500 + n)).collect();
                    handles.iter_mut().map(|handle| handle.join().unwrap()).collect::<Vec<_>>()
                })
            })
            .collect();
        while !threads.iter().all(|thread| thread.is_finished()) {
            coop::sleep(Duration::from_millis(1)).unwrap();
        }
        let mut answers: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        answers.sort_by_key(|(n, _)| *n);
        assert!(answers.iter().enumerate().all(|(index, answer)| *answer == (index, home)));
    });
}
