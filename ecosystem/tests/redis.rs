//! redis: its commands and its parser over coop's streams, and its own blocking connection on another thread, against
//! `redis-server`.

mod common;

use common::{Directory, Program, appears, has_tool, killed_while, run, tells_of_the_kill};
use coop::net::UnixStream;
use redis::{Cmd, Commands, Parser, RedisResult, Value, cmd};
use std::io::{self, Write};
use std::process::Command;

/// A server of this test's own.
struct Server {
    _program: Program,
    directory: Directory,
}

impl Server {
    fn start() -> Option<Server> {
        if !has_tool(&["redis-server", "--version"]) {
            return None;
        }
        let directory = Directory::new();
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--unixsocket"]).arg(directory.path("redis.sock"));
        let program = Program::start(command.arg("--dir").arg(directory.path(".")));
        appears(&directory.path("redis.sock"));
        program.line_with("ready to accept connections");
        Some(Server { _program: program, directory })
    }

    fn connect(&self) -> io::Result<Client> {
        Ok(Client { conn: UnixStream::connect(self.directory.path("redis.sock"))?, parser: Parser::new() })
    }
}

struct Client {
    conn: UnixStream,
    parser: Parser,
}

impl Client {
    fn ask(&mut self, command: &Cmd) -> io::Result<Value> {
        (&self.conn).write_all(&command.get_packed_command())?;
        self.next()
    }

    fn next(&mut self) -> io::Result<Value> {
        self.parser.parse_value(&self.conn).and_then(Value::extract_error).map_err(io::Error::other)
    }
}

#[test]
fn a_hundred_connections_on_one_thread() {
    let Some(server) = Server::start() else { return };
    run(|| {
        coop::scope(|s| {
            for n in 0..100_u32 {
                let server = &server;
                s.try_spawn(move || {
                    let mut client = server.connect()?;
                    // Values that come in many pieces.
                    let text = format!("value of {n} ").repeat(20_000);
                    assert_eq!(client.ask(cmd("SET").arg(n).arg(&text))?, Value::Okay);
                    assert!(client.ask(cmd("GET").arg(n))? == Value::BulkString(text.into_bytes()));
                    for _ in 0..50 {
                        client.ask(cmd("INCRBY").arg("sum").arg(n))?;
                    }
                    Ok(())
                });
            }
            Ok::<_, io::Error>(())
        })?;
        let sum: u32 = redis::from_redis_value(server.connect()?.ask(cmd("GET").arg("sum"))?).unwrap();
        assert_eq!(sum, 50 * (0..100).sum::<u32>());
        Ok(())
    });
}

#[test]
fn a_subscriber_waits_for_what_others_publish() {
    let Some(server) = Server::start() else { return };
    run(|| {
        let mut subscriber = server.connect()?;
        let told: (String, String, u32) =
            redis::from_redis_value(subscriber.ask(cmd("SUBSCRIBE").arg("news"))?).unwrap();
        assert_eq!(told, ("subscribe".into(), "news".into(), 1));
        coop::scope(|s| {
            s.try_spawn(|| {
                let mut publisher = server.connect()?;
                for n in 0..100 {
                    assert_eq!(publisher.ask(cmd("PUBLISH").arg("news").arg(n))?, Value::Int(1));
                }
                Ok(())
            });
            for n in 0..100 {
                let message: (String, String, u32) = redis::from_redis_value(subscriber.next()?).unwrap();
                assert_eq!(message, ("message".into(), "news".into(), n));
            }
            Ok::<_, io::Error>(())
        })
    });
}

#[test]
fn its_own_connection_blocks_another_thread() {
    let Some(server) = Server::start() else { return };
    let url = format!("unix:{}", server.directory.text("redis.sock"));
    run(|| {
        let client = redis::Client::open(url).unwrap();
        coop::scope(|s| {
            let popping = s.spawn(move || {
                coop::unblock(move || -> RedisResult<(String, String)> {
                    client.get_connection()?.blpop("queue", 30.0)
                })
            });
            // The other tasks run meanwhile: one of them has to push what is waited for.
            server.connect()?.ask(cmd("RPUSH").arg("queue").arg("work"))?;
            let mut popping = popping;
            let popped = popping.join()??.map_err(io::Error::other)?;
            assert_eq!(popped, ("queue".into(), "work".into()));
            Ok(())
        })
    });
}

#[test]
fn a_kill_reaches_through_it() {
    let Some(server) = Server::start() else { return };
    run(|| {
        let mut client = server.connect()?;
        let error = killed_while(move || client.ask(cmd("BLPOP").arg("queue").arg(0)).unwrap_err())?;
        assert!(tells_of_the_kill(&error), "{error:?}");
        Ok(())
    });
}
