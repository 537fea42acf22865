//! A whole charm, read from a directory or from an archive.
//!
//! [`Charm`] is everything that is known about a charm without running it: what the controller stores beside the
//! archive and decides by. A packed charm has `metadata.yaml`, `config.yaml` and `actions.yaml`; a source tree may
//! have everything in `charmcraft.yaml`. Where both exist, the separate files win.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::action::{self, Actions};
use crate::archive::{Archive, Ignore};
use crate::config::ConfigSchema;
use crate::error::{Error, Result, io};
use crate::manifest::Manifest;
use crate::metadata::Metadata;
use crate::version::Version;
use crate::yaml;

/// The file of a source tree that may hold all the others.
pub const CHARMCRAFT: &str = "charmcraft.yaml";

const METADATA: &str = "metadata.yaml";
const CONFIG: &str = "config.yaml";
const ACTIONS: &str = "actions.yaml";
const MANIFEST: &str = "manifest.yaml";

/// A charm. Its JSON form is stable: later fields have defaults.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Charm {
    /// What it declares about itself.
    pub metadata: Metadata,
    /// The options it declares.
    pub config: ConfigSchema,
    /// The actions it declares.
    pub actions: Actions,
    /// The bases it was made for.
    pub manifest: Manifest,
    /// Whether it has the entry point `dispatch`; otherwise its hooks are started one by one.
    pub has_dispatch: bool,
    /// The events that have a script of their own in `hooks/`, sorted.
    pub hooks: Vec<String>,
    /// Its version as its author calls it: the file `version`.
    pub version: Option<String>,
    /// The number in the file `revision`: a local deployment gets at least this.
    pub revision: Option<u32>,
    /// What its files tell about what it needs.
    pub traits: Traits,
    /// What was noticed and has no effect, such as unknown keys.
    pub warnings: Vec<String>,
}

/// What a charm's files tell about what it needs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Traits {
    /// A source tree that has to be prepared: its metadata is still in `charmcraft.yaml`.
    pub unprepared: bool,
    /// Its entry is Python: `src/charm.py`.
    pub python: bool,
    /// The Python its compiled dependencies were installed for, such as 3.12; `None` if they suit any.
    pub python_version: Option<Version>,
    /// Built in layers (`charms.reactive`).
    pub reactive: bool,
    /// Brings the packages that a layered charm installs at its first start.
    pub wheelhouse: bool,
    /// Comes with a profile for LXD containers.
    pub lxd_profile: bool,
    /// Comes with the library that installs snaps.
    pub snap_library: bool,
    /// Comes with the library that drives systemd.
    pub systemd_library: bool,
}

impl Charm {
    /// Reads a charm from a directory: unpacked, or a source tree.
    pub fn from_directory(path: &Path) -> Result<Charm> {
        let paths = paths_of(path, &Ignore::of_source(path)?)?;
        read(Tree { root: path, paths, content: Content::Directory })
    }

    /// Reads a charm from a `.charm` archive, which is checked whole.
    pub fn from_archive(path: &Path) -> Result<Charm> {
        let archive = Archive::open(path)?;
        read(Tree { root: path, paths: archive.paths(), content: Content::Archive(archive) })
    }

    /// The charm's name.
    pub fn name(&self) -> &str {
        &self.metadata.name
    }
}

/// A charm's files, wherever they are.
struct Tree<'a> {
    root: &'a Path,
    paths: BTreeSet<String>,
    content: Content,
}

enum Content {
    Directory,
    Archive(Archive),
}

impl Tree<'_> {
    fn has(&self, path: &str) -> bool {
        self.paths.contains(path)
    }

    /// The text of a file at the top, or `None` if there is no such file.
    fn text(&mut self, name: &str) -> Result<Option<String>> {
        let bytes = match &mut self.content {
            Content::Archive(archive) => archive.read(name, yaml::BYTES_MAX as u64)?,
            Content::Directory => {
                let path: PathBuf = self.root.join(name);
                match fs::read(&path) {
                    Ok(bytes) => Some(bytes),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
                    Err(error) => return Err(io("read", &path)(error)),
                }
            }
        };
        let decoded = bytes.map(String::from_utf8).transpose();
        decoded.map_err(|_| Error::Yaml { file: name.to_owned(), source: yaml::Fault::not_text() })
    }
}

fn read(mut tree: Tree<'_>) -> Result<Charm> {
    let metadata_text = tree.text(METADATA)?;
    let charmcraft = tree.text(CHARMCRAFT)?;
    let (metadata, mut warnings) = match (&metadata_text, &charmcraft) {
        (Some(text), _) => Metadata::from_yaml(METADATA, text)?,
        (None, Some(text)) => Metadata::from_yaml(CHARMCRAFT, text)?,
        (None, None) => return Err(Error::NotACharm { path: tree.root.to_owned() }),
    };
    let config = match (tree.text(CONFIG)?, &charmcraft) {
        (Some(text), _) => ConfigSchema::from_yaml(CONFIG, &text)?,
        (None, Some(text)) => ConfigSchema::from_charmcraft(CHARMCRAFT, text)?,
        (None, None) => ConfigSchema::default(),
    };
    let (actions, noticed) = match (tree.text(ACTIONS)?, &charmcraft) {
        (Some(text), _) => action::from_yaml(ACTIONS, &text)?,
        (None, Some(text)) => action::from_charmcraft(CHARMCRAFT, text)?,
        (None, None) => Default::default(),
    };
    warnings.extend(noticed);
    let manifest = match (tree.text(MANIFEST)?, &charmcraft) {
        (Some(text), _) => Manifest::from_yaml(MANIFEST, &text)?,
        (None, Some(text)) => Manifest::from_charmcraft(CHARMCRAFT, text)?,
        (None, None) => Manifest::default(),
    };
    let version = tree.text("version")?.map(|text| text.trim().to_owned());
    let revision = tree.text("revision")?.and_then(|text| text.trim().parse().ok());
    Ok(Charm {
        metadata,
        config,
        actions,
        manifest,
        has_dispatch: tree.has("dispatch"),
        hooks: children(&tree.paths, "hooks/"),
        version: version.filter(|version| !version.is_empty()),
        revision,
        traits: traits(&tree.paths, metadata_text.is_none()),
        warnings,
    })
}

/// Names directly below a folder, sorted.
fn children(paths: &BTreeSet<String>, folder: &str) -> Vec<String> {
    let names = paths.iter().filter_map(|path| path.strip_prefix(folder));
    names.filter(|name| !name.contains(['/', '.'])).map(str::to_owned).collect()
}

fn traits(paths: &BTreeSet<String>, unprepared: bool) -> Traits {
    let below = |folder: &str| paths.iter().any(|path| path.starts_with(folder));
    let library = |name: &str| {
        let ours = |path: &&String| path.starts_with("lib/charms/operator_libs_linux/");
        paths.iter().filter(ours).any(|path| path.ends_with(name))
    };
    Traits {
        unprepared,
        python: paths.contains("src/charm.py"),
        python_version: python_version(paths),
        reactive: paths.contains("layer.yaml") || below("reactive/"),
        wheelhouse: below("wheelhouse/") || paths.contains("wheelhouse.txt"),
        lxd_profile: paths.contains("lxd-profile.yaml"),
        snap_library: library("/snap.py"),
        systemd_library: library("/systemd.py"),
    }
}

/// From the name of a compiled module, `x.cpython-312-x86_64-linux-gnu.so`, or of the folder in a virtual environment,
/// `venv/lib/python3.12/`.
fn python_version(paths: &BTreeSet<String>) -> Option<Version> {
    let in_venv = || paths.iter().filter(|path| path.starts_with("venv/"));
    let compiled = in_venv().find_map(|path| {
        let (_, tag) = path.strip_suffix(".so")?.rsplit_once(".cpython-")?;
        let digits = tag.split('-').next()?;
        let (major, minor) = digits.split_at_checked(1)?;
        Some(Version::new(&[major.parse().ok()?, minor.parse().ok()?]))
    });
    compiled.or_else(|| {
        in_venv().find_map(|path| {
            let rest = path.strip_prefix("venv/lib/python")?;
            let version = rest.split_once('/').map_or(rest, |(version, _)| version);
            version.parse().ok()
        })
    })
}

/// Deepest directory looked into.
const DEPTH_MAX: usize = 32;

/// All paths of a tree that are not ignored, with `/`; links are not followed.
fn paths_of(root: &Path, ignore: &Ignore) -> Result<BTreeSet<String>> {
    let mut paths = BTreeSet::new();
    let mut pending = vec![(root.to_owned(), String::new(), 0)];
    while let Some((directory, prefix, depth)) = pending.pop() {
        for child in fs::read_dir(&directory).map_err(io("read", &directory))? {
            let child = child.map_err(io("read", &directory))?;
            let path = format!("{prefix}{}", child.file_name().to_string_lossy());
            let kind = child.file_type().map_err(io("read", &child.path()))?;
            if ignore.matches(&path, kind.is_dir()) {
                continue;
            }
            if kind.is_dir() && depth < DEPTH_MAX {
                pending.push((child.path(), format!("{path}/"), depth + 1));
            }
            paths.insert(path);
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;
    use crate::archive::pack;

    const CHARMCRAFT_TEXT: &str = "
name: tiny
type: charm
title: Tiny
summary: s
description: d
base: ubuntu@24.04
platforms: {amd64: }
parts: {charm: {plugin: uv, source: .}}
provides: {web: {interface: http}}
config: {options: {port: {type: int, default: 80}}}
actions: {ping: {description: pong}}
";

    fn tree(files: &[(&str, &str)]) -> TempDir {
        let root = TempDir::new().unwrap();
        for (name, content) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        root
    }

    #[test]
    fn charmcraft_alone_is_enough() {
        let root = tree(&[("charmcraft.yaml", CHARMCRAFT_TEXT), ("src/charm.py", "")]);
        let charm = Charm::from_directory(root.path()).unwrap();
        assert_eq!(charm.name(), "tiny");
        assert_eq!(charm.metadata.display_name.as_deref(), Some("Tiny"));
        assert_eq!(charm.config.options["port"].default, Some(80.into()));
        assert_eq!(charm.actions["ping"].description, "pong");
        assert_eq!(charm.manifest.bases[0].to_string(), "ubuntu@24.04");
        assert!(charm.traits.unprepared && charm.traits.python && !charm.has_dispatch);
        assert!(charm.warnings.is_empty(), "{:?}", charm.warnings);
        let json = serde_json::to_string(&charm).unwrap();
        assert_eq!(serde_json::from_str::<Charm>(&json).unwrap(), charm);
    }

    #[test]
    fn directory_and_archive_agree() {
        let root = tree(&[
            ("metadata.yaml", "name: bash\nfrob: 1\n"),
            ("config.yaml", "options: {a: {type: string}}"),
            ("actions.yaml", "go: {}"),
            ("charmcraft.yaml", CHARMCRAFT_TEXT),
            ("hooks/install", ""),
            ("hooks/config-changed", ""),
            ("hooks/lib.sh", ""),
            ("dispatch", ""),
            ("version", "v1-2\n"),
            ("revision", "7\n"),
            ("venv/x/y.cpython-310-x86_64-linux-gnu.so", ""),
            ("lib/charms/operator_libs_linux/v2/snap.py", ""),
            (".git/config", ""),
        ]);
        let charm = Charm::from_directory(root.path()).unwrap();
        assert_eq!(charm.name(), "bash");
        assert_eq!(charm.hooks, ["config-changed", "install"]);
        assert_eq!((charm.version.as_deref(), charm.revision), (Some("v1-2"), Some(7)));
        assert_eq!(charm.actions.keys().collect::<Vec<_>>(), ["go"]);
        assert_eq!(charm.traits.python_version, Some(Version::new(&[3, 10])));
        assert!(charm.has_dispatch && charm.traits.snap_library && !charm.traits.unprepared);
        assert_eq!(charm.warnings.len(), 1);
        let archive = root.path().join("x.charm");
        pack(root.path(), &archive).unwrap();
        assert_eq!(Charm::from_archive(&archive).unwrap(), charm);
    }

    #[test]
    fn what_is_no_charm() {
        let empty = tree(&[("README.md", "")]);
        let error = Charm::from_directory(empty.path()).unwrap_err();
        assert!(matches!(error, Error::NotACharm { .. }), "{error}");
        let binary = tree(&[]);
        fs::write(binary.path().join("metadata.yaml"), b"name: \xff\n").unwrap();
        let error = Charm::from_directory(binary.path()).unwrap_err();
        assert!(matches!(error, Error::Yaml { .. }), "{error}");
        assert!(Charm::from_directory(&binary.path().join("none")).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

        #[test]
        fn damaged_archives_never_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
            let root = tree(&[("metadata.yaml", "name: a\n"), ("config.yaml", "options: {a: {type: int}}"), ("hooks/install", "x")]);
            let archive = root.path().join("x.charm");
            pack(root.path(), &archive).unwrap();
            let mut bytes = fs::read(&archive).unwrap();
            for (at, with) in changes {
                let at = at.index(bytes.len());
                bytes[at] = with;
            }
            fs::write(&archive, bytes).unwrap();
            let _ = Charm::from_archive(&archive);
        }
    }
}
