//! A database of the first release, with flows in the middle of things, goes on with this one.

use serde_json::json;
use tutti_flow::{FlowState, MIGRATIONS, TaskState, retry, signal, task_id};
use tutti_store::{Store, ToValue, Tx, Value};
use uuid::Uuid;

use crate::world::{Log, Place, Plan, ended, engine, named, now, reaches, row, tasks};

/// A task's row as the first release wrote it.
#[derive(Clone)]
struct OldTask {
    plan: Plan,
    needs: Vec<usize>,
    wait: Option<(&'static str, i64)>,
    or_revert: bool,
    state: &'static str,
    before_revert: Option<&'static str>,
    attempt: i64,
    output: Option<&'static str>,
    error: Option<&'static str>,
    next_at: Option<i64>,
    finished: bool,
}

fn task(name: &str, needs: &[usize]) -> OldTask {
    OldTask {
        plan: named(name),
        needs: needs.to_vec(),
        wait: None,
        or_revert: false,
        state: "pending",
        before_revert: None,
        attempt: 0,
        output: None,
        error: None,
        next_at: None,
        finished: false,
    }
}

impl OldTask {
    fn succeeded(self) -> Self {
        Self { state: "succeeded", attempt: 1, output: Some("\"old\""), finished: true, ..self }
    }

    fn began(self, state: &'static str) -> Self {
        Self { state, attempt: 1, ..self }
    }

    fn waits(self, key: &'static str, at_least: i64, state: &'static str) -> Self {
        Self { wait: Some((key, at_least)), state, ..self }
    }

    /// Whether the first release counted it among those that keep another from beginning.
    fn blocks(&self) -> bool {
        !self.finished || self.state != "succeeded"
    }
}

/// A flow's row as the first release wrote it.
#[derive(Clone)]
struct Old {
    id: Uuid,
    resource: &'static str,
    state: &'static str,
    ending: Option<&'static str>,
    reverting: bool,
    worker: Option<Uuid>,
    nudged: bool,
    error: Option<&'static str>,
    tasks: Vec<OldTask>,
}

fn old(resource: &'static str, state: &'static str, tasks: Vec<OldTask>) -> Old {
    Old {
        id: Uuid::now_v7(),
        resource,
        state,
        ending: None,
        reverting: false,
        worker: None,
        nudged: false,
        error: None,
        tasks,
    }
}

const FLOW: &[&str] = &[
    "id",
    "ticket",
    "kind",
    "title",
    "model",
    "state",
    "ending",
    "reverting",
    "revertible",
    "converge",
    "resources",
    "ungranted",
    "tasks",
    "open",
    "active",
    "worker",
    "epoch",
    "losses",
    "nudged",
    "error",
    "created",
    "started",
    "finished",
];

const TASK: &[&str] = &[
    "flow",
    "number",
    "id",
    "name",
    "title",
    "input",
    "wait_key",
    "wait_at_least",
    "attempts_max",
    "or_revert",
    "state",
    "blockers",
    "attempt",
    "revert_attempt",
    "before_revert",
    "output",
    "error",
    "next_at",
    "started",
    "finished",
];

impl Old {
    fn row(&self, ticket: i64) -> Vec<Value> {
        let blocked = self.state == "blocked";
        let ended = self.state == "failed";
        let open = self.tasks.iter().filter(|task| !task.finished).count();
        let active = self.tasks.iter().filter(|task| task.state == "running").count();
        vec![
            self.id.to_value(),
            ticket.to_value(),
            "test".to_value(),
            "an old one".to_value(),
            "one".to_value(),
            self.state.to_value(),
            self.ending.to_value(),
            self.reverting.to_value(),
            self.tasks.iter().any(|task| task.or_revert).to_value(),
            false.to_value(),
            self.resource.to_value(),
            i64::from(blocked).to_value(),
            self.tasks.len().to_value(),
            open.to_value(),
            active.to_value(),
            self.worker.to_value(),
            1.to_value(),
            0.to_value(),
            self.nudged.to_value(),
            self.error.to_value(),
            1.to_value(),
            (!blocked).then_some(2).to_value(),
            ended.then_some(3).to_value(),
        ]
    }

    fn task_rows(&self) -> impl Iterator<Item = Vec<Value>> {
        self.tasks.iter().enumerate().map(|(number, task)| {
            let blockers = task.needs.iter().filter(|need| self.tasks[**need].blocks()).count();
            vec![
                self.id.to_value(),
                number.to_value(),
                task_id(self.id, number).to_value(),
                "step".to_value(),
                "an old task".to_value(),
                json!(task.plan).to_string().to_value(),
                task.wait.map(|(key, _)| key).to_value(),
                task.wait.map(|(_, at_least)| at_least).to_value(),
                3.to_value(),
                task.or_revert.to_value(),
                task.state.to_value(),
                blockers.to_value(),
                task.attempt.to_value(),
                i64::from(task.before_revert.is_some()).to_value(),
                task.before_revert.to_value(),
                task.output.to_value(),
                task.error.to_value(),
                task.next_at.to_value(),
                (task.state != "pending").then_some(2).to_value(),
                task.finished.then_some(3).to_value(),
            ]
        })
    }

    fn insert(&self, tx: &mut Tx<'_>, ticket: i64) -> tutti_store::Result<()> {
        tx.insert_many("flow", FLOW, [self.row(ticket)])?;
        tx.insert_many("flow_task", TASK, self.task_rows())?;
        let edges = self.tasks.iter().enumerate().flat_map(|(number, task)| {
            let edge =
                move |need: &usize| vec![self.id.to_value(), need.to_value(), number.to_value()];
            task.needs.iter().map(edge)
        });
        tx.insert_many("flow_edge", &["flow", "number", "successor"], edges)?;
        let granted = self.state != "blocked";
        let (resource, id, ticket) =
            (self.resource.to_value(), self.id.to_value(), ticket.to_value());
        if self.state != "failed" {
            let columns = &["resource", "ticket", "flow", "exclusive", "granted"];
            let entry = vec![
                resource.clone(),
                ticket.clone(),
                id.clone(),
                true.to_value(),
                granted.to_value(),
            ];
            tx.insert_many("flow_queue", columns, [entry])?;
        }
        let columns = &["flow", "resource", "ticket", "exclusive"];
        tx.insert_many("flow_resource", columns, [vec![id, resource, ticket, true.to_value()]])?;
        Ok(())
    }
}

async fn insert(place: &Place, worker: Uuid, flows: Vec<Old>) {
    let store = Store::open(&place.url, &MIGRATIONS[..1]).await.unwrap();
    let insert = move |tx: &mut Tx<'_>| {
        let columns = &["id", "instance", "lease_until", "started"];
        let row = vec![worker.to_value(), Uuid::now_v7().to_value(), 0.to_value(), 0.to_value()];
        tx.insert_many("flow_worker", columns, [row])?;
        for (ticket, flow) in (1..).zip(&flows) {
            flow.insert(tx, ticket)?;
        }
        tx.exec("UPDATE flow_ticket SET last = $1", (flows.len(),))
    };
    store.write(insert).await.unwrap();
    store.close().await;
}

/// Whether every task of these flows succeeded in the end; answers which tasks were run, in order.
async fn all_succeed(store: &Store, log: &Log, flows: &[&Old]) -> Vec<String> {
    for flow in flows {
        assert_eq!(ended(store, flow.id).await.state, FlowState::Succeeded);
        let rows = tasks(store, flow.id).await;
        assert!(rows.iter().all(|task| task.state == TaskState::Succeeded), "{rows:#?}");
    }
    log.take().iter().filter_map(|line| line.strip_prefix('+')).map(str::to_owned).collect()
}

#[tokio::test]
async fn what_the_first_release_ran_goes_on() {
    for place in Place::all() {
        let worker = Uuid::now_v7();
        // Its worker had been told that something was due.
        let busy = Old {
            worker: Some(worker),
            nudged: true,
            ..old(
                "x",
                "running",
                vec![
                    task("done", &[]).succeeded(),
                    task("ran", &[]).began("running"),
                    task("both", &[0, 1]),
                    task("", &[2]).waits("key", 3, "pending"),
                    task("after", &[0, 3]),
                ],
            )
        };
        let behind = old("x", "blocked", vec![task("behind", &[])]);
        let waiting = old(
            "y",
            "waiting",
            vec![
                task("", &[]).waits("key", 3, "waiting"),
                task("", &[]).waits("other", 1, "retrying"),
                task("waited", &[0, 1]),
            ],
        );
        insert(&place, worker, vec![busy.clone(), behind.clone(), waiting.clone()]).await;
        let (store, log) = (place.open().await, Log::default());
        let worker = engine(&store, &log).start().await.unwrap();
        reaches(&store, busy.id, FlowState::Waiting).await;
        assert_eq!(row(&store, behind.id).await.state, FlowState::Blocked);
        assert_eq!(tasks(&store, busy.id).await[1].attempt, 2, "it may have run before");
        for key in ["other", "key"] {
            assert_eq!(row(&store, waiting.id).await.state, FlowState::Waiting);
            store.write(move |tx| signal(tx, key, 3, now())).await.unwrap();
        }
        let mut did = all_succeed(&store, &log, &[&busy, &behind, &waiting]).await;
        did.retain(|name| name != "waited");
        assert_eq!(did, ["ran", "both", "after", "behind"]);
        worker.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn what_failed_in_the_first_release_is_tried_again() {
    for place in Place::all() {
        let again = OldTask {
            error: Some("busy"),
            next_at: Some(now() + 300_000),
            ..task("again", &[]).began("retry_wait")
        };
        let again = old("z", "waiting", vec![again, task("later", &[0])]);
        let second =
            OldTask { error: Some("no"), finished: true, ..task("second", &[0]).began("failed") };
        let third = OldTask { state: "skipped", finished: true, ..task("third", &[1]) };
        let failed = Old {
            ending: Some("failed"),
            error: Some("no"),
            ..old("f", "failed", vec![task("kept", &[]).succeeded(), second, third])
        };
        let mut many: Vec<OldTask> = (0..40).map(|_| task("one", &[]).succeeded()).collect();
        many.push(task("wide", &(0..40).collect::<Vec<usize>>()));
        let wide = old("w", "ready", many);
        insert(&place, Uuid::now_v7(), vec![again.clone(), failed.clone(), wide.clone()]).await;
        let (store, log) = (place.open().await, Log::default());
        let worker = engine(&store, &log).start().await.unwrap();
        let id = failed.id;
        store.write(move |tx| retry(tx, id)).await.unwrap();
        let did = all_succeed(&store, &log, &[&again, &failed, &wide]).await;
        let at = |name: &str| did.iter().position(|line| line == name).unwrap();
        assert!(at("again") < at("later") && at("second") < at("third"), "{did:?}");
        assert_eq!(did.len(), 5, "what had succeeded is not run again: {did:?}");
        worker.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn what_the_first_release_undid_or_cancelled_ends() {
    for place in Place::all() {
        let worker = Uuid::now_v7();
        let reverts = |task: OldTask| OldTask { or_revert: true, ..task };
        let undoing = Old {
            ending: Some("reverted"),
            reverting: true,
            error: Some("no"),
            ..old(
                "x",
                "waiting",
                vec![
                    reverts(task("first", &[]).succeeded()),
                    OldTask {
                        before_revert: Some("failed"),
                        error: Some("no"),
                        next_at: Some(now() + 300_000),
                        finished: true,
                        ..reverts(task("second", &[0]).began("reverting"))
                    },
                    OldTask { state: "skipped", finished: true, ..task("third", &[1]) },
                ],
            )
        };
        // It had been told to end, and its process died before its task had listened.
        let cancelled = Old {
            ending: Some("cancelled"),
            worker: Some(worker),
            nudged: true,
            ..old("y", "running", vec![task("a", &[]).began("running"), task("b", &[0])])
        };
        insert(&place, worker, vec![undoing.clone(), cancelled.clone()]).await;
        let (store, log) = (place.open().await, Log::default());
        let worker = engine(&store, &log).start().await.unwrap();
        assert_eq!(ended(&store, undoing.id).await.state, FlowState::Reverted);
        assert_eq!(log.lines(), ["~second (no)", "~first (old)"]);
        assert_eq!(ended(&store, cancelled.id).await.state, FlowState::Cancelled);
        assert_eq!(tasks(&store, cancelled.id).await[0].state, TaskState::MaybeRan);
        worker.stop().await;
        store.close().await;
    }
}
