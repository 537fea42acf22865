//! Writing an archive's content into a directory.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self as std_io, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::{panic, thread};

use super::whole::Whole;
use super::{Archive, Entry, Fault, Kind, Reader, Unpacked, unpacked_content};
use crate::error::{Error, Result, io};

/// Threads that write files at the same time, at most.
const THREADS_MAX: usize = 4;

/// For fewer files another thread is not worth starting.
const FILES_PER_THREAD_MIN: usize = 50;

const BUFFER_BYTES: usize = 64 << 10;

/// Unpacks an archive into a directory; see [`Archive::unpack`]. Answers the entries.
pub fn unpack(archive: &Path, directory: &Path) -> Result<Vec<Entry>> {
    let archive = Archive::open(archive)?;
    archive.unpack(directory)?;
    Ok(archive.entries)
}

impl Archive {
    /// Unpacks everything into a directory, which is created and must be empty if it exists. When this returns, the
    /// files are not yet forced to the disk. After an error the directory holds a part; throw it away.
    ///
    /// Permissions are restored, except that the owner can always read what there is, and that `dispatch`, `hooks/*`
    /// and `actions/*` are executable. Special bits (setuid and the like) are left out.
    pub fn unpack(&self, directory: &Path) -> Result<()> {
        fs::create_dir_all(directory).map_err(io("create", directory))?;
        let mut present = fs::read_dir(directory).map_err(io("read", directory))?;
        if present.next().is_some() {
            let not_empty = std_io::Error::from(std_io::ErrorKind::DirectoryNotEmpty);
            return Err(io("unpack into", directory)(not_empty));
        }
        self.make_directories(directory)?;
        Files::new(self, directory).write_all()?;
        for entry in &self.entries {
            let path = directory.join(&entry.path);
            match &entry.kind {
                Kind::Directory => {
                    let permissions = Permissions::from_mode(entry.mode | 0o700);
                    let set = fs::set_permissions(&path, permissions);
                    set.map_err(io("set permissions of", &path))?;
                }
                Kind::Link { target } => {
                    symlink(target, &path).map_err(io("create link", &path))?;
                }
                Kind::File { .. } => {}
            }
        }
        Ok(())
    }

    /// Makes the directories, also those that are no entries but have some.
    fn make_directories(&self, directory: &Path) -> Result<()> {
        let mut made = HashSet::new();
        for entry in &self.entries {
            let parent = || entry.path.rsplit_once('/').map(|(parent, _)| parent);
            let path = match entry.kind {
                Kind::Directory => Some(entry.path.as_str()),
                Kind::File { .. } | Kind::Link { .. } => parent(),
            };
            if let Some(path) = path.filter(|path| made.insert(*path)) {
                let path = directory.join(path);
                fs::create_dir_all(&path).map_err(io("create", &path))?;
            }
        }
        Ok(())
    }
}

/// The files of an archive, while several threads write them. Inflating takes as long as creating, so this is worth it
/// even on one disk.
struct Files<'a> {
    archive: &'a Archive,
    directory: &'a Path,
    /// Positions of entries that are files; the threads take them in order.
    positions: Vec<usize>,
    taken: AtomicUsize,
    unpacked: Mutex<Unpacked>,
}

impl<'a> Files<'a> {
    fn new(archive: &'a Archive, directory: &'a Path) -> Files<'a> {
        let is_file =
            |position: &usize| matches!(archive.entries[*position].kind, Kind::File { .. });
        let positions = (0..archive.entries.len()).filter(is_file).collect();
        let unpacked = Mutex::new(Unpacked::new(archive.packed_bytes, archive.limits));
        Files { archive, directory, positions, taken: AtomicUsize::new(0), unpacked }
    }

    /// Writes all of them. Of several errors it answers that of the first file, whichever thread is faster.
    fn write_all(&self) -> Result<()> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let useful = self.positions.len() / FILES_PER_THREAD_MIN;
        let others = cores.min(THREADS_MAX).min(useful).saturating_sub(1);
        let failed = thread::scope(|scope| {
            // A thread that is not to be had is done without.
            let spawn = |_| thread::Builder::new().spawn_scoped(scope, || self.write_some()).ok();
            let others: Vec<_> = (0..others).filter_map(spawn).collect();
            let own = self.write_some();
            let join = |other: thread::ScopedJoinHandle<'_, _>| {
                other.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked))
            };
            others.into_iter().map(join).chain([own]).flatten().min_by_key(|(index, _)| *index)
        });
        failed.map_or(Ok(()), |(_, error)| Err(error))
    }

    /// Writes one file after the other until none is left, or until one fails, which it answers; then nobody begins
    /// another. All before the one that fails are taken by then, and will be finished.
    fn write_some(&self) -> Option<(usize, Error)> {
        let mut reader = self.archive.reader.another();
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut whole = Whole::new();
        loop {
            let index = self.taken.fetch_add(1, Ordering::Relaxed);
            let position = *self.positions.get(index)?;
            let written = self.write(position, &mut reader, &mut whole, &mut buffer);
            if let Err(error) = written {
                self.taken.store(self.positions.len(), Ordering::Relaxed);
                return Some((index, error));
            }
        }
    }

    fn write(
        &self,
        position: usize,
        reader: &mut Reader,
        whole: &mut Whole,
        buffer: &mut [u8],
    ) -> Result<()> {
        let entry = &self.archive.entries[position];
        let source = &self.archive.sources[position];
        let target = self.directory.join(&entry.path);
        let mode = permissions(entry);
        // `create_new` never follows a link, whatever stands there.
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&target)
            .map_err(io("create", &target))?;
        let refuse = |source| self.archive.refuse(source);
        if let Some(content) = whole.content(source, reader) {
            self.count(entry, content.len() as u64).map_err(refuse)?;
            file.write_all(content).map_err(io("write", &target))?;
            return restore(&file, mode).map_err(io("set permissions of", &target));
        }
        let mut content = unpacked_content(source, reader).map_err(refuse)?;
        loop {
            let length = match content.read(buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == std_io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    return Err(refuse(Fault::Content { entry: entry.path.clone(), source }));
                }
            };
            self.count(entry, length as u64).map_err(refuse)?;
            file.write_all(&buffer[..length]).map_err(io("write", &target))?;
        }
        restore(&file, mode).map_err(io("set permissions of", &target))
    }

    fn count(&self, entry: &Entry, bytes: u64) -> Result<(), Fault> {
        let mut unpacked = self.unpacked.lock().unwrap_or_else(PoisonError::into_inner);
        unpacked.add(&entry.path, bytes)
    }
}

/// Gives a file the permissions back that the umask took away when it was created, if it did.
fn restore(file: &File, mode: u32) -> std_io::Result<()> {
    if file.metadata()?.permissions().mode() & 0o7777 == mode {
        return Ok(());
    }
    file.set_permissions(Permissions::from_mode(mode))
}

fn permissions(entry: &Entry) -> u32 {
    let in_scripts = |folder| {
        let name = entry.path.strip_prefix(folder);
        name.is_some_and(|name: &str| !name.contains('/'))
    };
    let started = entry.path == "dispatch" || in_scripts("hooks/") || in_scripts("actions/");
    entry.mode | 0o400 | if started { 0o111 & (entry.mode >> 2 | 0o100) } else { 0 }
}
