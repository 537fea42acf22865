//! Flows that go well, and flows that do not.

use tutti_flow::{FlowState, TaskState};

use crate::world::{Log, Place, ended, engine, flow, named, step, submit, tasks};

#[tokio::test]
async fn tasks_run_in_the_order_of_their_needs() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let engine = engine(&store, &log).start().await.unwrap();
        let plan = vec![step(named("a"), &[]), step(named("b"), &[0]), step(named("c"), &[0, 1])];
        let flow = submit(&store, flow(&["app/db"], plan)).await;
        assert_eq!(flow.state, FlowState::Ready);
        let flow = ended(&store, flow.id).await;
        assert_eq!(flow.state, FlowState::Succeeded);
        assert_eq!(log.lines(), ["+a", "-a", "+b", "-b", "+c", "-c"]);
        let rows = tasks(&store, flow.id).await;
        assert!(rows.iter().all(|task| task.state == TaskState::Succeeded && task.attempt == 1));
        assert_eq!(rows[2].output, Some("made by c".into()));
        engine.stop().await;
        store.close().await;
    }
}
