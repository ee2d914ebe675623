use crate::trace::settle;
use coop::chan::{self, RecvError, Unsent};

#[coop::test]
fn sending_never_waits_and_works_when_killed() {
    let (tx, rx) = chan::unbounded();
    let mut task = coop::spawn(move || {
        let _ = coop::sleep(std::time::Duration::from_secs(3600));
        coop::no_switch(|| (0..1000).for_each(|n| tx.send(n).unwrap()));
    });
    settle();
    task.kill();
    task.join().unwrap();
    assert_eq!(rx.len(), 1000);
    assert!(rx.iter().eq(0..1000));
}

#[coop::test]
fn messages_come_back_when_nobody_listens() {
    let (tx, rx) = chan::unbounded();
    tx.send("first").unwrap();
    rx.close();
    assert_eq!(tx.send("second"), Err(Unsent("second")));
    assert_eq!((rx.recv(), rx.recv()), (Ok("first"), Err(RecvError::Closed)));
    drop(rx);
    assert_eq!(tx.clone().send("third"), Err(Unsent("third")));
    assert!(tx.is_empty() && tx.is_closed());
}

#[coop::test]
fn many_receivers_share_in_order() {
    let (tx, rx) = chan::unbounded();
    let mut sums = Vec::new();
    coop::wait_all(|s| {
        let mut tasks: Vec<_> = (0..3).map(|_| s.spawn(|| rx.recv().unwrap())).collect();
        settle();
        (10..13).for_each(|n| tx.send(n).unwrap());
        sums.extend(tasks.iter_mut().map(|task| task.join().unwrap()));
    });
    assert_eq!(sums, [10, 11, 12]);
}
