//! Processes of charms that outlived an agent which was killed.
//!
//! Such a process must not go on beside the next hook of its unit: its hook counts as failed, its
//! tools have nobody to talk to. Each run leaves a *mark* in the unit's `running` directory: its
//! context id before the process is started, its process id right after. An agent that starts
//! kills what the marks name, process group and all.
//!
//! A process id may belong to somebody else by then, so it is only trusted together with the
//! process's start time and the machine's boot id. When the agent died before it could write the
//! process id, the process is found by the context id in its environment.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};

use crate::error::{Result, file};

/// The mark of one run. It stays, for the next start of the agent, unless [`Mark::end`] is called.
#[derive(Debug)]
pub(crate) struct Mark {
    path: PathBuf,
    content: Content,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Content {
    /// Boot id of the machine.
    boot: String,
    /// Context id of the run.
    context: String,
    /// The task, if it runs beside the unit's loop and so is in no journal.
    task: Option<i64>,
    /// Process id, which is also the process group's; 0 until known.
    pid: i32,
    /// Start time of the process in clock ticks since boot.
    start: u64,
}

impl Mark {
    /// Announces a run in the unit's directory.
    ///
    /// # Errors
    /// The mark cannot be written; nothing may be started then.
    pub(crate) fn announce(
        unit_directory: &Path,
        context: &str,
        task: Option<i64>,
    ) -> Result<Self> {
        let directory = unit_directory.join("running");
        fs::create_dir_all(&directory).map_err(file("create", &directory))?;
        let name = context.rsplit('-').next().unwrap_or_default();
        let content =
            Content { boot: boot_id(), context: context.into(), task, ..Content::default() };
        let mark = Self { path: directory.join(name), content };
        mark.write()?;
        Ok(mark)
    }

    /// Adds the process that was started.
    ///
    /// # Errors
    /// The mark cannot be written; the process should be killed.
    pub(crate) fn started(&mut self, pid: i32) -> Result<()> {
        self.content.pid = pid;
        self.content.start = Stat::read(pid).map_or(0, |stat| stat.start);
        self.write()
    }

    /// The context id of the run.
    pub(crate) fn context(&self) -> &str {
        &self.content.context
    }

    /// Removes the mark: the run has ended, and what the controller must know of it is told.
    pub(crate) fn end(self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the mark of a run");
        }
    }

    fn write(&self) -> Result<()> {
        let text = serde_json::to_vec(&self.content).unwrap_or_default();
        fs::write(&self.path, text).map_err(file("write", &self.path))
    }
}

/// A run of an earlier agent that it did not see the end of.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Leftover {
    /// The process group that was killed, if any was left.
    pub(crate) killed: Option<i32>,
    /// The task that ran beside the unit's loop.
    pub(crate) task: Option<i64>,
}

/// Kills what runs of an earlier agent left behind in a unit's directory. Returns these runs.
///
/// # Errors
/// The marks cannot be read.
pub(crate) fn kill(unit_directory: &Path) -> Result<Vec<Leftover>> {
    let directory = unit_directory.join("running");
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(file("read", &directory)(error)),
    };
    let mut leftovers = Vec::new();
    for entry in entries {
        let path = entry.map_err(file("read", &directory))?.path();
        let text = fs::read(&path).map_err(file("read", &path))?;
        // A mark cut short by a crash was the first one: nothing had been started.
        let content: Content = serde_json::from_slice(&text).unwrap_or_default();
        let killed = content.process().filter(|pid| kill_group(*pid));
        leftovers.push(Leftover { killed, task: content.task });
        fs::remove_file(&path).map_err(file("remove", &path))?;
    }
    Ok(leftovers)
}

/// Kills a process group at once. False when there is none.
pub(crate) fn kill_group(pid: i32) -> bool {
    // 0 and 1 would be the agent's own group and everybody.
    let group = if pid > 1 { Pid::from_raw(pid) } else { None };
    group.is_some_and(|group| kill_process_group(group, Signal::KILL).is_ok())
}

impl Content {
    /// The process this mark stands for, if it still runs.
    fn process(&self) -> Option<i32> {
        if self.context.is_empty() || self.boot != boot_id() {
            return None;
        }
        if self.pid == 0 {
            return find_by_context(&self.context);
        }
        let stat = Stat::read(self.pid)?;
        (stat.start == self.start && stat.group == self.pid).then_some(self.pid)
    }
}

/// The leader of a process group with this context id in its environment. Daemons that the charm
/// started have inherited the environment too, but have a session of their own.
fn find_by_context(context: &str) -> Option<i32> {
    let variable = format!("JUJU_CONTEXT_ID={context}");
    let is_it = |pid: i32| {
        let stat = Stat::read(pid)?;
        let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let mut variables = environment.split(|byte| *byte == 0);
        (stat.group == pid
            && stat.session != pid
            && variables.any(|text| text == variable.as_bytes()))
        .then_some(pid)
    };
    let entries = fs::read_dir("/proc").ok()?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter_map(|name| name.parse().ok()).find_map(is_it)
}

/// Changes with every boot of the machine.
pub(crate) fn boot_id() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

/// A part of `/proc/<pid>/stat`.
struct Stat {
    group: i32,
    session: i32,
    start: u64,
}

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name of the program may hold anything, also spaces and parentheses.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        if *fields.first()? == "Z" {
            return None;
        }
        Some(Self {
            group: fields.get(2)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
            start: fields.get(19)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::{Child, Command};

    use super::*;

    fn sleep(context: &str) -> Child {
        let mut command = Command::new("/bin/sleep");
        command.arg("60").env("JUJU_CONTEXT_ID", context).process_group(0).spawn().unwrap()
    }

    fn pid(child: &Child) -> i32 {
        i32::try_from(child.id()).unwrap()
    }

    fn signal(child: &mut Child) -> Option<i32> {
        child.wait().unwrap().signal()
    }

    #[test]
    fn a_marked_process_is_killed_and_the_mark_removed() {
        let directory = tempfile::tempdir().unwrap();
        let mut child = sleep("c-1");
        let mut mark = Mark::announce(directory.path(), "c-1", Some(4)).unwrap();
        mark.started(pid(&child)).unwrap();
        let leftover = Leftover { killed: Some(pid(&child)), task: Some(4) };
        assert_eq!(kill(directory.path()).unwrap(), [leftover]);
        assert_eq!(signal(&mut child), Some(9));
        assert_eq!(kill(directory.path()).unwrap(), []);
    }

    #[test]
    fn a_process_is_found_when_only_its_start_was_announced() {
        let directory = tempfile::tempdir().unwrap();
        let context = format!("c-{}", uuid::Uuid::new_v4().simple());
        Mark::announce(directory.path(), &context, None).unwrap();
        let (mut child, mut other) = (sleep(&context), sleep("another"));
        // The environment is in place once the program is.
        while find_by_context(&context).is_none() {
            std::thread::yield_now();
        }
        assert_eq!(kill(directory.path()).unwrap()[0].killed, Some(pid(&child)));
        assert_eq!(signal(&mut child), Some(9));
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn somebody_elses_process_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let mut child = sleep("c");
        let start = Stat::read(pid(&child)).unwrap().start;
        for (boot, start) in [(boot_id(), start + 1), ("another".into(), start)] {
            let content =
                Content { boot, context: "c".into(), pid: pid(&child), start, task: None };
            let running = directory.path().join("running");
            fs::create_dir_all(&running).unwrap();
            fs::write(running.join("m"), serde_json::to_vec(&content).unwrap()).unwrap();
            assert_eq!(kill(directory.path()).unwrap()[0].killed, None);
            assert!(!running.join("m").exists());
        }
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_torn_mark_and_an_ended_run_leave_nothing_to_do() {
        let directory = tempfile::tempdir().unwrap();
        Mark::announce(directory.path(), "c-2", None).unwrap().end();
        let running = directory.path().join("running");
        assert_eq!(fs::read_dir(&running).unwrap().count(), 0);
        fs::write(running.join("torn"), b"{\"boot\":").unwrap();
        assert_eq!(kill(directory.path()).unwrap(), [Leftover { killed: None, task: None }]);
        assert_eq!(fs::read_dir(&running).unwrap().count(), 0);
        assert!(!kill_group(0) && !kill_group(1) && !kill_group(-5));
    }
}
