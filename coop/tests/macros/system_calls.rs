//! A ready `select!` makes the system calls that the blocking call would make, and no other.
//!
//! A child, stopped at each of its system calls, goes through one section after the other: what is plain beside what is selected.
//! Sections begin and end with a call that nobody else makes.

use crate::child;
use coop::net::{TcpListener, TcpStream, UnixStream};
use coop::sync::Mutex;
use coop::{chan, op};
use std::cell::Cell;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::Duration;

/// How often each section does what it is about. Fewer than the switches after which the runtime would look at the ring.
const ROUNDS: usize = 10;

const HOUR: Duration = Duration::from_secs(3600);

// ---- the sections

/// The descriptor whose closing begins a section, by number, or ends it.
const FIRST_MARK: i32 = -1000;

fn mark(number: usize) {
    // SAFETY: no such descriptor can be open.
    unsafe { libc::close(FIRST_MARK - number as i32) };
}

/// Runs one section. What it needs is there already; the ring has just been looked at.
fn section(number: usize, mut round: impl FnMut()) {
    coop::sleep(Duration::from_millis(1)).unwrap();
    mark(number);
    (0..ROUNDS).for_each(|_| round());
    mark(0);
}

const NOTHING: usize = 1;
const RECV: usize = 2;
const SELECT_RECV: usize = 3;
const SEND: usize = 4;
const SELECT_SEND: usize = 5;
const ACCEPT: usize = 6;
const SELECT_ACCEPT: usize = 7;
const QUEUES: usize = 8;
const SELECT_QUEUES: usize = 9;
const SELECT_DEFAULT: usize = 10;
const SELECT_BESIDE_A_SOCKET: usize = 11;
const SELECT_BESIDE_A_SOCKET_BIASED: usize = 12;

#[test]
#[ignore = "traced by the tests below"]
fn sections() {
    coop::run(|| -> io::Result<()> {
        section(NOTHING, || ());

        let (ours, theirs) = UnixStream::pair()?;
        let (silent, _other) = UnixStream::pair()?;
        let (_tx, never) = chan::bounded::<u32>(1);
        let mut byte = [0];
        theirs.send_all(&[b'x'; 2 * ROUNDS])?;
        section(RECV, || assert_eq!(ours.recv(&mut byte).unwrap(), 1));
        section(SELECT_RECV, || {
            let n = coop::select! {
                _ = op::receive(&never) => 9,
                n = op::recv(&ours, &mut byte) => n.unwrap(),
                _ = op::after(HOUR) => 9,
            };
            assert_eq!(n, Ok(1));
        });
        section(SEND, || assert_eq!(ours.send(b"x").unwrap(), 1));
        section(SELECT_SEND, || {
            let n = coop::select! { n = op::send(&ours, b"x") => n.unwrap(), _ = op::receive(&never) => 9, _ = op::after(HOUR) => 9 };
            assert_eq!(n, Ok(1));
        });

        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let _clients: Vec<_> = (0..2 * ROUNDS).map(|_| TcpStream::connect(address)).collect::<io::Result<_>>()?;
        let accepted = Cell::new(Vec::with_capacity(2 * ROUNDS));
        let keep = |stream: TcpStream| {
            let mut all = accepted.take();
            all.push(stream);
            accepted.set(all);
        };
        section(ACCEPT, || keep(listener.accept().unwrap().0));
        section(SELECT_ACCEPT, || {
            coop::select! { stream = op::accept(&listener) => keep(stream.unwrap().0), _ = op::after(HOUR) => {} }.unwrap();
        });

        let (tx, rx) = chan::bounded(1);
        let mutex = Mutex::new(());
        section(QUEUES, || {
            tx.send(1).unwrap();
            rx.recv().unwrap();
            drop(mutex.lock().unwrap());
        });
        section(SELECT_QUEUES, || {
            for _ in 0..3 {
                coop::select! {
                    permit = op::reserve(&tx) => permit.unwrap().send(1),
                    n = op::receive(&rx) => assert_eq!(n, Ok(1)),
                    _ = op::lock(&mutex) => {}
                    _ = op::receive(&never) => unreachable!(),
                    _ = op::after(HOUR) => unreachable!(),
                }
                .unwrap();
            }
        });
        section(SELECT_DEFAULT, || {
            let n = coop::select! { _ = op::receive(&never) => 1, _ = op::after(HOUR) => 2, default => 3 };
            assert_eq!(n, Ok(3));
        });

        let (tx, rx) = chan::bounded(2 * ROUNDS);
        (0..2 * ROUNDS).for_each(|_| tx.try_send(1).unwrap());
        section(SELECT_BESIDE_A_SOCKET, || {
            let n = coop::select! { n = op::receive(&rx) => n.unwrap(), _ = op::recv(&silent, &mut byte) => 9 };
            assert_eq!(n, Ok(1));
        });
        section(SELECT_BESIDE_A_SOCKET_BIASED, || {
            let n = coop::select! { biased; n = op::receive(&rx) => n.unwrap(), _ = op::recv(&silent, &mut byte) => 9 };
            assert_eq!(n, Ok(1));
        });
        Ok(())
    })
    .unwrap();
}

// ---- what they do

/// The numbers of the system calls in each section.
struct Trace {
    sections: Vec<Vec<u64>>,
}

impl Trace {
    fn of(&self, section: usize) -> Vec<libc::c_long> {
        self.sections[section].iter().map(|&number| number as libc::c_long).collect()
    }
}

/// Runs [`sections`] to its end, and notes each system call that it makes.
// The child is waited for by `waitpid`, as a tracer does.
#[allow(clippy::zombie_processes)]
fn trace() -> Trace {
    let mut command = child::test(module_path!(), "sections");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    // SAFETY: between fork and exec the closure makes one system call.
    unsafe {
        command.pre_exec(|| match libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        });
    }
    let child = command.spawn().expect("a child can be traced: ptrace is not forbidden here");
    let first = child.id() as libc::pid_t;
    // Which thread of the child has stopped or ended, and how. Of this thread's children only: other tests have theirs.
    let wait = || {
        let mut status = 0;
        // SAFETY: `status` is a valid place for the result.
        let thread = unsafe { libc::waitpid(-1, &mut status, libc::__WALL | libc::__WNOTHREAD) };
        assert!(thread > 0, "{}", io::Error::last_os_error());
        (thread, status)
    };
    let (thread, status) = wait();
    assert!(thread == first && libc::WIFSTOPPED(status), "it stops at its exec");
    let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_TRACECLONE | libc::PTRACE_O_EXITKILL;
    // SAFETY: the child is stopped, and this thread traces it.
    assert_eq!(unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, first, 0, options) }, 0);

    let mut sections: Vec<Vec<u64>> = Vec::new();
    let (mut thread, mut current, mut signal) = (first, 0, 0);
    loop {
        // SAFETY: the thread is stopped, and this one traces it. A thread that has been killed meanwhile is no matter.
        unsafe { libc::ptrace(libc::PTRACE_SYSCALL, thread, 0, signal) };
        let status = loop {
            let (next, status) = wait();
            if next == first && libc::WIFEXITED(status) {
                assert_eq!(libc::WEXITSTATUS(status), 0, "`sections` has failed: run it by itself");
                return Trace { sections };
            }
            assert!(next != first || libc::WIFSTOPPED(status), "the child was killed");
            if libc::WIFSTOPPED(status) {
                thread = next;
                break status;
            }
        };
        signal = 0;
        if libc::WSTOPSIG(status) != libc::SIGTRAP | 0x80 {
            // The stop with which a new thread begins, its creator's report of it, or a signal, which is to be delivered.
            let is_ours = libc::WSTOPSIG(status) == libc::SIGSTOP || status >> 16 != 0;
            signal = if is_ours { 0 } else { libc::WSTOPSIG(status) };
            continue;
        }
        let Some((number, argument)) = entered(thread) else { continue };
        match FIRST_MARK.checked_sub(argument as i32) {
            Some(mark @ 0..100) if number == libc::SYS_close as u64 => {
                current = mark as usize;
                sections.resize_with(sections.len().max(current + 1), Vec::new);
            }
            // The other thread, which waits for this one to end, makes no calls meanwhile.
            _ if current != 0 => sections[current].push(number),
            _ => {}
        }
    }
}

/// The number and the first argument of the system call that a stopped thread is about to make; `None` when it has made one.
fn entered(thread: libc::pid_t) -> Option<(u64, u64)> {
    // SAFETY: all zeros are a value of that struct, which the call fills in; `op` says which part of the union.
    unsafe {
        let mut info: libc::ptrace_syscall_info = std::mem::zeroed();
        assert!(libc::ptrace(libc::PTRACE_GET_SYSCALL_INFO, thread, size_of_val(&info), &mut info) > 0);
        (info.op == libc::PTRACE_SYSCALL_INFO_ENTRY).then(|| (info.u.entry.nr, info.u.entry.args[0]))
    }
}

#[test]
fn a_ready_arm_makes_the_calls_of_the_blocking_call_and_no_other() {
    let trace = trace();
    assert_eq!(trace.of(NOTHING), [], "the marks are no calls");
    for (plain, selected, expected) in [
        (RECV, SELECT_RECV, vec![libc::SYS_recvfrom; ROUNDS]),
        (SEND, SELECT_SEND, vec![libc::SYS_sendto; ROUNDS]),
        (ACCEPT, SELECT_ACCEPT, vec![libc::SYS_accept4; ROUNDS]),
        (QUEUES, SELECT_QUEUES, vec![]),
    ] {
        assert_eq!(trace.of(plain), expected, "section {plain}");
        assert_eq!(trace.of(selected), expected, "section {selected}");
    }
    // With a `default` it looks at completions that have come, which it sees without asking the kernel.
    assert_eq!(trace.of(SELECT_DEFAULT), []);
    // Where the arms take turns, a socket whose last call found nothing is asked again when its turn is first: that is what
    // fairness costs beside a channel that is always ready. In a fixed order it is not asked.
    assert_eq!(trace.of(SELECT_BESIDE_A_SOCKET), vec![libc::SYS_recvfrom; ROUNDS / 2]);
    assert_eq!(trace.of(SELECT_BESIDE_A_SOCKET_BIASED), []);
}
