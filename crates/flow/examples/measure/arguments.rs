//! The command line: a subcommand and options with values.

use std::{collections::HashMap, str::FromStr};

use tutti_flow::MIGRATIONS;
use tutti_store::Store;

use crate::Result;

pub(crate) struct Arguments {
    pub(crate) subcommand: String,
    options: HashMap<String, String>,
}

impl Arguments {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let subcommand = words.next().ok_or("say what to measure; see the head of main.rs")?;
        let mut options = HashMap::new();
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").ok_or_else(|| format!("what is `{word}`?"))?;
            let value = words.next().ok_or_else(|| format!("--{name} needs a value"))?;
            options.insert(name.to_owned(), value);
        }
        Ok(Self { subcommand, options })
    }

    pub(crate) fn number(&self, name: &str, default: usize) -> Result<usize> {
        let Some(text) = self.options.get(name) else { return Ok(default) };
        usize::from_str(text).map_err(|_| format!("--{name} takes a number, not `{text}`").into())
    }

    pub(crate) fn word<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        self.options.get(name).map_or(default, String::as_str)
    }

    pub(crate) fn database(&self) -> Result<&str> {
        let database = self.options.get("database").ok_or("--database is missing")?;
        Ok(database)
    }

    /// The database, with the engine's tables.
    pub(crate) async fn open(&self) -> Result<Store> {
        Ok(Store::open(self.database()?, MIGRATIONS).await?)
    }
}
