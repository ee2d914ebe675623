//! scratch
use super::child::child;
use std::time::Duration;
use std::cell::RefCell;
thread_local! { static T: RefCell<i32> = RefCell::new(1); static U: i32 = { coop::sleep(Duration::from_millis(1)).unwrap(); 5 }; }

#[test]
fn lint() {
    let c = child!(|| {
        coop::run(|| {
            for _ in 0..100 {
                T.with(|t| { let _g = t.borrow(); coop::sleep(Duration::from_micros(1)).unwrap(); });
                T.with(|t| { let _g = t.borrow(); coop::yield_now().unwrap(); });
            }
            U.with(|u| assert_eq!(*u, 5));
            std::sync::Once::new().call_once(|| coop::yield_now().unwrap());
            let l = std::cell::LazyCell::new(|| coop::yield_now().unwrap());
            let _ = *l;
        });
    }).succeeded();
    eprintln!("{}", c.stderr);
}
#[test]
fn cost() {
    coop::run(|| {
        coop::scope(|s| -> Result<(), coop::Killed> { s.spawn(|| {
        for _ in 0..5 {
        let t = std::time::Instant::now();
        let b = std::backtrace::Backtrace::force_capture();
        let a = t.elapsed();
        let s = b.to_string();
        eprintln!("{a:?} {:?} {}", t.elapsed(), s.lines().count());
        }}); Ok(())}).unwrap();
    });
}
