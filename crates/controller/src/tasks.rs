//! What flows have the controller do itself, as handlers of the flow engine.

use serde::{Deserialize, Serialize};
use tutti_content::Artifacts;
use tutti_flow::{Builder, Failure, Task, TaskContext, TxTask};
use tutti_store::Store;

use crate::operations::MachineExec;
use crate::pulp;

/// Name of [`CheckCharm`].
pub(crate) const CHECK_CHARM: &str = CheckCharm::NAME;

/// Whether a handler may have something to undo: ours only look, or run what cannot be undone; others are unknown.
pub(crate) fn may_undo(handler: &str) -> bool {
    ![CheckCharm::NAME, MachineExec::NAME, pulp::Change::NAME, pulp::Effort::NAME]
        .contains(&handler)
}

/// Adds the handlers to an engine.
pub(crate) fn handlers(engine: Builder, store: &Store, artifacts: &Artifacts) -> Builder {
    engine
        .task(CheckCharm { artifacts: artifacts.clone() })
        .task(MachineExec { store: store.clone() })
}

/// Makes sure that a charm's archive is there before agents are waited for: without it they could
/// only ask in vain.
struct CheckCharm {
    artifacts: Artifacts,
}

/// Which archive.
#[derive(Debug, Deserialize)]
struct Archive {
    digest: String,
}

/// What was found.
#[derive(Debug, Serialize, Deserialize)]
struct Found {
    bytes: u64,
}

impl Task for CheckCharm {
    const NAME: &'static str = "charm.check";
    type Input = Archive;
    type Output = Found;

    async fn execute(&self, _: TaskContext, input: Archive) -> Result<Found, Failure> {
        let path = self.artifacts.path(&input.digest);
        match tokio::fs::metadata(&path).await {
            Ok(file) => Ok(Found { bytes: file.len() }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let text = format!("the charm's archive {} is gone from the disk", input.digest);
                Err(Failure::Terminal(text))
            }
            Err(error) => {
                Err(Failure::Retryable(format!("cannot read {}: {error}", path.display())))
            }
        }
    }
}
