//! `metadata.yaml` as authors write it, and the way from there to [`Metadata`].

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor, value};
use serde::{Deserialize, de::IgnoredAny};

use super::{
    BusEvent, CharmUser, Container, Endpoint, JUJU_INFO, Metadata, Mount, Multiple, Payload,
    Resource, ResourceKind, Role, Scope, Storage, StorageKind,
};
use crate::assumes;
use crate::charm::CHARMCRAFT;
use crate::error::{Error, Result};
use crate::{name, yaml};

/// Keys that are read here, or known and of no consequence.
const KNOWN: &[&str] = &[
    "assumes",
    "bugs",
    "categories",
    "charm-user",
    "contact",
    "containers",
    "deployment",
    "description",
    "devices",
    "display-name",
    "docs",
    "extra-bindings",
    "format",
    "issues",
    "maintainer",
    "maintainers",
    "min-juju-version",
    "name",
    "payloads",
    "peers",
    "provides",
    "requires",
    "resources",
    "revision",
    "series",
    "source",
    "storage",
    "subordinate",
    "summary",
    "tags",
    "terms",
    "title",
    "upgrades-from",
    "website",
    "x-tutti",
];

/// Keys that only `charmcraft.yaml` has; other modules read the ones that matter.
const KNOWN_IN_CHARMCRAFT: &[&str] = &[
    "actions",
    "analysis",
    "base",
    "bases",
    "build-base",
    "charm-libs",
    "charmhub",
    "config",
    "extensions",
    "links",
    "parts",
    "platforms",
    "type",
];

/// A section that may be left empty: `requires:` with nothing after it.
type Section<T> = Option<BTreeMap<String, T>>;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Written {
    name: String,
    #[serde(alias = "title")]
    display_name: Option<String>,
    summary: Option<String>,
    description: Option<String>,
    subordinate: Option<bool>,
    provides: Section<WrittenEndpoint>,
    requires: Section<WrittenEndpoint>,
    peers: Section<WrittenEndpoint>,
    storage: Section<WrittenStorage>,
    resources: Section<WrittenResource>,
    containers: Section<Option<WrittenContainer>>,
    payloads: Section<WrittenPayload>,
    extra_bindings: Section<IgnoredAny>,
    assumes: Option<Vec<assumes::Written>>,
    series: Option<Vec<Text>>,
    min_juju_version: Option<Text>,
    charm_user: Option<CharmUser>,
    upgrades_from: Option<Text>,
    deployment: Option<IgnoredAny>,
    x_tutti: Option<WrittenTutti>,
}

/// What only Tutti reads. A charm that asks for more than is known would not work as it is meant to, so it is refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTutti {
    bus: Option<WrittenBus>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenBus {
    listen: Option<Vec<String>>,
}

struct WrittenEndpoint(FullEndpoint);

#[derive(Deserialize)]
struct FullEndpoint {
    interface: String,
    scope: Option<Scope>,
    limit: Option<u32>,
    optional: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct WrittenStorage {
    #[serde(rename = "type")]
    kind: StorageKind,
    description: Option<String>,
    location: Option<String>,
    multiple: Option<WrittenMultiple>,
    minimum_size: Option<Text>,
    shared: Option<bool>,
    read_only: Option<bool>,
}

#[derive(Deserialize)]
struct WrittenMultiple {
    range: Text,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct WrittenResource {
    #[serde(rename = "type")]
    kind: Option<ResourceKind>,
    filename: Option<String>,
    description: Option<String>,
    upstream_source: Option<String>,
}

#[derive(Deserialize)]
struct WrittenContainer {
    resource: Option<String>,
    mounts: Option<Vec<WrittenMount>>,
    uid: Option<u32>,
    gid: Option<u32>,
}

#[derive(Deserialize)]
struct WrittenMount {
    storage: String,
    location: Option<String>,
}

#[derive(Deserialize)]
struct WrittenPayload {
    #[serde(rename = "type")]
    kind: String,
}

/// Text that may look like a number (`range: 1`, `series: [20.04]`).
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        String::deserialize(deserializer).map(Text)
    }
}

impl<'de> Deserialize<'de> for WrittenEndpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<WrittenEndpoint, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = WrittenEndpoint;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an endpoint: the name of its interface, or a mapping with `interface`")
            }

            fn visit_str<E: de::Error>(self, interface: &str) -> Result<WrittenEndpoint, E> {
                let interface = interface.to_owned();
                let full = FullEndpoint { interface, scope: None, limit: None, optional: None };
                Ok(WrittenEndpoint(full))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<WrittenEndpoint, A::Error> {
                FullEndpoint::deserialize(value::MapAccessDeserializer::new(map))
                    .map(WrittenEndpoint)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<WrittenEndpoint, A::Error> {
                Err(de::Error::invalid_type(de::Unexpected::Seq, &self))
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

/// Reads the author's form; see [`Metadata::from_yaml`].
pub(super) fn read(file: &str, text: &str) -> Result<(Metadata, Vec<String>)> {
    let unreadable = |source| Error::Yaml { file: file.to_owned(), source };
    let written: Written = yaml::from_str(text).map_err(unreadable)?;
    let keys: BTreeMap<String, IgnoredAny> = yaml::from_str(text).map_err(unreadable)?;
    let warnings = keys
        .keys()
        .filter(|key| {
            let key = key.as_str();
            let in_charmcraft = file == CHARMCRAFT && KNOWN_IN_CHARMCRAFT.contains(&key);
            !KNOWN.contains(&key) && !in_charmcraft
        })
        .map(|key| format!("{file}: key {key:?} is not known and has no effect"))
        .collect();
    let mut problems = Vec::new();
    let metadata = written.check(&mut problems);
    if problems.is_empty() {
        return Ok((metadata, warnings));
    }
    Err(Error::Invalid { file: file.to_owned(), problems })
}

impl Written {
    fn check(self, problems: &mut Vec<String>) -> Metadata {
        note(problems, name::charm(&self.name));
        let pod_spec = self.deployment.is_some()
            || (self.containers.is_none()
                && self.series.iter().flatten().any(|Text(series)| series == "kubernetes"));
        let metadata = Metadata {
            subordinate: self.subordinate.unwrap_or(false),
            provides: endpoints(Role::Provider, self.provides, problems),
            requires: endpoints(Role::Requirer, self.requires, problems),
            peers: endpoints(Role::Peer, self.peers, problems),
            storage: section("storage", self.storage, problems, |name, storage, problems| {
                note(problems, name::storage(name));
                storage.check(name, problems)
            }),
            resources: section(
                "resources",
                self.resources,
                problems,
                |name, resource, problems| {
                    note(problems, name::resource(name));
                    resource.check(name, problems)
                },
            ),
            containers: section(
                "containers",
                self.containers,
                problems,
                |name, container, problems| {
                    note(problems, name::container(name));
                    container.map(WrittenContainer::check).unwrap_or_default()
                },
            ),
            payloads: section("payloads", self.payloads, problems, |_, payload, _| Payload {
                kind: payload.kind,
            }),
            extra_bindings: self.extra_bindings.unwrap_or_default().into_keys().collect(),
            assumes: self.assumes.unwrap_or_default().into_iter().map(|one| one.0).collect(),
            series: self.series.unwrap_or_default().into_iter().map(|Text(one)| one).collect(),
            min_juju_version: parsed("min-juju-version", self.min_juju_version, problems),
            upgrades_from: parsed("upgrades-from", self.upgrades_from, problems),
            charm_user: self.charm_user.unwrap_or_default(),
            bus_events: bus_events(self.x_tutti, problems),
            display_name: self.display_name,
            summary: self.summary.unwrap_or_default(),
            description: self.description.unwrap_or_default(),
            name: self.name,
            pod_spec,
        };
        check_endpoints(&metadata, problems);
        check_mounts(&metadata, problems);
        metadata
    }
}

impl WrittenStorage {
    fn check(self, name: &str, problems: &mut Vec<String>) -> Storage {
        let multiple = match self.multiple {
            None => Multiple::default(),
            Some(WrittenMultiple { range: Text(range) }) => {
                parse_range(&range).unwrap_or_else(|| {
                    problems.push(format!(
                        "storage {name:?}: range {range:?} is not of the form `2`, `1-3`, `1-` or `1+`"
                    ));
                    Multiple::default()
                })
            }
        };
        let minimum_size = self.minimum_size.and_then(|Text(size)| {
            let mebibytes = parse_mebibytes(&size);
            if mebibytes.is_none() {
                problems.push(format!(
                    "storage {name:?}: size {size:?} is not of the form `512M` or `10G`"
                ));
            }
            mebibytes
        });
        Storage {
            kind: self.kind,
            description: self.description.unwrap_or_default(),
            location: self.location,
            multiple,
            minimum_size,
            shared: self.shared.unwrap_or(false),
            read_only: self.read_only.unwrap_or(false),
        }
    }
}

impl WrittenResource {
    fn check(self, name: &str, problems: &mut Vec<String>) -> Resource {
        let kind = self.kind.unwrap_or(ResourceKind::File);
        let filename = self.filename.filter(|filename| !filename.is_empty());
        match (&filename, kind) {
            (None, ResourceKind::File) => {
                problems.push(format!("resource {name:?}: a file needs a `filename`"));
            }
            (Some(filename), _)
                if filename.contains(['/', '\\', '\0']) || filename.starts_with('.') =>
            {
                problems.push(format!(
                    "resource {name:?}: filename {filename:?} is not a plain file name"
                ));
            }
            _ => {}
        }
        Resource {
            kind,
            filename,
            description: self.description.unwrap_or_default(),
            upstream_source: self.upstream_source,
        }
    }
}

impl WrittenContainer {
    fn check(self) -> Container {
        let mounts = self.mounts.unwrap_or_default().into_iter();
        Container {
            resource: self.resource,
            mounts: mounts
                .map(|mount| Mount { storage: mount.storage, location: mount.location })
                .collect(),
            uid: self.uid,
            gid: self.gid,
        }
    }
}

/// Turns each entry of a section; problems are named after the section's entry by `turn` itself.
fn section<W, T>(
    title: &str,
    written: Section<W>,
    problems: &mut Vec<String>,
    turn: impl Fn(&str, W, &mut Vec<String>) -> T,
) -> BTreeMap<String, T> {
    let mut entries = BTreeMap::new();
    for (name, entry) in written.unwrap_or_default() {
        let mut found = Vec::new();
        let entry = turn(&name, entry, &mut found);
        problems.extend(found.into_iter().map(|problem| format!("{title}: {problem}")));
        entries.insert(name, entry);
    }
    entries
}

fn endpoints(
    role: Role,
    written: Section<WrittenEndpoint>,
    problems: &mut Vec<String>,
) -> BTreeMap<String, Endpoint> {
    section(role.section(), written, problems, |name, WrittenEndpoint(full), problems| {
        note(problems, name::endpoint(name));
        if full.interface.is_empty() || full.interface.contains(char::is_whitespace) {
            problems
                .push(format!("endpoint {name:?}: interface {:?} is not a name", full.interface));
        }
        Endpoint {
            interface: full.interface,
            role,
            scope: full.scope.unwrap_or_default(),
            limit: full.limit.filter(|limit| *limit > 0),
            optional: full.optional.unwrap_or(false),
        }
    })
}

fn bus_events(written: Option<WrittenTutti>, problems: &mut Vec<String>) -> Vec<BusEvent> {
    let listen = written.and_then(|tutti| tutti.bus?.listen).unwrap_or_default();
    let read = |name: String| match name::split_bus_event(&name) {
        Ok((api, event)) => Some(BusEvent { api: api.to_owned(), event: event.to_owned() }),
        Err(error) => {
            problems.push(format!("x-tutti: {error}"));
            None
        }
    };
    listen.into_iter().filter_map(read).collect()
}

/// Rules over all endpoints. Juju: an endpoint's name is unique in the charm, names starting with `juju` and the
/// interface `juju-info` are provided by the runtime alone, a subordinate needs a container-scoped requirer.
fn check_endpoints(metadata: &Metadata, problems: &mut Vec<String>) {
    let sections = [&metadata.provides, &metadata.requires, &metadata.peers];
    for (position, section) in sections.iter().enumerate() {
        for (name, endpoint) in *section {
            if sections[..position].iter().any(|earlier| earlier.contains_key(name)) {
                problems.push(format!("endpoint {name:?} is declared twice"));
            }
            let ours =
                name == "juju" || name.starts_with("juju-") || endpoint.interface == JUJU_INFO;
            if ours && endpoint.role != Role::Requirer {
                problems.push(format!(
                    "{}: endpoint {name:?}: names starting with `juju` and the interface `juju-info` are reserved",
                    endpoint.role.section()
                ));
            }
        }
    }
    let beside = |endpoint: &Endpoint| endpoint.scope == Scope::Container;
    if metadata.subordinate && !metadata.requires.values().any(beside) {
        problems.push(
            "a subordinate charm needs an endpoint with `scope: container` under requires".into(),
        );
    }
}

fn check_mounts(metadata: &Metadata, problems: &mut Vec<String>) {
    for (name, container) in &metadata.containers {
        for mount in &container.mounts {
            if !metadata.storage.contains_key(&mount.storage) {
                let storage = &mount.storage;
                problems.push(format!(
                    "container {name:?} mounts storage {storage:?}, which is not declared"
                ));
            }
        }
        if let Some(resource) = &container.resource
            && !metadata.resources.contains_key(resource)
        {
            problems.push(format!(
                "container {name:?} uses resource {resource:?}, which is not declared"
            ));
        }
    }
}

fn parsed<T: std::str::FromStr<Err: fmt::Display>>(
    key: &str,
    written: Option<Text>,
    problems: &mut Vec<String>,
) -> Option<T> {
    let parsed = written?.0.parse();
    parsed.map_err(|error: T::Err| problems.push(format!("{key}: {error}"))).ok()
}

fn note(problems: &mut Vec<String>, outcome: Result<()>) {
    if let Err(error) = outcome {
        problems.push(error.to_string());
    }
}

/// `2`, `1-3`, `1-`, `1+`.
fn parse_range(text: &str) -> Option<Multiple> {
    let count = |digits: &str| digits.trim().parse::<u32>().ok();
    let range = if let Some(min) = text.strip_suffix(['-', '+']) {
        Multiple { min: count(min)?, max: None }
    } else if let Some((min, max)) = text.split_once('-') {
        Multiple { min: count(min)?, max: Some(count(max)?) }
    } else {
        Multiple { min: count(text)?, max: Some(count(text)?) }
    };
    let possible = range.max.is_none_or(|max| max >= range.min.max(1));
    possible.then_some(range)
}

/// A size in MiB: a number with one of the suffixes `M G T P` (and an optional `B` or `iB`), `M` if there is none.
fn parse_mebibytes(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let factor = match suffix {
        "" | "M" | "MB" | "MiB" => 1.0,
        "G" | "GB" | "GiB" => 1024.0,
        "T" | "TB" | "TiB" => 1024.0 * 1024.0,
        "P" | "PB" | "PiB" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let mebibytes = (number.parse::<f64>().ok()? * factor).ceil();
    (mebibytes < 1e15).then_some(mebibytes as u64)
}
