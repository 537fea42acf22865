//! Schema files: what `lightbus dumpschema` writes and `load_local` reads.
//!
//! A file is a JSON object with one key for each API; a directory holds one file for each API.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::ApiSchema;

/// A schema file that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaFileError {
    /// The file or directory.
    #[error("cannot read or write {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its content.
    #[error("{} is not JSON", path.display())]
    NotJson {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Its content again.
    #[error("{} is no schema file: {reason}", path.display())]
    NotASchema {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// Reads a schema file, or all `*.json` files of a directory. The files name no version: it is 1.
pub fn read_schemas(path: &Path) -> Result<Vec<ApiSchema>, SchemaFileError> {
    let at = |source| SchemaFileError::File { path: path.to_owned(), source };
    if !path.is_dir() {
        return parse(path, &fs::read_to_string(path).map_err(at)?);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(at)? {
        let file = entry.map_err(at)?.path();
        if file.extension().is_some_and(|extension| extension == "json") {
            files.push(file);
        }
    }
    files.sort();
    let mut schemas = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file)
            .map_err(|source| SchemaFileError::File { path: file.clone(), source })?;
        schemas.extend(parse(&file, &text)?);
    }
    Ok(schemas)
}

/// Writes the schemas to one file, or, if `path` is a directory, one file `{api}.json` for each.
pub fn write_schemas(path: &Path, schemas: &[ApiSchema]) -> Result<(), SchemaFileError> {
    if !path.is_dir() {
        return write(path, schemas);
    }
    schemas.iter().try_for_each(|schema| {
        write(&path.join(format!("{}.json", schema.name())), std::slice::from_ref(schema))
    })
}

fn parse(path: &Path, text: &str) -> Result<Vec<ApiSchema>, SchemaFileError> {
    let apis: Map<String, Value> = serde_json::from_str(text)
        .map_err(|source| SchemaFileError::NotJson { path: path.to_owned(), source })?;
    apis.into_iter()
        .map(|(name, document)| match missing_part(&document) {
            None => Ok(ApiSchema::new(name, 1, document)),
            Some(part) => Err(SchemaFileError::NotASchema {
                path: path.to_owned(),
                reason: format!("the API {name} has no object `{part}`"),
            }),
        })
        .collect()
}

fn missing_part(document: &Value) -> Option<&'static str> {
    ["events", "rpcs"].into_iter().find(|part| !document.get(*part).is_some_and(Value::is_object))
}

fn write(path: &Path, schemas: &[ApiSchema]) -> Result<(), SchemaFileError> {
    let apis: Map<String, Value> = schemas
        .iter()
        .map(|schema| (schema.name().to_owned(), schema.document().clone()))
        .collect();
    let text = format!("{:#}\n", Value::Object(apis));
    fs::write(path, text).map_err(|source| SchemaFileError::File { path: path.to_owned(), source })
}
