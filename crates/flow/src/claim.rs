//! A worker's transactions: joining, taking flows, reporting attempts, recovering what dead workers left.

use tutti_store::Tx;
use uuid::Uuid;

use crate::{
    FlowState, Result, TOPIC,
    progress::{Attempt, Hands, Progress, Settled},
    queue,
    sql::{self, Flow},
    step::{POISON_MAX, Trouble},
};

/// What a worker got to do.
#[derive(Default)]
pub(crate) struct Work {
    /// Flows it has now that it did not have, each with its epoch.
    pub(crate) taken: Vec<(Uuid, i64)>,
    /// Attempts to make.
    pub(crate) attempts: Vec<Attempt>,
    /// Flows somebody cancelled: their tasks shall stop.
    pub(crate) cancelled: Vec<Uuid>,
}

/// What a report leads to.
pub(crate) struct Reported {
    /// Attempts to make next.
    pub(crate) attempts: Vec<Attempt>,
    /// Whether the worker still has the flow.
    pub(crate) held: bool,
}

/// A cheap look whether there is anything to do.
pub(crate) struct Outlook {
    pub(crate) work: bool,
    /// Whether a retry is due.
    pub(crate) due: bool,
    /// When the next retry is due.
    pub(crate) next_at: Option<i64>,
}

/// Tells the database that a worker is there. `until` and all times here are the database's.
pub(crate) fn join(tx: &mut Tx<'_>, worker: Uuid, instance: Uuid, lease: i64) -> Result<()> {
    let now = tx.now()?;
    tx.exec(sql::WORKER_JOIN, (worker, instance, now + lease, now))?;
    Ok(())
}

/// Renews the lease; `false` if others have declared this worker dead.
pub(crate) fn beat(tx: &mut Tx<'_>, worker: Uuid, lease: i64) -> Result<bool> {
    let now = tx.now()?;
    Ok(tx.exec(sql::WORKER_BEAT, (worker, now + lease))? == 1)
}

/// Takes over what dead workers left. `alone` names the instance of the only process that can have the database: workers of
/// another one are dead for certain.
pub(crate) fn recover(tx: &mut Tx<'_>, alone: Option<Uuid>, now: i64) -> Result<usize> {
    let clock = tx.now()?;
    let dead: Vec<Uuid> = tx.all(sql::WORKERS_DEAD, (clock, alone))?;
    for worker in &dead {
        abandon(tx, *worker, 1, now)?;
    }
    Ok(dead.len())
}

/// A worker gives back what it has and leaves.
pub(crate) fn leave(tx: &mut Tx<'_>, worker: Uuid, now: i64) -> Result<()> {
    abandon(tx, worker, 0, now)
}

fn abandon(tx: &mut Tx<'_>, worker: Uuid, losses: i64, now: i64) -> Result<()> {
    let flows: Vec<Flow> = tx.all(sql::FLOWS_OWNED, (worker,))?;
    for flow in flows {
        tracing::warn!(flow = %flow.id, %worker, "flow taken from a worker that is gone");
        tx.exec(sql::TASKS_LOST, (flow.id,))?;
        let mut progress = Progress::new(tx, flow, Hands::Free, now);
        let flow = &mut progress.flow;
        flow.active = 0;
        flow.losses += losses;
        if flow.losses >= i64::from(POISON_MAX) && flow.ending.is_none() && !flow.reverting {
            flow.ending = Some(FlowState::Parked);
            flow.error = Some(format!("its worker died {POISON_MAX} times without progress"));
        }
        flow.nudged = true;
        let settled = progress.settle()?;
        queue::grant(tx, settled.released, now)?;
    }
    tx.exec(sql::WORKER_LEAVE, (worker,))?;
    tx.ring(TOPIC);
    Ok(())
}

/// Looks for work without writing, for a worker that has room for so many flows.
pub(crate) fn outlook(tx: &mut Tx<'_>, worker: Uuid, room: usize, now: i64) -> Result<Outlook> {
    let (ready, nudged, next_at): (bool, bool, Option<i64>) = tx.one(sql::WORK, (worker,))?;
    let due = next_at.is_some_and(|at| at <= now);
    Ok(Outlook { work: (ready && room > 0) || nudged || due, due, next_at })
}

/// Takes up to `room` flows and looks after those the worker has; `due` if the outlook said that a retry is.
pub(crate) fn work(
    tx: &mut Tx<'_>,
    worker: Uuid,
    room: usize,
    due: bool,
    now: i64,
) -> Result<Work> {
    let mut work = Work::default();
    if due {
        tx.exec(sql::WAKE_DUE, (now,))?;
        tx.exec(sql::NUDGE_DUE, (worker, now))?;
        tx.exec(sql::CLEAR_DUE, (worker, now))?;
    }
    let nudged: Vec<Flow> = tx.all(sql::FLOWS_NUDGED, (worker,))?;
    for flow in nudged {
        if flow.ending.is_some() {
            work.cancelled.push(flow.id);
        }
        let settled = resume(tx, flow, now)?;
        work.attempts.extend(settled.started);
    }
    if room > 0 {
        let taken: Vec<Flow> = tx.all(sql::TAKE, (worker, room, now))?;
        for flow in taken {
            let take = (flow.id, flow.epoch);
            let settled = resume(tx, flow, now)?;
            if settled.held {
                work.taken.push(take);
            }
            work.attempts.extend(settled.started);
        }
    }
    Ok(work)
}

fn resume(tx: &mut Tx<'_>, flow: Flow, now: i64) -> Result<Settled> {
    let mut progress = Progress::new(tx, flow, Hands::Worker, now);
    progress.resume()?;
    let mut settled = progress.settle()?;
    queue::grant(tx, std::mem::take(&mut settled.released), now)?;
    Ok(settled)
}

/// Records how an attempt ended; `None` if the flow has been taken from this worker. With `stopping` nothing new starts.
pub(crate) fn report(
    tx: &mut Tx<'_>,
    attempt: (Uuid, i64, i64),
    outcome: &Result<String, Trouble>,
    stopping: bool,
    random: u32,
    now: i64,
) -> Result<Option<Reported>> {
    let (flow, epoch, number) = attempt;
    let Some(flow) = tx.maybe::<Flow>(sql::FLOW_FENCED, (flow, epoch))? else {
        return Ok(None);
    };
    let hands = if stopping { Hands::Free } else { Hands::Worker };
    let mut progress = Progress::new(tx, flow, hands, now);
    progress.attempted(number, outcome, random)?;
    let settled = progress.settle()?;
    queue::grant(tx, settled.released, now)?;
    Ok(Some(Reported { attempts: settled.started, held: settled.held }))
}

#[cfg(test)]
mod tests {
    use tutti_store::Store;

    use super::*;
    use crate::{NewFlow, NewTask, Retry, query};

    fn flow() -> NewFlow {
        let task = NewTask {
            name: "step".into(),
            title: "do it".into(),
            resource: None,
            input: serde_json::Value::Null,
            needs: Vec::new(),
            wait: None,
            retry: Retry::never(),
        };
        NewFlow {
            id: Uuid::now_v7(),
            kind: "test".into(),
            title: "test claims".into(),
            model: None,
            resources: Vec::new(),
            tasks: vec![task],
            converge: false,
            generation: None,
        }
    }

    #[tokio::test]
    async fn a_worker_declared_dead_takes_nothing_until_it_has_joined_again() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("test.db").display().to_string();
        let store = Store::open(&file, crate::MIGRATIONS).await.unwrap();
        let new = flow();
        let (id, worker, instance) = (new.id, Uuid::from_u128(1), store.instance());
        store.write(move |tx| crate::submit(tx, new.clone(), 1)).await.unwrap();
        store.write(move |tx| join(tx, worker, instance, -1)).await.unwrap();
        assert_eq!(store.write(|tx| recover(tx, None, 1)).await.unwrap(), 1);
        let nothing = store.write(move |tx| work(tx, worker, 9, false, 1)).await.unwrap();
        assert!(nothing.taken.is_empty() && nothing.attempts.is_empty());
        let left = store.read(move |tx| query::flow(tx, id)).await.unwrap().unwrap();
        assert_eq!(left.state, FlowState::Ready);
        store.write(move |tx| join(tx, worker, instance, 1)).await.unwrap();
        let taken = store.write(move |tx| work(tx, worker, 9, false, 1)).await.unwrap();
        assert_eq!((taken.taken.len(), taken.attempts.len()), (1, 1));
        store.close().await;
    }
}
