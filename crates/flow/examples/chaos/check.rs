//! What must hold, read from the journal of the tasks and the tables of the engine.

use std::collections::{BTreeMap, BTreeSet};

use tutti_flow::{FlowState, TaskState};
use tutti_store::Store;
use uuid::Uuid;

use crate::Failed;

tutti_store::row! {
    #[derive(Debug)]
    struct Entry { seq: i64, flow: Uuid, number: i64, what: String, epoch: i64 }

    #[derive(Debug)]
    struct Place { resource: String, ticket: i64, flow: Uuid, exclusive: bool }

    #[derive(Debug)]
    struct Stored { flow: Uuid, number: i64, name: String, plain: bool, state: TaskState, attempt: i64, needs: Option<String> }
}

/// Everything, once nothing moves any more.
struct World {
    entries: Vec<Entry>,
    /// In the order of resources and tickets.
    places: Vec<Place>,
    tasks: Vec<Stored>,
    flows: BTreeMap<Uuid, FlowState>,
}

impl World {
    async fn read(store: &Store) -> Result<Self, tutti_store::Error> {
        store
            .read(|tx| {
                let entries = "SELECT seq, flow, number, what, epoch FROM journal ORDER BY seq";
                let places = "SELECT resource, ticket, flow, exclusive FROM flow_resource
                    ORDER BY resource, ticket";
                let tasks = "SELECT flow, number, name, spec IS NULL AND wait_key IS NULL
                        OR coalesce(spec, '') LIKE '%\"work\":\"run\"%', state, attempt, needs
                    FROM flow_task ORDER BY flow, number";
                let flows: Vec<(Uuid, FlowState)> = tx.all("SELECT id, state FROM flow", ())?;
                Ok(Self {
                    entries: tx.all(entries, ())?,
                    places: tx.all(places, ())?,
                    tasks: tx.all(tasks, ())?,
                    flows: flows.into_iter().collect(),
                })
            })
            .await
    }
}

/// What is wrong; prints totals.
pub(crate) async fn check(store: &Store) -> Result<Vec<String>, Failed> {
    let world = World::read(store).await?;
    let mut broken = Vec::new();
    resources(&world, &mut broken);
    epochs(&world, &mut broken);
    tasks(&world, &mut broken);
    reverts(&world, &mut broken);
    let left: (i64, i64, i64) = store
        .read(|tx| {
            let sql = "SELECT (SELECT count(*) FROM flow_queue), (SELECT count(*) FROM flow WHERE ungranted > 0 AND finished IS NULL),
                (SELECT count(*) FROM flow WHERE worker IS NOT NULL AND finished IS NOT NULL)";
            tx.one(sql, ())
        })
        .await
        .map_err(|error: tutti_store::Error| error)?;
    if left != (0, 0, 0) {
        broken.push(format!("in queues, not granted, or ended and with a worker: {left:?}"));
    }
    children(store, &mut broken).await?;
    announced(store, &world, &mut broken).await?;
    print(&world);
    Ok(broken)
}

fn print(world: &World) {
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    world.flows.values().for_each(|state| *states.entry(state.as_str()).or_default() += 1);
    let count = |what: &str| world.entries.iter().filter(|entry| entry.what == what).count();
    let run: BTreeSet<_> = world
        .entries
        .iter()
        .filter(|entry| entry.what == "execute")
        .map(|entry| (entry.flow, entry.number))
        .collect();
    println!("{} flows: {states:?}", world.flows.len());
    println!(
        "{} tasks run in {} attempts, {} attempts to undo",
        run.len(),
        count("execute"),
        count("revert")
    );
}

/// Flows in each other's way are apart, and in the order of their tickets.
fn resources(world: &World, broken: &mut Vec<String>) {
    let mut spans: BTreeMap<Uuid, (i64, i64)> = BTreeMap::new();
    for entry in &world.entries {
        let span = spans.entry(entry.flow).or_insert((entry.seq, entry.seq));
        span.1 = entry.seq;
    }
    for queue in world.places.chunk_by(|one, other| one.resource == other.resource) {
        let (mut last, mut last_exclusive) = (0, 0);
        for place in queue {
            let Some((first, end)) = spans.get(&place.flow).copied() else { continue };
            let before = if place.exclusive { last } else { last_exclusive };
            if first < before {
                broken.push(format!(
                    "flow {} (ticket {}) used {} before its turn",
                    place.flow, place.ticket, place.resource
                ));
            }
            last = end.max(last);
            if place.exclusive {
                last_exclusive = end.max(last_exclusive);
            }
        }
    }
}

fn epochs(world: &World, broken: &mut Vec<String>) {
    let mut epochs: BTreeMap<Uuid, i64> = BTreeMap::new();
    for entry in &world.entries {
        let epoch = epochs.entry(entry.flow).or_default();
        if entry.epoch < *epoch {
            broken.push(format!("flow {} went back to epoch {}", entry.flow, entry.epoch));
        }
        *epoch = entry.epoch;
    }
}

/// What succeeded was run to its end; what never began was not run; everything has ended.
fn tasks(world: &World, broken: &mut Vec<String>) {
    let mut done: BTreeMap<(Uuid, i64), BTreeSet<&str>> = BTreeMap::new();
    for entry in &world.entries {
        done.entry((entry.flow, entry.number)).or_default().insert(&entry.what);
    }
    let none = BTreeSet::new();
    // A controller that begins anew lets its tasks forget what they did.
    let controlled = |flow: Uuid| {
        let first = world.tasks.binary_search_by_key(&(flow, 0), |task| (task.flow, task.number));
        first.is_ok_and(|at| world.tasks[at].name == "controller")
    };
    for task in world.tasks.iter().filter(|task| task.plain && task.name == "chaos") {
        let what = done.get(&(task.flow, task.number)).unwrap_or(&none);
        let id = format!("task {} of {}", task.number, task.flow);
        match task.state {
            TaskState::Succeeded if !what.contains("executed") => {
                broken.push(format!("{id} succeeded without having run"));
            }
            TaskState::Reverted if what.contains("execute") && !what.contains("reverted") => {
                broken.push(format!("{id} is reverted without having been undone"));
            }
            TaskState::Pending | TaskState::Running | TaskState::Reverting => {
                broken.push(format!("{id} is {} at the end", task.state));
            }
            TaskState::Skipped
                if !what.is_empty() && task.attempt == 0 && !controlled(task.flow) =>
            {
                broken.push(format!("{id} ran, but does not know it"));
            }
            _ => {}
        }
    }
}

/// No task is undone before what relies on it, of what was done since the controller began anew.
fn reverts(world: &World, broken: &mut Vec<String>) {
    let mut by_flow: BTreeMap<Uuid, Vec<&Entry>> = BTreeMap::new();
    for entry in &world.entries {
        by_flow.entry(entry.flow).or_default().push(entry);
    }
    for task in &world.tasks {
        let Some(entries) = by_flow.get(&task.flow) else { continue };
        let needs: Vec<i64> = task
            .needs
            .as_deref()
            .and_then(|needs| serde_json::from_str(needs).ok())
            .unwrap_or_default();
        for need in needs {
            // Undoing what is needed may begin only after undoing this one ended.
            let mut standing = false;
            for entry in entries {
                match entry.what.as_str() {
                    "executed" if entry.number == task.number => standing = true,
                    "reverted" if entry.number == task.number => standing = false,
                    "revert" if entry.number == need && standing => {
                        broken.push(format!(
                            "task {need} of {} was undone before task {}",
                            task.flow, task.number
                        ));
                        standing = false;
                    }
                    _ => {}
                }
            }
        }
    }
}

/// What the flow of a task did is undone with the task.
async fn children(store: &Store, broken: &mut Vec<String>) -> Result<(), Failed> {
    let left: Vec<(Uuid, FlowState)> = store
        .read(|tx| {
            let sql = "SELECT child.id, child.state FROM flow AS child JOIN flow_task AS task
                ON task.flow = child.parent AND task.number = child.parent_task
                WHERE task.state = 'reverted' AND child.fate = 'joined' AND child.state <> 'reverted'";
            tx.all(sql, ())
        })
        .await
        .map_err(|error: tutti_store::Error| error)?;
    let left = left.iter();
    broken.extend(left.map(|(flow, state)| format!("flow {flow} is {state}, its task reverted")));
    Ok(())
}

/// The end of each flow was announced once. One that is undone with its parent had another end before.
async fn announced(store: &Store, world: &World, broken: &mut Vec<String>) -> Result<(), Failed> {
    let ends: Vec<String> = store
        .read(|tx| tx.all("SELECT body FROM outbox WHERE topic = 'flow.ended'", ()))
        .await
        .map_err(|error: tutti_store::Error| error)?;
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for body in ends {
        let event: serde_json::Value = serde_json::from_str(&body)?;
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        *counts.entry((text("flow"), text("state"))).or_default() += 1;
    }
    for (flow, state) in &world.flows {
        let end = (flow.to_string(), state.to_string());
        let count = counts.get(&end).copied().unwrap_or_default();
        if count != 1 && state.is_ended() {
            broken.push(format!("the end of flow {flow} was announced {count} times"));
        }
    }
    Ok(())
}
