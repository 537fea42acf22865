//! What a worker counts.

use std::time::Duration;

use tutti_flow::FlowState;

use crate::world::{Log, Place, Plan, ended, engine, flow, named, sees, step, submit};

#[tokio::test]
async fn takes_attempts_and_lost_leases_are_counted() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let engine = engine(&store, &log).lease(Duration::from_millis(300)).start().await.unwrap();
        let counters = engine.counters();
        assert_eq!(counters.read(), tutti_flow::Counts::default());
        let refused = Plan { terminal: true, ..named("b") };
        let id =
            submit(&store, flow(&["x"], vec![step(named("a"), &[]), step(refused, &[0])])).await.id;
        assert_eq!(ended(&store, id).await.state, FlowState::Failed);
        let panics = Plan { panics: true, ..named("c") };
        submit(&store, flow(&["y"], vec![step(panics, &[])])).await;
        let now =
            sees("the panic", || async { Some(counters.read()).filter(|now| now.panicked > 0) });
        let now = now.await;
        assert_eq!((now.takes, now.succeeded, now.failed, now.panicked), (2, 1, 1, 1));
        assert_eq!((now.lease_losses, now.fenced), (0, 0));
        store.write(|tx| tx.exec("DELETE FROM flow_worker", ())).await.unwrap();
        sees("the loss", || async { (counters.read().lease_losses == 1).then_some(()) }).await;
        engine.stop().await;
        store.close().await;
    }
}
