//! `.charm` files: zip archives that come from strangers.
//!
//! [`Archive::open`] reads the zip's directory and refuses everything that could write outside the target, fill the
//! disk or mean two things at once; only then can a file be read or the whole be unpacked ([`Archive::unpack`]). The
//! rules, each with its own [`Fault`]: at most [`Limits::entries_max`] entries; names are relative, in plain
//! components, without backslashes, drives or control characters, and unique; links are relative and stay inside;
//! nothing lies below a link or a file; no devices; the unpacked size and the ratio to the packed one are bounded,
//! by what is declared and again by what really comes out.
//!
//! [`pack`] makes such archives: the same content always gives the same bytes.

mod ignore;
mod pack;
mod path;
mod reader;
mod unpack;
mod whole;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zip::read::{OwnedZipFileEntry, ZipReadOptions};
use zip::result::ZipError;
use zip::unstable::read::ZipIterable;

use crate::digest::Digest;
use crate::error::{Error, Result, io};

pub(crate) use path::check_link;
use reader::Reader;

pub use ignore::Ignore;
pub use pack::{Packed, pack, pack_prepared};
pub use unpack::unpack;

/// What an archive may cost at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Entries, directories included.
    pub entries_max: usize,
    /// Bytes of all files together once unpacked.
    pub unpacked_bytes_max: u64,
    /// Unpacked bytes for each packed byte. Looked at only above [`Limits::ratio_free_bytes`], since a little text
    /// may compress very well.
    pub ratio_max: u64,
    /// Unpacked bytes up to which any ratio is fine.
    pub ratio_free_bytes: u64,
}

impl Default for Limits {
    /// Far above the largest charm published.
    fn default() -> Limits {
        Limits {
            entries_max: 50_000,
            unpacked_bytes_max: 1 << 30,
            ratio_max: 200,
            ratio_free_bytes: 32 << 20,
        }
    }
}

/// Why an archive is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The file is something else.
    #[error("this is not a zip file")]
    NotAZip,
    /// The file starts like a zip, but its directory at the end is missing.
    #[error("the zip file is cut off: its directory at the end is missing")]
    Truncated,
    /// The zip's directory contradicts itself.
    #[error("the directory of the zip file is damaged")]
    Directory(#[source] ZipError),
    /// Too many entries.
    #[error("{entries} entries are more than the {max} allowed")]
    TooManyEntries {
        /// How many there are.
        entries: usize,
        /// How many there may be.
        max: usize,
    },
    /// Too much content.
    #[error("{entry:?} brings the unpacked size above the {max} bytes allowed")]
    TooLarge {
        /// The entry with which the limit was passed.
        entry: String,
        /// The limit.
        max: u64,
    },
    /// Suspiciously well compressed.
    #[error(
        "{entry:?} brings the content above {max} times the size of the archive, as only a zip bomb does"
    )]
    Bomb {
        /// The entry with which the limit was passed.
        entry: String,
        /// The limit.
        max: u64,
    },
    /// A name that could lead out of the target, or that two systems read differently.
    #[error("entry {entry:?} has an unsafe name: {reason}")]
    Name {
        /// The entry.
        entry: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A link that could lead out of the target.
    #[error("link {entry:?} to {target:?} is unsafe: {reason}")]
    Link {
        /// The link.
        entry: String,
        /// What it points to.
        target: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A device, socket or pipe.
    #[error("entry {entry:?} is neither a file nor a directory nor a link (mode {mode:o})")]
    Special {
        /// The entry.
        entry: String,
        /// Its Unix mode.
        mode: u32,
    },
    /// The same name twice.
    #[error("entry {entry:?} occurs twice")]
    Duplicate {
        /// The entry.
        entry: String,
    },
    /// An entry below something that is not a directory.
    #[error("entry {entry:?} lies below {parent:?}, which is not a directory")]
    Below {
        /// The entry.
        entry: String,
        /// The file or link above it.
        parent: String,
    },
    /// An entry whose content cannot be had.
    #[error("the content of {entry:?} is damaged, encrypted or packed in an unknown way")]
    Content {
        /// The entry.
        entry: String,
        /// What exactly.
        #[source]
        source: std::io::Error,
    },
    /// The archive is not the one asked for.
    #[error("its digest is {found}, expected {expected}")]
    WrongDigest {
        /// The digest asked for.
        expected: Digest,
        /// The digest of the bytes.
        found: Digest,
    },
    /// A file that is read into memory is too large for that.
    #[error("{entry:?} has more than the {max} bytes expected of such a file")]
    FileTooLarge {
        /// The file.
        entry: String,
        /// The limit.
        max: u64,
    },
}

/// One entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Path with `/`, without one at the end.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// Unix permission bits, `0o755` style; the common ones if the archive has none.
    pub mode: u32,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A directory.
    Directory,
    /// A file of so many bytes, as declared.
    File {
        /// Unpacked size.
        size: u64,
    },
    /// A symbolic link.
    Link {
        /// What it points to, relative to its own directory.
        target: String,
    },
}

/// An archive that was found safe to unpack.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    reader: Reader,
    packed_bytes: u64,
    limits: Limits,
    entries: Vec<Entry>,
    /// Where the content of each of `entries` is.
    sources: Vec<OwnedZipFileEntry>,
}

impl Archive {
    /// Opens an archive and checks all its entries against the usual limits.
    pub fn open(path: &Path) -> Result<Archive> {
        Archive::open_with(path, Limits::default())
    }

    /// Opens an archive and checks all its entries.
    pub fn open_with(path: &Path, limits: Limits) -> Result<Archive> {
        let file = File::open(path).map_err(io("open", path))?;
        let packed_bytes = file.metadata().map_err(io("read", path))?.len();
        let reader = Reader::new(Arc::new(file));
        let (entries, sources) = (Vec::new(), Vec::new());
        let path = path.to_owned();
        let mut archive = Archive { path, reader, packed_bytes, limits, entries, sources };
        match archive.read_directory() {
            Ok(()) => Ok(archive),
            Err(source) => Err(archive.refuse(source)),
        }
    }

    /// The entries in the archive's order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// All paths, sorted: what a deployer remembers to know later which files came with the charm.
    pub fn paths(&self) -> BTreeSet<String> {
        self.entries.iter().map(|entry| entry.path.clone()).collect()
    }

    /// Where the archive is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The content of a file of at most `bytes_max` bytes, or `None` if there is no such file.
    pub fn read(&mut self, path: &str, bytes_max: u64) -> Result<Option<Vec<u8>>> {
        let is_it = |entry: &Entry| entry.path == path && matches!(entry.kind, Kind::File { .. });
        let Some(position) = self.entries.iter().position(is_it) else { return Ok(None) };
        match self.read_entry(position, bytes_max) {
            Ok(content) => Ok(Some(content)),
            Err(source) => Err(self.refuse(source)),
        }
    }

    fn refuse(&self, source: Fault) -> Error {
        Error::Archive { archive: self.path.clone(), source }
    }

    /// Fills `entries` and `sources` from the directory at the end of the file.
    fn read_directory(&mut self) -> Result<(), Fault> {
        // The streaming reader of the `zip` crate: it holds nothing in memory for an entry that we have not accepted,
        // and it shows entries of the same name.
        let listing = ZipIterable::try_new(&mut self.reader, zip::read::Config::default());
        let mut listing = match listing {
            Ok(listing) => listing,
            Err(error) => return Err(self.explain(error)),
        };
        if listing.len() > self.limits.entries_max {
            let (entries, max) = (listing.len(), self.limits.entries_max);
            return Err(Fault::TooManyEntries { entries, max });
        }
        let mut sources = Vec::with_capacity(listing.len());
        for entry in listing.files().map_err(Fault::Directory)? {
            sources.push(OwnedZipFileEntry::from(entry.map_err(Fault::Directory)?));
        }
        self.sources = sources;
        self.check_entries()
    }

    fn check_entries(&mut self) -> Result<(), Fault> {
        let mut kinds: BTreeMap<String, bool> = BTreeMap::new();
        let mut unpacked = Unpacked::new(self.packed_bytes, self.limits);
        for position in 0..self.sources.len() {
            let entry = self.check_entry(position)?;
            if let Kind::File { size } = entry.kind {
                unpacked.add(&entry.path, size)?;
            }
            let is_directory = entry.kind == Kind::Directory;
            if kinds.insert(entry.path.clone(), is_directory).is_some() {
                return Err(Fault::Duplicate { entry: entry.path });
            }
            self.entries.push(entry);
        }
        for path in kinds.keys() {
            let parents = path.match_indices('/').map(|(at, _)| &path[..at]);
            for parent in parents {
                if kinds.get(parent) == Some(&false) {
                    return Err(Fault::Below { entry: path.clone(), parent: parent.to_owned() });
                }
            }
        }
        Ok(())
    }

    /// The entry at a position, once its name, type and target are known to be safe.
    fn check_entry(&mut self, position: usize) -> Result<Entry, Fault> {
        let source = &self.sources[position];
        let shown = shown_name(source);
        let name = source
            .name()
            .map_err(|_| Fault::Name { entry: shown.clone(), reason: "it is not text" })?;
        let ends_in_slash = name.ends_with('/');
        let path = name.strip_suffix('/').unwrap_or(&name).to_owned();
        path::check(&path).map_err(|reason| Fault::Name { entry: shown, reason })?;
        let mode = source.unix_mode();
        // The file type is in the upper bits; 0 where the packing program knew only permissions.
        let kind = match mode.unwrap_or(0) & 0o170_000 {
            0o040_000 => Kind::Directory,
            0o120_000 => Kind::Link { target: self.read_target(position, &path)? },
            0 if ends_in_slash => Kind::Directory,
            0o100_000 | 0 => Kind::File { size: source.size() },
            _ => return Err(Fault::Special { entry: path, mode: mode.unwrap_or(0) }),
        };
        if ends_in_slash != (kind == Kind::Directory) && ends_in_slash {
            let reason = "it ends like a directory but is none";
            return Err(Fault::Name { entry: path, reason });
        }
        let usual = if kind == Kind::Directory { 0o755 } else { 0o644 };
        let mode = mode.map(|mode| mode & 0o777).filter(|mode| *mode != 0).unwrap_or(usual);
        Ok(Entry { path, kind, mode })
    }

    fn read_target(&mut self, position: usize, entry: &str) -> Result<String, Fault> {
        let target = self.read_entry(position, path::TARGET_BYTES_MAX)?;
        let unsafe_link = |target: &[u8], reason| Fault::Link {
            entry: entry.to_owned(),
            target: String::from_utf8_lossy(target).into_owned(),
            reason,
        };
        let target = String::from_utf8(target)
            .map_err(|error| unsafe_link(error.as_bytes(), "its target is not text"))?;
        path::check_link(entry, &target)
            .map_err(|reason| unsafe_link(target.as_bytes(), reason))?;
        Ok(target)
    }

    fn read_entry(&mut self, position: usize, bytes_max: u64) -> Result<Vec<u8>, Fault> {
        let mut content = Vec::new();
        let source = &self.sources[position];
        let entry = shown_name(source);
        let reader = unpacked_content(source, &mut self.reader)?;
        let read = reader.take(bytes_max + 1).read_to_end(&mut content);
        read.map_err(|source| Fault::Content { entry: entry.clone(), source })?;
        if content.len() as u64 > bytes_max {
            return Err(Fault::FileTooLarge { entry, max: bytes_max });
        }
        Ok(content)
    }

    /// Why a file has no directory of a zip: it is something else, or its end is missing.
    fn explain(&mut self, error: ZipError) -> Fault {
        let mut magic = [0; 4];
        let start =
            self.reader.seek(SeekFrom::Start(0)).and_then(|_| self.reader.read_exact(&mut magic));
        match (start, &magic) {
            (Ok(()), b"PK\x03\x04") => match error {
                ZipError::InvalidArchive(_) => Fault::Truncated,
                other => Fault::Directory(other),
            },
            (Ok(()), b"PK\x05\x06") => Fault::Directory(error),
            _ => Fault::NotAZip,
        }
    }
}

/// The unpacked content of an entry; its checksum is compared at the end.
fn unpacked_content<'a>(
    source: &'a OwnedZipFileEntry,
    reader: &'a mut Reader,
) -> Result<impl Read + 'a, Fault> {
    let content = source.as_ref().with_reader(reader, ZipReadOptions::new());
    content.map_err(|error| Fault::Content { entry: shown_name(source), source: error.into() })
}

fn shown_name(source: &OwnedZipFileEntry) -> String {
    String::from_utf8_lossy(source.name_raw()).into_owned()
}

/// Counts what comes out of an archive against its limits.
#[derive(Debug, Clone, Copy)]
struct Unpacked {
    packed_bytes: u64,
    bytes: u64,
    limits: Limits,
}

impl Unpacked {
    fn new(packed_bytes: u64, limits: Limits) -> Unpacked {
        Unpacked { packed_bytes, bytes: 0, limits }
    }

    fn add(&mut self, entry: &str, bytes: u64) -> Result<(), Fault> {
        let Limits { unpacked_bytes_max, ratio_max, ratio_free_bytes, .. } = self.limits;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > unpacked_bytes_max {
            return Err(Fault::TooLarge { entry: entry.to_owned(), max: unpacked_bytes_max });
        }
        if self.bytes > ratio_free_bytes && self.bytes / self.packed_bytes.max(1) >= ratio_max {
            return Err(Fault::Bomb { entry: entry.to_owned(), max: ratio_max });
        }
        Ok(())
    }
}

/// All paths of an archive, once it was found safe.
pub fn list(archive: &Path) -> Result<BTreeSet<String>> {
    Ok(Archive::open(archive)?.paths())
}

#[cfg(test)]
mod tests;
