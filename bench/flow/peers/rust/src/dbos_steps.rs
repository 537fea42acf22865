//! `dbos`: workflows of steps in code, each result a row in PostgreSQL.

use anyhow::{Result, anyhow, ensure};

use crate::measure::{Case, Figures, run_all};

/// Connections of its pool; more than the two cores of a small machine can use.
const CONNECTIONS: u32 = 20;

pub async fn measure(case: &Case) -> Result<Figures> {
    ensure!(case.sqlite_file().is_none(), "it has no SQLite");
    let dbos = dbos::DBOS::new(dbos::Config {
        app_version: Some("bench".into()),
        executor_id: Some("bench".into()),
        max_connections: CONNECTIONS,
        ..dbos::Config::new("bench", case.database.clone())
    });
    let workflow = dbos.register_workflow("steps", |tasks: usize| async move {
        for number in 0..tasks {
            dbos::step("nothing", move || async move { Ok::<_, dbos::Error>(number) }).await?;
        }
        Ok::<_, dbos::Error>(tasks)
    })?;
    dbos.launch().await?;
    workflow.run(1).await?;
    let tasks = case.tasks;
    run_all(case, move || {
        let workflow = workflow.clone();
        async move {
            let done: usize = workflow.run(tasks).await.map_err(|error| anyhow!("{error}"))?;
            ensure!(done == tasks, "a workflow did {done} steps");
            Ok(())
        }
    })
    .await
}
