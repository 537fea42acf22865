//! Bells and the outbox.

use std::time::Duration;

use tokio::time::timeout;
use tutti_store::{Backend, Bell, Error, OUTBOX};

use crate::{basics::MIGRATIONS, engine::Engine};

const SOON: Duration = Duration::from_secs(60);
const SILENCE: Duration = Duration::from_millis(60);

#[tokio::test]
async fn a_bell_misses_no_ring_and_hears_no_ghost() {
    for engine in Engine::all() {
        let store = engine.open(MIGRATIONS).await;
        let mut bell = store.bell("news");
        // A fresh store on PostgreSQL rings once, whenever it begins to listen.
        let mut own_rings = u32::from(store.backend() == Backend::Postgres);
        let mut is_silent = async |bell: &mut Bell| {
            while timeout(SILENCE, bell.wait()).await.is_ok() {
                if own_rings == 0 {
                    return false;
                }
                own_rings -= 1;
            }
            true
        };
        let ring = || {
            store.write(|tx| {
                tx.ring("news");
                Ok::<_, Error>(())
            })
        };
        ring().await.unwrap();
        ring().await.unwrap();
        timeout(SOON, bell.wait()).await.unwrap();
        assert!(is_silent(&mut bell).await, "two rings are one");
        let undone = store.write(|tx| {
            tx.ring("news");
            Err::<(), _>(Error::Closed)
        });
        undone.await.unwrap_err();
        assert!(is_silent(&mut bell).await, "rolled back");
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
    // Until the second listens, rings are missed; then it rings once itself. So of two it hears, one came from the first.
    let mut heard = 0;
    let hear_two = async {
        while heard < 2 {
            let rung = one.write(|tx| {
                tx.ring("news");
                Ok::<_, Error>(())
            });
            rung.await.unwrap();
            heard += u32::from(timeout(SILENCE, bell.wait()).await.is_ok());
        }
    };
    timeout(SOON, hear_two).await.unwrap();
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
