//! Storage: directories of the unit, on disk or in memory.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, mount};
use tutti_model::agent::StorageSnapshot;

use crate::Error;
use crate::error::{Result, file};
use crate::unit_directory::unmount_below;

/// Makes a storage instance available. Returns where the charm finds it. Doing it twice is the same
/// as once.
///
/// # Errors
/// [`Error::Storage`] when this machine cannot provide it.
pub(crate) fn provision(unit: &Path, id: &str, wanted: &StorageSnapshot) -> Result<PathBuf> {
    let refuse = |reason: String| Error::Storage { storage: id.into(), reason };
    if wanted.kind == "block" {
        return Err(refuse("block devices are not available on this machine".into()));
    }
    let path = directory(unit, id).ok_or_else(|| refuse("it has no valid name".into()))?;
    fs::create_dir_all(&path).map_err(file("create", &path))?;
    if wanted.pool == "tmpfs" && !is_mounted(&path) {
        let options = format!("size={}m,mode=0755", wanted.size_mib.max(1));
        let options = std::ffi::CString::new(options).unwrap_or_default();
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        mount("tmpfs", &path, "tmpfs", flags, options.as_c_str()).map_err(|error| {
            refuse(format!("cannot mount a tmpfs, which takes the rights of root: {error}"))
        })?;
    }
    Ok(path)
}

/// Removes a storage instance with what is in it.
///
/// # Errors
/// Files cannot be removed.
pub(crate) fn remove(unit: &Path, id: &str) -> Result<()> {
    let Some(path) = directory(unit, id) else { return Ok(()) };
    unmount_below(&path);
    match fs::remove_dir_all(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(file("remove", &path)(error))
        }
        _ => Ok(()),
    }
}

/// `storage/<name>/<number>` of the unit; none for an id that would lead elsewhere.
fn directory(unit: &Path, id: &str) -> Option<PathBuf> {
    let (name, number) = id.split_once('/')?;
    let named = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter));
    let numbered = !number.is_empty() && number.chars().all(|digit| digit.is_ascii_digit());
    (named && numbered).then(|| unit.join("storage").join(name).join(number))
}

/// Whether a directory is the root of a file system of its own.
fn is_mounted(path: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
    path.parent().is_some_and(|parent| device(path) != device(parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(kind: &str, pool: &str) -> StorageSnapshot {
        StorageSnapshot { kind: kind.into(), pool: pool.into(), size_mib: 1, ..Default::default() }
    }

    #[test]
    fn a_directory_is_provided_kept_and_removed() {
        let unit = tempfile::tempdir().unwrap();
        let rootfs = wanted("filesystem", "rootfs");
        let path = provision(unit.path(), "data/0", &rootfs).unwrap();
        assert_eq!(path, unit.path().join("storage/data/0"));
        fs::write(path.join("file"), "kept").unwrap();
        provision(unit.path(), "data/0", &rootfs).unwrap();
        assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "kept");
        provision(unit.path(), "data/1", &rootfs).unwrap();
        for _ in 0..2 {
            remove(unit.path(), "data/0").unwrap();
        }
        assert!(!path.exists() && unit.path().join("storage/data/1").exists());
    }

    #[test]
    fn a_tmpfs_is_mounted_once_or_refused_with_the_reason() {
        let unit = tempfile::tempdir().unwrap();
        match provision(unit.path(), "cache/0", &wanted("filesystem", "tmpfs")) {
            Ok(path) => {
                assert!(is_mounted(&path));
                provision(unit.path(), "cache/0", &wanted("filesystem", "tmpfs")).unwrap();
                remove(unit.path(), "cache/0").unwrap();
                assert!(!path.exists());
            }
            Err(error) => assert!(error.to_string().contains("rights of root"), "{error}"),
        }
    }

    #[test]
    fn what_cannot_be_provided_is_refused() {
        let unit = tempfile::tempdir().unwrap();
        let block = provision(unit.path(), "data/0", &wanted("block", "loop")).unwrap_err();
        assert!(block.to_string().starts_with("cannot provide storage data/0: block devices"));
        for id in ["data", "../0", "data/..", "data/1/..", "/0", "a b/0"] {
            assert!(provision(unit.path(), id, &wanted("filesystem", "rootfs")).is_err(), "{id}");
        }
    }
}
