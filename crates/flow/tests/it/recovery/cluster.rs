//! A PostgreSQL server of a test's own, which can be stopped and started again.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

pub(super) struct Cluster {
    programs: PathBuf,
    directory: TempDir,
    port: u16,
}

/// Where the server's programs are: Debian keeps them off the path.
fn programs() -> Option<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let versions = versions.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    let mut found: Vec<PathBuf> = versions.chain(std::env::split_paths(&paths)).collect();
    found.retain(|path| path.join("initdb").is_file() && path.join("pg_ctl").is_file());
    found.sort();
    found.pop()
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|id| id.stdout.trim_ascii() == b"0")
}

/// Where a server is named, as `cargo xtask test` does, tests on PostgreSQL must not be skipped in silence.
fn skipped(why: &str) -> Option<Cluster> {
    assert!(std::env::var_os("TUTTI_TEST_POSTGRES").is_none(), "{why}");
    eprintln!("skipped: {why}");
    None
}

impl Cluster {
    /// Makes and starts one; says why there is none where that is not possible, unless tests on PostgreSQL are wanted.
    pub(super) fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            return skipped("the programs of a PostgreSQL server are not installed");
        };
        let directory = tempfile::tempdir().unwrap();
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let cluster = Self { programs, directory, port };
        if is_root() {
            let mut chown = Command::new("chown");
            let owned = chown.arg("postgres").arg(cluster.directory.path()).status();
            if !owned.is_ok_and(|status| status.success()) {
                return skipped(
                    "a PostgreSQL server does not run as root, nor is there a `postgres`",
                );
            }
        }
        cluster.run("initdb", &["--auth=trust", "--username=tutti", "--no-sync"]);
        cluster.go_on();
        Some(cluster)
    }

    pub(super) fn url(&self) -> String {
        format!("postgres://tutti@127.0.0.1:{}/postgres", self.port)
    }

    /// Stops it: `fast` in good order, `immediate` as a loss of power would.
    pub(super) fn stop(&self, mode: &str) {
        self.run("pg_ctl", &["--wait", "--mode", mode, "stop"]);
    }

    /// Starts it again.
    pub(super) fn go_on(&self) {
        let options = format!(
            "-c listen_addresses=127.0.0.1 -p {} -c unix_socket_directories='' -c shared_buffers=16MB",
            self.port
        );
        let log = format!("{}/log", self.directory.path().display());
        self.run("pg_ctl", &["--wait", "--options", &options, "--log", &log, "start"]);
    }

    /// Runs a program of the server, which refuses to be root.
    fn run(&self, program: &str, arguments: &[&str]) {
        let program = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.arg("--pgdata").arg(self.directory.path().join("data")).args(arguments);
        let status = command.current_dir(Path::new("/")).stdout(Stdio::null()).status();
        assert!(status.unwrap().success(), "{command:?}");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if !std::thread::panicking() && self.directory.path().join("data/postmaster.pid").exists() {
            self.stop("immediate");
        }
    }
}
