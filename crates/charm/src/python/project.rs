//! What a source tree says about how it wants to be prepared: the parts of `charmcraft.yaml`, lock and requirement
//! files, the libraries it brings. Reading only; nothing is run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::{Plugin, Problem};
use crate::charm::CHARMCRAFT;
use crate::error::{Error, Result, io};
use crate::version::Requirement;
use crate::yaml;

/// How the source tree is to be prepared.
#[derive(Debug)]
pub(super) struct Project {
    pub(super) plugin: Plugin,
    /// Path of the script to start, inside the tree; `None` for charms that bring their own hooks.
    pub(super) entry: Option<String>,
    pub(super) sources: Sources,
    pub(super) requires_python: Option<(Requirement, String)>,
    pub(super) notes: Vec<String>,
}

/// Where the dependencies are listed.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// Requirement files, inside the tree.
    pub(super) files: Vec<String>,
    /// Requirements named one by one.
    pub(super) packages: Vec<String>,
    /// A lock file, which then decides alone.
    pub(super) lock: Option<Lock>,
    /// Install exactly what is listed, not what that depends on.
    pub(super) exact: bool,
}

/// A lock file and which of its optional parts are wanted.
#[derive(Debug)]
pub(super) struct Lock {
    pub(super) file: &'static str,
    pub(super) extras: Vec<String>,
    pub(super) groups: Vec<String>,
}

impl Sources {
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.packages.is_empty() && self.lock.is_none()
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Written {
    #[serde(rename = "type")]
    kind: Option<String>,
    bases: Option<Value>,
    parts: Option<BTreeMap<String, Value>>,
    charm_libs: Option<Vec<CharmLib>>,
    extensions: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct CharmLib {
    lib: String,
    version: Value,
}

/// A part: its name, its plugin and its other keys.
struct Part<'a> {
    name: &'a str,
    plugin: &'a str,
    keys: &'a Value,
}

impl Part<'_> {
    fn list(&self, key: &str) -> Vec<String> {
        let items = self.keys.get(key).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    fn has(&self, key: &str) -> bool {
        self.keys.get(key).is_some_and(|value| !value.is_null())
    }
}

/// Reads a source tree.
pub(super) fn read(directory: &Path) -> Result<Project> {
    let failed = |source| Error::Prepare { directory: directory.to_owned(), source };
    let written: Written = match text(directory, CHARMCRAFT)? {
        None => Written::default(),
        Some(text) => yaml::from_str(&text)
            .map_err(|source| Error::Yaml { file: CHARMCRAFT.to_owned(), source })?,
    };
    if let Some(kind) = written.kind.as_deref().filter(|kind| *kind != "charm") {
        return Err(failed(Problem::NotACharm { kind: kind.to_owned() }));
    }
    if let Some(extensions) = written.extensions.filter(|extensions| !extensions.is_empty()) {
        return Err(failed(Problem::Extensions { names: extensions }));
    }
    check_charm_libs(directory, &written.charm_libs.unwrap_or_default()).map_err(failed)?;
    let declared = written.parts.unwrap_or_default();
    let parts: Vec<Part<'_>> = declared
        .iter()
        .map(|(name, keys)| {
            // Without a plugin named, a part's name is its plugin's.
            let plugin = keys.get("plugin").and_then(Value::as_str).unwrap_or(name);
            Part { name, plugin, keys }
        })
        .collect();
    let main = parts.iter().find(|part| !matches!(part.plugin, "dump" | "nil"));
    let plugin = match main {
        Some(part) => Plugin::from_word(part.plugin)
            .ok_or_else(|| failed(Problem::Plugin { name: part.plugin.to_owned() }))?,
        None if !parts.is_empty() => Plugin::Dump,
        None if written.bases.is_some() => Plugin::Charm,
        None => guess(directory),
    };
    let entry = entry(directory, plugin, main).map_err(failed)?;
    let sources = sources(directory, plugin, main)?;
    let requires_python = requires_python(directory, plugin).map_err(failed)?;
    Ok(Project { plugin, entry, sources, requires_python, notes: notes(&parts) })
}

/// Without any declaration the files tell.
fn guess(directory: &Path) -> Plugin {
    let has = |name: &str| directory.join(name).exists();
    if !has("src/charm.py") {
        Plugin::Dump
    } else if has("uv.lock") {
        Plugin::Uv
    } else if has("poetry.lock") {
        Plugin::Poetry
    } else {
        Plugin::Charm
    }
}

fn entry(
    directory: &Path,
    plugin: Plugin,
    part: Option<&Part<'_>>,
) -> Result<Option<String>, Problem> {
    if plugin == Plugin::Dump {
        return Ok(None);
    }
    let named = part.and_then(|part| part.keys.get("charm-entrypoint")).and_then(Value::as_str);
    let path = named.unwrap_or("src/charm.py").trim_start_matches("./").to_owned();
    let inside = !path.starts_with('/') && !path.split('/').any(|component| component == "..");
    if inside && (directory.join(&path).is_file() || directory.join("dispatch").is_file()) {
        return Ok(Some(path));
    }
    Err(Problem::Entry { path })
}

fn sources(directory: &Path, plugin: Plugin, part: Option<&Part<'_>>) -> Result<Sources> {
    let list = |key: &str| part.map(|part| part.list(key)).unwrap_or_default();
    let default_file = |listed: Vec<String>| {
        let usual = "requirements.txt";
        let take_usual = listed.is_empty() && directory.join(usual).is_file();
        if take_usual { vec![usual.to_owned()] } else { listed }
    };
    Ok(match plugin {
        Plugin::Dump => Sources::default(),
        Plugin::Uv => Sources {
            lock: Some(Lock {
                file: "uv.lock",
                extras: list("uv-extras"),
                groups: list("uv-groups"),
            }),
            exact: true,
            ..Sources::default()
        },
        Plugin::Poetry => Sources {
            lock: Some(Lock {
                file: "poetry.lock",
                extras: Vec::new(),
                groups: list("poetry-with"),
            }),
            exact: true,
            ..Sources::default()
        },
        Plugin::Python => Sources {
            files: default_file(list("python-requirements")),
            packages: list("python-packages")
                .into_iter()
                .filter(|package| !matches!(package.as_str(), "pip" | "setuptools" | "wheel"))
                .collect(),
            ..Sources::default()
        },
        Plugin::Charm => {
            let mut packages = list("charm-python-packages");
            packages.extend(list("charm-binary-python-packages"));
            packages.extend(library_dependencies(&directory.join("lib/charms"))?);
            let strict = part.and_then(|part| part.keys.get("charm-strict-dependencies"));
            Sources {
                files: default_file(list("charm-requirements")),
                packages,
                exact: strict == Some(&Value::Bool(true)),
                lock: None,
            }
        }
    })
}

fn notes(parts: &[Part<'_>]) -> Vec<String> {
    let mut notes = Vec::new();
    let ignored = ["organize", "stage-packages", "stage-snaps", "override-build", "override-prime"];
    for part in parts {
        for key in ignored.into_iter().filter(|key| part.has(key)) {
            notes.push(format!(
                "part {:?}: {key} is not carried out; the project is copied as it is",
                part.name
            ));
        }
    }
    notes
}

/// Libraries that are declared but neither committed nor fetched.
fn check_charm_libs(directory: &Path, libs: &[CharmLib]) -> Result<(), Problem> {
    let mut missing = Vec::new();
    for CharmLib { lib, version } in libs {
        let Some((charm, name)) = lib.split_once('.') else { continue };
        let version = version.as_str().map_or_else(|| version.to_string(), str::to_owned);
        let major = version.split('.').next().unwrap_or_default();
        let path = format!("lib/charms/{}/v{major}/{name}.py", charm.replace('-', "_"));
        if !directory.join(&path).is_file() {
            missing.push(path);
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(Problem::CharmLibs { missing }) }
}

/// The `PYDEPS` lists of all charm libraries, sorted.
fn library_dependencies(folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(directory) = pending.pop() {
        let children = match fs::read_dir(&directory) {
            Ok(children) => children,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(io("read", &directory)(error)),
        };
        for child in children {
            let child = child.map_err(io("read", &directory))?;
            let (path, kind) = (child.path(), child.file_type().map_err(io("read", &directory))?);
            if kind.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "py") {
                let source = fs::read(&path).map_err(io("read", &path))?;
                found.extend(pydeps(&String::from_utf8_lossy(&source)));
            }
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// The strings in `PYDEPS = ["…", '…']`, which may span lines and be annotated.
fn pydeps(source: &str) -> Vec<String> {
    let line_start = |at: &usize| *at == 0 || source.as_bytes()[at - 1] == b'\n';
    let assigned =
        source.match_indices("PYDEPS").map(|(at, _)| at).find(line_start).and_then(|at| {
            let (before, after) = source[at..].split_once('=')?;
            (!before.contains('\n')).then_some(after)
        });
    let list = assigned.and_then(|after| after.trim_start().strip_prefix('['));
    let mut found = Vec::new();
    let mut rest = list.unwrap_or_default();
    while let Some(at) = rest.find(['"', '\'', ']', '#']) {
        let mark = rest[at..].chars().next().unwrap_or(']');
        let after = &rest[at + 1..];
        match mark {
            ']' => break,
            '#' => rest = after.split_once('\n').map_or("", |(_, rest)| rest),
            quote => {
                let Some((text, after)) = after.split_once(quote) else { break };
                found.push(text.to_owned());
                rest = after;
            }
        }
    }
    found
}

/// The Python the project wants, and the file that says so.
fn requires_python(
    directory: &Path,
    plugin: Plugin,
) -> Result<Option<(Requirement, String)>, Problem> {
    let places = [
        ("pyproject.toml", "project", "requires-python"),
        ("pyproject.toml", "tool.poetry.dependencies", "python"),
        ("uv.lock", "", "requires-python"),
    ];
    if plugin == Plugin::Dump {
        return Ok(None);
    }
    for (file, table, key) in places {
        let text = fs::read_to_string(directory.join(file)).unwrap_or_default();
        if let Some(wanted) = toml_text(&text, table, key) {
            let requirement = wanted
                .parse()
                .map_err(|source| Problem::RequiresPython { file: file.to_owned(), source })?;
            return Ok(Some((requirement, file.to_owned())));
        }
    }
    Ok(None)
}

/// The text of `key = "…"` in a table of a TOML file. One line is all that is needed of TOML in this crate.
fn toml_text(toml: &str, table: &str, key: &str) -> Option<String> {
    let mut current = "";
    for line in toml.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            current = header.split(']').next().unwrap_or_default().trim();
        } else if current == table
            && let Some((name, value)) = line.split_once('=')
            && name.trim() == key
        {
            let value = value.trim();
            let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
            return value[1..].split_once(quote).map(|(text, _)| text.to_owned());
        }
    }
    None
}

/// The text of a file of the tree, or `None` if there is no such file.
pub(super) fn text(directory: &Path, name: &str) -> Result<Option<String>> {
    let path: PathBuf = directory.join(name);
    match fs::read(&path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io("read", &path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pydeps_in_all_shapes() {
        let cases: &[(&str, &[&str])] = &[
            ("PYDEPS = ['a', \"b>=1\"]\n", &["a", "b>=1"]),
            (
                "x = 1\nPYDEPS: list[str] = [\n  'a',  # it's [needed]\n  'b[c]<2',\n]\ny = ['z']\n",
                &["a", "b[c]<2"],
            ),
            ("PYDEPS = []\n", &[]),
            ("# PYDEPS = ['no']\n", &[]),
            ("  PYDEPS = ['no']\n", &[]),
            ("PYDEPS = ['open", &[]),
            ("PYDEPS", &[]),
        ];
        for (source, expected) in cases {
            assert_eq!(pydeps(source), *expected, "{source:?}");
        }
    }

    #[test]
    fn toml_lines() {
        let toml = "requires-python = \">=3.8\"\n[project]\nname = 'x'\nrequires-python = '>=3.10' # why\n[tool.x]\nrequires-python = 1\n";
        assert_eq!(toml_text(toml, "", "requires-python").as_deref(), Some(">=3.8"));
        assert_eq!(toml_text(toml, "project", "requires-python").as_deref(), Some(">=3.10"));
        assert_eq!(toml_text(toml, "tool.x", "requires-python"), None);
        assert_eq!(toml_text(toml, "project", "python"), None);
    }
}
