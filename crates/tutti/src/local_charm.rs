//! A charm on this machine, made ready to be uploaded: packed and, if it is Python, prepared.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tutti_charm::archive::{self, Packed};
use tutti_charm::charm::{CHARMCRAFT, Charm};
use tutti_charm::python;

use crate::directories;
use crate::failure::{Attempt as _, Failure, Outcome};
use crate::output::progress::Spinner;
use crate::output::tell;

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
            let path = path.display().to_string();
            return Err(Failure::new(format!("no charm was found at {path:?}")));
        }
        let charm = Charm::from_archive(path)?;
        Ok(Self { charm, archive: path.to_owned(), made: None })
    }

    /// A charm from its source tree, or from an unpacked directory.
    pub(crate) fn from_directory(path: &Path, quiet: bool) -> Outcome<Self> {
        let source = Charm::from_directory(path)?;
        // Beside the cache, from which dependencies are linked instead of copied.
        let cache = directories::cache();
        fs::create_dir_all(&cache).attempt(|| format!("cannot create {}", cache.display()))?;
        let directory = tempfile::Builder::new().prefix("pack-").tempdir_in(&cache)?;
        let archive = directory.path().join(format!("{}.charm", source.name()));
        if is_ready(&source, path) {
            let packed = archive::pack(path, &archive)?;
            return Ok(Self { charm: source, archive, made: Some((packed, directory)) });
        }
        let spinner = Spinner::start(format!("Preparing charm {:?}", source.name()), quiet);
        let tree = directory.path().join("tree");
        let prepared = python::prepare(path, &cache.join("python"), &tree, &mut |progress| {
            spinner.now(format!("Preparing charm {:?}: {progress}", source.name()));
        })?;
        spinner.now(format!("Packing charm {:?}", source.name()));
        let packed = archive::pack_prepared(&prepared.directory, &archive)?;
        drop(spinner);
        if !quiet {
            prepared.plan.notes.iter().for_each(|note| tell(&format!("NOTE {note}")));
        }
        Ok(Self { charm: prepared.charm, archive, made: Some((packed, directory)) })
    }
}

/// Whether a directory can be packed as it is: a charm that is not Python, or a Python charm that
/// was prepared before and then unpacked.
fn is_ready(charm: &Charm, directory: &Path) -> bool {
    let source = charm.traits.unprepared || directory.join(CHARMCRAFT).exists();
    !source && (charm.has_dispatch || !charm.traits.python)
}

/// Copies the archive of a packed charm to where it is wanted.
pub(crate) fn keep(prepared: &Prepared, out: &Path) -> Outcome<Packed> {
    let Some((packed, _)) = &prepared.made else {
        return Err(Failure::new(format!("{} is packed already", prepared.archive.display())));
    };
    let attempt = || format!("cannot write {}", out.display());
    // Beside its place first, so that half a file is never found there.
    let parent = match out.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let beside = tempfile::Builder::new()
        .permissions(fs::Permissions::from_mode(0o644))
        .tempfile_in(parent)
        .attempt(attempt)?;
    fs::copy(&packed.path, beside.path()).attempt(attempt)?;
    beside.persist(out).attempt(attempt)?;
    Ok(Packed { path: out.to_owned(), ..packed.clone() })
}
