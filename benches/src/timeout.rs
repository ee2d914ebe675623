//! Row: a time limit that is not reached, as most are.

use crate::harness::{Amount, CPU, Row, Side, Stopwatch};
use coop::chan;
use std::io;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

/// What each asynchronous peer does.
macro_rules! asynchronous {
    ($peer:ident) => {
        |n| {
            use crate::peers::$peer::{bounded, join, receive, run_timed, send, spawn, within};
            run_timed(async move {
                let (question, mut questions) = bounded(1);
                let (answer, mut answers) = bounded(1);
                let time = Stopwatch::start();
                let answering = spawn(async move {
                    for _ in 0..n {
                        let number: u64 = within(LIMIT, receive(&mut questions)).await.expect("in time").expect("open");
                        send(&answer, number).await;
                    }
                });
                let asking = spawn(async move {
                    let mut sum = 0;
                    for number in 0..n {
                        send(&question, number).await;
                        sum += receive(&mut answers).await.expect("open");
                    }
                    sum
                });
                let sum = join(asking).await;
                join(answering).await;
                let each = time.cpu_per(n);
                assert_eq!(sum, n * (n - 1) / 2);
                vec![each]
            })
        }
    };
}

pub const ROWS: &[Row] = &[Row {
    name: "timeout",
    measures: "question and answer between two tasks, each question awaited within a timeout of 30 s that never strikes",
    figures: &[CPU],
    amount: Amount::Calibrated,
    only_by_name: false,
    sides: || {
        vec![
            Side::new("coop", coop_side),
            Side::new("tokio", asynchronous!(tokio)),
            Side::new("monoio", asynchronous!(monoio)),
            Side::new("glommio", asynchronous!(glommio)),
            Side::new("smol", asynchronous!(smol)),
        ]
    },
}];

fn coop_side(n: u64) -> Vec<f64> {
    let body = || -> io::Result<Vec<f64>> {
        let (question, questions) = chan::bounded(1);
        let (answer, answers) = chan::bounded(1);
        let time = Stopwatch::start();
        let mut answering = coop::spawn(move || -> io::Result<()> {
            for _ in 0..n {
                let number: u64 = coop::timeout(LIMIT, || -> io::Result<u64> { Ok(questions.recv()?) })?;
                answer.send(number).map_err(|_| io::ErrorKind::BrokenPipe)?;
            }
            Ok(())
        });
        let mut asking = coop::spawn(move || -> io::Result<u64> {
            let mut sum = 0;
            for number in 0..n {
                question.send(number).map_err(|_| io::ErrorKind::BrokenPipe)?;
                sum += answers.recv()?;
            }
            Ok(sum)
        });
        let sum = asking.join().expect("nobody kills")?;
        answering.join().expect("nobody kills")?;
        let each = time.cpu_per(n);
        assert_eq!(sum, n * (n - 1) / 2);
        Ok(vec![each])
    };
    coop::run(body).expect("nobody closes a channel")
}
