//! tokio-postgres: a database's driver of futures that takes the stream it is given, here `coop::future::Async`, and needs
//! nothing of tokio's but its traits. Against PostgreSQL.

mod common;

use common::{Directory, Program, has_tool, run};
use coop::future::Async;
use coop::net::UnixStream;
use coop::{Killed, block_on};
use std::cell::Cell;
use std::io;
use std::process::{Command, Stdio};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, Error, NoTls};
use tokio_util::compat::FuturesAsyncReadCompatExt;

/// A server of this test's own. It refuses to be run by root, who runs it as its own user.
struct Server {
    program: Program,
    directory: Directory,
}

/// A command of PostgreSQL's, which Debian puts where no path leads.
fn postgres(arguments: &str) -> Command {
    let mut command = Command::new("sh");
    let other_user =
        "if [ $(id --user) = 0 ]; then set -- setpriv --reuid=postgres --regid=postgres --clear-groups \"$@\"; fi";
    command
        .arg("-c")
        .arg(format!("PATH=$(echo /usr/lib/postgresql/*/bin):$PATH; set -- {arguments}; {other_user}; exec \"$@\""));
    command
}

impl Server {
    fn start() -> Option<Server> {
        if !has_tool(&["sh", "-c", "ls /usr/lib/postgresql/*/bin/postgres"]) {
            return None;
        }
        let directory = Directory::new();
        let path = directory.text("data");
        std::fs::create_dir(&path).expect("the directory takes directories");
        // Only root can give it away, and only root has to.
        let _ = Command::new("chown").arg("postgres").arg(&path).stderr(Stdio::null()).status();
        let made = postgres(&format!("initdb --no-sync --auth=trust --username=ann --pgdata={path}")).output();
        let made = made.expect("a shell is there");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let set = "-c listen_addresses= -c fsync=off";
        let program = Program::start(&mut postgres(&format!("postgres -D {path} -k {path} {set}")));
        program.line_with("ready to accept connections");
        Some(Server { program, directory })
    }

    /// A connection, driven by a task that ends with it.
    fn connect(&self) -> io::Result<Client> {
        let stream = UnixStream::connect(self.directory.path("data/.s.PGSQL.5432"))?;
        let mut config = Config::new();
        let connecting = config.user("ann").dbname("postgres").connect_raw(Async::new(stream).compat(), NoTls);
        let (client, connection) = block_on(connecting)?.map_err(io::Error::other)?;
        coop::spawn(move || block_on(connection));
        Ok(client)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its processes share memory, which they leave behind when they are killed.
        self.program.end_by(libc::SIGINT);
    }
}

/// Waits for what the driver promises.
fn done<T>(promised: impl Future<Output = Result<T, Error>>) -> io::Result<T> {
    block_on(promised)?.map_err(io::Error::other)
}

#[test]
fn twenty_connections_and_many_queries_on_each() {
    let Some(server) = Server::start() else { return };
    run(|| {
        done(server.connect()?.batch_execute("CREATE TABLE orders (task INT, number INT, text TEXT)"))?;
        coop::scope(|s| {
            for task in 0..20_i32 {
                let server = &server;
                s.try_spawn(move || {
                    let mut client = server.connect()?;
                    let transaction = done(client.transaction())?;
                    let insert = done(transaction.prepare("INSERT INTO orders VALUES ($1, $2, $3)"))?;
                    for number in 0..20_i32 {
                        let text = "x".repeat(1000 * number as usize);
                        assert_eq!(done(transaction.execute(&insert, &[&task, &number, &text]))?, 1);
                    }
                    done(transaction.commit())
                });
            }
            Ok::<_, io::Error>(())
        })?;
        // Several tasks' queries over one connection, one behind the other.
        let client = server.connect()?;
        let answered = Cell::new(0);
        coop::scope(|s| {
            for task in 0..20_i32 {
                let (client, answered) = (&client, &answered);
                s.try_spawn(move || {
                    let sums = "SELECT COUNT(*), SUM(LENGTH(text)) FROM orders WHERE task = $1";
                    let row = done(client.query_one(sums, &[&task]))?;
                    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (20, 190_000));
                    answered.set(answered.get() + 1);
                    Ok::<_, io::Error>(())
                });
            }
            Ok(())
        })?;
        assert_eq!(answered.get(), 20);
        let wrong = block_on(client.query("SELECT nothing FROM nowhere", &[]))?.unwrap_err();
        assert_eq!(wrong.code(), Some(&SqlState::UNDEFINED_TABLE));
        Ok(())
    });
}

#[test]
fn a_kill_ends_the_wait_for_an_answer() {
    let Some(server) = Server::start() else { return };
    run(|| {
        let client = server.connect()?;
        let mut task = coop::spawn(move || -> Result<(), Killed> {
            block_on(client.batch_execute("SELECT pg_sleep(3600)"))?.expect("nobody waits so long");
            Ok(())
        });
        // The query runs.
        let other = server.connect()?;
        let running = "SELECT COUNT(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'";
        while done(other.query_one(running, &[]))?.get::<_, i64>(0) == 0 {
            coop::sleep(std::time::Duration::from_millis(5))?;
        }
        task.kill();
        assert!(task.join()?.is_err());
        Ok(())
    });
}
