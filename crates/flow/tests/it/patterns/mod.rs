//! TaskFlow's patterns by their names, and what it does not have, each as a flow that runs.

mod children;
mod controllers;
mod deciders;
mod inputs;
mod lists;
mod many_children;
mod nested_controllers;
mod order;
mod people;
mod sharing;
mod timeouts;
mod timers;
mod undone_children;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tutti_flow::{
    Access, Engine, Failure, FlowRow, FlowState, NewFlow, Outcome, Retry, Task, TaskContext,
    TaskRow,
    pattern::{Pattern, Step, task},
};
use tutti_store::Store;
use uuid::Uuid;

use crate::world::{self, Log, Place};

/// Logs `+name value` when it begins, `-name` when it has succeeded, and `~name` when it is undone.
struct Act(Log);

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Part {
    name: String,
    /// Its output; otherwise its name.
    value: Value,
    /// It fails with any other value.
    only: Option<Value>,
    /// It fails until it has begun so often.
    from_run: usize,
    /// It ends when this line is in the log, or the flow is cancelled.
    until: Option<String>,
    /// It cannot be undone before this line is in the log.
    knot: Option<String>,
    /// Undoing it ends when this line is in the log.
    undone_after: Option<String>,
}

impl Task for Act {
    const NAME: &'static str = "act";
    type Input = Part;
    type Output = Value;

    async fn execute(&self, context: TaskContext, part: Part) -> Result<Value, Failure> {
        let value = if part.value.is_null() { String::new() } else { format!(" {}", part.value) };
        let begun = format!("+{}{value}", part.name);
        self.0.add(begun.clone());
        if let Some(line) = &part.until {
            tokio::select! {
                () = self.0.has(line) => {}
                () = context.cancelled() => {}
            }
        }
        let runs = self.0.lines().iter().filter(|line| **line == begun).count();
        if runs < part.from_run || part.only.is_some_and(|only| only != part.value) {
            return Err(Failure::Terminal(format!("{} refused", part.name)));
        }
        self.0.add(format!("-{}", part.name));
        Ok(if part.value.is_null() { json!(part.name) } else { part.value })
    }

    async fn revert(
        &self,
        _: TaskContext,
        part: Part,
        outcome: Outcome<Value>,
    ) -> Result<(), Failure> {
        let what = match outcome {
            Outcome::Succeeded(_) => "",
            Outcome::Failed(_) => " failed",
            Outcome::Unknown => " unknown",
        };
        self.0.add(format!("~{}{what}", part.name));
        if let Some(line) = &part.undone_after {
            self.0.has(line).await;
        }
        match part.knot {
            Some(line) if !self.0.lines().contains(&line) => {
                Err(Failure::Terminal(format!("{} cannot be undone", part.name)))
            }
            _ => Ok(()),
        }
    }
}

fn act(name: &str) -> Step {
    task::<Act>().inject("name", name).named(name).title(name).retry(Retry::never())
}

/// Never succeeds.
fn fails(name: &str) -> Step {
    act(name).inject("from_run", 1_000)
}

/// A database with an engine on it.
struct Site {
    store: Store,
    log: Log,
    engine: Option<Engine>,
    _place: Place,
}

impl Site {
    /// One on each database.
    async fn all() -> Vec<Self> {
        let mut sites = Vec::new();
        for place in Place::all() {
            let (store, log) = (place.open().await, Log::default());
            let mut site = Self { store, log, engine: None, _place: place };
            site.start().await;
            sites.push(site);
        }
        sites
    }

    fn builder(&self) -> tutti_flow::Builder {
        Engine::builder(self.store.clone())
            .task(Act(self.log.clone()))
            .task(inputs::Join(self.log.clone()))
            .task(timeouts::Slow(self.log.clone()))
    }

    async fn start(&mut self) {
        self.engine = Some(self.builder().start().await.unwrap());
    }

    async fn stop(&mut self) {
        self.engine.take().unwrap().stop().await;
    }

    /// Starts the engine anew, as one whose death is soon noticed.
    async fn make_mortal(&mut self) {
        self.stop().await;
        let builder = self.builder().lease(Duration::from_secs(3));
        self.engine = Some(builder.start().await.unwrap());
    }

    /// Stops the engine as a crash would.
    fn kill(&mut self) {
        drop(self.engine.take());
    }

    async fn submit(&self, pattern: Pattern) -> Uuid {
        self.submit_about(&[], pattern).await
    }

    async fn submit_about(&self, resources: &[&str], pattern: Pattern) -> Uuid {
        let resources =
            resources.iter().map(|name| ((*name).to_owned(), Access::Exclusive)).collect();
        self.submit_flow(NewFlow { resources, ..build(pattern) }).await
    }

    async fn submit_flow(&self, flow: NewFlow) -> Uuid {
        world::submit(&self.store, flow).await.id
    }

    async fn ended(&self, id: Uuid) -> FlowRow {
        world::ended(&self.store, id).await
    }

    /// Runs a flow to its end.
    async fn run(&self, pattern: Pattern) -> FlowRow {
        let id = self.submit(pattern).await;
        self.ended(id).await
    }

    async fn reaches(&self, id: Uuid, state: FlowState) {
        world::reaches(&self.store, id, state).await;
    }

    async fn tasks(&self, flow: Uuid) -> Vec<TaskRow> {
        world::tasks(&self.store, flow).await
    }

    /// The titles and states of a flow's tasks.
    async fn states(&self, flow: Uuid) -> String {
        let tasks = self.tasks(flow).await;
        let named = tasks.iter().filter(|task| !task.title.is_empty());
        let states: Vec<String> =
            named.map(|task| format!("{} {}", task.title, task.state)).collect();
        states.join(", ")
    }

    /// Carries out what a person wants, in a transaction of its own.
    async fn wants(
        &self,
        what: impl Fn(&mut tutti_store::Tx<'_>) -> tutti_flow::Result<()> + Send + Sync + 'static,
    ) -> tutti_flow::Result<()> {
        self.store.write(what).await
    }

    /// What happened since it was asked last.
    fn lines(&self) -> String {
        self.log.take().join(" ")
    }

    async fn close(mut self) {
        if self.engine.is_some() {
            self.stop().await;
        }
        self.store.close().await;
    }
}

fn build(pattern: Pattern) -> NewFlow {
    pattern.build(Uuid::now_v7()).unwrap()
}

/// A pause long enough for whatever should not happen to happen.
async fn a_while() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}
