//! What the client remembers between calls: known controllers and the current model of each.
//!
//! One small JSON file, `client.json`, in the client's directory. It is replaced by one rename, so
//! a reader sees the old file or the new one, never half of one; of two writers the last wins.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::{fs, io};

use serde::{Deserialize, Serialize};

use crate::failure::{Attempt as _, Outcome};

/// The name of a controller nobody named.
pub(crate) const DEFAULT_NAME: &str = "local";

/// The remembered state, and where it is kept.
#[derive(Clone, Debug)]
pub(crate) struct ClientStore {
    path: PathBuf,
    /// What the file holds.
    pub(crate) known: Known,
}

/// The content of `client.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Known {
    /// Name of the controller in use; empty: the default one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) current_controller: String,
    /// Controllers by name.
    pub(crate) controllers: BTreeMap<String, KnownController>,
}

/// One controller.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct KnownController {
    /// Where it listens, as [`tutti_client::Address`] prints it.
    pub(crate) address: String,
    /// Short name of the current model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) current_model: Option<String>,
}

impl ClientStore {
    /// Reads the file in `directory`; a missing one is an empty one.
    pub(crate) fn open(directory: PathBuf) -> Outcome<Self> {
        let path = directory.join("client.json");
        let known = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .attempt(|| format!("cannot read {}", path.display()))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Known::default(),
            Err(error) => {
                return Err(error).attempt(|| format!("cannot read {}", path.display()));
            }
        };
        Ok(Self { path, known })
    }

    /// The current model of the controller called `name` here, if it is the one at `address`.
    pub(crate) fn current_model(&self, name: &str, address: &str) -> Option<&str> {
        let entry = self.known.controllers.get(name)?;
        entry.current_model.as_deref().filter(|_| entry.address == address)
    }

    /// Changes the current model of a controller and writes the file.
    pub(crate) fn set_current_model(
        &mut self,
        name: &str,
        address: &str,
        model: Option<&str>,
    ) -> Outcome {
        let entry = self.known.controllers.entry(name.to_owned()).or_default();
        address.clone_into(&mut entry.address);
        entry.current_model = model.map(ToOwned::to_owned);
        self.write()
    }

    /// What the controller at `address` is called here: by its current name if it has several; by
    /// the usual name if it has none and that is free; else by its address.
    pub(crate) fn name_of(&self, address: &str) -> String {
        let controllers = &self.known.controllers;
        let current = self.known.current_controller.as_str();
        let is_it = |name: &str| controllers.get(name).is_some_and(|it| it.address == address);
        if is_it(current) {
            return current.to_owned();
        }
        let known = controllers.iter().find(|(_, entry)| entry.address == address);
        match known {
            Some((name, _)) => name.clone(),
            None if controllers.contains_key(DEFAULT_NAME) => address.to_owned(),
            None => DEFAULT_NAME.to_owned(),
        }
    }

    /// Writes the file by one rename.
    pub(crate) fn write(&self) -> Outcome {
        let attempt = || format!("cannot write {}", self.path.display());
        let directory = self.path.parent().unwrap_or(&self.path);
        fs::create_dir_all(directory).attempt(attempt)?;
        let mut file = tempfile::NamedTempFile::new_in(directory).attempt(attempt)?;
        serde_json::to_writer_pretty(&mut file, &self.known).attempt(attempt)?;
        file.write_all(b"\n").attempt(attempt)?;
        file.persist(&self.path).attempt(attempt)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_across_openings() {
        let directory = tempfile::tempdir().unwrap();
        let open = || ClientStore::open(directory.path().join("deep/client")).unwrap();
        let mut store = open();
        assert_eq!(store.current_model("local", "unix:/a"), None);
        store.set_current_model("local", "unix:/a", Some("demo")).unwrap();
        store.set_current_model("other", "unix:/b", Some("b")).unwrap();
        let mut store = open();
        assert_eq!(store.current_model("local", "unix:/a"), Some("demo"));
        assert_eq!(store.current_model("local", "unix:/b"), None);
        store.set_current_model("local", "unix:/a", None).unwrap();
        assert_eq!(open().current_model("local", "unix:/a"), None);
    }

    #[test]
    fn a_controller_has_a_name() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = ClientStore::open(directory.path().into()).unwrap();
        assert_eq!(store.name_of("unix:/s"), "local");
        for name in ["a", "b", "c"] {
            let entry = KnownController { address: "unix:/s".into(), current_model: None };
            store.known.controllers.insert(name.into(), entry);
        }
        store.known.current_controller = "b".into();
        assert_eq!(store.name_of("unix:/s"), "b");
        assert_eq!(store.name_of("unix:/t"), "local");
        let entry = KnownController { address: "unix:/u".into(), current_model: None };
        store.known.controllers.insert("local".into(), entry);
        assert_eq!(store.name_of("unix:/t"), "unix:/t");
    }

    #[test]
    fn a_damaged_file_is_an_error_that_names_it() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("client.json"), "{").unwrap();
        let failure = ClientStore::open(directory.path().into()).unwrap_err();
        assert!(failure.message().unwrap().contains("client.json"));
    }
}
