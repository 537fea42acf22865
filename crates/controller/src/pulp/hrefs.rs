//! Addresses: how ids stand in them, and what an address is of.
//!
//! An id is a number of one counter; Pulp's addresses have UUIDs. The number is the end of one whose beginning is always the
//! same, so both say the same and no column keeps it twice. The address of an artifact has the first half of its SHA-256, by
//! which its row is found as well.

use uuid::Uuid;

use super::plugin::{Noun, Plugin};

/// What every address begins with.
pub(crate) const V3: &str = "/pulp/api/v3/";

/// The first half of every UUID made of an id: `tutti`, and the version for what is in no other one (RFC 9562).
const HIGH: u64 = 0x7475_7474_6900_8000;

/// The variant (RFC 9562); ids are smaller.
const VARIANT: u64 = 1 << 63;

/// The UUID of an id.
pub(crate) fn uuid(id: i64) -> Uuid {
    Uuid::from_u64_pair(HIGH, VARIANT | id.unsigned_abs())
}

/// The id of a UUID.
pub(crate) fn id(text: &str) -> Option<i64> {
    let (high, low) = Uuid::try_parse(text).ok()?.as_u64_pair();
    let id = i64::try_from(low & !VARIANT).ok()?;
    (high == HIGH && low & VARIANT != 0 && id < 1 << 62).then_some(id)
}

/// What an address is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// Something of a content type.
    Object(Noun, &'static Plugin, i64),
    /// A version of a repository.
    Version(&'static Plugin, i64, i64),
    /// The artifact whose SHA-256 begins so.
    Artifact(String),
    /// An upload.
    Upload(i64),
    /// A task.
    Task(Uuid),
}

impl Address {
    /// Reads an address, or Pulp's other name for the same: `prn:file.filerepository:…`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(name) = text.strip_prefix("prn:") {
            return Self::of_name(name);
        }
        let path = text.strip_prefix(V3)?.strip_suffix('/')?;
        let words: Vec<&str> = path.split('/').collect();
        match words.as_slice() {
            ["artifacts", uuid] => Some(Self::Artifact(beginning(uuid)?)),
            ["uploads", uuid] => Some(Self::Upload(id(uuid)?)),
            ["tasks", uuid] => Some(Self::Task(Uuid::try_parse(uuid).ok()?)),
            [plural, name, kind, uuid, rest @ ..] => {
                let noun = Noun::ALL.into_iter().find(|noun| noun.plural() == *plural)?;
                let plugin = Plugin::at(noun, name, kind)?;
                match (noun, rest) {
                    (_, []) => Some(Self::Object(noun, plugin, id(uuid)?)),
                    (Noun::Repository, ["versions", number]) => {
                        Some(Self::Version(plugin, id(uuid)?, number.parse().ok()?))
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn of_name(name: &str) -> Option<Self> {
        let (model, uuid) = name.split_once(':')?;
        let (app, model) = model.split_once('.')?;
        match (app, model) {
            ("core", "task") => Some(Self::Task(Uuid::try_parse(uuid).ok()?)),
            ("core", "artifact") => Some(Self::Artifact(beginning(uuid)?)),
            ("core", "upload") => Some(Self::Upload(id(uuid)?)),
            _ => {
                let plugin = super::plugin::PLUGINS.iter().find(|plugin| plugin.name == app)?;
                let noun = Noun::ALL.into_iter().find(|noun| model_of(*noun, plugin) == model)?;
                Some(Self::Object(noun, plugin, id(uuid)?))
            }
        }
    }

    /// The name under which flows know what it is of: versions belong to their repositories.
    pub(crate) fn resource(&self) -> Option<String> {
        match self {
            Self::Object(noun, _, id) => Some(resource(*noun, *id)),
            Self::Version(_, repository, _) => Some(resource(Noun::Repository, *repository)),
            Self::Upload(id) => Some(format!("upload/{id}")),
            Self::Artifact(_) | Self::Task(_) => None,
        }
    }
}

/// The name under which flows know something.
pub(crate) fn resource(noun: Noun, id: i64) -> String {
    format!("{}/{id}", noun.singular())
}

/// The address of something of a content type.
pub(crate) fn object(noun: Noun, content_type: &str, id: i64) -> String {
    let plugin = Plugin::of(content_type);
    format!("{V3}{}/{}/{}/{}/", noun.plural(), plugin.name, plugin.kind(noun), uuid(id))
}

/// The address of a version of a repository.
pub(crate) fn version(content_type: &str, repository: i64, number: i64) -> String {
    format!("{}versions/{number}/", object(Noun::Repository, content_type, repository))
}

/// The address of a task.
pub(crate) fn task(flow: Uuid) -> String {
    format!("{V3}tasks/{flow}/")
}

/// The address of an upload.
pub(crate) fn upload(id: i64) -> String {
    format!("{V3}uploads/{}/", uuid(id))
}

/// The address of an artifact.
pub(crate) fn artifact(digest: &str) -> String {
    format!("{V3}artifacts/{}/", artifact_uuid(digest))
}

/// The first half of a SHA-256 as a UUID.
pub(crate) fn artifact_uuid(digest: &str) -> Uuid {
    digest.get(..32).and_then(|half| Uuid::try_parse(half).ok()).unwrap_or_default()
}

/// The first half of a SHA-256.
fn beginning(uuid: &str) -> Option<String> {
    Some(Uuid::try_parse(uuid).ok()?.simple().to_string())
}

/// Pulp's other name for something of a content type.
pub(crate) fn name(noun: Noun, content_type: &str, id: i64) -> String {
    let plugin = Plugin::of(content_type);
    format!("prn:{}.{}:{}", plugin.name, model_of(noun, plugin), uuid(id))
}

fn model_of(noun: Noun, plugin: &Plugin) -> String {
    match (noun, plugin.content_type) {
        (Noun::Content, "python") => "pythonpackagecontent".to_owned(),
        _ => format!("{}{}", plugin.name, noun.singular()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back() {
        for id_ in [0, 1, 4711, (1 << 62) - 1] {
            assert_eq!(id(&uuid(id_).to_string()), Some(id_));
        }
        assert_eq!(id(&Uuid::now_v7().to_string()), None);
        assert_eq!(id("x"), None);
        for plugin in &super::super::plugin::PLUGINS {
            for noun in Noun::ALL {
                let expected = Some(Address::Object(noun, plugin, 7));
                assert_eq!(Address::parse(&object(noun, plugin.content_type, 7)), expected);
                assert_eq!(Address::parse(&name(noun, plugin.content_type, 7)), expected);
            }
            let of_version = version(plugin.content_type, 7, 3);
            assert_eq!(Address::parse(&of_version), Some(Address::Version(plugin, 7, 3)));
        }
        let digest = "0123456789abcdef".repeat(4);
        let found = Address::parse(&artifact(&digest));
        assert_eq!(found, Some(Address::Artifact("0123456789abcdef".repeat(2))));
        for text in
            ["", "/pulp/api/v3/", "/pulp/api/v3/tasks/x/", "/pulp/api/v3/remotes/file/pypi/x/"]
        {
            assert_eq!(Address::parse(text), None, "{text}");
        }
    }
}
