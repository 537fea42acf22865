//! Resources in a unit's directory: `resources/<name>/<file name>`, a copy of the charm's own.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use tutti_model::agent::ContextResource;

use crate::error::{Result, file};

/// Puts a resource in its place, unless the same revision is there. Returns where.
///
/// # Errors
/// Files cannot be written.
pub(crate) fn place(
    unit: &Path,
    name: &str,
    resource: &ContextResource,
    cached: &Path,
) -> Result<PathBuf> {
    let directory = unit.join("resources").join(last(name));
    let path = directory.join(last(&resource.filename));
    let digest = directory.join(".digest");
    let present = fs::read_to_string(&digest).unwrap_or_default();
    if present == resource.digest && path.is_file() {
        return Ok(path);
    }
    fs::create_dir_all(&directory).map_err(file("create", &directory))?;
    // A charm may have the old file open, so it is replaced, never changed.
    let temporary = directory.join(".next");
    fs::copy(cached, &temporary).map_err(file("write", &temporary))?;
    fs::rename(&temporary, &path).map_err(file("replace", &path))?;
    fs::write(&digest, &resource.digest).map_err(file("write", &digest))?;
    Ok(path)
}

/// The last part of what should be a plain name, so that it cannot lead elsewhere.
fn last(name: &str) -> &OsStr {
    Path::new(name).file_name().unwrap_or_else(|| OsStr::new("resource"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_copied_once_per_revision_and_stays_in_its_place() {
        let unit = tempfile::tempdir().unwrap();
        let cached = unit.path().join("cached");
        let place = |digest: &str, content: &str, filename: &str| {
            fs::write(&cached, content).unwrap();
            let resource = ContextResource { digest: digest.into(), filename: filename.into() };
            super::place(unit.path(), "snap", &resource, &cached).unwrap()
        };
        let path = place("d1", "one", "app.snap");
        assert_eq!(path, unit.path().join("resources/snap/app.snap"));
        fs::write(&path, "changed by the charm").unwrap();
        place("d1", "one", "app.snap");
        assert_eq!(fs::read_to_string(&path).unwrap(), "changed by the charm");
        place("d2", "two", "app.snap");
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        for filename in ["../../escape", "/etc/escape", "..", ""] {
            let path = place("d3", "three", filename);
            assert!(path.starts_with(unit.path().join("resources/snap")), "{filename}");
            assert_eq!(path.parent(), Some(unit.path().join("resources/snap").as_path()));
        }
    }
}
