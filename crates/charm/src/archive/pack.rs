//! Making a `.charm` from a directory: the same content always gives the same bytes.
//!
//! Entries are sorted, times are fixed, permissions are reduced to "executable or not", and owners are not recorded.
//! The archive is written beside its final place and renamed, so a half-written one is never found there.

use std::fs::{self, File, Metadata};
use std::io::{self as std_io, BufWriter, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::{Archive, Fault, Ignore, path};
use crate::digest::Digest;
use crate::error::{Error, Result, io};

/// An archive that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Where it is.
    pub path: PathBuf,
    /// What names its bytes.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// How many entries it has.
    pub entries: usize,
}

/// Packs a charm's source tree, without what [`Ignore::of_source`] leaves out. This is all that a charm needs which
/// brings its own hooks and no dependencies; a Python charm is prepared first.
pub fn pack(directory: &Path, out: &Path) -> Result<Packed> {
    pack_tree(directory, out, &Ignore::of_source(directory)?)
}

/// Packs everything in a directory that was prepared for it: dependencies and compiled code included.
pub fn pack_prepared(directory: &Path, out: &Path) -> Result<Packed> {
    pack_tree(directory, out, &Ignore::nothing())
}

fn pack_tree(directory: &Path, out: &Path, ignore: &Ignore) -> Result<Packed> {
    let folder = match out.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let temporary = tempfile::Builder::new()
        .prefix(".packing-")
        .permissions(fs::Permissions::from_mode(0o644))
        .tempfile_in(folder)
        .map_err(io("create a file in", folder))?;
    let skipped = [identity(&temporary.as_file().metadata().map_err(io("read", out))?)]
        .into_iter()
        .chain(fs::symlink_metadata(out).ok().as_ref().map(identity))
        .collect();
    let mut sources = Vec::new();
    let mut walk = Walk { root: directory, ignore, skipped, found: &mut sources };
    walk.visit(directory, "")?;
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    write_entries(temporary.as_file(), out, &sources)?;
    temporary.as_file().sync_all().map_err(io("sync", out))?;
    temporary.persist(out).map_err(|error| io("create", out)(error.error))?;
    // What we made has to be what we accept; this also catches two entries that differ only for us.
    let entries = Archive::open(out)?.entries().len();
    let size = fs::metadata(out).map_err(io("read", out))?.len();
    Ok(Packed { path: out.to_owned(), digest: Digest::of_file(out)?, size, entries })
}

/// Something to pack.
struct Source {
    path: String,
    from: PathBuf,
    kind: SourceKind,
}

enum SourceKind {
    Directory,
    File { executable: bool },
    Link { target: String },
}

struct Walk<'a> {
    root: &'a Path,
    ignore: &'a Ignore,
    /// Files that are the archive itself, by device and number.
    skipped: Vec<(u64, u64)>,
    found: &'a mut Vec<Source>,
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

impl Walk<'_> {
    fn visit(&mut self, directory: &Path, prefix: &str) -> Result<()> {
        for child in fs::read_dir(directory).map_err(io("read", directory))? {
            let child = child.map_err(io("read", directory))?;
            let from = child.path();
            let refuse = |source| Error::Archive { archive: self.root.to_owned(), source };
            let name = child.file_name().into_string().map_err(|name| {
                let entry = name.to_string_lossy().into_owned();
                refuse(Fault::Name { entry, reason: "it is not text" })
            })?;
            let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
            let metadata = fs::symlink_metadata(&from).map_err(io("read", &from))?;
            if self.skipped.contains(&identity(&metadata))
                || self.ignore.matches(&path, metadata.is_dir())
            {
                continue;
            }
            path::check(&path)
                .map_err(|reason| refuse(Fault::Name { entry: path.clone(), reason }))?;
            let kind = if metadata.is_dir() {
                self.visit(&from, &path)?;
                SourceKind::Directory
            } else if metadata.is_symlink() {
                SourceKind::Link { target: self.read_link(&from, &path)? }
            } else if metadata.is_file() {
                SourceKind::File { executable: metadata.mode() & 0o111 != 0 }
            } else {
                return Err(refuse(Fault::Special { entry: path, mode: metadata.mode() }));
            };
            self.found.push(Source { path, from, kind });
        }
        Ok(())
    }

    fn read_link(&self, from: &Path, path: &str) -> Result<String> {
        let target = fs::read_link(from).map_err(io("read link", from))?;
        let target = target.to_string_lossy().into_owned();
        path::check_link(path, &target).map_err(|reason| {
            let source = Fault::Link { entry: path.to_owned(), target: target.clone(), reason };
            Error::Archive { archive: self.root.to_owned(), source }
        })?;
        Ok(target)
    }
}

fn write_entries(file: &File, out: &Path, sources: &[Source]) -> Result<()> {
    let mut zip = ZipWriter::new(BufWriter::with_capacity(256 << 10, file));
    let failed = |error: zip::result::ZipError| io("write", out)(error.into());
    for source in sources {
        let options = |mode| {
            SimpleFileOptions::default()
                .compression_method(CompressionMethod::Deflated)
                .last_modified_time(DateTime::default())
                .unix_permissions(mode)
        };
        match &source.kind {
            SourceKind::Directory => {
                zip.add_directory(source.path.as_str(), options(0o755)).map_err(failed)?;
            }
            SourceKind::Link { target } => {
                zip.add_symlink(source.path.as_str(), target.as_str(), options(0o777))
                    .map_err(failed)?;
            }
            SourceKind::File { executable } => {
                let mode = if *executable { 0o755 } else { 0o644 };
                zip.start_file(source.path.as_str(), options(mode)).map_err(failed)?;
                copy(&source.from, &mut zip, out)?;
            }
        }
    }
    let mut writer = zip.finish().map_err(failed)?;
    writer.flush().map_err(io("write", out))
}

/// Tells apart which of the two files failed.
fn copy(from: &Path, to: &mut impl Write, out: &Path) -> Result<()> {
    let mut file = File::open(from).map_err(io("open", from))?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => to.write_all(&buffer[..length]).map_err(io("write", out))?,
            Err(error) if error.kind() == std_io::ErrorKind::Interrupted => {}
            Err(error) => return Err(io("read", from)(error)),
        }
    }
}
