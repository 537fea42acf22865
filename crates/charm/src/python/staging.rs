//! Building the tree that is packed: the project's files, the dependencies, and what Juju reads.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use serde_json::{Map, Value};

use super::interpreter::Interpreter;
use crate::archive::{Ignore, check_link};
use crate::charm::{CHARMCRAFT, Charm};
use crate::error::{Error, Result, io};
use crate::manifest::{Base, host_architecture};
use crate::yaml;

const DISPATCH: &str = include_str!("dispatch.sh");

/// Keys of `charmcraft.yaml` that belong into `metadata.yaml` as they are.
const METADATA_KEYS: &[&str] = &[
    "name",
    "summary",
    "description",
    "assumes",
    "charm-user",
    "containers",
    "devices",
    "extra-bindings",
    "payloads",
    "peers",
    "provides",
    "requires",
    "resources",
    "storage",
    "subordinate",
    "terms",
    "min-juju-version",
    "upgrades-from",
];

/// Copies the project without what [`Ignore::of_source`] and `venv/` leave out. The whole project, also for plugins
/// for which charmcraft takes only `src/` and `lib/`: a charm that finds more than it expects still works, one that
/// misses its templates does not. Links that would lead out of the charm are left out; the answer says which.
pub(super) fn copy_project(from: &Path, to: &Path) -> Result<Vec<String>> {
    let mut ignore = Ignore::of_source(from)?;
    ignore.add("/venv");
    let mut notes = Vec::new();
    copy_tree(from, to, &ignore, "", &mut notes)?;
    Ok(notes)
}

fn copy_tree(
    from: &Path,
    to: &Path,
    ignore: &Ignore,
    prefix: &str,
    notes: &mut Vec<String>,
) -> Result<()> {
    fs::create_dir_all(to).map_err(io("create", to))?;
    for child in fs::read_dir(from).map_err(io("read", from))? {
        let child = child.map_err(io("read", from))?;
        let path = format!("{prefix}{}", child.file_name().to_string_lossy());
        let kind = child.file_type().map_err(io("read", &child.path()))?;
        if ignore.matches(&path, kind.is_dir()) {
            continue;
        }
        let (source, target) = (child.path(), to.join(child.file_name()));
        if kind.is_dir() {
            copy_tree(&source, &target, ignore, &format!("{path}/"), notes)?;
        } else if kind.is_symlink() {
            let points_to = fs::read_link(&source).map_err(io("read link", &source))?;
            match check_link(&path, &points_to.to_string_lossy()) {
                Ok(()) => symlink(points_to, &target).map_err(io("create link", &target))?,
                Err(reason) => notes.push(format!("link {path:?} is left out: {reason}")),
            }
        } else if kind.is_file() {
            fs::copy(&source, &target).map_err(io("copy", &source))?;
        }
    }
    Ok(())
}

/// Puts a tree of files elsewhere by hard links, or by copying where the file system has no links. Answers whether
/// a compiled module is among them.
pub(super) fn link_tree(from: &Path, to: &Path) -> Result<bool> {
    let mut compiled = false;
    fs::create_dir_all(to).map_err(io("create", to))?;
    for child in fs::read_dir(from).map_err(io("read", from))? {
        let child = child.map_err(io("read", from))?;
        let (source, target) = (child.path(), to.join(child.file_name()));
        let kind = child.file_type().map_err(io("read", &source))?;
        if kind.is_dir() {
            compiled |= link_tree(&source, &target)?;
        } else {
            compiled |= source.extension().is_some_and(|extension| extension == "so");
            if fs::hard_link(&source, &target).is_err() {
                fs::copy(&source, &target).map_err(io("copy", &source))?;
            }
        }
    }
    Ok(compiled)
}

/// Writes the files Juju and `ops` read, unless the project has them: `metadata.yaml`, `config.yaml`, `actions.yaml`
/// from `charmcraft.yaml`, and `manifest.yaml` always when dependencies were compiled for this machine.
pub(super) fn write_declarations(tree: &Path, charm: &Charm, compiled: bool) -> Result<()> {
    if let Some(text) = super::project::text(tree, CHARMCRAFT)? {
        let unreadable = |source| Error::Yaml { file: CHARMCRAFT.to_owned(), source };
        let written: Value = yaml::from_str(&text).map_err(unreadable)?;
        write_missing(tree, "metadata.yaml", || Some(metadata(&written)))?;
        write_missing(tree, "config.yaml", || written.get("config").cloned())?;
        write_missing(tree, "actions.yaml", || written.get("actions").cloned())?;
    }
    let mut manifest = charm.manifest.clone();
    if compiled {
        if manifest.bases.is_empty() {
            manifest.bases.push(host_base());
        }
        for base in &mut manifest.bases {
            base.architectures = vec![host_architecture().to_owned()];
        }
    }
    if manifest.packed_by.is_none() {
        manifest.packed_by = Some(concat!("tutti ", env!("CARGO_PKG_VERSION")).to_owned());
    }
    write(&tree.join("manifest.yaml"), &manifest.to_yaml()?)
}

fn write_missing(tree: &Path, name: &str, content: impl FnOnce() -> Option<Value>) -> Result<()> {
    let path = tree.join(name);
    let Some(content) = (!path.exists()).then(content).flatten().filter(|value| !value.is_null())
    else {
        return Ok(());
    };
    let text = yaml::to_string(&content)
        .map_err(|source| Error::Yaml { file: name.to_owned(), source })?;
    write(&path, &text)
}

/// `metadata.yaml` from `charmcraft.yaml`: some keys as they are, some under other names.
fn metadata(charmcraft: &Value) -> Value {
    let mut metadata = Map::new();
    let mut put = |key: &str, value: Option<&Value>| {
        if let Some(value) = value.filter(|value| !value.is_null()) {
            metadata.insert(key.to_owned(), value.clone());
        }
    };
    for key in METADATA_KEYS {
        put(key, charmcraft.get(key));
    }
    put("display-name", charmcraft.get("title"));
    let link = |key: &str| charmcraft.get("links").and_then(|links| links.get(key));
    put("docs", link("documentation"));
    put("issues", link("issues"));
    put("source", link("source"));
    put("website", link("website"));
    put("maintainers", link("contact"));
    Value::Object(metadata)
}

/// The operating system we run on.
fn host_base() -> Base {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_default().trim_matches('"').to_owned()
    };
    Base { name: value("ID"), channel: value("VERSION_ID"), architectures: Vec::new() }
}

/// Makes everything that is started executable, and writes `dispatch` for a charm that has an entry script and no
/// `dispatch` of its own.
pub(super) fn make_startable(
    tree: &Path,
    entry: Option<&str>,
    interpreter: Option<&Interpreter>,
    compiled: bool,
) -> Result<()> {
    let dispatch = tree.join("dispatch");
    if let (Some(entry), Some(interpreter)) = (entry, interpreter)
        && !dispatch.exists()
    {
        let version = interpreter.minor_version();
        let wanted = if compiled { version.as_str() } else { "any" };
        let script = DISPATCH.replace("@WANTED@", wanted).replace("@VERSION@", &version);
        write(&dispatch, &script.replace("@ENTRY@", entry))?;
    }
    let mut started = vec![dispatch];
    started.extend(entry.map(|entry| tree.join(entry)));
    for folder in ["hooks", "actions"] {
        let Ok(children) = fs::read_dir(tree.join(folder)) else { continue };
        started.extend(children.flatten().map(|child| child.path()));
    }
    for path in started.iter().filter(|path| path.is_file() && !path.is_symlink()) {
        let mode = fs::metadata(path).map_err(io("read", path))?.permissions().mode();
        let executable = Permissions::from_mode(mode | 0o755);
        fs::set_permissions(path, executable).map_err(io("set permissions of", path))?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(io("write", path))
}
