//! Reading a bundle: its file, the overlays behind it, the overlays given beside it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::failure::{Attempt as _, Failure, Outcome};

/// What a bundle wants.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Bundle {
    pub(super) applications: BTreeMap<String, Application>,
    pub(super) relations: Vec<Relation>,
    #[serde(rename = "default-base")]
    pub(super) default_base: String,
    saas: BTreeMap<String, Value>,
}

/// One application of a bundle.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Application {
    pub(super) charm: String,
    pub(super) channel: String,
    pub(super) revision: Option<i64>,
    pub(super) base: String,
    #[serde(alias = "scale")]
    pub(super) num_units: Option<u32>,
    pub(super) to: OneOrMany,
    pub(super) options: Map<String, Value>,
    pub(super) constraints: String,
    pub(super) storage: BTreeMap<String, String>,
    pub(super) resources: BTreeMap<String, Value>,
    pub(super) bindings: BTreeMap<String, String>,
    pub(super) trust: bool,
    pub(super) expose: bool,
}

/// A word or a list of words.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<Value>),
}

impl Default for OneOrMany {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl OneOrMany {
    /// The words; a number is one too.
    pub(super) fn words(&self) -> Vec<String> {
        match self {
            Self::One(word) => vec![word.clone()],
            Self::Many(words) => words.iter().cloned().map(crate::arguments::value::text).collect(),
        }
    }
}

/// Two sides; a side may be a list, which stands for a relation to each.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Relation(pub(super) Side, pub(super) Side);

/// One side of a relation.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub(super) enum Side {
    One(String),
    Many(Vec<String>),
}

impl Side {
    pub(super) fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Many(names) => names,
        }
    }
}

/// Reads a bundle with its overlays. Relative paths in it are relative to its file.
pub(super) fn read(file: &Path, overlays: &[PathBuf]) -> Outcome<Bundle> {
    let mut documents = documents(file)?.into_iter();
    let mut bundle =
        documents.next().ok_or_else(|| Failure::new(format!("{} is empty", file.display())))?;
    for overlay in documents {
        lay_over(&mut bundle, overlay);
    }
    for path in overlays {
        for overlay in self::documents(path)? {
            lay_over(&mut bundle, overlay);
        }
    }
    let attempt = || format!("cannot read the bundle {}", file.display());
    let bundle: Bundle = serde_json::from_value(bundle).attempt(attempt)?;
    if let Some(alias) = bundle.saas.keys().next() {
        return Err(Failure::new(format!(
            "the bundle wants {alias:?} of another model: offers are not supported yet"
        )));
    }
    if bundle.applications.is_empty() {
        return Err(Failure::new(format!("{} has no applications", file.display())));
    }
    Ok(bundle)
}

/// The documents of a file, their relative paths made absolute.
fn documents(file: &Path) -> Outcome<Vec<Value>> {
    let attempt = || format!("cannot read {}", file.display());
    let text = fs::read_to_string(file).attempt(attempt)?;
    let directory = file.parent().unwrap_or_else(|| Path::new("."));
    let mut documents = Vec::new();
    for part in split(&text) {
        let mut document: Value = tutti_charm::yaml::from_str(&part).attempt(attempt)?;
        if document.is_null() {
            continue;
        }
        let applications = document.get_mut("applications").and_then(Value::as_object_mut);
        for application in applications.into_iter().flat_map(|map| map.values_mut()) {
            anchor(application, directory)?;
        }
        documents.push(document);
    }
    Ok(documents)
}

/// Splits at lines of three dashes.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for line in text.lines() {
        match parts.last_mut() {
            Some(part) if line.trim_end() != "---" => {
                part.push_str(line);
                part.push('\n');
            }
            _ => parts.push(String::new()),
        }
    }
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// Makes relative paths of an application absolute and reads included files.
fn anchor(application: &mut Value, directory: &Path) -> Outcome {
    let anchored = |text: &str| directory.join(text).display().to_string();
    if let Some(Value::String(charm)) = application.get_mut("charm")
        && charm.starts_with(['.', '/'])
    {
        *charm = anchored(charm);
    }
    let resources = application.get_mut("resources").and_then(Value::as_object_mut);
    for resource in resources.into_iter().flat_map(|map| map.values_mut()) {
        if let Value::String(path) = resource
            && path.starts_with(['.', '/'])
        {
            *path = anchored(path);
        }
    }
    let options = application.get_mut("options").and_then(Value::as_object_mut);
    for option in options.into_iter().flat_map(|map| map.values_mut()) {
        let Value::String(text) = option else { continue };
        if let Some(path) = text.strip_prefix("include-file://") {
            let path = directory.join(path);
            *text =
                fs::read_to_string(&path).attempt(|| format!("cannot read {}", path.display()))?;
        } else if let Some(path) = text.strip_prefix("include-base64://") {
            let path = directory.join(path);
            let bytes = fs::read(&path).attempt(|| format!("cannot read {}", path.display()))?;
            *text = BASE64_STANDARD.encode(bytes);
        }
    }
    Ok(())
}

/// Lays an overlay over a bundle: mappings are merged, null removes, relations are added, all else
/// is replaced.
fn lay_over(bundle: &mut Value, overlay: Value) {
    match (bundle, overlay) {
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                if value.is_null() {
                    below.remove(&key);
                } else if key == "relations"
                    && let Some(Value::Array(relations)) = below.get_mut(&key)
                    && let Value::Array(more) = value
                {
                    relations.extend(more);
                } else {
                    lay_over(below.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (below, above) => *below = above,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlays_change_add_and_remove() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        write("motd", "hello");
        let bundle = write(
            "bundle.yaml",
            "applications:\n  db:\n    charm: ./db.charm\n    num_units: 2\n    to: [0, 1]\n    \
             options: {a: 1, b: include-file://motd}\n  old: {charm: old}\nrelations:\n\
             - [db:x, web:y]\n---\napplications:\n  db: {options: {a: 2}}\n  old: null\n  \
             web: {charm: web, scale: 3, to: lxd}\n",
        );
        let overlay = write("o.yaml", "relations:\n- [db, [a, b]]\n");
        let bundle = read(&bundle, &[overlay]).unwrap();
        assert_eq!(bundle.applications.keys().collect::<Vec<_>>(), ["db", "web"]);
        let db = &bundle.applications["db"];
        assert!(Path::new(&db.charm).is_absolute());
        assert_eq!(db.options["a"], 2);
        assert_eq!(db.options["b"], "hello");
        assert_eq!(db.to.words(), ["0", "1"]);
        assert_eq!(bundle.applications["web"].num_units, Some(3));
        assert_eq!(bundle.relations.len(), 2);
        assert_eq!(bundle.relations[1].1.names(), ["a", "b"]);
    }

    #[test]
    fn a_bundle_without_applications_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("b.yaml");
        for text in ["", "name: x\n", "applications: 3\n", "applications: [\n"] {
            fs::write(&path, text).unwrap();
            assert!(read(&path, &[]).is_err(), "{text}");
        }
    }
}
