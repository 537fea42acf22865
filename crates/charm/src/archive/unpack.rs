//! Writing an archive's content into a directory.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self as std_io, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;

use super::{Archive, Entry, Fault, Kind, Unpacked};
use crate::error::{Error, Result, io};

/// Unpacks an archive into a directory; see [`Archive::unpack`]. Answers the entries.
pub fn unpack(archive: &Path, directory: &Path) -> Result<Vec<Entry>> {
    let mut archive = Archive::open(archive)?;
    archive.unpack(directory)?;
    Ok(archive.entries)
}

impl Archive {
    /// Unpacks everything into a directory, which is created and must be empty if it exists. When this returns, the
    /// files are not yet forced to the disk. After an error the directory holds a part; throw it away.
    ///
    /// Permissions are restored, except that the owner can always read what there is, and that `dispatch`, `hooks/*`
    /// and `actions/*` are executable. Special bits (setuid and the like) are left out.
    pub fn unpack(&mut self, directory: &Path) -> Result<()> {
        fs::create_dir_all(directory).map_err(io("create", directory))?;
        let mut present = fs::read_dir(directory).map_err(io("read", directory))?;
        if present.next().is_some() {
            let not_empty = std_io::Error::from(std_io::ErrorKind::DirectoryNotEmpty);
            return Err(io("unpack into", directory)(not_empty));
        }
        let mut unpacked = Unpacked::new(self.packed_bytes, self.limits);
        let mut directories = Vec::new();
        for position in 0..self.entries.len() {
            let entry = self.entries[position].clone();
            let target = directory.join(&entry.path);
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent).map_err(io("create", parent))?;
            }
            match &entry.kind {
                Kind::Directory => {
                    fs::create_dir_all(&target).map_err(io("create", &target))?;
                    directories.push((target, entry.mode | 0o700));
                }
                Kind::Link { target: points_to } => {
                    symlink(points_to, &target).map_err(io("create link", &target))?;
                }
                Kind::File { .. } => self.unpack_file(position, &entry, &target, &mut unpacked)?,
            }
        }
        for (path, mode) in directories {
            let permissions = Permissions::from_mode(mode);
            fs::set_permissions(&path, permissions).map_err(io("set permissions of", &path))?;
        }
        Ok(())
    }

    fn unpack_file(
        &mut self,
        position: usize,
        entry: &Entry,
        target: &Path,
        unpacked: &mut Unpacked,
    ) -> Result<()> {
        let mode = permissions(entry);
        // `create_new` never follows a link, whatever stands there.
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(target)
            .map_err(io("create", target))?;
        let path = self.path.clone();
        let refuse = |source| Error::Archive { archive: path.clone(), source };
        let mut buffer = vec![0; 64 << 10];
        let mut content = self.content(position).map_err(refuse)?;
        loop {
            let length = match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == std_io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    return Err(refuse(Fault::Content { entry: entry.path.clone(), source }));
                }
            };
            unpacked.add(&entry.path, length as u64).map_err(refuse)?;
            file.write_all(&buffer[..length]).map_err(io("write", target))?;
        }
        // The umask took bits away when the file was created.
        file.set_permissions(Permissions::from_mode(mode)).map_err(io("set permissions of", target))
    }
}

fn permissions(entry: &Entry) -> u32 {
    let in_scripts = |folder| {
        let name = entry.path.strip_prefix(folder);
        name.is_some_and(|name: &str| !name.contains('/'))
    };
    let started = entry.path == "dispatch" || in_scripts("hooks/") || in_scripts("actions/");
    entry.mode | 0o400 | if started { 0o111 & (entry.mode >> 2 | 0o100) } else { 0 }
}
