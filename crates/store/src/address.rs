//! Where a database is.

use std::{path::PathBuf, str::FromStr, time::Duration};

use crate::{Error, Result};

/// How long a server may take to accept a connection, unless the address says otherwise (`connect_timeout`).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a server may leave what was sent to it unacknowledged, unless the address says otherwise (`tcp_user_timeout`).
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// A parsed database address.
pub(crate) enum Address {
    Sqlite(PathBuf),
    Postgres(Box<Server>),
}

/// A schema of a PostgreSQL database.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) config: tokio_postgres::Config,
    pub(crate) schema: String,
}

impl Address {
    /// `sqlite:///path/file.db`, `sqlite://relative.db`, a bare path, or `postgres://…`.
    pub(crate) fn parse(url: &str) -> Result<Self> {
        let path = match url.split_once("://") {
            None => url,
            Some(("sqlite", path)) => path,
            Some(("postgres" | "postgresql", _)) => {
                return Server::parse(url).map(|server| Self::Postgres(Box::new(server)));
            }
            Some(_) => return Err(refused(url, "only sqlite:// and postgres:// are known")),
        };
        if path.is_empty() {
            return Err(refused(url, "it has no path"));
        }
        if path.contains('\0') {
            return Err(refused(url, "a path has no NUL"));
        }
        Ok(Self::Sqlite(path.into()))
    }
}

impl Server {
    /// Takes `schema=` out of the query, which the driver does not know.
    fn parse(url: &str) -> Result<Self> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let mut schema = "public".to_owned();
        let mut options = Vec::new();
        for option in query.split('&').filter(|option| !option.is_empty()) {
            match option.strip_prefix("schema=") {
                Some(name) => name.clone_into(&mut schema),
                None => options.push(option),
            }
        }
        let plain = schema
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if !plain || schema.is_empty() || schema.len() > 63 {
            return Err(refused(url, "a schema is named by up to 63 of a-z, 0-9 and _"));
        }
        let query = options.join("&");
        let mut config = tokio_postgres::Config::from_str(&format!("{base}?{query}"))
            .map_err(|error| refused(url, &error.to_string()))?;
        // A server that vanished without a word must not be waited for forever.
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(SILENCE_MAX);
        }
        Ok(Self { config, schema })
    }

    /// For messages: where, without the password.
    pub(crate) fn describe(&self) -> String {
        let hosts: Vec<String> = self
            .config
            .get_hosts()
            .iter()
            .map(|host| match host {
                tokio_postgres::config::Host::Tcp(name) => name.clone(),
                tokio_postgres::config::Host::Unix(path) => path.display().to_string(),
            })
            .collect();
        let database = self.config.get_dbname().unwrap_or("postgres");
        format!("{database} on {}, schema {}", hosts.join(","), self.schema)
    }
}

fn refused(url: &str, reason: &str) -> Error {
    Error::Address { url: without_password(url), reason: reason.into() }
}

fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    match rest.split_once('@') {
        Some((user, host)) => {
            let name = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{name}@{host}")
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlite_addresses_are_paths() {
        for (url, path) in [
            ("sqlite:///var/lib/tutti.db", "/var/lib/tutti.db"),
            ("sqlite://tutti.db", "tutti.db"),
            ("/var/lib/tutti.db", "/var/lib/tutti.db"),
        ] {
            assert!(matches!(Address::parse(url), Ok(Address::Sqlite(found)) if *found == *path));
        }
    }

    #[test]
    fn schema_is_taken_from_the_query() {
        for (url, schema) in [
            ("postgres://root@127.0.0.1/test", "public"),
            ("postgres://root@127.0.0.1/test?schema=one", "one"),
            (
                "postgresql://root@127.0.0.1/test?connect_timeout=3&schema=two&application_name=x",
                "two",
            ),
        ] {
            let Ok(Address::Postgres(server)) = Address::parse(url) else { panic!("{url}") };
            assert_eq!(server.schema, schema);
            assert_eq!(server.config.get_dbname(), Some("test"));
        }
    }

    #[test]
    fn bad_addresses_are_refused_without_showing_the_password() {
        for url in [
            "",
            "sqlite://",
            "mysql://a:secret@b/c",
            "postgres://a:secret@b/c?schema=Quoted\"",
            "postgres://a:secret@b/c?schema=",
            "postgres://a:secret@b/c?nonsense=1",
        ] {
            let Err(error) = Address::parse(url) else { panic!("{url}") };
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
