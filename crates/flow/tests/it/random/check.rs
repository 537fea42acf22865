//! What must be true of a case once everything has ended.

use tutti_flow::{Fate as Tie, FlowRow, FlowState, NewFlow, TaskRow, TaskState, Work};
use tutti_store::Json;
use uuid::Uuid;

use super::{
    case::{Root, Running, with_children},
    handlers::EFFECTS_OF,
    plan::{Input, TX},
    shape::{Fate, Task, What},
};
use crate::world::tasks;

/// Whether attempts at tasks of these flows were lost with their workers.
const LOST: &str = "SELECT EXISTS (SELECT 1 FROM flow_failure WHERE class = 'lost'
    AND flow IN (SELECT value FROM json_each($1)))";

impl Running {
    pub(super) async fn check(&self) {
        for (family, root) in self.roots.iter().enumerate() {
            let row = self.row(root.flow.id).await.expect("what was submitted is there");
            if !may_end(root, &row, self.lost_any(root).await) {
                self.show(&[row.id]).await;
                panic!("{} of {:?}", row.state, root.shape);
            }
            for (id, flow) in with_children(&root.flow) {
                let Some(row) = self.row(id).await else { continue };
                let over = row.state.is_ended()
                    && !matches!(row.state, FlowState::Stuck | FlowState::Parked);
                assert!(over && row.finished.is_some(), "{row:#?}");
                let rows = tasks(&self.house.store, id).await;
                for task in &rows {
                    self.check_task(family, flow, task).await;
                }
            }
        }
        let wrong = self.watch.wrong();
        if !wrong.is_empty() {
            let flows = self.roots.iter().flat_map(|root| with_children(&root.flow));
            self.show(&flows.map(|(id, _)| id).collect::<Vec<_>>()).await;
            panic!("{wrong:#?}");
        }
    }

    /// Whether a worker died over a flow that somebody submitted, or over one of its tasks.
    async fn lost_any(&self, root: &Root) -> bool {
        let ids: Vec<Uuid> = with_children(&root.flow).into_iter().map(|(id, _)| id).collect();
        let lost: Result<bool, tutti_store::Error> =
            self.house.store.read(move |tx| tx.one(LOST, (Json(&ids),))).await;
        lost.unwrap()
    }

    async fn check_task(&self, family: usize, flow: &NewFlow, task: &TaskRow) {
        let root = &self.roots[family];
        let succeeded = task.state == TaskState::Succeeded;
        assert!(task.finished.is_some(), "{task:#?}");
        let Some(input) = input_of(flow, task) else { return };
        if task.name == TX {
            let id = task.id;
            let effects: i64 = self
                .house
                .store
                .read(move |tx| tx.one(EFFECTS_OF, (id,)))
                .await
                .map_err(|error: tutti_store::Error| error)
                .unwrap();
            let known = !root.skipped.contains(&id) && task.state != TaskState::RevertFailed;
            assert!(!known || effects == i64::from(succeeded), "{effects} effects of {task:#?}");
            return;
        }
        if self.watch.is_ignored(input.family) || root.abandoned {
            return;
        }
        if succeeded {
            assert!(self.watch.executed(task.id), "it succeeded unseen: {task:#?}");
        }
        if task.attempt == 0 && !root.again && !runs_again(&root.flow) {
            assert!(!self.watch.began(task.id), "it never began: {task:#?}");
        }
    }
}

/// What a handler was given, if one was to run it.
fn input_of(flow: &NewFlow, task: &TaskRow) -> Option<Input> {
    let planned = usize::try_from(task.number).ok().and_then(|number| flow.tasks.get(number));
    let is_run = planned.is_none_or(|planned| planned.work == Work::Run);
    is_run.then(|| serde_json::from_value(task.input.clone()).unwrap())
}

/// Whether a controller may let tasks of it, or of flows it waits for, run again.
fn runs_again(flow: &NewFlow) -> bool {
    let all = with_children(flow);
    all.iter().any(|(_, flow)| flow.tasks.iter().any(|task| matches!(task.work, Work::Retry(_))))
}

/// Whether a flow that somebody submitted may have ended like this; `lost` if workers died over it.
fn may_end(root: &Root, row: &FlowRow, lost: bool) -> bool {
    // Workers that died over a flow again and again have a flow set aside, and fail the one that waits for it. What is told is
    // that it is stuck instead, where what the set aside flow did could not be undone either.
    let tells = |what: &str| row.error.as_deref().is_some_and(|error| error.contains(what));
    let died = tells("died") || lost && tells(" is stuck: ");
    // Running a flow again ends what undid a flow of its own, rather than doing it once more.
    let died = died || root.again && with_children(&root.flow).len() > 1;
    match row.state {
        FlowState::Succeeded => true,
        FlowState::Failed => is_doomed(&root.shape.tasks) || died,
        FlowState::Reverted => is_doomed(&root.shape.tasks) || died || root.reverted,
        FlowState::Cancelled => root.cancelled,
        FlowState::Superseded => root.shape.converge && row.superseded_by.is_some(),
        FlowState::Abandoned => root.abandoned,
        _ => false,
    }
}

/// Whether something among the tasks, or of what they wait for, may not go well.
fn is_doomed(tasks: &[Task]) -> bool {
    tasks.iter().any(|task| match &task.what {
        What::Flow(Tie::Joined, _, inner) => is_doomed(inner),
        _ => matches!(task.fate, Fate::FailAlways | Fate::FailForGood),
    })
}
