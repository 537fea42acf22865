//! `--to`: where a unit goes.

use crate::api::ModelKind;
use crate::{Error, Result};

/// Where a unit goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// The machine of this number.
    Machine(u32),
    /// A machine of its own.
    New,
}

impl Placement {
    /// Reads one placement.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for containers, zones, and anything but nothing on Kubernetes-like
    /// models; [`Error::Malformed`] for other text.
    pub fn parse(text: &str, kind: ModelKind) -> Result<Self> {
        let unsupported =
            |instead| Error::Unsupported { what: "placement", text: text.to_owned(), instead };
        if kind == ModelKind::Caas {
            return Err(unsupported("a Kubernetes-like model has no machines, leave --to out"));
        }
        let container = |word: &str| matches!(word, "lxd" | "kvm");
        match text {
            "new" => Ok(Self::New),
            _ if text.split(['/', ':']).any(container) => {
                Err(unsupported("there are no containers, name a machine or leave --to out"))
            }
            _ if text.contains('=') => {
                Err(unsupported("there are no zones, name a machine or leave --to out"))
            }
            _ => text.parse().map(Self::Machine).map_err(|_| Error::Malformed {
                what: "placement".into(),
                text: text.into(),
                expected: "a machine number",
            }),
        }
    }
}
