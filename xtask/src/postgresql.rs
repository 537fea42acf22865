//! A PostgreSQL server for the tests: started in a scratch directory, stopped when dropped.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::shell::{execute, output, say};

/// A running server of our own.
pub(crate) struct Server {
    binaries: PathBuf,
    directory: TempDir,
    port: u16,
}

/// Where the server's programs are: Debian keeps them off the path.
pub(crate) fn binaries() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<_> = versions
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|path| path.join("initdb").is_file())
        .collect();
    found.sort();
    found.pop()
}

impl Server {
    /// Makes and starts a server on a free loopback port.
    pub(crate) fn start() -> Result<Self> {
        let Some(binaries) = binaries() else { bail!("PostgreSQL is not installed") };
        say("starting a PostgreSQL server for the tests");
        let directory = TempDir::new().context("cannot make a scratch directory")?;
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        drop(listener);
        let server = Self { binaries, directory, port };
        let data = server.data();
        if is_root()? {
            execute(Command::new("chown").arg("postgres").arg(server.directory.path()))?;
        }
        output(
            &mut server.command("initdb", &["--auth=trust", "--username=tutti", "--pgdata", &data]),
        )?;
        let options = format!(
            "-c listen_addresses=127.0.0.1 -p {port} -c unix_socket_directories='' \
             -c max_connections=200 -c shared_buffers=32MB"
        );
        let log = format!("{}/log", server.directory.path().display());
        execute(
            server
                .command(
                    "pg_ctl",
                    &["--pgdata", &data, "--options", &options, "--log", &log, "--wait", "start"],
                )
                .stdout(std::process::Stdio::null()),
        )?;
        Ok(server)
    }

    /// A URL for `tutti serve --database`.
    pub(crate) fn url(&self) -> String {
        format!("postgres://tutti@127.0.0.1:{}/postgres", self.port)
    }

    fn data(&self) -> String {
        format!("{}/data", self.directory.path().display())
    }

    /// A server program; PostgreSQL refuses to run as root, so root runs it as `postgres`.
    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let program = self.binaries.join(program);
        let mut command = match is_root() {
            Ok(true) => {
                let mut command = Command::new("runuser");
                command.args(["-u", "postgres", "--"]).arg(program);
                command
            }
            _ => Command::new(program),
        };
        command.args(arguments).current_dir(Path::new("/"));
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let data = self.data();
        let stopped = output(
            &mut self
                .command("pg_ctl", &["--pgdata", &data, "--mode", "immediate", "--wait", "stop"]),
        );
        if let Err(error) = stopped {
            eprintln!("warning: the PostgreSQL server of the tests did not stop: {error:#}");
        }
    }
}

fn is_root() -> Result<bool> {
    Ok(output(Command::new("id").arg("-u"))?.trim() == "0")
}
