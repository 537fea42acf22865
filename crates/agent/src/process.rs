//! Running a charm's process: in a process group of its own, its output as log lines.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::leftover::{Mark, kill_group};
use crate::output::{self, Captured};
use crate::reports::Reports;

/// How often a file that is still open for writing somewhere is tried again. That happens when
/// another process was started while a charm was being unpacked: it holds the file until its own
/// program is in place.
const BUSY: u32 = 500;

/// A program to run.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// Absolute path.
    pub(crate) file: PathBuf,
    /// Arguments.
    pub(crate) arguments: Vec<String>,
    /// Working directory.
    pub(crate) directory: PathBuf,
    /// The whole environment.
    pub(crate) environment: Environment,
}

/// Where a program's output goes.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    /// The unit's reports.
    pub(crate) reports: Reports,
    /// `unit.<unit>.<hook>`.
    pub(crate) logger: String,
    /// Also keep it, for a task's results.
    pub(crate) capture: bool,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By itself, with this code.
    Exited(i32),
    /// By this signal, from somebody else.
    Signalled(i32),
    /// Killed by the agent.
    Killed,
}

/// An ended process.
#[derive(Debug)]
pub(crate) struct Finished {
    /// How it ended.
    pub(crate) ending: Ending,
    /// What it wrote, if captured.
    pub(crate) stdout: Captured,
    /// What it wrote, if captured.
    pub(crate) stderr: Captured,
}

/// Runs a program to its end. When `stop` becomes ready, or the returned future is dropped, its
/// whole process group is killed.
///
/// Processes that the program leaves in the background live on, without their output being read.
///
/// # Errors
/// [`Error::Start`]; the mark cannot be written.
pub(crate) async fn run(
    program: &Program,
    mark: &mut Mark,
    destination: &Destination,
    stop: impl Future<Output = ()>,
) -> Result<Finished> {
    let mut child = start(program).await?;
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or_default();
    let mut guard = KillOnDrop(Some(pid));
    mark.started(pid)?;
    let exited = CancellationToken::new();
    let stdout = output::read(child.stdout.take(), "DEBUG", destination, &exited);
    let stderr = output::read(child.stderr.take(), "WARNING", destination, &exited);
    let (stdout, stderr) = (AbortOnDropHandle::new(stdout), AbortOnDropHandle::new(stderr));
    tokio::pin!(stop);
    let status = tokio::select! {
        biased;
        status = child.wait() => Some(status),
        () = &mut stop => None,
    };
    let ending = match status {
        Some(status) => ending(status.map_err(|source| started(program, source))?),
        None => {
            kill_group(pid);
            child.wait().await.map_err(|source| started(program, source))?;
            Ending::Killed
        }
    };
    guard.0 = None;
    exited.cancel();
    let outputs = async { (stdout.await.unwrap_or_default(), stderr.await.unwrap_or_default()) };
    if ending == Ending::Killed {
        // The controller may be away and the rest of the output with it: do not wait for it.
        let (stdout, stderr) =
            tokio::time::timeout(Duration::from_millis(100), outputs).await.unwrap_or_default();
        return Ok(Finished { ending, stdout, stderr });
    }
    let (stdout, stderr) = outputs.await;
    Ok(Finished { ending, stdout, stderr })
}

fn ending(status: ExitStatus) -> Ending {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ending::Exited(code),
        (None, signal) => Ending::Signalled(signal.unwrap_or_default()),
    }
}

async fn start(program: &Program) -> Result<Child> {
    let mut tries = 0;
    loop {
        let spawned = Command::new(&program.file)
            .args(&program.arguments)
            .current_dir(&program.directory)
            .env_clear()
            .envs(program.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn();
        match spawned {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && tries < BUSY => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            spawned => return spawned.map_err(|source| started(program, source)),
        }
    }
}

/// Says what is wrong with a file that does not start.
fn started(program: &Program, source: io::Error) -> Error {
    // ENOEXEC has no kind of its own.
    let reason = match source.kind() {
        io::ErrorKind::NotFound if !program.directory.is_dir() => "the charm directory is missing",
        io::ErrorKind::NotFound if program.file.exists() => {
            "the program named in its first line (#!) does not exist"
        }
        io::ErrorKind::NotFound => "it does not exist",
        io::ErrorKind::PermissionDenied => "it is not executable",
        _ if source.raw_os_error() == Some(8) => "it is no program and has no #! line",
        _ => "the system refuses",
    };
    Error::Start { file: program.file.clone(), reason, source }
}

/// Whether there is something to run at a path: a file, whatever its mode.
pub(crate) fn is_program(path: &Path) -> bool {
    path.is_file()
}

/// Kills the process group unless disarmed.
struct KillOnDrop(Option<i32>);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            kill_group(pid);
        }
    }
}

#[cfg(test)]
mod tests;
