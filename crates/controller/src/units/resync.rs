//! Having one unit look again although nothing new is wished for.

use serde_json::json;
use tutti_model::api::{Accepted, Life};
use tutti_model::convergence::SyncState;
use tutti_store::Tx;

use super::{find, progress_of};
use crate::flows::{self, Change, RESYNC, Tasks};
use crate::models::Model;
use crate::state::Vantage;
use crate::{Error, sequence};

/// Brings a unit back to what is wished; nothing is done if it is in sync, or if that is under way
/// already.
pub(super) fn request(
    tx: &mut Tx<'_>,
    model: &Model,
    name: &str,
    vantage: Vantage,
    now: i64,
) -> Result<Accepted, Error> {
    let unit = find(tx, model, name)?;
    if unit.life.0 != Life::Alive {
        return Err(Error::Deleting(format!("unit \"{name}\" is being removed")));
    }
    let resource = json!({ "unit": name });
    if progress_of(tx, model, name, vantage)?.state == SyncState::InSync {
        return Ok(Accepted { resource, ..Accepted::default() });
    }
    let own = format!("unit/{name}");
    let flow = match flows::unfinished(tx, model, &own, RESYNC)? {
        Some(flow) => flow,
        None => {
            let generation = sequence::touch(tx, [unit.id.as_str()])?;
            let change = Change {
                kind: RESYNC,
                title: format!("Synchronize {name}"),
                resources: vec![own],
                generation: None,
                tasks: Tasks::new().units([(&unit.id, &unit.name)], generation),
            };
            flows::submit(tx, model, change, now)?
        }
    };
    Ok(Accepted { flow: Some(flow), resource, messages: Vec::new() })
}
