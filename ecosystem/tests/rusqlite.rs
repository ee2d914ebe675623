//! rusqlite: a database whose calls block the thread, and so run on another: `coop::unblock`.

mod common;

use common::{Directory, run};
use coop::Killed;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::{Connection, ErrorCode, InterruptHandle};
use std::cell::Cell;
use std::io;
use std::sync::mpsc;
use std::time::Duration;

/// Stops the connection's query when the task that waits for it goes on.
struct StopQuery(InterruptHandle);

impl Drop for StopQuery {
    fn drop(&mut self) {
        self.0.interrupt();
    }
}

#[test]
fn tasks_write_by_turns_while_others_run() {
    let directory = Directory::new();
    let path = directory.path("orders.db");
    let open = {
        let path = path.clone();
        move || {
            let connection = Connection::open(&path)?;
            connection.busy_timeout(Duration::from_secs(30))?;
            Ok::<_, rusqlite::Error>(connection)
        }
    };
    run(|| {
        let opening = open.clone();
        coop::unblock(move || opening()?.execute_batch("CREATE TABLE orders (task INTEGER, number INTEGER)"))?
            .map_err(io::Error::other)?;
        let (ticks, writers) = (Cell::new(0_u64), Cell::new(8));
        coop::scope(|s| {
            for task in 0..8 {
                let (open, writers) = (open.clone(), &writers);
                s.try_spawn(move || {
                    let mut connection = coop::unblock(open)?.map_err(io::Error::other)?;
                    for number in 0..25 {
                        // A connection goes to the thread and comes back.
                        let insert = move || {
                            let inserted = connection.execute("INSERT INTO orders VALUES (?1, ?2)", [task, number]);
                            inserted.map(|_| connection)
                        };
                        connection = coop::unblock(insert)?.map_err(io::Error::other)?;
                    }
                    writers.set(writers.get() - 1);
                    Ok(())
                });
            }
            while writers.get() > 0 {
                ticks.set(ticks.get() + 1);
                coop::sleep(Duration::from_micros(100))?;
            }
            Ok::<_, io::Error>(())
        })?;
        assert!(ticks.get() > 1, "nothing ran while they wrote");
        let count = coop::unblock(move || -> rusqlite::Result<(i64, i64)> {
            let all = "SELECT COUNT(*), SUM(number) FROM orders";
            open()?.query_row(all, [], |row| Ok((row.get(0)?, row.get(1)?)))
        })?;
        assert_eq!(count.unwrap(), (8 * 25, 8 * (0..25).sum::<i64>()));
        Ok(())
    });
}

#[test]
fn a_kill_ends_the_wait_and_can_stop_the_query() {
    run(|| {
        let (sender, ended) = mpsc::channel();
        let (begin, begun) = mpsc::channel();
        let mut task = coop::spawn(move || -> Result<(), Killed> {
            let connection = Connection::open_in_memory().unwrap();
            let _stop = StopQuery(connection.get_interrupt_handle());
            coop::unblock(move || {
                let tell = move |_: &Context<'_>| {
                    begin.send(()).unwrap();
                    Ok(1)
                };
                connection.create_scalar_function("begun", 0, FunctionFlags::empty(), tell).unwrap();
                // It would count for years.
                let endless =
                    "WITH RECURSIVE n(i) AS (SELECT begun() UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n";
                let result = connection.query_row(endless, [], |row| row.get::<_, i64>(0));
                sender.send(result).unwrap();
            })
        });
        while begun.try_recv().is_err() {
            coop::sleep(Duration::from_millis(1))?;
        }
        task.kill();
        assert!(task.join()?.is_err(), "the task went on at once");
        let result = loop {
            match ended.try_recv() {
                Ok(result) => break result,
                Err(_) => coop::sleep(Duration::from_millis(1))?,
            }
        };
        assert_eq!(result.unwrap_err().sqlite_error_code(), Some(ErrorCode::OperationInterrupted));
        Ok(())
    });
}
