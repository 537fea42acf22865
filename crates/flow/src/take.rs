//! A worker's transactions: joining, taking flows, leaving, and recovering what dead workers left.

use tutti_store::{Json, Tx};
use uuid::Uuid;

use crate::{
    FailureClass, Result, TOPIC,
    boundary::{self, Boundary, Written},
    change, failure,
    graph::{Graph, Hands, Known, Settled, Start},
    offer,
    policy::{self, POISON_MAX},
    sql::{self, Flow},
    submit::{self, New},
};

/// A flow a worker has now, and the attempts to begin with.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) graph: Graph,
    pub(crate) starts: Vec<Start>,
}

/// What a worker got to do.
#[derive(Default)]
pub(crate) struct Work {
    pub(crate) taken: Vec<Taken>,
    /// How many flows it looked at; some may have ended or gone on waiting at once.
    pub(crate) looked_at: usize,
}

/// A cheap look whether there is anything to do.
pub(crate) struct Outlook {
    pub(crate) work: bool,
    /// Whether something of a waiting flow is due.
    pub(crate) due: bool,
    /// When the next such thing is due.
    pub(crate) next_at: Option<i64>,
    /// Flows the worker has for which there is news.
    pub(crate) nudged: Vec<Uuid>,
}

/// Tells the database that a worker is there. `lease` and all times here are the database's.
pub(crate) fn join(
    tx: &mut Tx<'_>,
    worker: Uuid,
    instance: Uuid,
    lease: i64,
    known: &Known,
) -> Result<()> {
    let now = tx.now()?;
    let skills = (Json(&known.handlers), Json(&known.labels));
    tx.exec(sql::WORKER_JOIN, (worker, instance, now + lease, now, skills.0, skills.1))?;
    Ok(())
}

/// Renews the lease; `false` if others have declared this worker dead.
pub(crate) fn beat(tx: &mut Tx<'_>, worker: Uuid, lease: i64) -> Result<bool> {
    let now = tx.now()?;
    Ok(tx.exec(sql::WORKER_BEAT, (worker, now + lease))? == 1)
}

/// Whether nobody has declared this worker dead. What a dead one got, nobody would take over again.
pub(crate) fn is_alive(tx: &mut Tx<'_>, worker: Uuid) -> Result<bool> {
    Ok(tx.one(sql::WORKER_ALIVE, (worker,))?)
}

/// The flows a worker has, with the epochs under which it has them.
pub(crate) fn owned(tx: &mut Tx<'_>, worker: Uuid) -> Result<Vec<(Uuid, i64)>> {
    Ok(tx.all(sql::FLOWS_OWNED, (worker,))?)
}

/// Takes over what dead workers left. `alone` names the instance of the only process that can have the database: workers of
/// another one are dead for certain. Answers how many there were.
pub(crate) fn recover(tx: &mut Tx<'_>, alone: Option<Uuid>) -> Result<usize> {
    let clock = tx.now()?;
    offer::lapse(tx)?;
    let dead: Vec<Uuid> = tx.all(sql::WORKERS_DEAD, (clock, alone))?;
    for worker in &dead {
        give_back(tx, *worker, 1)?;
    }
    Ok(dead.len())
}

/// A worker gives back what it has and leaves.
pub(crate) fn leave(tx: &mut Tx<'_>, worker: Uuid) -> Result<()> {
    give_back(tx, worker, 0)
}

fn give_back(tx: &mut Tx<'_>, worker: Uuid, losses: i64) -> Result<()> {
    failure::keep_lost(tx, worker)?;
    let flows = tx.exec(sql::FLOWS_GIVE_BACK, (worker, losses))?;
    if flows > 0 && losses > 0 {
        tracing::warn!(%worker, flows, "flows taken from a worker that is gone");
    }
    offer::give_back(tx, worker, losses > 0)?;
    tx.exec(sql::WORKER_LEAVE, (worker,))?;
    tx.ring(TOPIC);
    Ok(())
}

/// Gives back the flows of a worker other than those it knows of: each an id and an epoch.
pub(crate) fn disown(tx: &mut Tx<'_>, worker: Uuid, known: &[String]) -> Result<()> {
    tx.exec(sql::FLOWS_DISOWN, (worker, Json(known)))?;
    Ok(())
}

/// Looks for work without writing, for a worker that has room for so many flows.
pub(crate) fn outlook(tx: &mut Tx<'_>, worker: Uuid, room: usize, now: i64) -> Result<Outlook> {
    let (ready, nudged, next_at): (bool, bool, Option<i64>) = tx.one(sql::WORK, (worker,))?;
    let due = next_at.is_some_and(|at| at <= now);
    let nudged = if nudged { self::nudged(tx, worker)? } else { Vec::new() };
    Ok(Outlook { work: (ready && room > 0) || due, due, next_at, nudged })
}

/// The flows a worker has for which there is news.
pub(crate) fn nudged(tx: &mut Tx<'_>, worker: Uuid) -> Result<Vec<Uuid>> {
    Ok(tx.all(sql::FLOWS_NUDGED, (worker,))?)
}

/// Takes up to `room` flows and begins their first tasks; `due` if something of a waiting flow is.
pub(crate) fn work(
    tx: &mut Tx<'_>,
    worker: Uuid,
    room: usize,
    known: &Known,
    due: bool,
    now: i64,
) -> Result<Work> {
    if due {
        tx.exec(sql::WAKE_DUE, (now,))?;
    }
    let flows: Vec<Flow> = tx.all(sql::TAKE_NEXT, (worker, now, room))?;
    begin(tx, worker, flows, known, now)
}

/// The flows a worker would take next.
pub(crate) fn ready(tx: &mut Tx<'_>, room: usize) -> Result<Vec<Uuid>> {
    Ok(tx.all(sql::READY, (room,))?)
}

/// Takes those of these flows that are ready, and begins their first tasks.
pub(crate) fn these(
    tx: &mut Tx<'_>,
    worker: Uuid,
    ids: Vec<Uuid>,
    known: &Known,
    now: i64,
) -> Result<Work> {
    let flows: Vec<Flow> = tx.all_many(sql::TAKE, ids.into_iter().map(|id| (id, worker, now)))?;
    begin(tx, worker, flows, known, now)
}

/// Queues flows and begins those the worker has with that.
pub(crate) fn submit(
    tx: &mut Tx<'_>,
    worker: Uuid,
    new: &[New<'_>],
    known: &Known,
    now: i64,
) -> Result<Vec<Taken>> {
    let begun = submit::submit_at(tx, new, now)?;
    reach_pass(tx, begun.iter().map(|(flow, _)| flow))?;
    let mut beginning = Vec::with_capacity(begun.len());
    for (flow, tasks) in begun {
        let (whose, head) = flow.parts();
        let mut graph = Graph::load(whose, head, tasks)?;
        graph.taken(known.clone());
        graph.begin(Hands::Worker, now);
        beginning.push((graph, Vec::new()));
    }
    settle(tx, worker, beginning, now)
}

/// Who comes to a turn now has not lost those before.
fn reach_pass<'a>(tx: &mut Tx<'_>, flows: impl Iterator<Item = &'a Flow>) -> Result<()> {
    let pass = flows.map(|flow| flow.pass).max().filter(|pass| *pass > 0);
    Ok(tx.send_many(sql::PASS_REACHED, pass.map(|pass| (pass,)))?)
}

fn begin(
    tx: &mut Tx<'_>,
    worker: Uuid,
    mut flows: Vec<Flow>,
    known: &Known,
    now: i64,
) -> Result<Work> {
    let looked_at = flows.len();
    if flows.is_empty() {
        return Ok(Work::default());
    }
    flows.sort_by_key(|flow| flow.pass);
    reach_pass(tx, flows.iter())?;
    let nudged: Vec<Uuid> = flows.iter().filter(|flow| flow.nudged).map(|flow| flow.id).collect();
    let news = if nudged.is_empty() { Vec::new() } else { change::inbox(tx, &nudged)? };
    let mut beginning = Vec::with_capacity(flows.len());
    for mut graph in change::load(tx, flows)? {
        graph.taken(known.clone());
        let whose = graph.id;
        let mut heard = Vec::new();
        for (_, id, one) in news.iter().filter(|(flow, ..)| *flow == whose) {
            heard.push(*id);
            graph.tell(one.clone(), Hands::Free, now, 0);
        }
        if graph.head.losses >= i64::from(POISON_MAX) {
            graph.give_up(FailureClass::Lost, &policy::deadly());
        }
        graph.begin(Hands::Worker, now);
        beginning.push((graph, heard));
    }
    Ok(Work { taken: settle(tx, worker, beginning, now)?, looked_at })
}

/// Writes what the beginning of these flows changed, all together; answers those that stay.
fn settle(
    tx: &mut Tx<'_>,
    worker: Uuid,
    mut beginning: Vec<(Graph, Vec<Uuid>)>,
    now: i64,
) -> Result<Vec<Taken>> {
    let mut taken = Vec::with_capacity(beginning.len());
    while !beginning.is_empty() {
        let settled: Vec<Settled> = beginning.iter_mut().map(|(graph, _)| graph.settle()).collect();
        let boundaries: Vec<Boundary> = beginning
            .iter()
            .zip(&settled)
            .map(|((graph, heard), settled)| {
                Boundary::of(graph, Some(worker), settled, heard).taken()
            })
            .collect();
        let written = boundary::write(tx, &boundaries.iter().collect::<Vec<_>>(), now)?;
        let mut again = Vec::new();
        for (((mut graph, heard), settled), written) in
            beginning.into_iter().zip(settled).zip(written)
        {
            match written {
                Written::Arrived(arrived) => {
                    graph.unsettle(settled);
                    for arrival in arrived {
                        graph.tell(arrival.into(), Hands::Worker, now, 0);
                    }
                    again.push((graph, heard));
                }
                Written::Done if settled.held => {
                    taken.push(Taken { graph, starts: settled.starts });
                }
                _ => {}
            }
        }
        beginning = again;
    }
    Ok(taken)
}
