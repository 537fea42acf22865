//! What strains the database is seen.

use std::{sync::mpsc, time::Duration};

use tutti_flow::strain;
use tutti_store::{Backend, Tx};

use crate::world::{Place, sees};

#[tokio::test]
async fn a_transaction_that_stays_open_is_seen() {
    for place in Place::all() {
        let store = place.open().await;
        let before = strain(&store).await.unwrap();
        if store.backend() == Backend::Sqlite {
            assert!(before.log_kept > 0 && before.log_written == 0, "{before:?}");
            store.close().await;
            continue;
        }
        assert!(before.log_written > 0 && before.alarm().is_none(), "{before:?}");
        let (go, wait) = mpsc::channel();
        let wait = std::sync::Mutex::new(wait);
        let other = place.open().await;
        let open = tokio::spawn(async move {
            let long = move |tx: &mut Tx<'_>| {
                let flows: i64 = tx.one("SELECT count(*) FROM flow", ())?;
                wait.lock().unwrap().recv().unwrap();
                Ok::<_, tutti_store::Error>(flows)
            };
            assert_eq!(other.read(long).await.unwrap(), 0);
            other.close().await;
        });
        // Others use the server as well: nobody else has a transaction open for that long.
        sees("its age", || async {
            let strain = strain(&store).await.unwrap();
            assert!(strain.oldest_transaction >= strain.oldest_snapshot);
            (strain.oldest_snapshot > Duration::from_millis(300)).then_some(())
        })
        .await;
        let after = strain(&store).await.unwrap();
        assert!(after.snapshot_age > 0 && after.log_written >= before.log_written, "{after:?}");
        go.send(()).unwrap();
        open.await.unwrap();
        store.close().await;
    }
}
