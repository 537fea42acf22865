//! Who uses what, in which order, what stands because it was done and not undone, and what of it is against the rules.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use tutti_flow::{Fate as Tie, NewFlow, Work, child_id, task_id};
use uuid::Uuid;

use super::plan::Input;

/// A task of a plan; its items are meant as well.
pub(super) type Planned = (Uuid, usize);

/// An attempt as the watch sees it.
#[derive(Clone, Copy)]
pub(super) struct Attempt<'a> {
    pub(super) flow: Uuid,
    pub(super) task: Uuid,
    pub(super) input: &'a Input,
    pub(super) worker: &'a Alive,
}

/// A worker, until it is dead.
#[derive(Clone, Debug)]
pub(super) struct Alive {
    pub(super) number: u32,
    pub(super) dead: Arc<AtomicBool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Execute,
    Executed,
    Revert,
    Reverted,
    /// Undoing failed.
    Left,
}

/// What an attempt may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Go on.
    Noted,
    /// Nothing: its worker is dead.
    Dead,
    /// What it likes: its flow was given up.
    Ignored,
}

/// Of a family at a worker: attempts under way, and whether they need the resource alone.
type Users = BTreeMap<(usize, u32), (u32, bool)>;

/// The latest of those that have used a resource, by their order.
#[derive(Clone, Copy, Default)]
struct Latest {
    anybody: u64,
    exclusive: u64,
}

#[derive(Default)]
struct State {
    /// By resource.
    using: BTreeMap<u8, Users>,
    latest: BTreeMap<u8, Latest>,
    /// By family: its place in the queues, counted from 1.
    order: BTreeMap<usize, u64>,
    places: u64,
    /// Families that were given up.
    ignored: BTreeSet<usize>,
    began: BTreeSet<Uuid>,
    executed: BTreeSet<Uuid>,
    standing: BTreeMap<Uuid, Planned>,
    /// By task: those that rely on it.
    relies: BTreeMap<Planned, BTreeSet<Planned>>,
    /// By task that waits for a flow: the tasks of that, and of those it waits for.
    members: BTreeMap<Planned, Vec<Planned>>,
    undo_failures: BTreeMap<Uuid, u32>,
    steps: Vec<String>,
    wrong: Vec<String>,
}

/// What is seen of a case.
#[derive(Clone, Default)]
pub(super) struct Watch(Arc<Mutex<State>>);

impl Watch {
    /// Learns who relies on whom.
    pub(super) fn learn(&self, flow: &NewFlow) {
        let mut state = self.0.lock().unwrap();
        state.learn(flow.id, flow);
    }

    /// The family comes to stand at the end of its queues.
    pub(super) fn enters(&self, family: usize) {
        let mut state = self.0.lock().unwrap();
        state.places += 1;
        let place = state.places;
        state.order.insert(family, place);
        state.steps.push(format!("flow {family} is the {place}th"));
    }

    /// Nobody cares any more what the family does.
    pub(super) fn ignore(&self, family: usize) {
        let mut state = self.0.lock().unwrap();
        state.ignored.insert(family);
        state.steps.push(format!("flow {family} is given up"));
        for users in state.using.values_mut() {
            users.retain(|(theirs, _), _| *theirs != family);
        }
    }

    pub(super) fn is_ignored(&self, family: usize) -> bool {
        self.0.lock().unwrap().ignored.contains(&family)
    }

    /// Somebody took care of what a task did, and of what the flows it waited for did.
    pub(super) fn settle(&self, task: Uuid, planned: Planned) {
        let mut state = self.0.lock().unwrap();
        let members = state.members.get(&planned).cloned().unwrap_or_default();
        state.steps.push(format!("{task} is taken care of"));
        state.standing.retain(|one, place| *one != task && !members.contains(place));
    }

    /// From now on nothing of this worker has any effect.
    fn kill(&self, worker: u32) {
        let mut state = self.0.lock().unwrap();
        state.steps.push(format!("worker {worker} is dead"));
        for users in state.using.values_mut() {
            users.retain(|(_, theirs), _| *theirs != worker);
        }
    }

    pub(super) fn note(&self, text: String) {
        self.0.lock().unwrap().steps.push(text);
    }

    /// How often it was tried in vain to undo a task, this time included.
    pub(super) fn undo_failures(&self, task: Uuid) -> u32 {
        let mut state = self.0.lock().unwrap();
        let failures = state.undo_failures.entry(task).or_default();
        *failures += 1;
        *failures
    }

    pub(super) fn begins(&self, step: Step, attempt: Attempt<'_>) -> Seen {
        let mut state = self.0.lock().unwrap();
        match state.sees(attempt) {
            Seen::Noted => state.begins(step, attempt),
            seen => return seen,
        }
        Seen::Noted
    }

    pub(super) fn ends(&self, step: Step, attempt: Attempt<'_>) -> Seen {
        let mut state = self.0.lock().unwrap();
        let seen = state.sees(attempt);
        if seen == Seen::Noted {
            state.ends(step, attempt);
        }
        seen
    }

    /// An attempt is over, or was dropped by a worker that lost its lease.
    pub(super) fn leaves(&self, attempt: Attempt<'_>) {
        let mut state = self.0.lock().unwrap();
        let user = (attempt.input.family, attempt.worker.number);
        for resource in attempt.input.resources.keys() {
            let Some(users) = state.using.get_mut(resource) else { continue };
            if let Some((attempts, _)) = users.get_mut(&user) {
                *attempts -= 1;
                if *attempts == 0 {
                    users.remove(&user);
                }
            }
        }
    }

    pub(super) fn began(&self, task: Uuid) -> bool {
        self.0.lock().unwrap().began.contains(&task)
    }

    pub(super) fn executed(&self, task: Uuid) -> bool {
        self.0.lock().unwrap().executed.contains(&task)
    }

    pub(super) fn is_wrong(&self, what: String) {
        self.0.lock().unwrap().wrong.push(what);
    }

    pub(super) fn wrong(&self) -> Vec<String> {
        self.0.lock().unwrap().wrong.clone()
    }

    pub(super) fn steps(&self) -> Vec<String> {
        self.0.lock().unwrap().steps.clone()
    }
}

impl State {
    /// Answers the tasks of the flow and of those it waits for.
    fn learn(&mut self, id: Uuid, flow: &NewFlow) -> Vec<Planned> {
        let mut all = Vec::new();
        for (at, task) in flow.tasks.iter().enumerate() {
            let mut members = vec![(id, at)];
            if let Work::Flow(child) = &task.work {
                let inner = self.learn(child_id(task_id(id, at)), &child.flow);
                if child.fate == Tie::Joined {
                    members.extend(inner);
                }
            }
            for need in &task.needs {
                for needed in self.members[&(id, *need)].clone() {
                    self.relies.entry(needed).or_default().extend(members.iter().copied());
                }
            }
            all.extend(members.iter().copied());
            self.members.insert((id, at), members);
        }
        all
    }

    fn sees(&self, attempt: Attempt<'_>) -> Seen {
        if attempt.worker.dead.load(Ordering::SeqCst) {
            Seen::Dead
        } else if self.ignored.contains(&attempt.input.family) {
            Seen::Ignored
        } else {
            Seen::Noted
        }
    }

    fn begins(&mut self, step: Step, attempt: Attempt<'_>) {
        let Attempt { flow, task, input, worker } = attempt;
        self.log(step, attempt);
        for (&resource, &exclusive) in &input.resources {
            let users = self.using.entry(resource).or_default();
            let others = users.iter().filter(|((family, _), _)| *family != input.family);
            for ((family, _), _) in others.filter(|(_, (_, theirs))| exclusive || *theirs) {
                let who = input.family;
                self.wrong.push(format!("flow {who} meets flow {family} at r{resource}"));
            }
            users.entry((input.family, worker.number)).or_insert((0, exclusive)).0 += 1;
            let Some(place) = self.order.get(&input.family) else { continue };
            let latest = self.latest.entry(resource).or_default();
            let before = if exclusive { latest.anybody } else { latest.exclusive };
            if *place < before {
                self.wrong.push(format!("the {place}th comes after the {before}th at r{resource}"));
            }
            latest.anybody = latest.anybody.max(*place);
            if exclusive {
                latest.exclusive = latest.exclusive.max(*place);
            }
        }
        if step == Step::Execute {
            self.began.insert(task);
            return;
        }
        let later = self.relies.get(&(flow, input.at));
        let left = self
            .standing
            .iter()
            .find(|(_, place)| later.is_some_and(|later| later.contains(place)));
        if let Some((other, place)) = left {
            self.wrong.push(format!("{task} is undone before {other}, which is {place:?}"));
        }
    }

    fn ends(&mut self, step: Step, attempt: Attempt<'_>) {
        let Attempt { flow, task, input, .. } = attempt;
        self.log(step, attempt);
        match step {
            Step::Executed => {
                self.executed.insert(task);
                self.standing.insert(task, (flow, input.at));
            }
            Step::Reverted => drop(self.standing.remove(&task)),
            _ => {}
        }
    }

    fn log(&mut self, step: Step, attempt: Attempt<'_>) {
        let Attempt { task, input, worker, .. } = attempt;
        let Input { family, at, .. } = input;
        self.steps.push(format!("flow {family}: {step:?} {at} ({task}) at {}", worker.number));
    }
}

/// The cases under way.
#[derive(Clone, Default)]
pub(super) struct Cases(Arc<Mutex<HashMap<u64, Watch>>>);

impl Cases {
    pub(super) fn open(&self, case: u64) -> Watch {
        self.0.lock().unwrap().entry(case).or_default().clone()
    }

    pub(super) fn close(&self, case: u64) {
        self.0.lock().unwrap().remove(&case);
    }

    pub(super) fn get(&self, case: u64) -> Option<Watch> {
        self.0.lock().unwrap().get(&case).cloned()
    }

    /// From now on nothing of this worker has any effect.
    pub(super) fn kill(&self, worker: &Alive) {
        worker.dead.store(true, Ordering::SeqCst);
        for watch in self.0.lock().unwrap().values() {
            watch.kill(worker.number);
        }
    }
}
