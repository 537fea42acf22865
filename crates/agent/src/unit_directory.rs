//! A unit's directory on the machine.
//!
//! ```text
//! <data>/models/<model uuid>/agents/unit-db-0/
//!   charm/                     what the unit runs
//!   charms/                    other charms: unpacked to be next, or what ran before
//!   tools -> <data>/tools      hook tools, links to one binary
//!   resources/ storage/        what the charm asked for
//!   running/                   marks of running processes
//!   deferred.json              what the charm has deferred, as last shown
//!   agent.socket               where hook tools call
//! <data>/agents/unit-db-0 -> ../models/<model uuid>/agents/unit-db-0
//! ```

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::mount::{UnmountFlags, unmount};
use tutti_charm::hook_tool::{AGENT_COMMANDS, TOOLS};

use crate::error::{Result, file};

/// The directory of one unit.
#[derive(Clone, Debug)]
pub(crate) struct UnitDirectory {
    data: PathBuf,
    path: PathBuf,
    name: String,
}

impl UnitDirectory {
    /// The directory of a unit, which may not exist yet.
    pub(crate) fn new(data: &Path, model_uuid: &str, unit: &str) -> Self {
        let name = format!("unit-{}", unit.replace('/', "-"));
        let path = data.join("models").join(model_uuid).join("agents").join(&name);
        Self { data: data.into(), path, name }
    }

    /// The directory itself, an absolute path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The charm directory: a link to the unpacked charm.
    pub(crate) fn charm(&self) -> PathBuf {
        self.path.join("charm")
    }

    /// Where the hook tools are.
    pub(crate) fn tools(&self) -> PathBuf {
        self.path.join("tools")
    }

    /// Makes the directory and what leads to it, if missing.
    pub(crate) fn create(&self) -> Result<()> {
        fs::create_dir_all(&self.path).map_err(file("create", &self.path))?;
        link(&tools_directory(&self.data), &self.tools())?;
        // The path other orchestrators use; taken by the first of several models with such a unit.
        let agents = self.data.join("agents");
        fs::create_dir_all(&agents).map_err(file("create", &agents))?;
        match symlink(&self.path, agents.join(&self.name)) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                Err(file("create", agents.join(&self.name))(error))
            }
            _ => Ok(()),
        }
    }

    /// Removes the directory with everything in it.
    pub(crate) fn remove(&self) -> Result<()> {
        unmount_below(&self.path);
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(file("remove", &self.path)(error));
            }
            _ => {}
        }
        let short = self.data.join("agents").join(&self.name);
        if fs::read_link(&short).is_ok_and(|target| target == self.path) {
            fs::remove_file(&short).map_err(file("remove", &short))?;
        }
        // The model's own directories go with its last unit.
        let agents = self.path.parent();
        for directory in agents.into_iter().chain(agents.and_then(Path::parent)) {
            if fs::remove_dir(directory).is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// Where the links to the hook tools' binary are.
fn tools_directory(data: &Path) -> PathBuf {
    data.join("tools")
}

/// Makes the links by which charms call the hook tools.
///
/// # Errors
/// A link cannot be made.
pub(crate) fn create_tools(data: &Path, binary: &Path) -> Result<()> {
    let directory = tools_directory(data);
    fs::create_dir_all(&directory).map_err(file("create", &directory))?;
    for name in TOOLS.iter().chain(AGENT_COMMANDS) {
        link(binary, &directory.join(name))?;
    }
    Ok(())
}

/// Makes `path` a link to `target`, replacing an older link in one step.
fn link(target: &Path, path: &Path) -> Result<()> {
    if fs::read_link(path).is_ok_and(|present| present == target) {
        return Ok(());
    }
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(OsStr::new(".new"));
    let _ = fs::remove_file(&temporary);
    symlink(target, &temporary).map_err(file("create", &temporary))?;
    fs::rename(&temporary, path).map_err(file("create", path))
}

/// Unmounts every file system mounted below a directory, the innermost first.
pub(crate) fn unmount_below(directory: &Path) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(unescape);
    let below: Vec<_> = points.filter(|point| point.starts_with(directory)).collect();
    for point in below.iter().rev() {
        if let Err(error) = unmount(point, UnmountFlags::DETACH) {
            tracing::warn!(path = %point.display(), %error, "cannot unmount");
        }
    }
}

/// The kernel writes spaces and the like in paths as `\040`.
fn unescape(text: &str) -> PathBuf {
    let mut pieces = text.split('\\');
    let mut path = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let code = piece.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) => {
                path.push(char::from(code));
                path.push_str(&piece[3..]);
            }
            None => path.push_str(piece),
        }
    }
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_made_twice_and_removed_twice() {
        let data = tempfile::tempdir().unwrap();
        let directory = UnitDirectory::new(data.path(), "u-1", "db/0");
        let other = UnitDirectory::new(data.path(), "u-2", "db/0");
        for _ in 0..2 {
            directory.create().unwrap();
            other.create().unwrap();
        }
        assert!(directory.path().ends_with("models/u-1/agents/unit-db-0"));
        let short = data.path().join("agents/unit-db-0");
        assert_eq!(fs::read_link(&short).unwrap(), directory.path());
        other.remove().unwrap();
        assert!(short.exists() && !data.path().join("models/u-2").exists());
        for _ in 0..2 {
            directory.remove().unwrap();
        }
        assert!(fs::symlink_metadata(&short).is_err() && !directory.path().exists());
    }

    #[test]
    fn tools_lead_to_the_present_binary() {
        let data = tempfile::tempdir().unwrap();
        create_tools(data.path(), Path::new("/bin/old")).unwrap();
        create_tools(data.path(), Path::new("/bin/false")).unwrap();
        for name in ["config-get", "status-set", "juju-log", "juju-exec"] {
            let target = fs::read_link(data.path().join("tools").join(name)).unwrap();
            assert_eq!(target, Path::new("/bin/false"), "{name}");
        }
    }

    #[test]
    fn mount_points_are_read_as_written() {
        assert_eq!(unescape("/a\\040b\\134c"), Path::new("/a b\\c"));
        assert_eq!(unescape("/plain"), Path::new("/plain"));
    }
}
