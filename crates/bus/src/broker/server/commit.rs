//! Two tasks beside the connections: one gives changes to the log, the other does what is due.

use std::{rc::Rc, time::Duration};

use super::{clock::now, hub::Hub};
use crate::broker::{engine::Snapshot, log::Log};

/// How long to wait after the log could not be written.
const RETRY: Duration = Duration::from_secs(1);

/// How much of the log is written anew with each commit, in bytes.
const REWRITE_BYTES: usize = 512 * 1024;

/// A pass through all keys, and the first row it is in.
struct Rewrite {
    snapshot: Snapshot,
    first_row: i64,
}

/// Writes what changes until the broker ends. Everything that changed meanwhile is the next commit.
pub(super) async fn run(hub: Rc<Hub>, log: Option<Log>) {
    let Some(mut log) = log else { return };
    let mut rewrite: Option<Rewrite> = None;
    loop {
        let is_over = hub.is_ending() && hub.is_empty();
        if is_over && !hub.has_unwritten() {
            // A pass that is under way, and rows that are not needed, can wait for the next start.
            return;
        }
        let has_work = hub.has_unwritten() || rewrite.is_some() || log.rows().has_needless();
        if !has_work {
            hub.write.notified().await;
            continue;
        }
        let bytes_min = hub.settings.rewrite_bytes_min;
        if rewrite.is_none() && log.rows().is_long(bytes_min) && !log.rows().has_needless() {
            let snapshot = hub.engine.borrow().begin_snapshot();
            rewrite = Some(Rewrite { snapshot, first_row: log.rows().next_id() });
        }
        let is_through = rewrite.as_mut().filter(|_| !is_over).is_some_and(|rewrite| {
            hub.engine.borrow_mut().continue_snapshot(&mut rewrite.snapshot, REWRITE_BYTES)
        });
        let (body, position) = hub.take_unwritten();
        if !log.write(body) && !written(&hub, &mut log).await {
            let failure = "its thread ended".to_owned();
            tracing::error!("cannot write the bus's log any more: {failure}");
            hub.engine.borrow_mut().set_log_failure(Some(failure));
            hub.write_never();
            return;
        }
        hub.wrote(position);
        if is_through && let Some(rewrite) = rewrite.take() {
            log.rows().need_from(rewrite.first_row);
        }
    }
}

/// Waits until the batch is written, however often that fails. Meanwhile changes are refused.
async fn written(hub: &Hub, log: &mut Log) -> bool {
    let mut failed = false;
    loop {
        let Some((batch, outcome)) = log.written().await else { return false };
        let Err(error) = outcome else { break };
        tracing::error!(%error, "cannot write the bus's log; changes are refused until it works again");
        failed = true;
        hub.engine.borrow_mut().set_log_failure(Some(error.to_string()));
        tokio::time::sleep(RETRY).await;
        log.write_again(batch);
    }
    if failed {
        tracing::info!("the bus's log can be written again");
        hub.engine.borrow_mut().set_log_failure(None);
    }
    true
}

/// Does what is due, when it is due.
pub(super) async fn tick(hub: Rc<Hub>) {
    loop {
        match hub.tick() {
            None => hub.due.notified().await,
            Some(at) => {
                let wait = u64::try_from(at - now()).unwrap_or(0).max(1);
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(wait)) => (),
                    () = hub.due.notified() => (),
                }
            }
        }
    }
}
