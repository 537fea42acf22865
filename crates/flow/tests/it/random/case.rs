//! A case: flows are submitted, things happen to them, and then everything comes to its end.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tutti_flow::{
    Error, FlowRow, FlowState, NewFlow, TaskRow, TaskState, Work, abandon, cancel, child_id, query,
    resume, retry, revert, signal, skip, submit_many, suspend, task_id, trouble, undoers,
};
use tutti_store::{Json, Tx};
use uuid::Uuid;

use super::{
    house::House,
    plan::{LATE, Planner, late},
    shape::{Case, Event, Shape, Verb, Way},
    watch::Watch,
};
use crate::world::{PATIENCE, now, submit, tasks};

/// Between two looks whether everything has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Times that people try something else than to give a flow up.
const ATTEMPTS_OF_PEOPLE: usize = 2;

/// A flow that somebody submitted, and what people did to it.
pub(super) struct Root {
    pub(super) flow: NewFlow,
    pub(super) shape: Shape,
    pub(super) cancelled: bool,
    pub(super) abandoned: bool,
    /// Somebody let it be run again, or undone.
    pub(super) again: bool,
    pub(super) reverted: bool,
    /// Tasks that somebody took care of.
    pub(super) skipped: Vec<Uuid>,
}

/// A case under way.
pub(super) struct Running {
    pub(super) house: Arc<House>,
    pub(super) watch: Watch,
    /// Those submitted so far; the position is the family.
    pub(super) roots: Vec<Root>,
    number: u64,
    patience: Duration,
}

/// Runs a case, panics if anything is against the rules.
pub(super) async fn run(house: Arc<House>, number: u64, case: Case, patience: Duration) {
    let watch = house.cases.open(number);
    let mut running = Running { house, watch, roots: Vec::new(), number, patience };
    let events = running.submit_all(case).await;
    for event in events {
        running.happen(event).await;
    }
    for at in 0..LATE {
        running.signal(at).await;
    }
    running.come_to_an_end().await;
    running.check().await;
    running.house.cases.close(number);
}

impl Running {
    /// Submits the flows with some of the events in between; answers the others.
    async fn submit_all(&mut self, case: Case) -> impl Iterator<Item = Event> + use<> {
        let mut planner = Planner::new(self.number, case.flows.len());
        let mut events = case.events.into_iter();
        let mut together: Vec<NewFlow> = Vec::new();
        for (family, shape) in case.flows.into_iter().enumerate() {
            let flow = planner.flow(&shape, family);
            if shape.way != Way::Together {
                self.submit_together(std::mem::take(&mut together)).await;
            }
            self.watch.learn(&flow);
            self.watch.enters(family);
            let way = shape.way;
            self.roots.push(Root {
                flow: flow.clone(),
                shape,
                cancelled: false,
                abandoned: false,
                again: false,
                reverted: false,
                skipped: Vec::new(),
            });
            match way {
                Way::Together => {
                    together.push(flow);
                    continue;
                }
                Way::Alone => drop(submit(&self.house.store, flow).await),
                Way::At(worker) => self.house.submit_at(worker, flow).await,
            }
            if family % 2 == 0
                && let Some(event) = events.next()
            {
                self.happen(event).await;
            }
        }
        self.submit_together(together).await;
        events
    }

    async fn submit_together(&self, flows: Vec<NewFlow>) {
        if !flows.is_empty() {
            self.house.store.write(move |tx| submit_many(tx, &flows, now())).await.unwrap();
        }
    }

    async fn wants(
        &self,
        what: impl Fn(&mut Tx<'_>) -> Result<(), Error> + Send + 'static,
    ) -> Result<(), Error> {
        self.house.store.write(what).await
    }

    async fn signal(&self, at: usize) {
        let key = late(self.number, at);
        self.wants(move |tx| signal(tx, &key, 1, 1)).await.unwrap();
    }

    async fn happen(&mut self, event: Event) {
        self.watch.note(format!("{event:?}"));
        let family = |at: usize| at % self.roots.len();
        let id = |at: usize| self.roots[family(at)].flow.id;
        // It may be too late for each of them.
        match event {
            Event::Pause => tokio::time::sleep(Duration::from_millis(3)).await,
            Event::Signal(at) => self.signal(at).await,
            Event::Trouble(at, is) => {
                let (key, message) = (late(self.number, at), is.then_some("not yet"));
                self.wants(move |tx| trouble(tx, &key, message, 1)).await.unwrap();
            }
            Event::Cancel(at) => {
                let (family, id) = (family(at), id(at));
                self.roots[family].cancelled |= self.wants(move |tx| cancel(tx, id)).await.is_ok();
            }
            Event::Suspend(at) => {
                let id = id(at);
                drop(self.wants(move |tx| suspend(tx, id)).await);
            }
            Event::Resume(at) => {
                let id = id(at);
                drop(self.wants(move |tx| resume(tx, id)).await);
            }
            Event::Operate(verb, at) => self.operate(verb, family(at)).await,
            Event::Kill(at, point) => self.house.kill(at, point).await,
        }
    }

    pub(super) async fn row(&self, id: Uuid) -> Option<FlowRow> {
        self.house.store.read(move |tx| query::flow(tx, id)).await.unwrap()
    }

    /// Whether nothing of a flow can be undone.
    async fn does_nothing(&self, id: Uuid) -> bool {
        self.house.store.write(move |tx| undoers(tx, id)).await.unwrap().is_empty()
    }

    /// Does what people do to a flow that did not go well, or was not to be.
    async fn operate(&mut self, verb: Verb, family: usize) {
        let id = self.roots[family].flow.id;
        let Some(row) = self.row(id).await else { return };
        let set_aside = matches!(row.state, FlowState::Stuck | FlowState::Parked);
        if verb == Verb::Abandon {
            if set_aside || row.finished.is_none() {
                self.watch.ignore(family);
                self.roots[family].abandoned |= self.wants(move |tx| abandon(tx, id)).await.is_ok();
            }
            return;
        }
        // Only what has ended stays as it is until it is asked to go on.
        if row.finished.is_none() {
            return;
        }
        let stuck = row.state == FlowState::Stuck;
        if verb == Verb::Revert && !stuck && self.does_nothing(id).await {
            // That is refused: there is nothing to undo.
            return;
        }
        let done = match (verb, row.state) {
            (Verb::Skip, FlowState::Stuck | FlowState::Failed | FlowState::Parked) => {
                self.skip(family, stuck).await
            }
            (Verb::Retry, FlowState::Failed | FlowState::Reverted)
            | (Verb::Retry, FlowState::Cancelled | FlowState::Parked) => {
                self.forget_failures(family).await;
                self.watch.enters(family);
                self.wants(move |tx| retry(tx, id)).await.is_ok()
            }
            (Verb::Retry, FlowState::Stuck) => {
                self.watch.enters(family);
                self.wants(move |tx| retry(tx, id)).await.is_ok()
            }
            (Verb::Revert, FlowState::Succeeded | FlowState::Failed | FlowState::Parked)
            | (Verb::Revert, FlowState::Cancelled | FlowState::Stuck) => {
                self.watch.enters(family);
                self.wants(move |tx| revert(tx, id)).await.is_ok()
            }
            _ => return,
        };
        assert!(done, "{verb:?} of {} is refused", row.state);
        self.roots[family].again = true;
        self.roots[family].reverted |= stuck || verb == Verb::Revert;
    }

    /// Says of a task that somebody took care of it; `false` if there is none to be said of.
    async fn skip(&mut self, family: usize, stuck: bool) -> bool {
        let id = self.roots[family].flow.id;
        let rows = tasks(&self.house.store, id).await;
        let failed = |task: &&TaskRow| match task.state {
            TaskState::RevertFailed => stuck,
            TaskState::Failed | TaskState::MaybeRan => !stuck,
            _ => false,
        };
        // Of a list that failed, the list, or an item.
        let found = if family.is_multiple_of(2) {
            rows.iter().find(failed)
        } else {
            rows.iter().rfind(failed)
        };
        let Some(found) = found else {
            // A flow that failed because of a controller, say.
            return true;
        };
        if stuck {
            self.watch.settle(found.id, (id, usize::try_from(found.number).unwrap()));
        } else {
            self.forget_failures(family).await;
        }
        self.watch.enters(family);
        let task = found.id;
        self.roots[family].skipped.push(task);
        self.wants(move |tx| skip(tx, task)).await.is_ok()
    }

    /// What did not succeed is run anew, and not undone before.
    async fn forget_failures(&self, family: usize) {
        for (id, _) in with_children(&self.roots[family].flow) {
            for task in tasks(&self.house.store, id).await {
                if task.state != TaskState::Succeeded {
                    let number = usize::try_from(task.number).unwrap();
                    self.watch.settle(task.id, (id, number));
                }
            }
        }
    }

    /// Everything suspended goes on, somebody takes care of what is stuck, and everything ends.
    async fn come_to_an_end(&mut self) {
        let end = Instant::now() + self.patience;
        let mut attempts = 0;
        loop {
            let states = self.states().await;
            let open = states.iter().filter(|(_, state)| !state.is_ended());
            let set_aside =
                |state: FlowState| matches!(state, FlowState::Stuck | FlowState::Parked);
            let aside: Vec<Uuid> =
                states.iter().filter_map(|(id, state)| set_aside(*state).then_some(*id)).collect();
            if open.clone().next().is_none() {
                if aside.is_empty() {
                    return;
                }
                self.take_care(&aside, attempts).await;
                attempts += 1;
                continue;
            }
            if Instant::now() > end {
                let open: Vec<_> = open.collect();
                self.show(&open.iter().map(|(id, _)| *id).collect::<Vec<_>>()).await;
                panic!("not all flows end: {open:?}");
            }
            for root in &self.roots {
                let id = root.flow.id;
                if states.iter().any(|(one, state)| *one == id && !state.is_ended()) {
                    drop(self.wants(move |tx| resume(tx, id)).await);
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The flows there are, and where they stand.
    async fn states(&self) -> Vec<(Uuid, FlowState)> {
        let all = self.roots.iter().flat_map(|root| with_children(&root.flow));
        let ids: Vec<Uuid> = all.map(|(id, _)| id).collect();
        let sql = "SELECT id, state FROM flow WHERE id IN (SELECT value FROM json_each($1))";
        let states = self.house.store.read(move |tx| tx.all(sql, (Json(&ids),)));
        states.await.map_err(|error: tutti_store::Error| error).unwrap()
    }

    async fn take_care(&mut self, aside: &[Uuid], attempts: usize) {
        let is_root = |root: &Root| aside.contains(&root.flow.id);
        let families: Vec<usize> =
            (0..self.roots.len()).filter(|family| is_root(&self.roots[*family])).collect();
        for &family in &families {
            let tried = [Verb::Retry, Verb::Skip, Verb::Revert];
            let tried = tried[(family + attempts + self.roots.len()) % tried.len()];
            let verb = if attempts < ATTEMPTS_OF_PEOPLE { tried } else { Verb::Abandon };
            self.watch.note(format!("{verb:?} flow {family}"));
            self.operate(verb, family).await;
        }
        if families.is_empty() {
            for &id in aside {
                self.wants(move |tx| abandon(tx, id)).await.unwrap();
            }
        }
    }

    pub(super) async fn show(&self, flows: &[Uuid]) {
        if self.patience < PATIENCE {
            // One of many tries to find a smaller case.
            return;
        }
        for &id in flows {
            let Some(row) = self.row(id).await else { continue };
            eprintln!("{row:#?}");
            for task in tasks(&self.house.store, id).await {
                let (number, name, error) = (task.number, task.name, task.error);
                eprintln!("{number} {name} {} {} {error:?}", task.state, task.attempt);
            }
        }
        eprintln!("{:#?}", self.watch.steps());
    }
}

/// A flow and those that its tasks submit, each with its plan.
pub(super) fn with_children(flow: &NewFlow) -> Vec<(Uuid, &NewFlow)> {
    let mut all = vec![(flow.id, flow)];
    let mut next = 0;
    while let Some(&(id, flow)) = all.get(next) {
        for (at, task) in flow.tasks.iter().enumerate() {
            if let Work::Flow(child) = &task.work {
                all.push((child_id(task_id(id, at)), &child.flow));
            }
        }
        next += 1;
    }
    all
}
