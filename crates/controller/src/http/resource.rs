//! What a path is about: the resource that conditions of a request refer to, and whose address and
//! entity tag its answer carries.
//!
//! An entity tag is the digest of what `GET` answers. No counter of a row would do: how far an
//! application is follows from its units and flows as well.

use std::borrow::Cow;
use std::fmt::Display;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::Serialize;
use serde_json::Value;
use tutti_store::Tx;
use uuid::Uuid;

use super::call::digest;
use crate::models::{self, Model};
use crate::state::Vantage;
use crate::{Error, applications, flows, machines, operations, relations, secrets, units};

/// What cannot stand in a path as it is; the slash in a unit's name stays one.
const RESERVED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/').remove(b':');

/// A resource with an address of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    /// UUID or name of its model; empty for flows.
    model: String,
    kind: Kind,
    /// `db`, `db/0`, `3`; empty for the model itself.
    name: String,
    part: Part,
}

/// Kinds of resources, each with the path it has below its model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Model,
    Application,
    Unit,
    Machine,
    Relation,
    Secret,
    Operation,
    OperationTask,
    Flow,
}

/// The whole, or a part with an address of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Whole,
    Config,
    Constraints,
}

impl Resource {
    pub(crate) fn new(model: &str, kind: Kind, name: impl Into<String>) -> Self {
        Self { model: model.to_owned(), kind, name: name.into(), part: Part::Whole }
    }

    /// The innermost resource on a path: of `/v1/models/m/applications/db/trust` the application.
    pub(super) fn of_path(path: &str) -> Option<Self> {
        let segments: Vec<String> = path.split('/').skip(1).map(decoded).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match segments.as_slice() {
            ["v1", "flows", id, ..] => {
                // A verb may stand behind it.
                let id = id.split_once(':').map_or(*id, |(id, _)| id);
                Some(Self::new("", Kind::Flow, id))
            }
            ["v1", "models", model, below @ ..] => Some(Self::below(model, below)),
            _ => None,
        }
    }

    fn below(model: &str, path: &[&str]) -> Self {
        // A verb may stand behind the name.
        let bare = |name: &str| name.split_once(':').map_or(name, |(name, _)| name).to_owned();
        let is_number = |text: &str| text.parse::<u64>().is_ok();
        let (kind, name, rest) = match path {
            ["applications", name, rest @ ..] => (Kind::Application, bare(name), rest),
            ["units", application, number, rest @ ..] => {
                (Kind::Unit, format!("{application}/{}", bare(number)), rest)
            }
            ["machines", number, rest @ ..] => (Kind::Machine, (*number).to_owned(), rest),
            ["relations", number, rest @ ..] if is_number(number) => {
                (Kind::Relation, (*number).to_owned(), rest)
            }
            ["secrets", name, rest @ ..] => (Kind::Secret, (*name).to_owned(), rest),
            ["operations", number, rest @ ..] => (Kind::Operation, (*number).to_owned(), rest),
            ["operation-tasks", number, rest @ ..] => {
                (Kind::OperationTask, (*number).to_owned(), rest)
            }
            rest => (Kind::Model, String::new(), rest),
        };
        let part = match (kind, rest) {
            (Kind::Model | Kind::Application, ["config"]) => Part::Config,
            (Kind::Model | Kind::Application, ["constraints"]) => Part::Constraints,
            _ => Part::Whole,
        };
        Self { model: model.to_owned(), kind, name, part }
    }

    /// The one resource that the answer to a mutation names, if it is one.
    pub(super) fn of_answer(model: &str, answer: &Value) -> Option<Self> {
        let name = |value: &Value| match value {
            Value::String(name) => Some(name.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Array(names) => match names.as_slice() {
                [Value::String(name)] => Some(name.clone()),
                _ => None,
            },
            _ => None,
        };
        let kinds = [
            ("application", Kind::Application),
            ("unit", Kind::Unit),
            ("units", Kind::Unit),
            ("machine", Kind::Machine),
            ("machines", Kind::Machine),
            ("relation", Kind::Relation),
        ];
        let named = |(key, kind)| Some(Self::new(model, kind, name(answer.get(key)?)?));
        kinds.into_iter().find_map(named)
    }

    /// Whether it is a model, or a part of one.
    pub(super) fn is_model(&self) -> bool {
        self.kind == Kind::Model
    }

    /// The model it is, or is in; empty for flows.
    pub(super) fn model(&self) -> &str {
        &self.model
    }

    /// Its path.
    pub(super) fn address(&self) -> String {
        let (model, name) = (encoded(&self.model), encoded(&self.name));
        let collection = match self.kind {
            Kind::Model => return format!("/v1/models/{model}"),
            Kind::Flow => return format!("/v1/flows/{name}"),
            Kind::Application => "applications",
            Kind::Unit => "units",
            Kind::Machine => "machines",
            Kind::Relation => "relations",
            Kind::Secret => "secrets",
            Kind::Operation => "operations",
            Kind::OperationTask => "operation-tasks",
        };
        format!("/v1/models/{model}/{collection}/{name}")
    }

    /// What `GET` answers, byte for byte.
    pub(super) fn read(&self, tx: &mut Tx<'_>, vantage: Vantage) -> Result<Vec<u8>, Error> {
        let name = self.name.as_str();
        if self.kind == Kind::Flow {
            let id = Uuid::try_parse(name).map_err(|_| not_found(name))?;
            return json(&flows::whole(tx, id)?);
        }
        let model = models::find(tx, &self.model)?;
        match self.kind {
            Kind::Model => match self.part {
                Part::Whole => json(&models::info(tx, model, vantage)?),
                Part::Config => json(&models::config_shown(&model)),
                Part::Constraints => json(&model.constraints.0),
            },
            Kind::Application => match self.part {
                Part::Whole => json(&applications::info(tx, &model, name, vantage)?),
                Part::Config => json(&applications::config_shown(tx, &model, name)?),
                Part::Constraints => json(&applications::find(tx, &model, name)?.constraints.0),
            },
            Kind::Unit => json(&units::info(tx, &model, name, vantage)?),
            Kind::Machine => json(&machines::info(tx, &model, name, vantage)?),
            Kind::Relation => json(&relations::one(tx, &model, self.number()?, vantage)?),
            Kind::Secret => json(&secrets::shown(tx, &model, name)?),
            Kind::Operation => json(&operations::operation(tx, &model, self.number()?)?),
            Kind::OperationTask => json(&operations::task(tx, &model, self.number()?)?),
            Kind::Flow => Err(not_found(name)),
        }
    }

    fn number(&self) -> Result<i64, Error> {
        self.name.parse().map_err(|_| not_found(&self.name))
    }

    /// Its entity tag now.
    pub(super) fn tag(&self, tx: &mut Tx<'_>, vantage: Vantage) -> Result<String, Error> {
        Ok(tag(&self.read(tx, vantage)?))
    }

    /// The generation of its desired state; only applications and models have one.
    pub(super) fn generation(&self, tx: &mut Tx<'_>) -> Result<Option<i64>, Error> {
        let find = |tx: &mut Tx<'_>| -> Result<Model, Error> { models::find(tx, &self.model) };
        match self.kind {
            Kind::Model => Ok(Some(find(tx)?.generation)),
            Kind::Application => {
                let model = find(tx)?;
                Ok(Some(applications::find(tx, &model, &self.name)?.generation))
            }
            _ => Ok(None),
        }
    }

    /// Whether what `GET` answers grows with what is in it: units, tasks.
    pub(super) fn is_large(&self) -> bool {
        let kinds = [Kind::Model, Kind::Application, Kind::Operation, Kind::Flow];
        self.part == Part::Whole && kinds.contains(&self.kind)
    }
}

/// The entity tag of an answer.
pub(super) fn tag(body: &[u8]) -> String {
    // Half of a SHA-256 is more than enough to tell versions of one resource apart.
    format!("\"{}\"", &digest(body)[..32])
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|source| Error::Stored { what: "resource", source })
}

fn not_found(name: &str) -> Error {
    Error::NotFound(format!("\"{name}\" not found"))
}

/// A segment of a path without its percent signs; one that makes no sense stays as it is.
fn decoded(segment: &str) -> String {
    let decoded = percent_decode_str(segment).decode_utf8();
    decoded.map_or_else(|_| segment.to_owned(), Cow::into_owned)
}

/// A name as it stands in a path.
fn encoded(name: &str) -> impl Display {
    utf8_percent_encode(name, RESERVED)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_is_about_the_innermost_resource() {
        for (path, address) in [
            ("/v1/models/m", "/v1/models/m"),
            ("/v1/models/m/applications", "/v1/models/m"),
            ("/v1/models/m/units/remove", "/v1/models/m"),
            ("/v1/models/m/relations/remove", "/v1/models/m"),
            ("/v1/models/m/config", "/v1/models/m"),
            ("/v1/models/m/applications/db", "/v1/models/m/applications/db"),
            ("/v1/models/m/applications/db/config", "/v1/models/m/applications/db"),
            ("/v1/models/m/applications/db/resources/x", "/v1/models/m/applications/db"),
            ("/v1/models/m/applications/db:sync", "/v1/models/m/applications/db"),
            ("/v1/models/m/units/db/0:sync", "/v1/models/m/units/db/0"),
            ("/v1/models/m/units/db/0/resolved", "/v1/models/m/units/db/0"),
            ("/v1/models/m/machines/3", "/v1/models/m/machines/3"),
            ("/v1/models/m/secrets/secret%3Aabc/grant", "/v1/models/m/secrets/secret:abc"),
            ("/v1/models/%C3%BC%/secrets/a%zz", "/v1/models/%C3%BC%25/secrets/a%25zz"),
            ("/v1/models/m/secrets/a%+1%ff", "/v1/models/m/secrets/a%25%2B1%25ff"),
            ("/v1/flows/1/cancel", "/v1/flows/1"),
        ] {
            assert_eq!(Resource::of_path(path).unwrap().address(), address, "{path}");
        }
        for path in ["", "/", "/v1", "/v1/models", "/v1/catalogue", "/v2/models/m"] {
            assert_eq!(Resource::of_path(path), None, "{path}");
        }
        let config = Resource::of_path("/v1/models/m/applications/db/config").unwrap();
        assert_eq!((config.kind, config.part), (Kind::Application, Part::Config));
        assert!(Resource::of_path("/v1/models/m/config").unwrap().is_model());
    }

    #[test]
    fn an_answer_names_one_resource_or_several() {
        for (answer, address) in [
            (json!({"application": "db", "units": ["db/1"]}), Some("applications/db")),
            (json!({"units": ["db/1"]}), Some("units/db/1")),
            (json!({"units": ["db/1", "db/2"]}), None),
            (json!({"machines": ["7"]}), Some("machines/7")),
            (json!({"relation": 4, "key": "a:b c:d"}), Some("relations/4")),
            (json!({"storage": ["data/1"]}), None),
            (json!(null), None),
        ] {
            let found = Resource::of_answer("m", &answer).map(|resource| resource.address());
            let expected = address.map(|address| format!("/v1/models/m/{address}"));
            assert_eq!(found, expected, "{answer}");
        }
    }
}
