//! User secrets: add, update, grant, revoke, remove, list, show.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tutti_client::encode;
use tutti_model::api::{SecretAdd, SecretChange, SecretGrantChange, SecretInfo};

use crate::arguments::{ModelArgument, OutputArguments, value};
use crate::context::{Context, flag, query};
use crate::failure::{Attempt as _, Failure, Outcome};
use crate::output::table::Table;
use crate::output::{self, Format};

/// Commands about secrets.
#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Add a secret
    #[command(
        after_help = "Examples:\n  tutti add-secret login user=joe password#file=./password\n  \
                            tutti add-secret login --file login.yaml"
    )]
    AddSecret(AddSecret),
    /// Give a secret new content, another name or another description
    UpdateSecret(UpdateSecret),
    /// Let applications read a secret
    GrantSecret(GrantSecret),
    /// Stop applications from reading a secret
    RevokeSecret(RevokeSecret),
    /// Remove a secret or one revision of it
    RemoveSecret(RemoveSecret),
    /// List the secrets of a model
    #[command(visible_alias = "list-secrets")]
    Secrets(Secrets),
    /// Show a secret
    ShowSecret(ShowSecret),
}

impl SecretCommand {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::AddSecret(command) => command.run(context).await,
            Self::UpdateSecret(command) => command.run(context).await,
            Self::GrantSecret(command) => {
                change_access(context, &command.model, &command.secret, &command.applications, true)
                    .await
            }
            Self::RevokeSecret(command) => {
                let applications = &command.applications;
                change_access(context, &command.model, &command.secret, applications, false).await
            }
            Self::RemoveSecret(command) => command.run(context).await,
            Self::Secrets(command) => command.run(context).await,
            Self::ShowSecret(command) => command.run(context).await,
        }
    }
}

#[derive(Args)]
pub(crate) struct AddSecret {
    #[command(flatten)]
    model: ModelArgument,
    /// Name, unique in the model
    #[arg(value_name = "NAME")]
    name: String,
    /// key=value, key#base64=… or key#file=path
    #[arg(value_name = "KEY=VALUE")]
    values: Vec<String>,
    /// Description
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    info: String,
    /// YAML file with keys and values
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl fmt::Debug for AddSecret {
    /// Without the values.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AddSecret").field("name", &self.name).finish_non_exhaustive()
    }
}

impl AddSecret {
    async fn run(self, context: &Context) -> Outcome {
        let content = content(&self.values, self.file.as_deref())?;
        if content.is_empty() {
            return Err(Failure::usage("missing secret value or filename"));
        }
        let model = context.model(&self.model).await?;
        let request = SecretAdd { name: self.name, description: self.info, content };
        let secret: SecretInfo = model.post("/secrets", &request).await?;
        output::write(&format!("secret:{}\n", secret.id))
    }
}

#[derive(Args)]
pub(crate) struct UpdateSecret {
    #[command(flatten)]
    model: ModelArgument,
    /// Name or id
    #[arg(value_name = "SECRET")]
    secret: String,
    /// key=value, key#base64=… or key#file=path
    #[arg(value_name = "KEY=VALUE")]
    values: Vec<String>,
    /// New description
    #[arg(long, value_name = "TEXT")]
    info: Option<String>,
    /// New name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Remove revisions that nobody tracks any more
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    auto_prune: Option<bool>,
    /// YAML file with keys and values
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl fmt::Debug for UpdateSecret {
    /// Without the values.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("UpdateSecret").field("secret", &self.secret).finish_non_exhaustive()
    }
}

impl UpdateSecret {
    async fn run(self, context: &Context) -> Outcome {
        let content = content(&self.values, self.file.as_deref())?;
        let change = SecretChange {
            name: self.name,
            description: self.info,
            content: (!content.is_empty()).then_some(content),
            auto_prune: self.auto_prune,
        };
        if change == SecretChange::default() {
            return Err(Failure::usage("must specify at least one value, field or file to update"));
        }
        let model = context.model(&self.model).await?;
        let _: Value = model.patch(&path(&self.secret, ""), &change).await?;
        Ok(())
    }
}

#[derive(Args, Debug)]
pub(crate) struct GrantSecret {
    #[command(flatten)]
    model: ModelArgument,
    /// Name or id
    #[arg(value_name = "SECRET")]
    secret: String,
    /// Applications, comma-separated
    #[arg(value_name = "APPLICATION,…", required = true)]
    applications: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct RevokeSecret {
    #[command(flatten)]
    model: ModelArgument,
    /// Name or id
    #[arg(value_name = "SECRET")]
    secret: String,
    /// Applications, comma-separated
    #[arg(value_name = "APPLICATION,…", required = true)]
    applications: Vec<String>,
}

async fn change_access(
    context: &Context,
    model: &ModelArgument,
    secret: &str,
    applications: &[String],
    grant: bool,
) -> Outcome {
    let model = context.model(model).await?;
    let change = SecretGrantChange { applications: value::list(applications) };
    let rest = if grant { "/grant" } else { "/revoke" };
    let _: Value = model.post(&path(secret, rest), &change).await?;
    Ok(())
}

#[derive(Args, Debug)]
pub(crate) struct RemoveSecret {
    #[command(flatten)]
    model: ModelArgument,
    /// Name or id
    #[arg(value_name = "SECRET")]
    secret: String,
    /// Only this revision
    #[arg(long, value_name = "NUMBER")]
    revision: Option<i64>,
}

impl RemoveSecret {
    async fn run(self, context: &Context) -> Outcome {
        let model = context.model(&self.model).await?;
        let revision = self.revision.map(|number| number.to_string()).unwrap_or_default();
        let query = query([("revision", revision)]);
        let _: Value = model.delete(&path(&self.secret, &query)).await?;
        Ok(())
    }
}

#[derive(Args, Debug)]
pub(crate) struct Secrets {
    #[command(flatten)]
    model: ModelArgument,
    /// Only secrets of this owner: <model>, an application or a unit
    #[arg(long, value_name = "OWNER")]
    owner: Option<String>,
    #[command(flatten)]
    output: OutputArguments,
}

impl Secrets {
    async fn run(self, context: &Context) -> Outcome {
        let model = context.model(&self.model).await?;
        let mut secrets: Vec<SecretInfo> = model.get("/secrets").await?;
        if let Some(owner) = &self.owner {
            let name = owner.strip_prefix("application-").or_else(|| owner.strip_prefix("unit-"));
            let name = name.unwrap_or(owner);
            let is_model = owner.starts_with("model-") || owner == &model.name;
            secrets
                .retain(|secret| secret.owner == name || (is_model && secret.owner == "<model>"));
        }
        let value = by_id(&secrets)?;
        self.output.print(Format::Tabular, &value, || {
            let mut table =
                Table::new(["ID", "Name", "Owner", "Rotation", "Revision", "Last updated"]);
            for secret in &secrets {
                let name = if secret.name.is_empty() { &secret.label } else { &secret.name };
                table.row([
                    secret.id.as_str().into(),
                    name.as_str().into(),
                    secret.owner.as_str().into(),
                    secret.rotation.clone().unwrap_or_else(|| "never".into()).into(),
                    secret.revision.to_string().into(),
                    secret.updated.as_str().into(),
                ]);
            }
            table.render()
        })
    }
}

#[derive(Args, Debug)]
pub(crate) struct ShowSecret {
    #[command(flatten)]
    model: ModelArgument,
    /// Name or id
    #[arg(value_name = "SECRET")]
    secret: String,
    /// Show its content
    #[arg(long, conflicts_with = "revisions")]
    reveal: bool,
    /// Show its revisions
    #[arg(long)]
    revisions: bool,
    /// This revision
    #[arg(short, long, value_name = "NUMBER")]
    revision: Option<i64>,
    #[command(flatten)]
    output: OutputArguments,
}

impl ShowSecret {
    async fn run(self, context: &Context) -> Outcome {
        let model = context.model(&self.model).await?;
        let revision = self.revision.map(|number| number.to_string()).unwrap_or_default();
        let query = query([
            ("reveal", flag(self.reveal)),
            ("revisions", flag(self.revisions)),
            ("revision", revision),
        ]);
        let secret: SecretInfo = model.get(&path(&self.secret, &query)).await?;
        let mut value = by_id(&[secret])?;
        if self.output.form(Format::Yaml) != Format::Json {
            // Only the JSON has the `Data` level.
            for secret in value.as_object_mut().into_iter().flat_map(|map| map.values_mut()) {
                if let Some(data) = secret.pointer_mut("/content/Data").map(Value::take) {
                    secret["content"] = data;
                }
            }
        }
        let yaml = || tutti_charm::yaml::to_string(&value).unwrap_or_default();
        self.output.print(Format::Yaml, &value, yaml)
    }
}

/// Secrets under their ids, as Juju prints them.
fn by_id(secrets: &[SecretInfo]) -> Outcome<Value> {
    let mut value = json!({});
    for secret in secrets {
        let without_id = SecretInfo { id: String::new(), ..secret.clone() };
        value[&secret.id] = serde_json::to_value(&without_id)?;
    }
    Ok(value)
}

/// The path of a secret: by name, id, `secret:id` or `secret://model/id`.
fn path(secret: &str, rest: &str) -> String {
    let bare = secret.strip_prefix("secret:").unwrap_or(secret);
    let bare = match bare.strip_prefix("//") {
        Some(uri) => uri.rsplit('/').next().unwrap_or(uri),
        None => bare,
    };
    format!("/secrets/{}{rest}", encode(bare))
}

/// The content given as words and in a file; words win.
fn content(words: &[String], file: Option<&Path>) -> Outcome<BTreeMap<String, String>> {
    let mut content = BTreeMap::new();
    if let Some(file) = file {
        for (key, value) in value::mapping_file(file)? {
            let (key, text) = entry(&key, value::text(value))?;
            content.insert(key, text);
        }
    }
    for word in words {
        let Some((key, text)) = value::pair(word) else {
            return Err(Failure::usage(format!("key value {word:?} is not of the form key=value")));
        };
        let (key, text) = entry(key, text.to_owned())?;
        content.insert(key, text);
    }
    Ok(content)
}

/// Reads the markers `#file` and `#base64` of a key.
fn entry(key: &str, text: String) -> Outcome<(String, String)> {
    if let Some(key) = key.strip_suffix("#file") {
        let bytes = fs::read(&text).attempt(|| format!("cannot read {text}"))?;
        let text = String::from_utf8(bytes).attempt(|| format!("{text} is not text"))?;
        return Ok((key.into(), text));
    }
    if let Some(key) = key.strip_suffix("#base64") {
        let attempt = || format!("secret value of {key:?} is not valid base64");
        let bytes = BASE64_STANDARD.decode(text.trim()).attempt(attempt)?;
        let text = String::from_utf8(bytes).attempt(attempt)?;
        return Ok((key.into(), text));
    }
    Ok((key.into(), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_many_names() {
        for name in ["abc", "secret:abc", "secret://0190-uuid/abc"] {
            assert_eq!(path(name, "/grant"), "/secrets/abc/grant", "{name}");
        }
    }

    #[test]
    fn content_comes_from_words_and_files() {
        let directory = tempfile::tempdir().unwrap();
        let yaml = directory.path().join("s.yaml");
        let text = directory.path().join("text");
        fs::write(&yaml, "user: joe\npin: 123\n").unwrap();
        fs::write(&text, "from file").unwrap();
        let words =
            ["user=jane".to_owned(), "b#base64=aGk=".into(), format!("f#file={}", text.display())];
        let content = content(&words, Some(&yaml)).unwrap();
        let expected = [("user", "jane"), ("pin", "123"), ("b", "hi"), ("f", "from file")];
        assert_eq!(content, expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
        assert!(super::content(&["x#base64=%".into()], None).is_err());
        assert!(super::content(&["x".into()], None).is_err());
    }
}
