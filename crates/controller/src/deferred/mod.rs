//! Deferred notices: events a charm has put back, shown so that nobody wonders where they are.
//!
//! The charm keeps them itself; its agent reports them after each hook and brings them back. Here
//! is the list of the last report.

mod api;
mod sql;

use tutti_model::agent::DeferredNotice;
use tutti_model::api::DeferredInfo;
use tutti_store::{ToValue, Tx};

use crate::logs::printable;
use crate::{Error, time};

pub(crate) use api::routes;
pub(crate) use sql::STATEMENTS;

/// Replaces what is known of a unit's deferred notices.
pub(crate) fn replace(
    tx: &mut Tx<'_>,
    unit: &str,
    notices: &[DeferredNotice],
) -> Result<(), Error> {
    tx.exec(sql::REMOVE, (unit,))?;
    let rows = notices.iter().map(|notice| {
        vec![
            unit.to_value(),
            notice.sequence.to_value(),
            printable(&notice.event).to_value(),
            printable(&notice.observer).to_value(),
            printable(&notice.method).to_value(),
            notice.attempts.to_value(),
            notice.since.to_value(),
            notice.next.to_value(),
        ]
    });
    tx.insert_many("deferred", sql::COLUMNS, rows)?;
    Ok(())
}

/// The notices of a model's units, or of one unit, by unit and position.
pub(crate) fn list(tx: &mut Tx<'_>, model: &str, unit: &str) -> Result<Vec<DeferredInfo>, Error> {
    let rows: Vec<sql::Notice> = tx.all(sql::LIST, (model, unit))?;
    Ok(rows.into_iter().map(info).collect())
}

/// Forgets the notices of a unit that is gone.
pub(crate) fn unit_gone(tx: &mut Tx<'_>, unit: &str) -> Result<(), Error> {
    tx.exec(sql::REMOVE, (unit,))?;
    Ok(())
}

fn info(notice: sql::Notice) -> DeferredInfo {
    DeferredInfo {
        event: event_name(&notice.event).to_owned(),
        handler: format!("{}.{}", notice.observer, notice.method),
        unit: notice.unit,
        sequence: notice.sequence,
        attempts: notice.attempts,
        since: time::rfc3339(notice.since),
        next: time::rfc3339(notice.next),
    }
}

/// The event's name in its path: `config_changed` of `MyCharm/on/config_changed[76]`.
fn event_name(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.split('[').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::event_name;

    #[test]
    fn an_event_is_known_by_the_last_part_of_its_path() {
        for (path, name) in [
            ("MyCharm/on/config_changed[76]", "config_changed"),
            ("MyCharm/Database[db]/on/ready[3]", "ready"),
            ("start", "start"),
            ("", ""),
        ] {
            assert_eq!(event_name(path), name, "{path}");
        }
    }
}
