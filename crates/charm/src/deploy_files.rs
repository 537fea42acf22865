//! A unit's charm on the disk: how it gets there, is replaced, and is brought back.
//!
//! ```text
//! <unit>/charm/                        the charm that runs
//! <unit>/charms/<digest>/              another charm, whole: staged, or what ran before
//! <unit>/charms/<digest>.manifest      the files that came with a charm, one path on a line
//! ```
//!
//! `charm` is a directory, not a link: charms remember their absolute path and call `..` their unit. It is exchanged
//! with the staged one by one rename, after which the tree that ran before has the new one's name until it is given
//! its own. That is no ambiguity, for each tree says itself which charm it is (file `.tutti-charm`).
//!
//! An upgrade is [`stage`], [`carry_over`], [`switch`], later [`prune`]; a rollback is the same with the older digest.
//! A charm's directory is never a mixture of two versions. Every step can be killed at any instant and run again:
//! it either finds its work done or does it anew, and what it left half-done has a name that starts with a dot.
//! There is one caller for a unit at a time.
//!
//! Nobody waits until thousands of small files are on the disk. A tree that may not be there yet says so: it names
//! the boot of the machine it was unpacked in ([`make_durable`] takes that away later). After a power failure the
//! machine has another boot id, and such a tree is not trusted: the charm is unpacked again, and gets the files that
//! the charm had made.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self as std_io, ErrorKind};
use std::os::unix::fs::{MetadataExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::{panic, thread};

use rustix::io::Errno;

use crate::archive::{Archive, Fault};
use crate::digest::Digest;
use crate::error::{Error, Result, io};

const CHARM: &str = "charm";
const CHARMS: &str = "charms";
const REVISION: &str = "revision";
/// In each tree: the digest of the charm it is, and the boot in which it was unpacked unless all of it is on the disk.
const MARKER: &str = ".tutti-charm";
const STAGING: &str = ".staging-";
const REMOVING: &str = ".removing-";

/// Unpacks an archive beside what runs and answers its directory. The archive's bytes must have the digest. The
/// charm's file `revision` gets the number, also if the charm was staged before.
pub fn stage(archive: &Path, unit_dir: &Path, digest: Digest, revision: u32) -> Result<PathBuf> {
    settle(unit_dir)?;
    let target = directory(unit_dir, digest);
    if !target.is_dir() {
        unpack_as(archive, unit_dir, digest, revision)?;
    }
    write_atomically(&target.join(REVISION), revision_line(revision).as_bytes())?;
    Ok(target)
}

fn revision_line(revision: u32) -> String {
    format!("{revision}\n")
}

/// Where a charm is once it has been staged; the one that runs is in `charm`.
pub fn directory(unit_dir: &Path, digest: Digest) -> PathBuf {
    match current(unit_dir) {
        Ok(Some(running)) if running == digest => unit_dir.join(CHARM),
        _ => staged(unit_dir, digest),
    }
}

fn staged(unit_dir: &Path, digest: Digest) -> PathBuf {
    unit_dir.join(CHARMS).join(digest.to_string())
}

/// The paths that came with a staged charm.
pub fn manifest(unit_dir: &Path, digest: Digest) -> Result<BTreeSet<String>> {
    let path = manifest_path(unit_dir, digest);
    let text = fs::read_to_string(&path).map_err(io("read", &path))?;
    Ok(text.lines().map(str::to_owned).collect())
}

fn manifest_path(unit_dir: &Path, digest: Digest) -> PathBuf {
    unit_dir.join(CHARMS).join(format!("{digest}.manifest"))
}

fn unpack_as(archive: &Path, unit_dir: &Path, digest: Digest, revision: u32) -> Result<()> {
    let charms = unit_dir.join(CHARMS);
    let staging = charms.join(format!("{STAGING}{digest}"));
    remove_tree(&staging)?;
    let archive = thread::scope(|scope| {
        // Whatever bytes are unpacked, nobody uses them before they are found to be the right ones.
        let found = scope.spawn(|| Digest::of_file(archive));
        let unpacked = unpack_into(archive, &staging);
        let found = found.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked))?;
        if found != digest {
            let source = Fault::WrongDigest { expected: digest, found };
            return Err(Error::Archive { archive: archive.to_owned(), source });
        }
        unpacked
    })?;
    // No name in an archive has a line break, so a line holds exactly one.
    let mut paths = archive.paths();
    paths.extend([REVISION.to_owned(), MARKER.to_owned()]);
    let lines: String = paths.iter().flat_map(|path| [path.as_str(), "\n"]).collect();
    let write = |path: &Path, text: &str| fs::write(path, text).map_err(io("write", path));
    write(&manifest_path(unit_dir, digest), &lines)?;
    write(&staging.join(REVISION), &revision_line(revision))?;
    let boot = boot();
    if boot.is_empty() {
        sync_all(&staging)?;
    }
    write(&staging.join(MARKER), &mark(digest, boot))?;
    // Last: whoever sees the directory may rely on all of it.
    let target = staged(unit_dir, digest);
    fs::rename(&staging, &target).map_err(io("rename", &staging))
}

fn unpack_into(archive: &Path, directory: &Path) -> Result<Archive> {
    let archive = Archive::open(archive)?;
    archive.unpack(directory)?;
    Ok(archive)
}

/// Waits until the charm that runs is on the disk, and notes that it is. May take long, and may run while the charm
/// does.
pub fn make_durable(unit_dir: &Path) -> Result<()> {
    let charm = unit_dir.join(CHARM);
    let marker = charm.join(MARKER);
    let Some((digest, boot)) = read_mark(&charm)? else { return Ok(()) };
    if boot.is_empty() {
        return Ok(());
    }
    sync_all(&charm)?;
    // If this comes to the disk late or half, the tree is only unpacked once more.
    let next = unit_dir.join(CHARMS).join(".marker.next");
    fs::write(&next, mark(digest, "")).map_err(io("write", &next))?;
    fs::rename(&next, &marker).map_err(io("replace", &marker))
}

/// Whether there is a charm that can run: one that is whole. None before the first [`switch`].
pub fn is_whole(unit_dir: &Path) -> bool {
    let charm = unit_dir.join(CHARM);
    let is_of_another_boot = |(_, unpacked): (Digest, String)| !is_present(&unpacked);
    charm.is_dir() && !read_mark(&charm).ok().flatten().is_some_and(is_of_another_boot)
}

/// Makes the files that a charm made for itself (`.unit-state.db` and the like) those of the new charm's directory:
/// what the old charm's directory has beside its own manifest is copied, unless the new charm ships that path or
/// something in its way; what an earlier run or an earlier life of the new charm left there is removed first.
///
/// Compiled Python is not carried over: it belongs to the code. Nor are sockets and pipes. Does nothing if both are
/// the same directory.
pub fn carry_over(
    old_dir: &Path,
    old_manifest: &BTreeSet<String>,
    new_dir: &Path,
    new_manifest: &BTreeSet<String>,
) -> Result<()> {
    if old_dir == new_dir {
        return Ok(());
    }
    let leftovers = own_files(new_dir, new_manifest)?;
    let mut changed = !leftovers.is_empty();
    for (path, kind) in leftovers {
        if kind == Found::Directory {
            // Fails if it holds something the charm ships; then it stays, as it has to.
            drop(fs::remove_dir(new_dir.join(&path)));
        } else {
            let path = new_dir.join(&path);
            fs::remove_file(&path).map_err(io("remove", &path))?;
        }
    }
    let mut found = own_files(old_dir, old_manifest)?;
    found.reverse();
    for (path, kind) in found {
        // The new directory now holds what its charm ships, and what was copied before.
        if kind != Found::Other && !is_compiled(&path) && !in_the_way(new_dir, &path) {
            copy(&old_dir.join(&path), &new_dir.join(&path), kind)?;
            changed = true;
        }
    }
    if changed { sync_all(new_dir) } else { Ok(()) }
}

/// Makes a staged charm the one that runs, by one rename.
pub fn switch(unit_dir: &Path, digest: Digest) -> Result<()> {
    settle(unit_dir)?;
    if current(unit_dir)? == Some(digest) {
        return Ok(());
    }
    let (next, charm) = (staged(unit_dir, digest), unit_dir.join(CHARM));
    fs::metadata(&next).map_err(io("switch to", &next))?;
    if fs::symlink_metadata(&charm).is_ok() {
        exchange(&next, &charm)?;
        sync_directory(unit_dir)?;
    } else {
        // If this is lost there is no charm, which is easily told.
        fs::rename(&next, &charm).map_err(io("replace", &charm))?;
    }
    settle(unit_dir)
}

/// Swaps two directories by one rename. Where the file system cannot do that, by two: in between there is no charm,
/// which is as good, for nothing of the unit runs while it is being switched.
fn exchange(next: &Path, charm: &Path) -> Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, next, CWD, charm, RenameFlags::EXCHANGE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            let aside = next.with_extension("aside");
            fs::rename(charm, &aside).map_err(io("move", charm))?;
            fs::rename(next, charm).map_err(io("replace", charm))?;
            fs::rename(&aside, next).map_err(io("move", &aside))
        }
        done => done.map_err(|errno| io("replace", charm)(errno.into())),
    }
}

/// Gives each tree in `charms` the name of the charm it is: after an exchange one has the name of the charm that took
/// its place. A tree that does not say which charm it is cannot be used and goes.
fn settle(unit_dir: &Path) -> Result<()> {
    let charms = unit_dir.join(CHARMS);
    for name in names(&charms)? {
        let path = charms.join(&name);
        if name.starts_with('.') || !path.is_dir() {
            continue;
        }
        match marked(&path)? {
            Some(digest) if digest.to_string() == name => {}
            Some(digest) if current(unit_dir)? != Some(digest) => {
                let own = staged(unit_dir, digest);
                remove_tree(&own)?;
                fs::rename(&path, &own).map_err(io("rename", &path))?;
                sync_directory(&charms)?;
            }
            _ => remove_whole(&path)?,
        }
    }
    Ok(())
}

/// The charm that runs, or `None` before the first [`switch`], and if it may not be whole.
pub fn current(unit_dir: &Path) -> Result<Option<Digest>> {
    marked(&unit_dir.join(CHARM))
}

/// The charm whose remains are where the one that runs should be: a power failure may have left half of it.
pub fn remains(unit_dir: &Path) -> Result<Option<Digest>> {
    let found = read_mark(&unit_dir.join(CHARM))?;
    Ok(found.filter(|(_, unpacked)| !is_present(unpacked)).map(|(digest, _)| digest))
}

/// Which charm a tree is; none if it is not there, says nothing or may not be whole.
fn marked(tree: &Path) -> Result<Option<Digest>> {
    let found = read_mark(tree)?;
    Ok(found.filter(|(_, unpacked)| is_present(unpacked)).map(|(digest, _)| digest))
}

/// Which charm a tree says it is, and in which boot it was unpacked; empty once it is on the disk.
fn read_mark(tree: &Path) -> Result<Option<(Digest, String)>> {
    let marker = tree.join(MARKER);
    match fs::read_to_string(&marker) {
        Ok(text) => {
            let mut words = text.split_whitespace();
            let digest = words.next().and_then(|word| word.parse().ok());
            Ok(digest.map(|digest| (digest, words.next().unwrap_or_default().to_owned())))
        }
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(io("read", &marker)(error)),
    }
}

/// What a tree says of itself.
fn mark(digest: Digest, boot: &str) -> String {
    format!("{digest} {boot}").trim_end().to_owned() + "\n"
}

/// Whether what was written in a boot is there: nothing was lost since, or all of it is on the disk.
fn is_present(unpacked: &str) -> bool {
    unpacked.is_empty() || unpacked == boot()
}

/// Differs after every start of the machine; empty if the system does not tell.
fn boot() -> &'static str {
    static BOOT: LazyLock<String> = LazyLock::new(|| {
        let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        text.trim().to_owned()
    });
    &BOOT
}

/// Removes every staged charm but the one that runs and those to keep, and whatever was left half-done.
pub fn prune(unit_dir: &Path, keep: &[Digest]) -> Result<()> {
    settle(unit_dir)?;
    let running = current(unit_dir)?;
    let charms = unit_dir.join(CHARMS);
    for name in names(&charms)? {
        let path = charms.join(&name);
        let digest = name.strip_suffix(".manifest").unwrap_or(&name).parse::<Digest>().ok();
        match digest {
            Some(digest) if Some(digest) == running || keep.contains(&digest) => {}
            Some(_) if path.is_dir() => remove_whole(&path)?,
            Some(_) => remove_file(&path)?,
            None if name.starts_with('.') => remove_tree(&path)?,
            None => {}
        }
    }
    Ok(())
}

/// Removes a tree, out of sight at once: a half-removed charm must never look like a whole one.
fn remove_whole(path: &Path) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let removing = path.with_file_name(format!("{REMOVING}{name}"));
    remove_tree(&removing)?;
    fs::rename(path, &removing).map_err(io("rename", path))?;
    remove_tree(&removing)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    File,
    Link,
    Directory,
    Other,
}

/// Everything in a tree that the manifest does not list, with `/`; what is inside a directory comes before it.
fn own_files(root: &Path, manifest: &BTreeSet<String>) -> Result<Vec<(String, Found)>> {
    let mut found = Vec::new();
    let mut pending = vec![String::new()];
    while let Some(folder) = pending.pop() {
        let prefix = if folder.is_empty() { folder.clone() } else { format!("{folder}/") };
        let directory = root.join(&folder);
        for child in fs::read_dir(&directory).map_err(io("read", &directory))? {
            let child = child.map_err(io("read", &directory))?;
            // A name that is not text is no name an archive could have; it stays where it is.
            let Ok(name) = child.file_name().into_string() else { continue };
            let path = format!("{prefix}{name}");
            let kind = child.file_type().map_err(io("read", &child.path()))?;
            let kind = match (kind.is_dir(), kind.is_file(), kind.is_symlink()) {
                (true, _, _) => Found::Directory,
                (_, true, _) => Found::File,
                (_, _, true) => Found::Link,
                _ => Found::Other,
            };
            if kind == Found::Directory {
                pending.push(path.clone());
            }
            if !manifest.contains(&path) {
                found.push((path, kind));
            }
        }
    }
    // Parents were found before their children.
    found.reverse();
    Ok(found)
}

/// Whether something already stands at a path of a tree, or a file or link where it needs a directory.
fn in_the_way(root: &Path, path: &str) -> bool {
    let parents = path.match_indices('/').map(|(at, _)| &path[..at]);
    let not_a_directory = |parent: &str| {
        fs::symlink_metadata(root.join(parent)).is_ok_and(|metadata| !metadata.is_dir())
    };
    fs::symlink_metadata(root.join(path)).is_ok() || parents.into_iter().any(not_a_directory)
}

fn is_compiled(path: &str) -> bool {
    path.ends_with(".pyc") || path.split('/').any(|component| component == "__pycache__")
}

/// Copies one file, link or (empty) directory with owner, permissions and time.
fn copy(from: &Path, to: &Path, kind: Found) -> Result<()> {
    let metadata = fs::symlink_metadata(from).map_err(io("read", from))?;
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(io("create", parent))?;
    }
    match kind {
        Found::Directory => fs::create_dir_all(to).map_err(io("create", to))?,
        Found::Link => {
            let target = fs::read_link(from).map_err(io("read link", from))?;
            symlink(target, to).map_err(io("create link", to))?;
        }
        Found::File | Found::Other => {
            fs::copy(from, to).map_err(io("copy", from))?;
        }
    }
    let made = fs::symlink_metadata(to).map_err(io("read", to))?;
    if (made.uid(), made.gid()) != (metadata.uid(), metadata.gid()) {
        lchown(to, Some(metadata.uid()), Some(metadata.gid()))
            .map_err(io("change the owner of", to))?;
    }
    if kind != Found::Link {
        fs::set_permissions(to, metadata.permissions()).map_err(io("set permissions of", to))?;
    }
    if kind == Found::File {
        let modified = metadata.modified().map_err(io("read", from))?;
        let file = File::open(to).map_err(io("open", to))?;
        file.set_modified(modified).map_err(io("set the time of", to))?;
    }
    Ok(())
}

/// Replaces a file by one rename; it is on the disk when this returns.
fn write_atomically(path: &Path, content: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|present| present == content) {
        return Ok(());
    }
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.next"));
    let write = || {
        fs::create_dir_all(folder)?;
        fs::write(&temporary, content)?;
        File::open(&temporary)?.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(io("write", path))?;
    sync_directory(folder)
}

fn names(directory: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io("read", directory)(error)),
    };
    let name = |entry: std_io::Result<fs::DirEntry>| {
        entry.map(|entry| entry.file_name().to_string_lossy().into_owned())
    };
    let mut names: Vec<String> =
        entries.map(name).collect::<std_io::Result<_>>().map_err(io("read", directory))?;
    // A tree before its manifest: none may be left without.
    names.sort_unstable();
    Ok(names)
}

/// Removes a directory or file that may be absent.
fn remove_tree(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path).map_err(io("remove", path)),
        Ok(_) => remove_file(path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io("read", path)(error)),
    }
}

fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io("remove", path)(error)),
        _ => Ok(()),
    }
}

fn sync_directory(path: &Path) -> Result<()> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(io("sync", path))
}

fn sync_all(path: &Path) -> Result<()> {
    let directory = File::open(path).map_err(io("open", path))?;
    rustix::fs::syncfs(&directory).map_err(|errno| io("sync", path)(errno.into()))
}

#[cfg(test)]
mod tests;
