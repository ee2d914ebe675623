//! Work that makes more work, such as directories in directories, done by a bounded number of tasks.

use std::{cell::Cell, io};

use coop::chan;

/// Jobs that wait for a task, in the order they came.
pub struct Jobs<T> {
    add: chan::unbounded::Sender<T>,
    waiting: chan::Receiver<T>,
    /// Jobs that wait or are being done.
    left: Cell<usize>,
}

impl<T> Default for Jobs<T> {
    fn default() -> Self {
        let (add, waiting) = chan::unbounded();
        Self { add, waiting, left: Cell::new(0) }
    }
}

impl<T> Jobs<T> {
    /// Adds a job. When all are done already, nobody will do it.
    pub fn add(&self, job: T) {
        self.left.set(self.left.get() + 1);
        // Closed only when all are done.
        let _ = self.add.send(job);
    }

    /// Has `tasks` tasks do the jobs, those too that the jobs add, until none is left. A wait point; kill-checked.
    ///
    /// # Errors
    /// The first error of `work`; the other tasks are then killed.
    pub fn run(&self, tasks: usize, work: impl Fn(T) -> io::Result<()>) -> io::Result<()> {
        if self.left.get() == 0 {
            return Ok(());
        }
        coop::scope(|s| {
            for _ in 0..tasks {
                s.try_spawn(|| {
                    while let Some(job) = self.waiting.next()? {
                        work(job)?;
                        self.left.set(self.left.get() - 1);
                        if self.left.get() == 0 {
                            self.waiting.close();
                        }
                    }
                    Ok(())
                });
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[coop::test(schedules = 20)]
    fn every_job_is_done_once_by_at_most_so_many_tasks_at_a_time() {
        let jobs = Jobs::default();
        let (done, busy) = (RefCell::new(Vec::new()), Cell::new(0));
        jobs.add(1);
        let ended = jobs.run(3, |n: u32| {
            busy.set(busy.get() + 1);
            assert!(busy.get() <= 3);
            coop::yield_now()?;
            busy.set(busy.get() - 1);
            done.borrow_mut().push(n);
            for below in [2 * n, 2 * n + 1] {
                if below < 64 {
                    jobs.add(below);
                }
            }
            Ok(())
        });
        assert!(ended.is_ok());
        let mut done = done.into_inner();
        done.sort();
        assert_eq!(done, (1..64).collect::<Vec<_>>());
    }

    #[coop::test]
    fn an_error_ends_the_others() {
        let jobs = Jobs::default();
        (0..10).for_each(|n| jobs.add(n));
        let ended = jobs.run(4, |n| match n {
            3 => Err(io::ErrorKind::NotFound.into()),
            _ => Ok(coop::sleep(std::time::Duration::from_secs(3600))?),
        });
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(Jobs::<()>::default().run(4, |()| Ok(())).is_ok(), "no job at all");
    }
}
