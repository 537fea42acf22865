//! What every command works with: who is speaking, what the client remembers, the controller.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tutti_client::{Address, Client, encode};
use tutti_model::api::{ControllerInfo, ModelInfo};

use crate::arguments::ModelArgument;
use crate::client_store::{ClientStore, DEFAULT_NAME};
use crate::failure::{Attempt as _, Failure, Outcome};
use crate::model_name::ModelName;
use crate::personality::Personality;
use crate::{controller_process, directories, output};

/// The owner of every model, until there are more users.
pub(crate) const USER: &str = "admin";

/// What every command works with.
#[derive(Debug)]
pub(crate) struct Context {
    /// Under which name the program was started.
    pub(crate) personality: Personality,
    /// Say nothing but the answer.
    pub(crate) quiet: bool,
    /// What the client remembers.
    pub(crate) store: ClientStore,
}

/// A controller as somebody named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// What it is called here.
    pub(crate) name: String,
    /// Where it listens.
    pub(crate) address: Address,
    /// It may be started when nobody listens there.
    pub(crate) startable: bool,
    /// The name was given but is not known here: the controller itself has to answer to it.
    pub(crate) unknown: bool,
}

impl Context {
    /// Reads what the client remembers.
    pub(crate) fn open(personality: Personality, quiet: bool) -> Outcome<Self> {
        Ok(Self { personality, quiet, store: ClientStore::open(directories::client())? })
    }

    /// Tells the person something that is not the answer.
    pub(crate) fn tell(&self, text: impl AsRef<str>) {
        if !self.quiet {
            output::tell(text.as_ref());
        }
    }

    /// The controller called `name`, or the one in use: `$JUJU_CONTROLLER`, `$TUTTI_CONTROLLER`
    /// (an address), the one switched to, the one of this machine.
    pub(crate) fn target(&self, name: Option<&str>) -> Outcome<Target> {
        let own = Address::Unix(directories::socket(&directories::data()));
        let given = match directories::variable("TUTTI_CONTROLLER") {
            Some(text) => Some(text.parse::<Address>().attempt(|| "TUTTI_CONTROLLER".into())?),
            None => None,
        };
        let wanted = name.map(ToOwned::to_owned).or_else(|| {
            directories::variable("JUJU_CONTROLLER").or_else(|| {
                let current = self.store.known.current_controller.clone();
                (given.is_none() && !current.is_empty()).then_some(current)
            })
        });
        if let Some(known) = wanted.as_ref().and_then(|name| self.store.known.controllers.get(name))
        {
            let address: Address = known.address.parse()?;
            let startable = address == own;
            let name = wanted.unwrap_or_default();
            return Ok(Target { name, address, startable, unknown: false });
        }
        let startable = given.is_none();
        let address = given.unwrap_or(own);
        let unknown = wanted.as_deref().is_some_and(|name| name != DEFAULT_NAME);
        let name = wanted.unwrap_or_else(|| self.store.name_of(&address.to_string()));
        Ok(Target { name, address, startable, unknown })
    }

    /// A client of a controller; this machine's own is started if it does not run.
    pub(crate) async fn client(&self, target: &Target) -> Outcome<Client> {
        let client = match Client::connect(&target.address).await {
            Ok(client) => client,
            Err(error) if target.startable && controller_process::is_absent(&error) => {
                if target.unknown {
                    return Err(unknown_controller(&target.name));
                }
                let started = controller_process::start(&target.name, &[]).await?;
                self.tell(started.to_string());
                started.client
            }
            Err(error) => return Err(unreachable(target, error)),
        };
        if target.unknown {
            let controller: ControllerInfo = client.get("/v1").await?;
            if controller.name != target.name {
                return Err(unknown_controller(&target.name));
            }
        }
        Ok(client)
    }

    /// A client of a controller if it runs.
    pub(crate) async fn running(&self, target: &Target) -> Outcome<Option<Client>> {
        match Client::connect(&target.address).await {
            Ok(client) => Ok(Some(client)),
            Err(error) if controller_process::is_absent(&error) => Ok(None),
            Err(error) => Err(unreachable(target, error)),
        }
    }

    /// The model a command is about: `-m`, `$JUJU_MODEL`, the current one.
    pub(crate) async fn model(&self, argument: &ModelArgument) -> Outcome<Model> {
        self.model_named(argument.model.as_deref()).await
    }

    /// The model called so, or the current one.
    pub(crate) async fn model_named(&self, name: Option<&str>) -> Outcome<Model> {
        let given = name.map(ToOwned::to_owned).or_else(|| directories::variable("JUJU_MODEL"));
        let name = match &given {
            Some(text) => ModelName::parse(text)?,
            None => ModelName::default(),
        };
        let target = self.target(name.controller.as_deref())?;
        let model = if name.model.is_empty() {
            let current = self.current_model(&target);
            current.ok_or_else(|| self.no_model())?.to_owned()
        } else {
            name.model
        };
        let client = self.client(&target).await?;
        let model = Model { client, name: model, controller: target.name };
        if let Some(owner) = name.owner.filter(|owner| owner != USER) {
            let info: ModelInfo = model.get("").await?;
            if info.owner != owner {
                let name = &model.name;
                return Err(Failure::new(format!("model \"{owner}/{name}\" not found")));
            }
        }
        Ok(model)
    }

    /// Whether a model is in focus without being named.
    pub(crate) fn has_current_model(&self) -> Outcome<bool> {
        Ok(self.current_model(&self.target(None)?).is_some())
    }

    /// The current model of a controller.
    pub(crate) fn current_model(&self, target: &Target) -> Option<&str> {
        self.store.current_model(&target.name, &target.address.to_string())
    }

    /// Makes a model the current one of a controller, or none.
    pub(crate) fn set_current_model(&mut self, target: &Target, model: Option<&str>) -> Outcome {
        self.store.set_current_model(&target.name, &target.address.to_string(), model)
    }

    fn no_model(&self) -> Failure {
        let program = self.personality.name();
        Failure::new(format!(
            "no model in focus: create one with '{program} add-model NAME', choose one with \
             '{program} switch NAME', or name one with -m"
        ))
    }
}

/// One model of a controller.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    /// The controller's client.
    pub(crate) client: Client,
    /// Short name or UUID, as it was given.
    pub(crate) name: String,
    /// What the controller is called here.
    pub(crate) controller: String,
}

impl Model {
    /// The path of something in the model.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/v1/models/{}{rest}", encode(&self.name))
    }

    /// Reads something in the model.
    pub(crate) async fn get<T: DeserializeOwned>(&self, rest: &str) -> Outcome<T> {
        Ok(self.client.get(&self.path(rest)).await?)
    }

    /// Sends something to the model.
    pub(crate) async fn post<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        rest: &str,
        body: &B,
    ) -> Outcome<T> {
        Ok(self.client.post(&self.path(rest), body).await?)
    }

    /// Replaces something in the model.
    pub(crate) async fn put<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        rest: &str,
        body: &B,
    ) -> Outcome<T> {
        Ok(self.client.put(&self.path(rest), body).await?)
    }

    /// Changes something in the model.
    pub(crate) async fn patch<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        rest: &str,
        body: &B,
    ) -> Outcome<T> {
        Ok(self.client.patch(&self.path(rest), body).await?)
    }

    /// Removes something from the model.
    pub(crate) async fn delete<T: DeserializeOwned>(&self, rest: &str) -> Outcome<T> {
        Ok(self.client.delete(&self.path(rest)).await?)
    }
}

/// The path of an application within a model.
pub(crate) fn application_path(application: &str, rest: &str) -> String {
    format!("/applications/{}{rest}", encode(application))
}

/// The path of a unit within a model.
pub(crate) fn unit_path(unit: &str, rest: &str) -> Outcome<String> {
    match tutti_charm::name::split_unit(unit) {
        Some((application, number)) => Ok(format!("/units/{application}/{number}{rest}")),
        None => Err(Failure::new(format!("{unit:?} is not a valid unit name"))),
    }
}

/// A query string; pairs with an empty value are left out.
pub(crate) fn query<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let mut text = String::new();
    for (key, value) in pairs {
        if !value.is_empty() {
            text.push(if text.is_empty() { '?' } else { '&' });
            text.push_str(key);
            text.push('=');
            text.push_str(&encode(&value));
        }
    }
    text
}

/// The value of a query flag: left out when it is off.
pub(crate) fn flag(on: bool) -> String {
    if on { "true".into() } else { String::new() }
}

fn unknown_controller(name: &str) -> Failure {
    Failure::new(format!("controller {name:?} not found"))
}

fn unreachable(target: &Target, error: tutti_client::Error) -> Failure {
    let name = &target.name;
    let advice = if target.startable {
        String::new()
    } else {
        format!(" (controller {name:?}; start it with 'tutti serve', or unset TUTTI_CONTROLLER)")
    };
    match Failure::from(error) {
        Failure::Run(error) => {
            Failure::Run(anyhow::anyhow!("{}{advice}", crate::failure::chain(&error)))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_leave_out_what_is_not_set() {
        let text = query([("force", flag(true)), ("no_wait", flag(false)), ("q", "a b/c".into())]);
        assert_eq!(text, "?force=true&q=a%20b%2Fc");
        assert_eq!(query([]), "");
    }

    #[test]
    fn unit_paths() {
        assert_eq!(unit_path("db/0", "/resolved").unwrap(), "/units/db/0/resolved");
        for name in ["db", "db/", "/0", "db/x", "db/leader"] {
            assert!(unit_path(name, "").is_err(), "{name}");
        }
    }
}
