//! `config`, `model-config`, `constraints` and their model and setting twins.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde_json::Value;
use tutti_model::api::{
    Accepted, ApplicationConfig, ConfigChange, ConfigSetting, Constraints, ModelConfig,
};

use super::answer::report;
use crate::arguments::{ModelArgument, OutputArguments, value};
use crate::context::{Context, application_path};
use crate::failure::{Failure, Outcome};
use crate::output::Format;
use crate::output::table::Table;

#[derive(Args, Debug)]
pub(crate) struct ConfigCommand {
    #[command(flatten)]
    model: ModelArgument,
    /// The application
    #[arg(value_name = "APPLICATION_NAME")]
    application: String,
    /// One key to show, or key=value and key=@file to set
    #[arg(value_name = "KEY[=VALUE]")]
    words: Vec<String>,
    /// Keys to return to their defaults, comma-separated; may be repeated
    #[arg(long, value_name = "KEY,…")]
    reset: Vec<String>,
    /// YAML file with values to set
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArguments,
}

impl ConfigCommand {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let request = Request::read(&self.words, &self.reset, self.file, &self.application)?;
        let model = context.model(&self.model).await?;
        let path = application_path(&self.application, "/config");
        if let Request::Change(change) = request {
            let accepted: Accepted = model.patch(&path, &change).await?;
            report(context, &accepted);
            return Ok(());
        }
        let config: ApplicationConfig = model.get(&path).await?;
        if let Request::Show(key) = request {
            let setting = config.settings.get(&key).or_else(|| config.application_config.get(&key));
            let Some(ConfigSetting { value, .. }) = setting else {
                let application = &self.application;
                return Err(Failure::new(format!(
                    "key {key:?} not found in {application:?} application config or charm settings."
                )));
            };
            let value = value.clone().unwrap_or(Value::Null);
            return self.output.print(Format::Tabular, &value, || plain(&value));
        }
        let yaml = || tutti_charm::yaml::to_string(&config).unwrap_or_default();
        self.output.print(Format::Yaml, &config, yaml)
    }
}

#[derive(Args, Debug)]
pub(crate) struct ModelConfigCommand {
    #[command(flatten)]
    model: ModelArgument,
    /// One key to show, or key=value to set
    #[arg(value_name = "KEY[=VALUE]")]
    words: Vec<String>,
    /// Keys to return to their defaults, comma-separated; may be repeated
    #[arg(long, value_name = "KEY,…")]
    reset: Vec<String>,
    /// YAML file with values to set
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Accepted; unknown fields are reported by the controller
    #[arg(hide = true, long)]
    ignore_read_only_fields: bool,
    #[command(flatten)]
    output: OutputArguments,
}

impl ModelConfigCommand {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let request = Request::read(&self.words, &self.reset, self.file, "")?;
        let model = context.model(&self.model).await?;
        if let Request::Change(change) = request {
            let accepted: Accepted = model.patch("/config", &change).await?;
            report(context, &accepted);
            return Ok(());
        }
        let config: ModelConfig = model.get("/config").await?;
        if let Request::Show(key) = request {
            let Some(setting) = config.0.get(&key) else {
                return Err(Failure::new(format!("key {key:?} not found in model config.")));
            };
            return self.output.print(Format::Tabular, &setting.value, || plain(&setting.value));
        }
        self.output.print(Format::Tabular, &config, || {
            let mut table = Table::new(["Attribute", "From", "Value"]);
            for (key, setting) in &config.0 {
                let shown = plain(&setting.value);
                table.row([
                    key.as_str().into(),
                    setting.source.as_str().into(),
                    shown.trim_end().into(),
                ]);
            }
            table.render()
        })
    }
}

/// What the words after the name ask for.
#[derive(Debug, PartialEq, Eq)]
enum Request {
    /// Everything.
    All,
    /// One key.
    Show(String),
    /// A change.
    Change(ConfigChange),
}

impl Request {
    fn read(
        words: &[String],
        reset: &[String],
        file: Option<PathBuf>,
        application: &str,
    ) -> Outcome<Self> {
        let mut set = BTreeMap::new();
        let mut keys = Vec::new();
        if let Some(file) = file {
            set.extend(value::config_file(&file, application)?);
        }
        for word in words {
            match value::pair(word) {
                Some((key, text)) => {
                    set.insert(key.to_owned(), value::at_file(text)?);
                }
                None => keys.push(word.clone()),
            }
        }
        let reset = value::list(reset);
        let changes = !set.is_empty() || !reset.is_empty();
        match (keys.len(), changes) {
            (0, false) => Ok(Self::All),
            (1, false) => Ok(Self::Show(keys.remove(0))),
            (0, true) => Ok(Self::Change(ConfigChange { set, reset })),
            (_, true) => Err(Failure::usage("cannot set and retrieve values simultaneously")),
            _ => Err(Failure::usage("can only retrieve a single value, or all values")),
        }
    }
}

/// A value for a person or a shell script: texts without quotes, nothing for null.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => format!("{text}\n"),
        other => format!("{other}\n"),
    }
}

#[derive(Args, Debug)]
pub(crate) struct ConstraintsCommand {
    #[command(flatten)]
    model: ModelArgument,
    #[command(flatten)]
    output: OutputArguments,
}

impl ConstraintsCommand {
    pub(super) async fn run_model(self, context: &Context) -> Outcome {
        let model = context.model(&self.model).await?;
        let constraints: Constraints = model.get("/constraints").await?;
        self.output.print(Format::Tabular, &constraints, || constraint_line(&constraints))
    }
}

#[derive(Args, Debug)]
pub(crate) struct ApplicationConstraintsCommand {
    #[command(flatten)]
    model: ModelArgument,
    /// The application
    #[arg(value_name = "APPLICATION_NAME")]
    application: String,
    #[command(flatten)]
    output: OutputArguments,
}

impl ApplicationConstraintsCommand {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let model = context.model(&self.model).await?;
        let path = application_path(&self.application, "/constraints");
        let constraints: Constraints = model.get(&path).await?;
        self.output.print(Format::Tabular, &constraints, || constraint_line(&constraints))
    }
}

#[derive(Args, Debug)]
pub(crate) struct SetConstraintsCommand {
    #[command(flatten)]
    model: ModelArgument,
    /// Constraints, which replace the present ones
    #[arg(value_name = "KEY=VALUE")]
    constraints: Vec<String>,
}

impl SetConstraintsCommand {
    pub(super) async fn run_model(self, context: &Context) -> Outcome {
        let constraints = read_constraints(&self.constraints)?;
        let model = context.model(&self.model).await?;
        let accepted: Accepted = model.put("/constraints", &constraints).await?;
        report(context, &accepted);
        Ok(())
    }
}

#[derive(Args, Debug)]
pub(crate) struct SetApplicationConstraintsCommand {
    #[command(flatten)]
    model: ModelArgument,
    /// The application
    #[arg(value_name = "APPLICATION_NAME")]
    application: String,
    /// Constraints, which replace the present ones
    #[arg(value_name = "KEY=VALUE")]
    constraints: Vec<String>,
}

impl SetApplicationConstraintsCommand {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let constraints = read_constraints(&self.constraints)?;
        let model = context.model(&self.model).await?;
        let path = application_path(&self.application, "/constraints");
        let accepted: Accepted = model.put(&path, &constraints).await?;
        report(context, &accepted);
        Ok(())
    }
}

/// Constraints as the API takes them; it reads `1G` and `4` itself.
fn read_constraints(words: &[String]) -> Outcome<Constraints> {
    let words = words.iter().flat_map(|text| text.split_whitespace());
    let pairs = value::pairs(words, "constraint")?;
    Ok(Constraints(pairs.into_iter().map(|(key, text)| (key, Value::String(text))).collect()))
}

/// `cores=4 mem=1024M`: sizes are MiB.
fn constraint_line(constraints: &Constraints) -> String {
    let words: Vec<String> = constraints
        .0
        .iter()
        .map(|(key, value)| match value {
            Value::Number(size) if key == "mem" || key == "root-disk" => format!("{key}={size}M"),
            Value::String(text) => format!("{key}={text}"),
            Value::Array(items) => {
                let items: Vec<String> =
                    items.iter().map(|item| plain(item).trim_end().to_owned()).collect();
                format!("{key}={}", items.join(","))
            }
            other => format!("{key}={other}"),
        })
        .collect();
    if words.is_empty() { String::new() } else { format!("{}\n", words.join(" ")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(words: &[&str], reset: &[&str]) -> Outcome<Request> {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.into()).collect::<Vec<String>>();
        Request::read(&owned(words), &owned(reset), None, "db")
    }

    #[test]
    fn words_say_what_is_wanted() {
        assert_eq!(read(&[], &[]).unwrap(), Request::All);
        assert_eq!(read(&["a"], &[]).unwrap(), Request::Show("a".into()));
        let change = ConfigChange {
            set: [("a".into(), "1".into()), ("b".into(), "x=y".into())].into(),
            reset: vec!["c".into(), "d".into()],
        };
        assert_eq!(read(&["a=1", "b=x=y"], &["c,d"]).unwrap(), Request::Change(change));
        assert_eq!(read(&["a", "b"], &[]).unwrap_err().code(), 2);
        assert_eq!(read(&["a", "b=1"], &[]).unwrap_err().code(), 2);
    }

    #[test]
    fn constraints_print_as_they_are_written() {
        let constraints = serde_json::from_value(json!({"cores": 4, "mem": 1024})).unwrap();
        assert_eq!(constraint_line(&constraints), "cores=4 mem=1024M\n");
        assert_eq!(constraint_line(&Constraints::default()), "");
    }
}
