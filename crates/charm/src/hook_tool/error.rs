//! Why a tool ends without an answer.

use serde::{Deserialize, Serialize};

/// A refusal: the tool prints `ERROR <message>` to stderr and exits with the code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ToolError {
    /// The text after `ERROR `. Python charms match on some of these texts, so those are Juju's.
    pub message: String,
    /// 2 for wrong arguments, 1 for everything else.
    pub exit_code: u8,
}

impl ToolError {
    /// The arguments are wrong: exit code 2.
    #[must_use]
    pub fn argument(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit_code: 2 }
    }

    /// The call was understood and cannot be answered: exit code 1.
    #[must_use]
    pub fn running(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit_code: 1 }
    }
}

/// Why a command line did not become a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Usage {
    /// `--help` was asked for: this text belongs on stdout, exit code 0.
    Help(String),
    /// The arguments are wrong.
    Wrong(ToolError),
}

impl From<ToolError> for Usage {
    fn from(error: ToolError) -> Self {
        Self::Wrong(error)
    }
}
