//! The inbox of a Cooperator, the only queue that threads share, under loom: its source, with loom's locks in the place of
//! std's, in every interleaving of the threads that push and the one that takes.
//!
//! The bell is the eventfd, as far as it matters: it keeps that it was rung until it is silenced, and one who waits for it wakes. A
//! message to the ring is the same: its completion is kept until it is looked at.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use loom::thread;
use std::process::Command;

#[allow(dead_code)]
#[path = "../../coop/src/inbox.rs"]
mod inbox;

/// What the inbox finds where the crate has its system calls.
mod sys {
    pub(crate) mod shared {
        pub(crate) use loom::sync::Mutex;
        // What they count is not under test, and loom's have no `Weak`.
        pub(crate) use std::sync::{Arc, PoisonError, Weak};
    }

    pub(crate) struct Bell {
        is_rung: loom::sync::Mutex<bool>,
        news: loom::sync::Condvar,
    }

    impl Bell {
        pub(crate) fn new() -> std::io::Result<Self> {
            Ok(Bell { is_rung: loom::sync::Mutex::new(false), news: loom::sync::Condvar::new() })
        }

        pub(crate) fn ring(&self) {
            *self.is_rung.lock().unwrap() = true;
            self.news.notify_one();
        }

        pub(crate) fn connect(&self, _: std::os::fd::OwnedFd, _: u64) {}

        pub(crate) fn disconnect(&self) {}

        pub(crate) fn silence(&self) {
            *self.is_rung.lock().unwrap() = false;
        }

        /// Who asks for the descriptor waits until it is readable: the ring's poll, in one.
        pub(crate) fn fd(&self) -> std::os::fd::RawFd {
            let mut is_rung = self.is_rung.lock().unwrap();
            while !*is_rung {
                is_rung = self.news.wait(is_rung).unwrap();
            }
            0
        }
    }
}

use inbox::Inbox;

/// The order in which the Cooperator looks at its inbox when the bell has rung.
#[derive(Clone, Copy)]
enum Look {
    /// As it does: what is pushed after the silence rings again.
    SilenceThenTake,
    /// The other way round: what is pushed between the two is never heard of.
    TakeThenSilence,
}

impl Look {
    fn take(self, inbox: &Inbox) -> Vec<inbox::Job> {
        inbox.bell();
        match self {
            Look::SilenceThenTake => {
                inbox.silence();
                inbox.take()
            }
            Look::TakeThenSilence => {
                let jobs = inbox.take();
                inbox.silence();
                jobs
            }
        }
    }
}

/// The Cooperator runs jobs until it has run all, while `pushers` threads push `each`.
fn every_job_is_run(look: Look, pushers: usize, each: usize) {
    loom::model(move || {
        let inbox = std::sync::Arc::new(Inbox::new().unwrap());
        let ran = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..pushers)
            .map(|_| {
                let (inbox, ran) = (inbox.clone(), ran.clone());
                thread::spawn(move || {
                    for _ in 0..each {
                        let ran = ran.clone();
                        assert!(inbox.push(Box::new(move || _ = ran.fetch_add(1, SeqCst))).is_ok());
                    }
                })
            })
            .collect();
        // Where the bell is not rung for a job, this waits for ever, which loom reports.
        while ran.load(SeqCst) < each * pushers {
            look.take(&inbox).into_iter().for_each(|job| job());
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn every_job_that_one_thread_pushes_is_run() {
    every_job_is_run(Look::SilenceThenTake, 1, 3);
}

#[test]
fn the_jobs_of_two_threads_are_run() {
    every_job_is_run(Look::SilenceThenTake, 2, 1);
}

/// The model can fail. In a process of its own: loom aborts it after the report.
#[test]
fn looking_in_the_wrong_order_loses_a_job() {
    let mut wrong = Command::new(std::env::current_exe().unwrap());
    let output = wrong.args(["--ignored", "--exact", "the_wrong_order", "--nocapture"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("deadlock; threads = "), "{said}");
}

#[test]
#[ignore = "fails, as it must: see `looking_in_the_wrong_order_loses_a_job`"]
fn the_wrong_order() {
    every_job_is_run(Look::TakeThenSilence, 1, 2);
}

/// Each job is run, left over at the close, or given back to who pushed it: one of the three.
#[test]
fn a_close_accounts_for_every_job() {
    loom::model(|| {
        let inbox = std::sync::Arc::new(Inbox::new().unwrap());
        let pushing = inbox.clone();
        let pusher = thread::spawn(move || (0..3).filter(|_| pushing.push(Box::new(|| ())).is_err()).count());
        let taken = inbox.take().len();
        let left = inbox.close().len();
        let refused = pusher.join().unwrap();
        assert_eq!(taken + left + refused, 3);
        assert!(inbox.push(Box::new(|| ())).is_err(), "closed for good");
    });
}

/// One who comes by the back door is as welcome, and keeps nothing open.
#[test]
fn the_back_door_leads_to_the_same_queue() {
    loom::model(|| {
        let inbox = Inbox::new().unwrap();
        let door = inbox.back_door();
        let pusher = thread::spawn(move || door.push(Box::new(|| ())).is_ok());
        let taken = inbox.take().len();
        let left = inbox.close().len();
        drop(inbox);
        let accepted = pusher.join().unwrap();
        assert_eq!(taken + left, usize::from(accepted));
    });
}
