//! Why something was not fetched.

use std::{io, net::IpAddr, time::Duration};

use reqwest::StatusCode;

use crate::digest::Algorithm;

/// A fetch that failed for good.
#[derive(Debug, thiserror::Error)]
#[error("cannot fetch {url} (attempt {attempt})")]
pub struct Error {
    /// What was asked for last, without credentials.
    pub url: String,
    /// The attempt that was the last, from 1.
    pub attempt: u32,
    /// Why it failed.
    #[source]
    pub reason: Reason,
}

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// No url, or one that this source must not lead to.
    #[error("{url:?} is not an address to fetch from: {why}")]
    Url {
        /// The url.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A setting that cannot be used.
    #[error("the source's {setting} cannot be used")]
    Setting {
        /// Which.
        setting: &'static str,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server said no.
    #[error("the server answered {status}")]
    Status {
        /// What it answered.
        status: StatusCode,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// No connection, or a broken one.
    #[error("the connection failed after {received} bytes")]
    Connection {
        /// Bytes until then.
        received: u64,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// It took too long.
    #[error("nothing came in time, after {received} bytes")]
    Timeout {
        /// Bytes until then.
        received: u64,
    },
    /// More bytes than announced; the rest was not read.
    #[error("there are more than the {expected} bytes announced")]
    TooLong {
        /// As announced.
        expected: u64,
    },
    /// Fewer bytes than announced.
    #[error("there are {received} bytes, not the {expected} announced")]
    TooShort {
        /// As announced.
        expected: u64,
        /// As it is.
        received: u64,
    },
    /// More bytes than anything of this kind should have.
    #[error("there are more than {most} bytes, the most that is read of this")]
    TooLarge {
        /// The bound.
        most: u64,
    },
    /// Other bytes than announced.
    #[error("its {} is {found}, not {expected}", algorithm.name())]
    Digest {
        /// Which digest.
        algorithm: Algorithm,
        /// As announced.
        expected: String,
        /// As it is.
        found: String,
    },
    /// The server resumes somewhere else than asked.
    #[error("the server did not resume at byte {wanted}")]
    Resumption {
        /// Where it should.
        wanted: u64,
    },
    /// Packed in a way that is not understood, or broken.
    #[error("its encoding {0:?} cannot be read")]
    Encoding(String),
    /// The server sends on and on.
    #[error("more than {most} redirections")]
    Redirections {
        /// The bound.
        most: usize,
    },
    /// The server sends to an address that the source must not lead to.
    #[error("{host} is at {address}, where this source must not lead")]
    Address {
        /// The name or address.
        host: String,
        /// Where it is.
        address: IpAddr,
    },
    /// A file could not be read.
    #[error("the file cannot be read")]
    Read(#[source] io::Error),
    /// The bytes could not be stored.
    #[error("the bytes cannot be stored")]
    Store(#[source] Box<crate::Error>),
}

impl Reason {
    /// Whether another attempt can succeed.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Status { status, .. } => {
                status.is_server_error()
                    || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(status)
            }
            Self::Connection { source, .. } => refused_address(source).is_none(),
            Self::Timeout { .. }
            | Self::TooLong { .. }
            | Self::TooShort { .. }
            | Self::Digest { .. }
            | Self::Resumption { .. } => true,
            _ => false,
        }
    }

    /// Whether the server has nothing of that name.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        let gone = [StatusCode::NOT_FOUND, StatusCode::GONE];
        match self {
            Self::Status { status, .. } => gone.contains(status),
            Self::Read(error) => error.kind() == io::ErrorKind::NotFound,
            _ => false,
        }
    }

    /// Whether the disk is full.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_disk_full())
    }

    pub(super) fn of(error: reqwest::Error, received: u64) -> Self {
        match refused_address(&error) {
            Some(refused) => Self::Address { host: refused.host.clone(), address: refused.address },
            None if error.is_timeout() => Self::Timeout { received },
            None => Self::Connection { received, source: error.without_url() },
        }
    }
}

impl From<crate::Error> for Reason {
    fn from(error: crate::Error) -> Self {
        Self::Store(Box::new(error))
    }
}

/// An address that a name stands for and that must not be connected to.
#[derive(Debug, thiserror::Error)]
#[error("{host} is at {address}, where this source must not lead")]
pub(super) struct Refused {
    pub(super) host: String,
    pub(super) address: IpAddr,
}

/// The resolver's refusal, wherever it is in the chain.
fn refused_address(error: &reqwest::Error) -> Option<&Refused> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(refused) = error.downcast_ref::<Refused>() {
            return Some(refused);
        }
        next = error.source();
    }
    None
}
