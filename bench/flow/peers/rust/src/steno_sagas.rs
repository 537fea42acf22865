//! `steno`: sagas, a graph of actions as data. It leaves the store to its user; ours are the smallest correct ones.

use std::sync::Arc;

use anyhow::{Result, ensure};
use steno::{
    Action, ActionContext, ActionError, ActionFunc, ActionRegistry, DagBuilder, Node, SagaDag,
    SagaId, SagaName, SagaType, SecClient,
};

use crate::{
    measure::{Case, Figures, run_all},
    steno_stores,
};

#[derive(Debug)]
struct Nothing;

impl SagaType for Nothing {
    type ExecContextType = ();
}

async fn execute(_: ActionContext<Nothing>) -> Result<u32, ActionError> {
    Ok(1)
}

async fn undo(_: ActionContext<Nothing>) -> Result<(), anyhow::Error> {
    Ok(())
}

fn chain(action: &dyn Action<Nothing>, tasks: usize) -> Result<Arc<SagaDag>> {
    let mut builder = DagBuilder::new(SagaName::new("chain"));
    for number in 0..tasks {
        builder.append(Node::action(format!("node{number}"), format!("node {number}"), action));
    }
    Ok(Arc::new(SagaDag::new(builder.build()?, serde_json::Value::Null)))
}

/// Everything a caller needs to run sagas.
struct Sagas {
    coordinator: SecClient,
    action: Arc<dyn Action<Nothing>>,
    registry: Arc<ActionRegistry<Nothing>>,
    tasks: usize,
}

impl Sagas {
    async fn run_one(&self) -> Result<()> {
        let id = SagaId::new_v4();
        let dag = chain(&*self.action, self.tasks)?;
        let registry = Arc::clone(&self.registry);
        let ended = self.coordinator.saga_create(id, Arc::new(()), dag, registry).await?;
        self.coordinator.saga_start(id).await?;
        ensure!(ended.await.kind.is_ok(), "a saga failed");
        Ok(())
    }
}

pub async fn measure(case: &Case) -> Result<Figures> {
    let store = steno_stores::open(case).await?;
    let action: Arc<dyn Action<Nothing>> = ActionFunc::new_action("nothing", execute, undo);
    let mut registry = ActionRegistry::new();
    registry.register(Arc::clone(&action));
    let log = slog::Logger::root(slog::Discard, slog::o!());
    let coordinator = steno::sec(log, store);
    let sagas =
        Arc::new(Sagas { coordinator, action, registry: Arc::new(registry), tasks: case.tasks });
    sagas.run_one().await?;
    run_all(case, move || {
        let sagas = Arc::clone(&sagas);
        async move { sagas.run_one().await }
    })
    .await
}
