//! A charm on this machine, made ready to be uploaded: packed and, if it is Python, prepared.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tutti_charm::archive::{self, Packed};
use tutti_charm::charm::Charm;

use crate::failure::{Attempt as _, Failure, Outcome};

/// A charm and the archive of it.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// What the charm declares.
    pub(crate) charm: Charm,
    /// The `.charm` file.
    pub(crate) archive: PathBuf,
    /// What was packed just now, and where; removed at the end.
    made: Option<(Packed, TempDir)>,
}

impl Prepared {
    /// A charm from a directory or a `.charm` file.
    pub(crate) fn from_path(path: &Path, quiet: bool) -> Outcome<Self> {
        if path.is_dir() {
            return Self::from_directory(path, quiet);
        }
        if !path.exists() {
            return Err(Failure::new(format!("no charm was found at {:?}", shown(path))));
        }
        let charm = Charm::from_archive(path)?;
        Ok(Self { charm, archive: path.to_owned(), made: None })
    }

    /// A charm from its source tree, or from an unpacked directory.
    pub(crate) fn from_directory(path: &Path, _quiet: bool) -> Outcome<Self> {
        let charm = Charm::from_directory(path)?;
        let directory = tempfile::Builder::new().prefix("tutti-pack-").tempdir()?;
        let archive = directory.path().join(format!("{}.charm", charm.name()));
        let packed = archive::pack(path, &archive)?;
        Ok(Self { charm, archive, made: Some((packed, directory)) })
    }
}

/// Moves the archive of a packed charm to where it is wanted.
pub(crate) fn keep(prepared: Prepared, out: &Path) -> Outcome<Packed> {
    let attempt = || format!("cannot write {}", out.display());
    // Beside its place first, so that half a file is never found there.
    let parent = match out.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let beside = tempfile::NamedTempFile::new_in(parent).attempt(attempt)?;
    fs::copy(&prepared.archive, beside.path()).attempt(attempt)?;
    beside.persist(out).attempt(attempt)?;
    match prepared.made {
        Some((packed, _)) => Ok(Packed { path: out.to_owned(), ..packed }),
        None => Err(Failure::new(format!("{} is packed already", shown(out)))),
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
