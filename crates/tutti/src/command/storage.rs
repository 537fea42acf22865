//! `storage`, `show-storage`, `add-storage`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tutti_model::api::{Accepted, AddStorage, StorageInfo};

use super::answer::report;
use super::model::life;
use crate::arguments::{ModelArgument, OutputArguments};
use crate::context::{Context, unit_path};
use crate::failure::{Failure, Outcome};
use crate::output::table::{Cell, Table};
use crate::output::{self, Format};

/// Commands about storage.
#[derive(Debug, Subcommand)]
pub(crate) enum StorageCommand {
    /// List the storage of a model
    #[command(visible_alias = "list-storage")]
    Storage(Storage),
    /// Show storage instances
    ShowStorage(ShowStorage),
    /// Add storage to a unit
    #[command(after_help = "Example:\n  tutti add-storage db/0 data=rootfs,1,1G")]
    AddStorage(AddStorageCommand),
}

impl StorageCommand {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Storage(command) => command.run(context).await,
            Self::ShowStorage(command) => command.run(context).await,
            Self::AddStorage(command) => command.run(context).await,
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct Storage {
    #[command(flatten)]
    model: ModelArgument,
    /// Accepted; there are only filesystems
    #[arg(hide = true, long)]
    filesystem: bool,
    /// Only volumes, of which there are none
    #[arg(long)]
    volume: bool,
    #[command(flatten)]
    output: OutputArguments,
}

impl Storage {
    async fn run(self, context: &Context) -> Outcome {
        let model = context.model(&self.model).await?;
        let mut storage: Vec<StorageInfo> = model.get("/storage").await?;
        if self.volume {
            storage.clear();
        }
        let entries = storage.iter().map(|one| (one.id.clone(), document(one)));
        let mut value = json!({});
        if !storage.is_empty() {
            value["storage"] = Value::Object(entries.collect());
        } else if self.output.form(Format::Tabular) == Format::Tabular {
            context.tell("No storage to display.");
            return Ok(());
        }
        self.output.print(Format::Tabular, &value, || table(&storage).render())
    }
}

#[derive(Args, Debug)]
pub(crate) struct ShowStorage {
    #[command(flatten)]
    model: ModelArgument,
    /// Storage instances, name/number
    #[arg(value_name = "STORAGE", required = true)]
    ids: Vec<String>,
    #[command(flatten)]
    output: OutputArguments,
}

impl ShowStorage {
    async fn run(self, context: &Context) -> Outcome {
        let model = context.model(&self.model).await?;
        let storage: Vec<StorageInfo> = model.get("/storage").await?;
        let mut value = json!({});
        for id in &self.ids {
            let Some(found) = storage.iter().find(|one| &one.id == id) else {
                return Err(Failure::new(format!("storage instance {id:?} not found")));
            };
            value[id] = document(found);
        }
        let yaml = || tutti_charm::yaml::to_string(&value).unwrap_or_default();
        self.output.print(Format::Yaml, &value, yaml)
    }
}

#[derive(Args, Debug)]
pub(crate) struct AddStorageCommand {
    #[command(flatten)]
    model: ModelArgument,
    /// The unit
    #[arg(value_name = "UNIT")]
    unit: String,
    /// The storages, with how many and how large: name[=pool,count,size]
    #[arg(value_name = "STORAGE[=DIRECTIVE]", required = true)]
    storage: Vec<String>,
}

impl AddStorageCommand {
    async fn run(self, context: &Context) -> Outcome {
        let model = context.model(&self.model).await?;
        let path = unit_path(&self.unit, "/storage")?;
        for word in &self.storage {
            let (name, directive) = word.split_once('=').unwrap_or((word, ""));
            let request = AddStorage { name: name.into(), directive: directive.into() };
            let accepted: Accepted = model.post(&path, &request).await?;
            report(context, &accepted);
        }
        Ok(())
    }
}

/// A storage instance as `storage` and `show-storage` print it.
fn document(storage: &StorageInfo) -> Value {
    let mut value = json!({
        "kind": storage.kind,
        "life": life(storage.life),
        "status": {"current": storage.status},
        "persistent": false,
        "pool": storage.pool,
        "size": storage.size_mib,
    });
    if !storage.unit.is_empty() {
        value["attachments"] = json!({
            "units": {&storage.unit: {"location": storage.location, "life": life(storage.life)}}
        });
    }
    value
}

fn table(storage: &[StorageInfo]) -> Table {
    let mut table =
        Table::new(["Unit", "Storage ID", "Type", "Pool", "Size", "Status", "Location"]);
    for one in storage {
        table.row([
            one.unit.as_str().into(),
            one.id.as_str().into(),
            one.kind.as_str().into(),
            one.pool.as_str().into(),
            output::mebibytes(one.size_mib).into(),
            Cell::status(&one.status),
            one.location.as_str().into(),
        ]);
    }
    table
}
