//! ssh-rs: an SSH client over coop's streams, against `sshd`.

mod common;

use common::{Directory, Program, has_tool, killed, noise, run, tells_of_the_kill};
use coop::net::UnixStream;
use ssh::SshError;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

const SSHD: &str = "/usr/sbin/sshd";

/// What a server and its only user need.
struct Account {
    directory: Directory,
    user: String,
}

impl Account {
    fn new() -> Option<Account> {
        if !has_tool(&["sh", "-c", "command -v ssh-keygen && command -v /usr/sbin/sshd"]) {
            return None;
        }
        let directory = Directory::new();
        for name in ["host", "user"] {
            let key = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(directory.path(name))
                .status();
            assert!(key.is_ok_and(|status| status.success()));
        }
        // Where sshd, started by root, wants to be locked up. Only root can make it, and only root needs it.
        let _ = fs::create_dir("/run/sshd")
            .and_then(|()| fs::set_permissions("/run/sshd", fs::Permissions::from_mode(0o755)));
        let [host, keys] = ["host", "user.pub"].map(|name| directory.text(name));
        directory.write(
            "sshd_config",
            format!("HostKey {host}\nAuthorizedKeysFile {keys}\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPidFile none\n"),
        );
        let user = Command::new("id").arg("--user").arg("--name").output().expect("id is a part of every system");
        Some(Account { directory, user: String::from_utf8(user.stdout).expect("letters").trim().to_owned() })
    }

    /// A server of one connection, as inetd would start it.
    fn server(&self) -> (Program, UnixStream) {
        let mut command = Command::new(SSHD);
        Program::connected(command.args(["-i", "-e", "-f"]).arg(self.directory.path("sshd_config")))
    }

    fn connect(&self, conn: UnixStream) -> Result<ssh::LocalSession<UnixStream>, SshError> {
        let session = ssh::create_session().username(&self.user).private_key_path(self.directory.path("user"));
        Ok(session.connect_bio(conn)?.run_local())
    }
}

#[test]
fn commands_run_and_their_output_comes() {
    let Some(account) = Account::new() else { return };
    let content = noise(6, 300_000);
    account.directory.write("content", &content);
    run(|| {
        let (_sshd, conn) = account.server();
        let mut session = account.connect(conn).map_err(io::Error::other)?;
        for n in 0..10 {
            let exec = session.open_exec().map_err(io::Error::other)?;
            let output = exec.send_command(&format!("echo {n} | sed s/^/number/")).map_err(io::Error::other)?;
            assert_eq!(output, format!("number{n}\n").as_bytes());
        }
        let exec = session.open_exec().map_err(io::Error::other)?;
        let cat = format!("cat {}", account.directory.text("content"));
        assert!(exec.send_command(&cat).map_err(io::Error::other)? == content);
        session.close();
        Ok(())
    });
}

#[test]
fn ten_sessions_on_one_thread() {
    let Some(account) = Account::new() else { return };
    run(|| {
        coop::scope(|s| {
            for n in 0..10 {
                let account = &account;
                s.try_spawn(move || {
                    let (_sshd, conn) = account.server();
                    let mut session = account.connect(conn).map_err(io::Error::other)?;
                    let exec = session.open_exec().map_err(io::Error::other)?;
                    let output = exec.send_command(&format!("sleep 0.1; echo {n}")).map_err(io::Error::other)?;
                    assert_eq!(output, format!("{n}\n").as_bytes());
                    session.close();
                    Ok::<_, io::Error>(())
                });
            }
            Ok(())
        })
    });
}

#[test]
fn a_kill_reaches_through_it() {
    run(|| {
        let error = killed(|conn| {
            let session = ssh::create_session().username("ann").password("secret").connect_bio(conn);
            session.map(drop).unwrap_err()
        })?;
        assert!(tells_of_the_kill(&error), "{error:?}");
        Ok(())
    });
}
