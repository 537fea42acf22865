//! A database that takes what it is sent and does not answer.

use std::time::{Duration, Instant};

use tutti_flow::{Engine, Failure, NewTask, Task, TaskContext};
use tutti_store::{Error, Tx};

use crate::world::{Log, Place, flow, submit};

const LEASE: Duration = Duration::from_millis(1500);

/// Runs for ever, and logs when it is dropped.
struct Endless(Log);

struct Dropped(Log);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.add("dropped");
    }
}

impl Task for Endless {
    const NAME: &'static str = "endless";
    type Input = ();
    type Output = ();

    async fn execute(&self, _: TaskContext, (): ()) -> Result<(), Failure> {
        let _dropped = Dropped(self.0.clone());
        self.0.add("begun");
        std::future::pending().await
    }
}

fn hang(tx: &mut Tx<'_>) -> Result<(), Error> {
    tx.exec("LOCK TABLE flow_worker IN ACCESS EXCLUSIVE MODE", ())?;
    std::thread::sleep(LEASE * 2);
    Ok(())
}

#[tokio::test]
async fn a_database_that_hangs_ends_what_its_worker_runs() {
    let Some(place) = Place::postgres() else { return };
    let (store, log) = (place.open().await, Log::default());
    let engine = Engine::builder(store.clone()).task(Endless(log.clone())).lease(LEASE);
    let engine = engine.start().await.unwrap();
    let endless = NewTask { name: Endless::NAME.into(), ..NewTask::default() };
    submit(&store, flow(&["x"], vec![endless])).await;
    log.has("begun").await;
    let other = place.open().await;
    let hanging = tokio::spawn(async move {
        other.write(hang).await.unwrap();
        other.close().await;
    });
    let hung = Instant::now();
    log.has("dropped").await;
    // Others may take over when the lease ends.
    assert!(hung.elapsed() < LEASE, "{:?}", hung.elapsed());
    hanging.await.unwrap();
    drop(engine);
    store.close().await;
}
