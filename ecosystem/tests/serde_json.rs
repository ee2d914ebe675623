//! serde_json: values one after the other over a socket, answered by `jq`.

mod common;

use common::{Program, has_tool, killed, pair, run};
use coop::Killed;
use serde::{Deserialize, Serialize};
use serde_json::{Deserializer, Value, json};
use std::io::{self, BufReader, Write};
use std::net::Shutdown;
use std::process::Command;

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Order {
    number: u32,
    items: Vec<String>,
}

#[test]
fn a_conversation_with_jq() {
    if !has_tool(&["jq", "--version"]) {
        return;
    }
    run(|| {
        let filter = "{number: (.number + 1), items: (.items | reverse)}";
        let (mut jq, conn) = Program::connected(Command::new("jq").args(["--compact-output", "--unbuffered", filter]));
        // One after the other: the answer comes before the next question is sent.
        let mut answers = Deserializer::from_reader(BufReader::new(&conn)).into_iter::<Order>();
        for number in 0..200 {
            let items: Vec<_> = (0..number % 7).map(|n| format!("item {n} \u{1f980}\n")).collect();
            let order = Order { number, items };
            serde_json::to_writer(&conn, &order)?;
            (&conn).write_all(b"\n")?;
            let answer = answers.next().expect("an answer")?;
            let reversed = order.items.into_iter().rev().collect();
            assert_eq!(answer, Order { number: number + 1, items: reversed });
        }
        conn.shutdown(Shutdown::Write)?;
        assert!(answers.next().is_none(), "the end");
        assert!(jq.ended()?.success());
        Ok(())
    });
}

#[test]
fn a_hundred_services_on_one_thread() {
    run(|| {
        coop::scope(|s| {
            for number in 0..100_u64 {
                let (client, server) = pair()?;
                s.try_spawn(move || {
                    for question in Deserializer::from_reader(BufReader::new(&server)).into_iter::<Value>() {
                        let sum: u64 = question?["add"].as_array().unwrap().iter().filter_map(Value::as_u64).sum();
                        serde_json::to_writer(&server, &json!({ "sum": sum }))?;
                    }
                    Ok(())
                });
                s.try_spawn(move || {
                    let mut answers = Deserializer::from_reader(BufReader::new(&client)).into_iter::<Value>();
                    for n in 0..20 {
                        serde_json::to_writer(&client, &json!({ "add": [number, n] }))?;
                        assert_eq!(answers.next().unwrap()?, json!({ "sum": number + n }));
                    }
                    Ok(())
                });
            }
            Ok::<_, io::Error>(())
        })
    });
}

#[test]
fn a_kill_reaches_through_it() {
    run(|| {
        let error = killed(|conn| serde_json::from_reader::<_, Value>(conn).unwrap_err())?;
        assert!(error.is_io());
        assert!(Killed::is(&io::Error::from(error)));
        Ok(())
    });
}
