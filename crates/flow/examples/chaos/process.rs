//! One of the processes: a worker, and somebody who submits, cancels and suspends flows.

use std::{io::Read as _, time::Duration};

use tutti_flow::{Engine, Failure, Outcome, Task, TaskContext, cancel, submit, suspend};
use tutti_store::Store;
use uuid::Uuid;

use crate::{
    Failed,
    load::{self, Input, Random},
    open,
};

/// Flows that have not ended, beyond which none are submitted.
const OPEN_MAX: i64 = 150;

/// Short enough that much is taken over, long enough for a machine that is busy.
const LEASE: Duration = Duration::from_secs(3);

/// Writes down what it does, on a connection of its own.
struct Journaled(Store);

impl Journaled {
    async fn note(&self, context: &TaskContext, what: &'static str) -> Result<(), Failure> {
        let (flow, task, epoch) = (context.flow, context.task, context.epoch);
        let number = task.as_u128().wrapping_sub(flow.as_u128()).wrapping_sub(1) as i64;
        let attempt = context.attempt;
        let write = self.0.write(move |tx| {
            let sql = "INSERT INTO journal (flow, number, what, attempt, epoch)
                VALUES ($1, $2, $3, $4, $5)";
            tx.exec(sql, (flow, number, what, attempt, epoch))
        });
        write.await.map(drop).map_err(|error| Failure::Retryable(error.to_string()))
    }
}

impl Task for Journaled {
    const NAME: &'static str = "chaos";
    type Input = Input;
    type Output = ();

    async fn execute(&self, context: TaskContext, input: Input) -> Result<(), Failure> {
        self.note(&context, "execute").await?;
        tokio::time::sleep(Duration::from_millis(input.millis)).await;
        self.note(&context, "executed").await?;
        match context.attempt {
            1 if input.fails_first => Err(Failure::Retryable("the first time".into())),
            _ if input.fails_for_good => Err(Failure::Terminal("for good".into())),
            _ => Ok(()),
        }
    }

    async fn revert(
        &self,
        context: TaskContext,
        input: Input,
        _: Outcome<()>,
    ) -> Result<(), Failure> {
        self.note(&context, "revert").await?;
        tokio::time::sleep(Duration::from_millis(input.millis)).await;
        self.note(&context, "reverted").await?;
        let fails = input.revert_fails_first && context.attempt == 1;
        if fails { Err(Failure::Retryable("the first time".into())) } else { Ok(()) }
    }
}

/// Runs until it is killed, or its supervisor is gone.
pub(crate) async fn run(url: &str, submits: bool) -> Result<(), Failed> {
    let (alone, orphaned) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        drop(alone);
    });
    tokio::select! {
        done = work(url, submits) => done,
        _ = orphaned => Ok(()),
    }
}

async fn work(url: &str, submits: bool) -> Result<(), Failed> {
    let (store, journal) = (open(url).await?, open(url).await?);
    let builder = Engine::builder(store.clone()).task(Journaled(journal)).flows_max(24);
    let _engine = builder.lease(LEASE).start().await?;
    let mut random = Random::new();
    loop {
        tokio::time::sleep(Duration::from_millis(20 + random.below(60))).await;
        // The database may be away: that is the point.
        let _ = if submits { act(&store, &mut random).await } else { Ok(()) };
    }
}

async fn act(store: &Store, random: &mut Random) -> Result<(), tutti_flow::Error> {
    let open: Vec<Uuid> = store
        .read(|tx| {
            let sql = "SELECT id FROM flow WHERE finished IS NULL AND parent IS NULL LIMIT 200";
            tx.all::<Uuid>(sql, ()).map_err(tutti_flow::Error::from)
        })
        .await?;
    if (open.len() as i64) < OPEN_MAX {
        for _ in 0..1 + random.below(4) {
            let flow = load::flow(random);
            store
                .write(move |tx| {
                    let now = tx.now()?;
                    submit(tx, flow.clone(), now)
                })
                .await?;
        }
    }
    let Some(id) = open.get(random.below(open.len().max(1) as u64) as usize).copied() else {
        return Ok(());
    };
    match random.below(40) {
        0 => store.write(move |tx| cancel(tx, id)).await,
        1 | 2 => store.write(move |tx| suspend(tx, id)).await,
        _ => Ok(()),
    }
}
