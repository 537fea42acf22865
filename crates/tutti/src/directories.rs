//! Where things live on this machine.

use std::env;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

/// The controller's data directory: `$TUTTI_DATA`, else `/var/lib/tutti` for root, else
/// `$XDG_DATA_HOME/tutti`, else `~/.local/share/tutti`.
pub(crate) fn data() -> PathBuf {
    match variable("TUTTI_DATA") {
        Some(path) => absolute(path),
        None if geteuid().is_root() && variable("XDG_DATA_HOME").is_none() => {
            PathBuf::from("/var/lib/tutti")
        }
        None => user().join("tutti"),
    }
}

/// The client's own directory: `$JUJU_DATA`, else `client` in `$TUTTI_DATA`, else
/// `~/.local/share/tutti/client`.
pub(crate) fn client() -> PathBuf {
    if let Some(path) = variable("JUJU_DATA") {
        return absolute(path);
    }
    variable("TUTTI_DATA").map_or_else(|| user().join("tutti"), absolute).join("client")
}

/// The controller's socket in a data directory.
pub(crate) fn socket(data: &Path) -> PathBuf {
    data.join("tutti.sock")
}

/// The socket of the bus of a controller in its data directory.
pub(crate) fn bus_socket(data: &Path) -> PathBuf {
    data.join("bus.sock")
}

/// The log of a controller that was started in the background.
pub(crate) fn log(data: &Path) -> PathBuf {
    data.join("controller.log")
}

/// What can be made again: `$XDG_CACHE_HOME/tutti`, else `~/.cache/tutti`.
pub(crate) fn cache() -> PathBuf {
    variable("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .unwrap_or_else(|| home().join(".cache"))
        .join("tutti")
}

/// A set and non-empty environment variable.
pub(crate) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn user() -> PathBuf {
    variable("XDG_DATA_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .unwrap_or_else(|| home().join(".local/share"))
}

fn home() -> PathBuf {
    variable("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from)
}

fn absolute(path: String) -> PathBuf {
    std::path::absolute(&path).unwrap_or_else(|_| path.into())
}
