//! Bells and the outbox.

use std::time::Duration;

use tokio::time::timeout;
use tutti_store::{Error, OUTBOX};

use crate::{basics::MIGRATIONS, engine::Engine};

const SOON: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_millis(60);

#[tokio::test]
async fn a_bell_misses_no_ring_and_hears_no_ghost() {
    for engine in Engine::all() {
        let store = engine.open(MIGRATIONS).await;
        // A fresh store on PostgreSQL rings once when it begins to listen.
        tokio::time::sleep(SILENCE).await;
        let mut bell = store.bell("news");
        let ring = || {
            store.write(|tx| {
                tx.ring("news");
                Ok::<_, Error>(())
            })
        };
        ring().await.unwrap();
        ring().await.unwrap();
        timeout(SOON, bell.wait()).await.unwrap();
        assert!(timeout(SILENCE, bell.wait()).await.is_err(), "two rings are one");
        let undone = store.write(|tx| {
            tx.ring("news");
            Err::<(), _>(Error::Closed)
        });
        undone.await.unwrap_err();
        assert!(timeout(SILENCE, bell.wait()).await.is_err(), "rolled back");
        ring().await.unwrap();
        timeout(SOON, bell.wait()).await.unwrap();
        store.close().await;
    }
}

#[tokio::test]
async fn a_bell_rings_in_other_controllers() {
    let Some(engine) = Engine::postgres() else { return };
    let (one, two) = (engine.open(MIGRATIONS).await, engine.open(MIGRATIONS).await);
    let mut bell = two.bell("news");
    // Until the second listens, each ring may be missed but for the one it gives itself.
    timeout(SOON, bell.wait()).await.unwrap();
    let rung = one.write(|tx| {
        tx.ring("news");
        Ok::<_, Error>(())
    });
    rung.await.unwrap();
    timeout(SOON, bell.wait()).await.unwrap();
    one.close().await;
    two.close().await;
}

#[tokio::test]
async fn the_outbox_keeps_commit_order() {
    for engine in Engine::all() {
        let store = engine.open(MIGRATIONS).await;
        let mut bell = store.bell(OUTBOX);
        let writes = (0..50_i64).map(|n| {
            store.write(move |tx| {
                tx.outbox("tutti.test", &serde_json::json!({ "n": n }))?;
                if n % 5 == 0 { Err(Error::Closed) } else { Ok(()) }
            })
        });
        futures_util::future::join_all(writes).await;
        timeout(SOON, bell.wait()).await.unwrap();
        let events = store.outbox_after(0, 100).await.unwrap();
        let numbers: Vec<i64> = events.iter().map(|event| event.seq).collect();
        assert_eq!(numbers, (1..=40).collect::<Vec<_>>());
        assert!(events.iter().all(|event| event.topic == "tutti.test" && event.at > 0));
        assert_eq!(store.outbox_last().await.unwrap(), 40);
        assert_eq!(store.outbox_after(38, 1).await.unwrap(), events[38..39]);
        assert_eq!(store.outbox_prune(i64::MAX).await.unwrap(), 40);
        assert_eq!(store.outbox_after(0, 100).await.unwrap(), []);
        assert_eq!(store.outbox_last().await.unwrap(), 40, "numbers are not used again");
        store.close().await;
    }
}
