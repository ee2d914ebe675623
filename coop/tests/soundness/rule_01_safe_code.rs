//! scratch
use super::child::child;
use coop::net::{TcpListener, UnixStream};
use coop::{Killed, op};
use std::time::Duration;

#[test]
fn a_killed_wait_for_an_accept() {
    coop::run(|| {
        let mut task = coop::spawn(|| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            coop::wait_all(|s| {
                let h = s.start(op::accept(&listener));
                h.wait().map(drop)
            })
        });
        coop::yield_now().unwrap();
        task.kill();
        let e = task.join().unwrap().unwrap_err();
        assert!(Killed::is(&e), "{e:?}");
    });
}
#[test]
fn a_cancelled_accept() {
    coop::run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        coop::wait_all(|s| {
            let h = s.start(op::accept(&listener));
            let c = h.cancel();
            assert!(c.is_none(), "{c:?}");
        })
    });
}
#[test]
fn bytes_that_came_before_the_kill() {
    coop::run(|| {
        let mut task = coop::spawn(|| {
            let (a, b) = UnixStream::pair().unwrap();
            let mut buf = [0; 8];
            coop::wait_all(|s| {
                let h = s.start(op::recv(&a, &mut buf));
                b.send_all(b"hello").unwrap();
                while !coop::killed() {
                    let _ = coop::sleep(Duration::from_millis(1));
                }
                h.wait().map(|t| t.bytes().to_vec())
            })
        });
        coop::sleep(Duration::from_millis(5)).unwrap();
        task.kill();
        assert_eq!(task.join().unwrap().unwrap(), b"hello");
    });
}
#[test]
fn two_arms_ready_and_stolen() {
    coop::run(|| {
        let (a, b) = UnixStream::pair().unwrap();
        let (c, d) = UnixStream::pair().unwrap();
        coop::wait_all(|s| {
            let t = s.spawn(|| {
                let (mut x, mut y) = ([0; 4], [0; 4]);
                coop::select! {
                    n = op::recv(&a, &mut x) => n.unwrap(),
                    n = op::recv(&c, &mut y) => n.unwrap(),
                }
            });
            coop::yield_now().unwrap();
            b.send_all(b"1").unwrap();
            d.send_all(b"2").unwrap();
            // steal when both polls have completed
            std::thread::sleep(Duration::from_millis(5));
            let mut buf = [0; 4];
            a.recv(&mut buf).unwrap();
            c.recv(&mut buf).unwrap();
            for _ in 0..200 { coop::yield_now().unwrap(); }
            b.send_all(b"123").unwrap();
            let _ = t;
        });
    });
}
struct Waits;
impl Drop for Waits {
    fn drop(&mut self) {
        eprintln!("dropping, coop: {}", coop::killed());
        let _ = coop::current();
    }
}
#[test]
fn job_dropped_on_the_loop() {
    child!(|| {
        let remote = coop::run(|| {
            let remote = coop::remote().unwrap();
            let w = Waits;
            remote.submit(move || drop(w)).map_err(drop).unwrap();
            remote
        });
        drop(remote);
    }).succeeded();
}
#[repr(align(1048576))]
struct Huge(u8);
#[test]
fn aligned_a_mib() {
    child!(|| {
        coop::run(|| {
            for i in 0..20 {
                let h = Huge(i);
                assert_eq!(coop::TaskBuilder::new().stack(1<<20).spawn(move || { let h = h; assert_eq!((&raw const h).addr() % 1048576, 0); h.0 }).join().unwrap(), i);
            }
        });
    }).succeeded();
}
#[test]
fn result_a_mib() {
    child!(|| {
        coop::run(|| {
            assert_eq!(coop::spawn(move || [7u8; 1 << 20]).join().unwrap()[5], 7);
        });
    }).succeeded();
}
#[test]
fn closure_a_mib() {
    child!(|| {
        coop::run(|| {
            let a = [7u8; 1<<20];
            assert_eq!(coop::spawn(move || a[7]).join().unwrap(), 7);
        });
    }).succeeded();
}
#[test]
fn stack_of_usize_max() {
    child!(|| {
        coop::run(|| {
            assert!(matches!(coop::TaskBuilder::new().stack(usize::MAX).spawn(|| 1).join(), Err(coop::JoinError::NeverRan)));
            assert!(matches!(coop::TaskBuilder::new().stack(usize::MAX/8).spawn(|| 1).join(), Err(coop::JoinError::NeverRan)));
        });
        assert!(coop::Builder::new().root_stack(usize::MAX).run(|| 1).is_err());
        assert!(coop::Builder::new().root_stack(1<<46).run(|| 1).is_err());
        assert!(coop::Builder::new().ring_entries(u32::MAX).run(|| 1).is_ok());
    }).succeeded();
}
#[test]
fn daemon_in_scope() {
    child!(|| {
        coop::run(|| {
            coop::wait_all(|s| { coop::TaskBuilder::new().daemon().spawn_in(s, || while coop::sleep(Duration::from_millis(10)).is_ok() {}); });
        });
    }).succeeded();
}
#[test]
fn self_select() {
    child!(|| {
        coop::run(|| {
            let slot = std::rc::Rc::new(std::cell::RefCell::new(None::<coop::JoinHandle<()>>));
            let s2 = slot.clone();
            let h = coop::spawn(move || {
                let mut me = s2.take().unwrap();
                let r = coop::select! { r = &mut me => format!("{r:?}"), _ = op::after(Duration::from_secs(1)) => "late".into() };
                eprintln!("{r:?}");
                assert_eq!(r.unwrap(), "Err(Deadlock)");
            });
            *slot.borrow_mut() = Some(h);
        });
    }).succeeded();
}
