//! `durare`: workflows of steps in code, on PostgreSQL or SQLite.

use std::sync::Arc;

use anyhow::{Result, ensure};
use durare::{DurableContext, DurableEngine};

use crate::measure::{Case, Figures, run_all};

#[durare::step]
async fn nothing(context: &DurableContext, number: usize) -> durare::Result<usize> {
    Ok(number)
}

#[durare::workflow]
async fn steps(context: DurableContext, tasks: usize) -> durare::Result<usize> {
    for number in 0..tasks {
        nothing(&context, number).await?;
    }
    Ok(tasks)
}

pub async fn measure(case: &Case) -> Result<Figures> {
    let address = match case.sqlite_file() {
        Some(file) => format!("sqlite://{file}?mode=rwc"),
        None => case.database.clone(),
    };
    let engine = Arc::new(DurableEngine::connect(&address).await?.build().await?);
    engine.start_with(Steps, 1, Default::default()).await?.await?;
    let tasks = case.tasks;
    run_all(case, move || {
        let engine = Arc::clone(&engine);
        async move {
            let done = engine.start_with(Steps, tasks, Default::default()).await?.await?;
            ensure!(done == tasks, "a workflow did {done} steps");
            Ok(())
        }
    })
    .await
}
