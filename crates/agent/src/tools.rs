//! The hook tools of one unit, as far as its runs are concerned.

use serde_json::Value;
use tutti_model::agent::{Changes, Context};

use crate::artifacts::Artifacts;
use crate::environment::Event;
use crate::error::Result;
use crate::unit::Unit;
use crate::unit_directory::UnitDirectory;

#[derive(Debug)]
pub(crate) struct Tools {
    socket: String,
}

/// What a charm asked for during one run.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    /// To be applied with the run's commit.
    pub(crate) changes: Changes,
    /// `action-set`.
    pub(crate) results: Value,
    /// `action-fail`.
    pub(crate) failure: Option<String>,
    /// The charm has set the unit's status.
    pub(crate) status_set: bool,
}

pub(crate) struct Open;

impl Tools {
    pub(crate) fn start(directory: &UnitDirectory, _artifacts: &Artifacts) -> Result<Self> {
        Ok(Self { socket: directory.path().join("agent.socket").to_string_lossy().into() })
    }
    pub(crate) fn socket(&self) -> &str {
        &self.socket
    }
    pub(crate) fn open(
        &self,
        _id: &str,
        _unit: &Unit,
        _event: &Event,
        _context: Context,
    ) -> Result<Open> {
        Ok(Open)
    }
}
impl Open {
    pub(crate) async fn close(self) -> Collected {
        Collected::default()
    }
}
