//! Where a controller listens.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::Error;

/// Where a controller listens.
///
/// As text: a path (`/run/tutti.sock`, `unix:/run/tutti.sock`) or a host and port
/// (`127.0.0.1:7070`, `http://127.0.0.1:7070`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// A unix socket.
    Unix(PathBuf),
    /// `host:port`, in the clear; loopback only.
    Tcp(String),
}

impl Address {
    /// The value of the `Host` header.
    pub(crate) fn host(&self) -> &str {
        match self {
            Self::Unix(_) => "localhost",
            Self::Tcp(authority) => authority,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
            Self::Tcp(authority) => write!(formatter, "http://{authority}"),
        }
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if let Some(path) = text.strip_prefix("unix://").or_else(|| text.strip_prefix("unix:")) {
            return Ok(Self::Unix(path.into()));
        }
        if text.starts_with(['/', '.']) {
            return Ok(Self::Unix(text.into()));
        }
        let authority = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        match authority.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                Ok(Self::Tcp(authority.into()))
            }
            _ => Err(Error::Address { text: text.into() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form_and_prints_one() {
        for (text, printed) in [
            ("/run/tutti.sock", "unix:/run/tutti.sock"),
            ("./t.sock", "unix:./t.sock"),
            ("unix:/run/t", "unix:/run/t"),
            ("unix:///run/t", "unix:/run/t"),
            ("127.0.0.1:80", "http://127.0.0.1:80"),
            ("http://[::1]:80/", "http://[::1]:80"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), printed);
            assert_eq!(address.to_string().parse::<Address>().unwrap(), address);
        }
        for text in ["", "localhost", "host:port", ":80", "https://host:80x"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
