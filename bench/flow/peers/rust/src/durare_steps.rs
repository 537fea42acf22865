//! `durare`: workflows of steps in code, on PostgreSQL or SQLite.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use durare::{DurableContext, DurableEngine, SqliteProvider};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

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
    let builder = match case.sqlite_file() {
        Some(file) => DurableEngine::builder(Arc::new(flushing(&file).await?)),
        None => DurableEngine::connect(&case.database).await?,
    };
    let engine = Arc::new(builder.build().await?);
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

/// Its own settings, but `synchronous = FULL`: with its default (`NORMAL`) a step is not on the disk before the next begins.
async fn flushing(file: &str) -> Result<SqliteProvider> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(5));
    let pool = SqlitePoolOptions::new().max_connections(5).connect_with(options).await?;
    Ok(SqliteProvider::from_pool(pool))
}
