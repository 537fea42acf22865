//! Resources that a task adds to its flow.

use serde::Deserialize;
use tutti_flow::{
    Access, Failure, FlowState, Resources, Task, TaskContext,
    pattern::{linear, task},
};
use uuid::Uuid;

use crate::world::{Log, Place, ended, engine, row, submit};

struct Paint(Log);

#[derive(Deserialize)]
struct Wall {
    wall: String,
}

impl Task for Paint {
    const NAME: &'static str = "paint";
    const RESOURCES: Resources<Wall> =
        Some(|input| vec![(format!("wall/{}", input.wall), Access::Exclusive)]);
    type Input = Wall;
    type Output = ();

    async fn execute(&self, _: TaskContext, wall: Wall) -> Result<(), Failure> {
        self.0.add(format!("+{}", wall.wall));
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        self.0.add(format!("-{}", wall.wall));
        Ok(())
    }
}

#[tokio::test]
async fn flows_whose_tasks_add_the_same_resource_run_one_by_one() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let paint = |wall: &str| {
            let pattern = linear("paint").inject("wall", wall).add(task::<Paint>());
            pattern.holds("house", Access::Shared).build(Uuid::now_v7()).unwrap()
        };
        let worker = engine(&store, &log).task(Paint(log.clone())).start().await.unwrap();
        let first = submit(&store, paint("north")).await;
        let second = submit(&store, paint("north")).await;
        assert_eq!(second.state, FlowState::Blocked);
        for id in [first.id, second.id] {
            assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        }
        let held: Vec<String> =
            row(&store, first.id).await.resources.into_iter().map(|(name, _)| name).collect();
        assert_eq!(held, ["house", "wall/north"]);
        assert_eq!(log.take(), ["+north", "-north", "+north", "-north"]);
        worker.stop().await;
        store.close().await;
    }
}
