//! Finding a Python interpreter that suits a charm.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Problem;
use crate::version::{Requirement, Version};

/// Minor versions of Python 3 that are looked for besides `python3`, the newest first.
const MINORS: std::ops::RangeInclusive<u32> = 8..=15;

/// Where programs are looked for.
#[derive(Debug, Clone)]
pub struct Tools {
    path: OsString,
}

impl Tools {
    /// The programs on this process's `PATH`.
    pub fn from_environment() -> Tools {
        Tools { path: std::env::var_os("PATH").unwrap_or_default() }
    }

    /// The programs in directories separated by colons.
    pub fn on_path(path: impl Into<OsString>) -> Tools {
        Tools { path: path.into() }
    }

    /// A program's file, if it is there and executable.
    pub(super) fn find(&self, name: &str) -> Option<PathBuf> {
        let executable = |path: &PathBuf| {
            let access = rustix::fs::access(path, rustix::fs::Access::EXEC_OK);
            path.is_file() && access.is_ok()
        };
        std::env::split_paths(&self.path).map(|directory| directory.join(name)).find(executable)
    }

    /// A command that sees the same programs, and nothing that would send Python elsewhere.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("PATH", &self.path).stdin(Stdio::null());
        for name in
            ["PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PIP_TARGET", "PIP_USER", "UV_PYTHON"]
        {
            command.env_remove(name);
        }
        command
    }
}

/// A Python interpreter of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// The program itself, behind all links and virtual environments.
    pub path: PathBuf,
    /// Its version, `3.11.7`.
    pub version: Version,
    /// What compiled modules are made for: `cpython-311-x86_64-linux-gnu`.
    pub abi: String,
}

/// Prints the program behind links and virtual environments, the version and the ABI, one on a line.
const ASK: &str = "\
import os, sys, sysconfig
print(os.path.realpath(getattr(sys, '_base_executable', None) or sys.executable))
print('.'.join(map(str, sys.version_info[:3])))
print(sysconfig.get_config_var('SOABI') or sys.implementation.cache_tag)
";

impl Interpreter {
    /// The first interpreter that meets a requirement: `python3`, then `python3.15`, `python3.14` and so on.
    pub(super) fn find(
        tools: &Tools,
        wanted: Option<&(Requirement, String)>,
    ) -> Result<Interpreter, Problem> {
        let names = ["python3".to_owned()].into_iter();
        let names = names.chain(MINORS.rev().map(|minor| format!("python3.{minor}")));
        let mut found: Vec<Interpreter> = Vec::new();
        for program in names.filter_map(|name| tools.find(&name)) {
            let Some(interpreter) = Interpreter::ask(tools, &program) else { continue };
            if wanted.is_none_or(|(requirement, _)| requirement.admits(&interpreter.version)) {
                return Ok(interpreter);
            }
            if !found.contains(&interpreter) {
                found.push(interpreter);
            }
        }
        let Some((requirement, file)) = wanted else { return Err(Problem::NoPython) };
        let found: Vec<String> = found.iter().map(|one| one.version.to_string()).collect();
        Err(Problem::PythonVersion {
            requirement: requirement.to_string(),
            file: file.clone(),
            found: if found.is_empty() { "no Python at all".into() } else { found.join(", ") },
        })
    }

    /// What a program says of itself; `None` if it does not run (as a shim for a version that is not installed).
    fn ask(tools: &Tools, program: &Path) -> Option<Interpreter> {
        let output = tools.command(program).args(["-I", "-c", ASK]).output().ok()?;
        let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
        let mut lines = text.lines();
        let path = PathBuf::from(lines.next()?);
        let version = lines.next()?.parse().ok()?;
        Some(Interpreter { path, version, abi: lines.next()?.to_owned() })
    }

    /// `3.11`
    pub fn minor_version(&self) -> String {
        format!("{}.{}", self.version.number(0), self.version.number(1))
    }
}
