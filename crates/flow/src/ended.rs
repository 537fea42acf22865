//! Waiting for a flow.

use tutti_store::Store;
use uuid::Uuid;

use crate::{ENDED, Error, FlowRow, Result, query};

/// Returns the flow once it has ended; combine it with a timeout. Cancel safe.
///
/// # Errors
/// [`Error::NoFlow`]; storage errors.
pub async fn ended(store: &Store, id: Uuid) -> Result<FlowRow> {
    let mut bell = store.bell(ENDED);
    loop {
        let flow = store.read(move |tx| query::flow(tx, id)).await?;
        let flow = flow.ok_or(Error::NoFlow { id })?;
        if flow.state.is_ended() {
            return Ok(flow);
        }
        bell.wait().await;
    }
}
