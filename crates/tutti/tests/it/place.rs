//! A place of its own for each test: directories, the names of the binary, a controller that is
//! stopped at the end.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_tutti");

/// Directories of one test.
pub(crate) struct Place {
    root: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for name in ["juju", "config-get", "juju-exec"] {
            symlink(BINARY, root.path().join(name)).unwrap();
        }
        Self { root }
    }

    pub(crate) fn path(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    /// A command with nothing of the caller's environment but `PATH`.
    pub(crate) fn command(&self, program: &str, words: &[&str]) -> Command {
        let program = match program {
            "tutti" => PathBuf::from(BINARY),
            other => self.root.path().join(other),
        };
        let mut command = Command::new(program);
        command
            .args(words)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.root.path())
            .env("TUTTI_DATA", self.data())
            .env("XDG_CACHE_HOME", self.root.path().join("cache"))
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, program: &str, words: &[&str]) -> Answer {
        Answer::from(self.command(program, words).output().unwrap())
    }

    /// Runs `juju` and expects success.
    pub(crate) fn juju(&self, words: &[&str]) -> Answer {
        let answer = self.run("juju", words);
        assert_eq!(answer.code, 0, "juju {words:?}: {answer:?}");
        answer
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.data().exists() {
            let stopped = self.run("tutti", &["stop"]);
            if !std::thread::panicking() {
                assert_eq!(stopped.code, 0, "{stopped:?}");
            }
        }
    }
}

/// What a process said and how it ended.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}
