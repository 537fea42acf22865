//! Fetching from elsewhere: over HTTP(S), or from a directory by `file://`.
//!
//! - this file: what is known of a source;
//! - `client`: requests of one source: limits, addresses it may reach, redirects;
//! - `address`: which those are;
//! - `transfer`: one attempt: bytes counted while they come, resumed where they broke off;
//! - [`fetch`](Client::fetch): attempts until one succeeds, by the rules of `retry`;
//! - `local`: the same of files;
//! - `error`: why not, always with url and attempt.

mod address;
mod client;
mod error;
mod fetch;
mod local;
mod retry;
mod transfer;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use client::Client;
pub(crate) use client::shown;
pub use error::{Error, Reason};
pub use fetch::{Fetched, Page, Request, Validators};

pub use crate::remote::Policy;

/// A remote, as a fetch sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Source {
    /// Id of the remote.
    pub id: i64,
    /// Where it begins: `http`, `https` or `file`.
    pub url: String,
    /// When files are fetched.
    pub policy: Policy,
    /// How it is fetched from.
    pub settings: SourceSettings,
    /// What nobody is to see.
    pub credentials: Credentials,
    /// What its content type is told, an object.
    pub content: serde_json::Value,
}

/// How a source is fetched from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceSettings {
    /// Requests at the same time.
    pub concurrency: usize,
    /// Attempts after the first.
    pub retries: u32,
    /// Before the second attempt, milliseconds; doubled before each further one.
    pub retry_delay_ms: u64,
    /// For one attempt as a whole, milliseconds.
    pub total_timeout_ms: Option<u64>,
    /// To connect, milliseconds.
    pub connect_timeout_ms: u64,
    /// Without a byte, milliseconds.
    pub read_timeout_ms: u64,
    /// Requests per second.
    pub rate_limit: Option<u32>,
    /// Sent to the source itself, and to no other host that it refers to.
    pub headers: BTreeMap<String, String>,
    /// Certificates trusted besides those of the system, PEM.
    pub ca_certificates: Option<String>,
    /// Whether certificates are looked at.
    pub tls_validation: bool,
    /// `http://…` or `https://…`.
    pub proxy_url: Option<String>,
    /// Whether it may lead to any address, also those of this machine and of clouds' metadata.
    pub any_address: bool,
}

/// What nobody is to see of a source.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Credentials {
    /// For basic authentication.
    pub username: Option<String>,
    /// For basic authentication.
    pub password: Option<String>,
    /// Sent as `Authorization: Bearer …`.
    pub token: Option<String>,
    /// Client certificate, PEM.
    pub client_certificate: Option<String>,
    /// Its key, PEM.
    pub client_key: Option<String>,
    /// For the proxy.
    pub proxy_username: Option<String>,
    /// For the proxy.
    pub proxy_password: Option<String>,
}

impl Default for SourceSettings {
    fn default() -> Self {
        Self {
            concurrency: 10,
            retries: 3,
            retry_delay_ms: 1_000,
            total_timeout_ms: None,
            connect_timeout_ms: 30_000,
            read_timeout_ms: 60_000,
            rate_limit: None,
            headers: BTreeMap::new(),
            ca_certificates: None,
            tls_validation: true,
            proxy_url: None,
            any_address: false,
        }
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials")
    }
}
