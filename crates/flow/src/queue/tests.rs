//! Every order of events for a few flows over a few resources, on the real SQL.
//!
//! What is granted is decided by statements, so a model of them would only repeat them. Instead every state that can be reached is
//! visited, breadth first, each by replaying the shortest way to it within a savepoint, and every step that is possible there is
//! taken and rolled back. Flows that have ended are no part of a state: so the steps go round, and what is shown holds for any
//! number of flows, as long as only so many stand in the queues at a time.
//!
//! Each step is one transaction. A crash before its commit leaves the state from which it started, which is one of those visited; a
//! crash after it loses what the process knew, which is the step [`Step::Die`]: it is taken wherever a worker has anything. What the
//! dead one writes afterwards, before and after another has the flow, must be refused.
//!
//! In every state:
//! - exclusion and order: an entry is granted if, and only if, no entry before it is in its way; so no grant is lost either;
//! - a flow is blocked if, and only if, an entry of it is not granted; what has ended stands in no queue;
//! - an end for all: some flow can be taken or finished as long as any is there, and each can be only once.

use std::collections::{BTreeSet, HashSet, VecDeque};

use tutti_store::{Store, Tx};
use uuid::Uuid;

use crate::{
    Access, FlowState, MIGRATIONS, NewFlow, NewTask, Wait, Work,
    boundary::{self, Boundary, Written},
    control,
    graph::{Event, Graph, Hands, Known, Skills},
    signal,
    submit::New,
    submit_many, take,
};

/// By resource: whether it is wanted, and how.
type Wish = Vec<Option<Access>>;

/// How much is visited.
#[derive(Clone, Copy)]
struct Bounds {
    /// Flows that have not ended.
    flows: usize,
    resources: usize,
    /// Whether some have no task for a worker.
    passive: bool,
}

#[derive(Clone, Debug)]
enum Step {
    /// Submits flows in one transaction; whether they only wait for a signal.
    Submit(Vec<Wish>, bool),
    /// A worker submits a flow, which begins with that if it can.
    SubmitAt(Wish, usize),
    /// A flow is submitted, cancelled and retried.
    Requeue(Wish),
    Take(usize, usize),
    /// A worker's flow has done its task.
    Finish(usize),
    /// What a flow waits for comes.
    Signal(usize),
    Cancel(usize),
    /// A worker is declared dead.
    Die(usize),
}

const WORKERS: usize = 2;

/// Longer than any test.
const LEASE: i64 = 1_000_000_000_000;

/// The time of everything.
const NOW: i64 = 1_000_000;

/// A flow that has not ended.
#[derive(Clone)]
struct Standing {
    id: Uuid,
    wish: Wish,
    passive: bool,
    /// The worker that has it, and what that knows of it.
    taken: Option<(usize, Graph)>,
    /// What a dead worker knows that had it.
    lost: Option<(usize, Graph)>,
}

#[derive(Clone)]
struct World {
    workers: [Uuid; WORKERS],
    instance: Uuid,
    known: Known,
    /// In the order of their tickets.
    flows: Vec<Standing>,
}

/// A flow as the database has it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Seen {
    /// By resource: whether it is exclusive, and granted.
    entries: Vec<Option<(bool, bool)>>,
    passive: bool,
    state: String,
    worker: Option<usize>,
    started: bool,
    nudged: bool,
}

impl World {
    fn new(tx: &mut Tx<'_>) -> Self {
        let skills = Skills { handlers: ["task".to_owned()].into(), labels: BTreeSet::new() };
        let world = Self {
            workers: [Uuid::now_v7(), Uuid::now_v7()],
            instance: Uuid::now_v7(),
            known: Known::new(skills),
            flows: Vec::new(),
        };
        for worker in world.workers {
            take::join(tx, worker, world.instance, LEASE, &world.known).unwrap();
        }
        world
    }

    fn add(&mut self, wish: &Wish, passive: bool) -> NewFlow {
        let flow = new_flow(wish, passive);
        let (id, wish) = (flow.id, wish.clone());
        self.flows.push(Standing { id, wish, passive, taken: None, lost: None });
        flow
    }

    fn step(&mut self, tx: &mut Tx<'_>, step: &Step) {
        match step {
            Step::Submit(wishes, passive) => {
                let flows: Vec<NewFlow> =
                    wishes.iter().map(|wish| self.add(wish, *passive)).collect();
                submit_many(tx, &flows, NOW).unwrap();
            }
            Step::SubmitAt(wish, worker) => {
                let flow = self.add(wish, false);
                let id = self.workers[*worker];
                let new = [New { flow: &flow, worker: Some(id) }];
                let taken = take::submit(tx, id, &new, &self.known, NOW).unwrap().pop();
                self.flows.last_mut().unwrap().taken = taken.map(|taken| (*worker, taken.graph));
            }
            Step::Requeue(wish) => {
                let flow = self.add(wish, false);
                let id = flow.id;
                submit_many(tx, &[flow], NOW).unwrap();
                control::cancel_at(tx, id, NOW).unwrap();
                control::retry_at(tx, id, NOW).unwrap();
            }
            Step::Take(at, worker) => {
                let (id, owner) = (self.flows[*at].id, self.workers[*worker]);
                let work = take::these(tx, owner, vec![id], &self.known, NOW).unwrap();
                assert_eq!(work.looked_at, 1, "what is ready can be taken");
                let taken = work.taken.into_iter().next();
                self.flows[*at].taken = taken.map(|taken| (*worker, taken.graph));
                self.write_late(tx, *at);
            }
            Step::Finish(at) => {
                let taken = self.flows[*at].taken.clone().unwrap();
                assert_eq!(self.finish(tx, taken), Written::Done);
            }
            Step::Signal(at) => {
                signal(tx, &self.flows[*at].id.to_string(), 1, NOW).unwrap();
            }
            Step::Cancel(at) => control::cancel_at(tx, self.flows[*at].id, NOW).unwrap(),
            Step::Die(worker) => self.die(tx, *worker),
        }
        self.flows.retain(|flow| !has_ended(tx, flow.id));
    }

    /// What a worker writes when the task of a flow it has, or had, is done.
    fn finish(&self, tx: &mut Tx<'_>, (worker, mut graph): (usize, Graph)) -> Written {
        graph.tell(Event::Attempted(0, Ok("null".into())), Hands::Worker, NOW, 0);
        let settled = graph.settle();
        let boundary = Boundary::of(&graph, Some(self.workers[worker]), &settled, &[]);
        boundary::write(tx, &[&boundary], NOW).unwrap().pop().unwrap()
    }

    fn die(&mut self, tx: &mut Tx<'_>, worker: usize) {
        let id = self.workers[worker];
        tx.exec("UPDATE flow_worker SET lease_until = 0 WHERE id = $1", (id,)).unwrap();
        assert_eq!(take::recover(tx, Some(self.instance)).unwrap(), 1);
        take::join(tx, id, self.instance, LEASE, &self.known).unwrap();
        for at in 0..self.flows.len() {
            let flow = &mut self.flows[at];
            if let Some(taken) = flow.taken.take_if(|(owner, _)| *owner == worker) {
                flow.lost = Some(taken);
                self.write_late(tx, at);
            }
        }
    }

    /// What a dead worker writes, whoever has its flow now.
    fn write_late(&self, tx: &mut Tx<'_>, at: usize) {
        if let Some(known) = self.flows[at].lost.clone() {
            assert_eq!(self.finish(tx, known), Written::Fenced);
        }
    }

    /// The steps that are possible.
    fn steps(&self, seen: &[Seen], bounds: Bounds) -> Vec<Step> {
        let mut steps = Vec::new();
        let wishes = wishes(bounds.resources);
        if self.flows.len() < bounds.flows {
            for wish in &wishes {
                steps.push(Step::Submit(vec![wish.clone()], false));
                steps.push(Step::SubmitAt(wish.clone(), 0));
                steps.push(Step::Requeue(wish.clone()));
                if bounds.passive {
                    steps.push(Step::Submit(vec![wish.clone()], true));
                }
            }
        }
        if self.flows.len() + 2 <= bounds.flows {
            let pairs = wishes.iter().flat_map(|one| wishes.iter().map(move |other| (one, other)));
            steps.extend(
                pairs.map(|(one, other)| Step::Submit(vec![one.clone(), other.clone()], false)),
            );
        }
        for (at, seen) in seen.iter().enumerate() {
            steps.extend(progress(at, seen));
            if !seen.nudged {
                steps.push(Step::Cancel(at));
            }
        }
        let busy = |worker: &usize| seen.iter().any(|seen| seen.worker == Some(*worker));
        steps.extend((0..WORKERS).filter(busy).map(Step::Die));
        steps
    }

    /// What the database has, after a look whether it is as it should be.
    fn look(&self, tx: &mut Tx<'_>) -> Vec<Seen> {
        type Entry = (Uuid, String, i64, bool, bool);
        let entries: Vec<Entry> = tx
            .all(
                "SELECT flow, resource, ticket, exclusive, granted FROM flow_queue ORDER BY ticket",
                (),
            )
            .unwrap();
        for (flow, resource, ticket, exclusive, granted) in &entries {
            let in_the_way = entries.iter().any(|(_, other, before, alone, _)| {
                other == resource && before < ticket && (*exclusive || *alone)
            });
            assert_eq!(*granted, !in_the_way, "{flow} at {resource}: {entries:?}");
        }
        let standing: usize =
            self.flows.iter().map(|flow| flow.wish.iter().flatten().count()).sum();
        assert_eq!(standing, entries.len(), "who has ended stands in no queue, all others do");
        let see = |flow: &Standing| {
            let own = |resource: usize| {
                let name = name(resource);
                let entry = entries.iter().find(|entry| entry.0 == flow.id && entry.1 == name);
                entry.map(|(_, _, _, exclusive, granted)| (*exclusive, *granted))
            };
            let own: Vec<Option<(bool, bool)>> = (0..flow.wish.len()).map(own).collect();
            self.see(tx, flow, own)
        };
        self.flows.iter().map(see).collect()
    }

    fn see(&self, tx: &mut Tx<'_>, flow: &Standing, entries: Vec<Option<(bool, bool)>>) -> Seen {
        let sql =
            "SELECT state, ungranted, worker, started IS NOT NULL, nudged FROM flow WHERE id = $1";
        let (state, ungranted, worker, started, nudged): (String, i64, Option<Uuid>, bool, bool) =
            tx.one(sql, (flow.id,)).unwrap();
        let missing = entries.iter().flatten().filter(|(_, granted)| !granted).count();
        assert_eq!(ungranted, i64::try_from(missing).unwrap());
        assert_eq!(state == "blocked", missing > 0, "{state} with {missing} to be granted");
        let worker =
            worker.map(|worker| self.workers.iter().position(|own| *own == worker).unwrap());
        assert_eq!(worker, flow.taken.as_ref().map(|(worker, _)| *worker), "its owner knows");
        Seen { entries, passive: flow.passive, state, worker, started, nudged }
    }
}

/// What brings a flow nearer to its end.
fn progress(at: usize, seen: &Seen) -> Vec<Step> {
    match seen.state.as_str() {
        "ready" => (0..WORKERS).map(|worker| Step::Take(at, worker)).collect(),
        "running" => vec![Step::Finish(at)],
        "waiting" => vec![Step::Signal(at)],
        _ => Vec::new(),
    }
}

fn name(resource: usize) -> String {
    format!("r{resource}")
}

fn new_flow(wish: &Wish, passive: bool) -> NewFlow {
    let id = Uuid::now_v7();
    let wanted = |(resource, access): (usize, &Option<Access>)| Some((name(resource), (*access)?));
    let wait = Wait { key: id.to_string(), at_least: 1 };
    let work = if passive { Work::Wait(wait) } else { Work::Run };
    NewFlow {
        id,
        kind: "explore".into(),
        resources: wish.iter().enumerate().filter_map(wanted).collect(),
        tasks: vec![NewTask { name: "task".into(), work, ..NewTask::default() }],
        ..NewFlow::default()
    }
}

/// Every way to want at least one of so many resources.
fn wishes(resources: usize) -> Vec<Wish> {
    let mut all = vec![Vec::new()];
    for _ in 0..resources {
        let ways = [None, Some(Access::Shared), Some(Access::Exclusive)];
        all = all
            .into_iter()
            .flat_map(|wish: Wish| ways.map(|way| wish.iter().copied().chain([way]).collect()))
            .collect();
    }
    all.retain(|wish| wish.iter().any(Option::is_some));
    all
}

fn has_ended(tx: &mut Tx<'_>, id: Uuid) -> bool {
    let state: FlowState = tx.one("SELECT state FROM flow WHERE id = $1", (id,)).unwrap();
    state.is_ended()
}

/// The same for states that differ only in which resource, or worker, is which.
fn key(seen: &[Seen], bounds: Bounds) -> Vec<Seen> {
    let mut orders = vec![vec![]];
    for at in 0..bounds.resources {
        let insert = |order: Vec<usize>| {
            (0..=order.len()).map(move |place| {
                let mut order = order.clone();
                order.insert(place, at);
                order
            })
        };
        orders = orders.into_iter().flat_map(insert).collect();
    }
    let renamed = |(order, other): (&Vec<usize>, bool)| -> Vec<Seen> {
        let rename = |seen: &Seen| Seen {
            entries: order.iter().map(|at| seen.entries[*at]).collect(),
            worker: seen.worker.map(|worker| if other { WORKERS - 1 - worker } else { worker }),
            ..seen.clone()
        };
        seen.iter().map(rename).collect()
    };
    let names = orders.iter().flat_map(|order| [(order, false), (order, true)]);
    names.map(renamed).min().unwrap_or_default()
}

/// Visits every state; answers how many there are, and how many steps between them.
fn visit(tx: &mut Tx<'_>, bounds: Bounds) -> (usize, usize) {
    let empty = World::new(tx);
    let (mut known, mut steps) = (HashSet::from([Vec::new()]), 0);
    let mut open = VecDeque::from([Vec::<Step>::new()]);
    while let Some(way) = open.pop_front() {
        tx.exec("SAVEPOINT state", ()).unwrap();
        let mut world = empty.clone();
        way.iter().for_each(|step| world.step(tx, step));
        let seen = world.look(tx);
        let goes_on = |(at, seen)| !progress(at, seen).is_empty();
        assert!(
            seen.is_empty() || seen.iter().enumerate().any(goes_on),
            "nothing goes on: {way:?}"
        );
        for step in world.steps(&seen, bounds) {
            tx.exec("SAVEPOINT step", ()).unwrap();
            let mut world = world.clone();
            world.step(tx, &step);
            steps += 1;
            if known.insert(key(&world.look(tx), bounds)) {
                open.push_back(way.iter().cloned().chain([step]).collect());
            }
            tx.exec("ROLLBACK TO step", ()).unwrap();
            tx.exec("RELEASE step", ()).unwrap();
        }
        tx.exec("ROLLBACK TO state", ()).unwrap();
        tx.exec("RELEASE state", ()).unwrap();
    }
    (known.len(), steps)
}

async fn explore(bounds: Bounds) {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/test.db", directory.path().display());
    let store = Store::open(&url, MIGRATIONS).await.unwrap();
    let began = std::time::Instant::now();
    let visited = store.write(move |tx| Ok::<_, crate::Error>(visit(tx, bounds)));
    let (states, steps) = visited.await.unwrap();
    let Bounds { flows, resources, passive } = bounds;
    println!(
        "{flows} flows at a time, {resources} resources, passive {passive}: {states} states, {steps} steps, {:?}",
        began.elapsed()
    );
    store.close().await;
}

#[tokio::test]
async fn every_order_for_two_flows_of_any_kind() {
    explore(Bounds { flows: 2, resources: 2, passive: true }).await;
}

#[tokio::test]
async fn every_order_for_three_flows() {
    explore(Bounds { flows: 3, resources: 2, passive: false }).await;
}

#[tokio::test]
async fn every_order_for_four_flows_over_one_resource() {
    explore(Bounds { flows: 4, resources: 1, passive: false }).await;
}

#[tokio::test]
#[ignore = "takes minutes: `cargo xtask random` runs it"]
async fn every_order_for_more_flows() {
    explore(Bounds { flows: 3, resources: 2, passive: true }).await;
    explore(Bounds { flows: 3, resources: 3, passive: false }).await;
    explore(Bounds { flows: 4, resources: 2, passive: false }).await;
}
