//! What tasks are given.

use serde::{Deserialize, Serialize};
use serde_json::json;
use tutti_flow::{
    Condition, Depth, Failure, FlowState, Retry, Task, TaskContext, TaskState,
    pattern::{Step, linear, task},
};

use super::{Site, act};
use crate::world::Log;

/// Joins two texts, of which the second may be absent.
pub(super) struct Join(pub(super) Log);

#[derive(Serialize, Deserialize)]
pub(super) struct Texts {
    first: String,
    second: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Joined {
    joined: String,
}

impl Task for Join {
    const NAME: &'static str = "join";
    type Input = Texts;
    type Output = Joined;

    async fn execute(&self, _: TaskContext, texts: Texts) -> Result<Joined, Failure> {
        let joined = match texts.second {
            Some(second) => format!("{}&{second}", texts.first),
            None => texts.first,
        };
        self.0.add(joined.clone());
        Ok(Joined { joined })
    }
}

fn join(name: &str) -> Step {
    task::<Join>().named(name).title(name).retry(Retry::never())
}

#[tokio::test]
async fn requires_and_provides_are_bound_by_name() {
    for site in Site::all().await {
        let flow = linear("p")
            .add(act("a").provides("first"))
            .add(act("b").provides("second"))
            .add(join("j"));
        assert_eq!(site.run(flow).await.state, FlowState::Succeeded);
        assert_eq!(site.log.lines().last().unwrap(), "a&b");
        site.close().await;
    }
}

#[tokio::test]
async fn rebind() {
    for site in Site::all().await {
        let parts = json!({ "list": ["x", "y"], "a/b": { "c": "z" } });
        let flow = linear("p")
            .add(act("a").inject("value", parts).provides("parts"))
            .add(join("whole").rebind("first", "parts.a/b.c").rebind("second", "parts.list.1"))
            .add(join("again").rebind("first", "joined"))
            .add(act("all").inject("only", json!({ "joined": "z&y" })).from("nothing"));
        // The last one takes a name nobody provides: it is found out before anything is stored.
        let problem = flow.clone().build(uuid::Uuid::now_v7()).unwrap_err().to_string();
        assert!(problem.contains("nothing"), "{problem}");
        let flow = linear("p")
            .add(
                act("a")
                    .inject("value", json!({ "list": ["x", "y"], "a/b": { "c": "z" } }))
                    .provides("parts"),
            )
            .add(join("whole").rebind("first", "parts.a/b.c").rebind("second", "parts.list.1"))
            .add(join("again").rebind("first", "joined"));
        assert_eq!(site.run(flow).await.state, FlowState::Succeeded);
        assert_eq!(site.log.lines()[2..], ["z&y", "z&y"]);
        site.close().await;
    }
}

#[tokio::test]
async fn inject() {
    for site in Site::all().await {
        let flow = linear("p")
            .inject("first", "outer")
            .add(join("one"))
            .add(linear("n").inject("first", "inner").add(join("two")))
            .add(join("three").inject("first", "own").inject("second", "too"));
        assert_eq!(site.run(flow).await.state, FlowState::Succeeded);
        assert_eq!(site.lines(), "outer inner own&too");
        site.close().await;
    }
}

#[tokio::test]
async fn optional() {
    for site in Site::all().await {
        let flow = linear("p")
            .inject("first", "a")
            .add(join("without"))
            .add(act("b").provides("second"))
            .add(join("with"));
        assert_eq!(site.run(flow).await.state, FlowState::Succeeded);
        assert_eq!(site.lines(), "a +b -b a&b");
        site.close().await;
    }
}

#[tokio::test]
async fn what_a_skipped_task_would_provide_is_left_out() {
    for site in Site::all().await {
        let skipped = |name: &str| {
            act(name).when("no", Condition::True, Depth::Atom).provides(name.to_owned())
        };
        let flow = linear("p")
            .add(act("decide").inject("value", false).provides("no"))
            .add(skipped("second"))
            .add(join("j").inject("first", "alone"));
        assert_eq!(site.run(flow).await.state, FlowState::Succeeded);
        assert_eq!(site.log.lines().last().unwrap(), "alone");
        // What cannot do without says so.
        let flow = linear("p")
            .add(act("decide").inject("value", false).provides("no"))
            .add(skipped("first"))
            .add(join("j"));
        let flow = site.run(flow).await;
        assert_eq!(flow.state, FlowState::Failed);
        let tasks = site.tasks(flow.id).await;
        assert_eq!(tasks[1].state, TaskState::Skipped);
        assert!(tasks[2].error.as_deref().unwrap().contains("missing field `first`"));
        site.close().await;
    }
}

#[tokio::test]
async fn an_output_without_what_is_taken_from_it_fails_who_takes_it() {
    for site in Site::all().await {
        let flow = linear("p")
            .add(act("a").inject("value", json!({ "here": 1 })).provides("a"))
            .add(join("j").rebind("first", "a.there"));
        let flow = site.run(flow).await;
        assert_eq!(flow.state, FlowState::Failed);
        assert_eq!(flow.error.as_deref(), Some("task `act` answered without `/there`"));
        site.close().await;
    }
}
