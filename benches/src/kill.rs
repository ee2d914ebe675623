//! Row: ending many tasks that wait for the kernel.

use crate::harness::{Amount, Bar, CPU, Figure, Row, Side, Stopwatch, Unit};
use crate::peers::tokio_run;
use crate::sys;
use std::cell::Cell;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

pub const ROWS: &[Row] = &[Row {
    name: "kill-10k",
    measures: "10,000 tasks, each waiting in recv on a Unix socket that it owns, are killed (tokio: aborted): from the \
               kill until all are joined and their descriptors closed; CPU of each task, and the time it takes for all",
    figures: &[
        CPU.within(&[Bar::Fixed(3_000.0)]),
        Figure::new("kill to joined", Unit::Nanos).within(&[Bar::Fixed(200e6)]),
    ],
    amount: Amount::Fixed { full: 10_000, quick: 1_000, samples: 9 },
    only_by_name: false,
    sides: || {
        vec![
            Side::new("coop", coop_side),
            Side::limit("ring: cancel, drain, close", limit),
            Side::new("tokio", tokio_side),
        ]
    },
}];

/// Long enough for what was started to have reached the kernel.
const SETTLING: Duration = Duration::from_millis(20);

/// The far ends of many connections. They are held by a thread with a descriptor table of its own: 20,000 descriptors in one
/// table are more than most systems allow.
struct FarEnds {
    release: Sender<()>,
    holder: thread::JoinHandle<io::Result<()>>,
}

impl FarEnds {
    /// So many connections, of which the near ends are given out.
    fn connected(n: u64) -> io::Result<(FarEnds, Vec<UnixStream>)> {
        let wanted = n + 100;
        let limit = sys::raise_descriptors(wanted);
        assert!(limit >= wanted, "{wanted} descriptors are needed, the limit is {limit}: raise it with `ulimit -n`");
        // A name is free again only when the holder's thread is quite gone, which is later than it can be joined.
        static ROUND: AtomicU32 = AtomicU32::new(0);
        let name = format!("coop-benches-{}-{}", std::process::id(), ROUND.fetch_add(1, Relaxed));
        let address = SocketAddr::from_abstract_name(name)?;
        let listener = UnixListener::bind_addr(&address)?;
        let (release, released) = mpsc::channel::<()>();
        let holder = thread::spawn(move || {
            sys::unshare_descriptors()?;
            let held = (0..n).map(|_| UnixStream::connect_addr(&address)).collect::<io::Result<Vec<_>>>()?;
            // Returns when the sender is dropped.
            let _ = released.recv();
            drop(held);
            Ok(())
        });
        let near = (0..n).map(|_| listener.accept().map(|(stream, _)| stream)).collect::<io::Result<Vec<_>>>()?;
        Ok((FarEnds { release, holder }, near))
    }

    fn close(self) {
        drop(self.release);
        self.holder.join().expect("the holder does not panic").expect("all connections were made");
    }
}

fn coop_side(n: u64) -> Vec<f64> {
    let before = sys::open_descriptors();
    let (far, near) = FarEnds::connected(n).expect("so many connections");
    let figure = coop::run(|| {
        let killed = Cell::new(0);
        let time = coop::wait_all(|s| {
            for near in near {
                let (near, killed) = (coop::net::UnixStream::from(near), &killed);
                s.spawn(move || {
                    let error = near.recv(&mut [0; 64]).expect_err("nobody sends");
                    killed.set(killed.get() + u64::from(coop::Killed::is(&error)));
                });
            }
            coop::sleep(SETTLING).expect("not killed yet");
            let time = Stopwatch::start();
            s.kill();
            time
        });
        let figure = [time.cpu_per(n), time.wall_per(1)];
        assert_eq!(killed.get(), n);
        figure
    });
    assert_eq!(sys::open_descriptors(), before);
    far.close();
    figure.to_vec()
}

fn tokio_side(n: u64) -> Vec<f64> {
    use tokio::io::AsyncReadExt;
    let before = sys::open_descriptors();
    let (far, near) = FarEnds::connected(n).expect("so many connections");
    let figure = tokio_run(async {
        let mut tasks = tokio::task::JoinSet::new();
        for near in near {
            near.set_nonblocking(true).expect("a socket");
            let mut near = tokio::net::UnixStream::from_std(near).expect("a socket");
            tasks.spawn(async move { near.read(&mut [0; 64]).await });
        }
        tokio::time::sleep(SETTLING).await;
        let time = Stopwatch::start();
        tasks.abort_all();
        let mut aborted = 0;
        while let Some(result) = tasks.join_next().await {
            aborted += u64::from(result.is_err_and(|error| error.is_cancelled()));
        }
        let figure = [time.cpu_per(n), time.wall_per(1)];
        assert_eq!(aborted, n);
        figure
    });
    assert_eq!(sys::open_descriptors(), before);
    far.close();
    figure.to_vec()
}

/// So many receives, cancelled one by one, as one kills some tasks and not others.
fn limit(n: u64) -> Vec<f64> {
    use io_uring::{IoUring, opcode, types};
    use std::os::fd::AsRawFd;
    const CANCEL: u64 = 1 << 63;
    let (far, near) = FarEnds::connected(n).expect("so many connections");
    let entries = 256;
    let mut builder = IoUring::builder();
    builder.setup_single_issuer().setup_defer_taskrun().setup_cqsize(n.next_power_of_two() as u32 * 2);
    let mut ring: IoUring = builder.build(entries).expect("a ring");
    let mut buffers = vec![[0u8; 64]; n as usize];
    let push = |ring: &mut IoUring, entry: io_uring::squeue::Entry| {
        // SAFETY: what the entry points to is `buffers`, which lives until every receive has completed.
        while unsafe { ring.submission().push(&entry) }.is_err() {
            ring.submit().expect("the ring takes it");
        }
    };
    for (index, (near, buffer)) in near.iter().zip(&mut buffers).enumerate() {
        let receive = opcode::Recv::new(types::Fd(near.as_raw_fd()), buffer.as_mut_ptr(), 64).build();
        push(&mut ring, receive.user_data(index as u64));
    }
    ring.submit().expect("the ring takes it");
    thread::sleep(SETTLING);
    let time = Stopwatch::start();
    for index in 0..n {
        push(&mut ring, opcode::AsyncCancel::new(index).build().user_data(CANCEL));
    }
    let (mut cancels, mut receives) = (0, 0);
    while cancels + receives < 2 * n {
        ring.submit_and_wait(1).expect("the ring works");
        for completion in ring.completion() {
            if completion.user_data() == CANCEL {
                cancels += 1;
            } else {
                assert_eq!(completion.result(), -libc::ECANCELED);
                receives += 1;
            }
        }
    }
    drop(near);
    let figure = [time.cpu_per(n), time.wall_per(1)];
    assert_eq!((cancels, receives), (n, n));
    far.close();
    figure.to_vec()
}
