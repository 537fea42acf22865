//! Where a database is.

use std::path::PathBuf;

use crate::{Error, Result};

/// A parsed database address.
#[derive(Debug)]
pub(crate) enum Address {
    Sqlite(PathBuf),
}

impl Address {
    /// `sqlite:///path/file.db`, `sqlite://relative.db`, a bare path, or `postgres://…`.
    pub(crate) fn parse(url: &str) -> Result<Self> {
        let refused = |reason: &str| Error::Address { url: url.to_owned(), reason: reason.into() };
        let path = match url.split_once("://") {
            None => url,
            Some(("sqlite", path)) => path,
            Some(_) => return Err(refused("only sqlite:// and postgres:// are known")),
        };
        if path.is_empty() {
            return Err(refused("it has no path"));
        }
        if path.contains('\0') {
            return Err(refused("a path has no NUL"));
        }
        Ok(Self::Sqlite(path.into()))
    }
}
