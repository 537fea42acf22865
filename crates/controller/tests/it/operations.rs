//! Actions and commands: targets, numbers, outcomes.

use serde_json::json;
use tutti_model::agent::{Report, Step, TaskReport, TaskWork};
use tutti_model::api::{
    Accepted, FlowInfo, OperationInfo, OperationTask, RemoveUnits, RunOperation,
};

use crate::charm::{Source, charm};
use crate::player::Player;
use crate::world::{World, refusal};

const OPERATIONS: &str = "/v1/models/m/operations";

fn source() -> Source {
    charm("db").with(
        "actions.yaml",
        "backup:\n  description: d\n  params:\n    target: {type: string, default: /srv}\n    \
         level: {type: integer}\nping: {description: pong}\n",
    )
}

fn run(action: &str, units: &[&str]) -> RunOperation {
    let units = units.iter().map(|unit| (*unit).to_owned()).collect();
    RunOperation { action: action.into(), units, ..RunOperation::default() }
}

fn exec(command: &str, units: &[&str]) -> RunOperation {
    RunOperation { command: command.into(), ..run("", units) }
}

fn report(task: i64, status: &str, results: serde_json::Value) -> TaskReport {
    TaskReport { task, status: status.into(), message: String::new(), results }
}

async fn task(world: &World, number: i64) -> OperationTask {
    world.get(&format!("/v1/models/m/operation-tasks/{number}")).await
}

async fn flow(world: &World, operation: &OperationInfo) -> FlowInfo {
    world.get(&format!("/v1/flows/{}", operation.flow.as_deref().unwrap())).await
}

#[tokio::test]
async fn an_action_from_request_to_result() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&source(), 2).await;
        let agent = Player::start(&world).await;
        let request =
            RunOperation { parameters: json!({"level": 3}), ..run("backup", &["db/leader"]) };
        let operation: OperationInfo = world.post(OPERATIONS, &request).await;
        assert_eq!((operation.id.as_str(), operation.status.as_str()), ("1", "pending"));
        assert_eq!(
            (operation.tasks[0].id.as_str(), operation.tasks[0].receiver.as_str()),
            ("2", "db/0")
        );
        let pending = &agent.snapshot("db/0").await.tasks;
        assert_eq!(
            (pending[0].task, pending[0].work, pending[0].cancelled),
            (2, TaskWork::Action, false)
        );
        assert!(agent.snapshot("db/1").await.tasks.is_empty());
        let answer = agent.task("db/0", report(2, "running", json!(null))).await;
        let action = answer.context.unwrap().action.unwrap();
        assert_eq!(action.parameters, json!({"level": 3, "target": "/srv"}));
        assert!(answer.snapshot.unwrap().tasks.is_empty(), "it runs already");
        let message = |text: &str| Report::TaskLog { task: 2, message: text.into() };
        agent.report("db/0", &[message("step one"), message("step two")]).await;
        agent.report("db/0", &[message("step three")]).await;
        let results = json!({"return-code": 0, "stdout": "hello\n"});
        let ended = async {
            agent.task("db/0", report(2, "completed", results.clone())).await;
        };
        let waited = world.get("/v1/models/m/operation-tasks/2?wait_ms=20000");
        let (ended, ()): (OperationTask, ()) = tokio::join!(waited, ended);
        assert_eq!((ended.status.as_str(), &ended.results), ("completed", &results));
        for (line, said) in ended.log.iter().zip(["step one", "step two", "step three"]) {
            assert!(line.ends_with(&format!("+0000 UTC {said}")), "{:?}", ended.log);
        }
        assert_eq!(ended.log.len(), 3);
        assert!(!ended.started.is_empty() && !ended.completed.is_empty());
        assert_eq!(flow(&world, &operation).await.state, "succeeded");
        // Said again, it changes nothing.
        agent.task("db/0", report(2, "failed", json!(null))).await;
        assert_eq!(task(&world, 2).await.status, "completed");
        let next: OperationInfo = world.post(OPERATIONS, &exec("true", &["db/1"])).await;
        assert_eq!((next.id.as_str(), next.tasks[0].id.as_str()), ("3", "4"));
        assert_eq!(next.tasks[0].name, "juju-exec");
        let listed: Vec<OperationInfo> = world.get(&format!("{OPERATIONS}?limit=1")).await;
        assert_eq!((listed.len(), listed[0].id.as_str()), (1, "3"));
        world.end().await;
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_target_is_told_and_the_others_run() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&source(), 1).await;
        let none: OperationInfo = world.post(OPERATIONS, &run("ping", &["x/9"])).await;
        assert_eq!(none.refused, ["unit \"x/9\" not found"]);
        assert_eq!(
            (none.tasks.len(), none.flow.is_none(), none.status.as_str()),
            (0, true, "error")
        );
        let undefined: OperationInfo = world.post(OPERATIONS, &run("nope", &["db/0"])).await;
        assert_eq!(undefined.refused, ["action \"nope\" not defined on unit \"db/0\""]);
        let mixed: OperationInfo =
            world.post(OPERATIONS, &exec("true", &["db/0", "db/0", "y/leader"])).await;
        assert_eq!((mixed.id.as_str(), mixed.tasks.len()), ("3", 1));
        assert_eq!(mixed.refused, ["could not determine leader for \"y\""]);
        let wrong = RunOperation { parameters: json!({"level": "x"}), ..run("backup", &["db/0"]) };
        let wrong: OperationInfo = world.post(OPERATIONS, &wrong).await;
        assert!(
            wrong.tasks.is_empty() && wrong.refused[0].contains("level"),
            "{:?}",
            wrong.refused
        );
        let both = RunOperation { command: "true".into(), ..run("ping", &["db/0"]) };
        assert_eq!(
            refusal(world.client.post::<_, OperationInfo>(OPERATIONS, &both).await).status,
            400
        );
        world.add_model("k", "local-k8s").await;
        let machine = RunOperation { machines: vec!["0".into()], ..exec("true", &[]) };
        let refused = refusal(
            world.client.post::<_, OperationInfo>("/v1/models/k/operations", &machine).await,
        );
        assert_eq!(refused.detail, "unable to target machines with a k8s controller");
        world.end().await;
    }
}

#[tokio::test]
async fn a_failure_fails_the_flow_once_all_have_ended() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&source(), 2).await;
        let agent = Player::start(&world).await;
        let all = RunOperation { applications: vec!["db".into()], ..run("ping", &[]) };
        let operation: OperationInfo = world.post(OPERATIONS, &all).await;
        assert_eq!(operation.tasks.len(), 2);
        agent.task("db/0", report(2, "running", json!(null))).await;
        let failed =
            TaskReport { message: "no".into(), ..report(2, "failed", json!({"return-code": 0})) };
        agent.task("db/0", failed).await;
        let waiting = flow(&world, &operation).await;
        assert!(waiting.finished.is_empty(), "{waiting:#?}");
        agent.task("db/1", report(3, "completed", json!({"return-code": 0}))).await;
        let ended = flow(&world, &operation).await;
        assert_eq!((ended.state.as_str(), ended.message.as_str()), ("failed", "no"));
        let shown: OperationInfo = world.get(&format!("{OPERATIONS}/1")).await;
        assert_eq!(shown.status, "failed");
        assert!(!shown.completed.is_empty());
        world.end().await;
    }
}

#[tokio::test]
async fn tasks_are_cancelled_before_and_while_they_run() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&source(), 1).await;
        let agent = Player::start(&world).await;
        let operation: OperationInfo = world.post(OPERATIONS, &exec("sleep 1", &["db/0"])).await;
        let cancelled: OperationTask =
            world.post("/v1/models/m/operation-tasks/2/cancel", ()).await;
        assert_eq!(cancelled.status, "cancelled");
        assert!(agent.snapshot("db/0").await.tasks.is_empty());
        assert_eq!(flow(&world, &operation).await.state, "failed");
        let _: OperationInfo = world.post(OPERATIONS, &exec("sleep 1", &["db/0"])).await;
        agent.task("db/0", report(4, "running", json!(null))).await;
        let before = agent.snapshot("db/0").await.generation;
        let aborting: OperationTask = world.post("/v1/models/m/operation-tasks/4/cancel", ()).await;
        assert_eq!(aborting.status, "aborting");
        let snapshot = agent.snapshot("db/0").await;
        assert!(snapshot.tasks[0].cancelled && snapshot.generation > before);
        agent.task("db/0", report(4, "aborted", json!(null))).await;
        assert_eq!(task(&world, 4).await.status, "aborted");
        // Nobody is left to run the next one.
        let _: OperationInfo = world.post(OPERATIONS, &exec("true", &["db/0"])).await;
        let remove = RemoveUnits { units: vec!["db/0".into()], ..RemoveUnits::default() };
        let _: Accepted = world.post("/v1/models/m/units/remove", &remove).await;
        agent.die("db/0").await;
        assert_eq!(task(&world, 6).await.status, "cancelled");
        world.end().await;
    }
}

#[tokio::test]
async fn an_action_sees_the_current_configuration() {
    let world = World::sqlite().await;
    world.model().await;
    world.deploy(&source(), 1).await;
    let agent = Player::start(&world).await;
    agent.step("db/0", Step { want_context: true, ..Step::default() }).await;
    let change = json!({"set": {"port": "8080"}});
    world.patch("/v1/models/m/applications/db/config", &change).await;
    let _: OperationInfo = world.post(OPERATIONS, &run("ping", &["db/0"])).await;
    let answer = agent.task("db/0", report(2, "running", json!(null))).await;
    assert_eq!(answer.context.unwrap().config["port"], 8080);
    world.end().await;
}

#[tokio::test]
async fn commands_run_on_machines() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&source(), 1).await;
        let request = |command: &str, timeout_ms| RunOperation {
            machines: vec!["0".into()],
            timeout_ms,
            ..exec(command, &[])
        };
        let get = async |task: i64| -> OperationTask {
            world.get(&format!("/v1/models/m/operation-tasks/{task}?wait_ms=20000")).await
        };
        let _: OperationInfo =
            world.post(OPERATIONS, &request("echo hi; echo no >&2; exit 3", 0)).await;
        let ended = get(2).await;
        assert_eq!((ended.receiver.as_str(), ended.status.as_str()), ("0", "completed"));
        assert_eq!(ended.results, json!({"return-code": 3, "stdout": "hi\n", "stderr": "no\n"}));
        let _: OperationInfo = world.post(OPERATIONS, &request("sleep 60", 50)).await;
        let late = get(4).await;
        assert_eq!(
            (late.status.as_str(), late.message.as_str()),
            ("failed", "execution timed out")
        );
        let operation: OperationInfo = world.post(OPERATIONS, &request("sleep 60", 0)).await;
        world.until("it runs", async || task(&world, 6).await.status == "running").await;
        let _: OperationTask = world.post("/v1/models/m/operation-tasks/6/cancel", ()).await;
        assert_eq!(get(6).await.status, "aborted");
        world
            .until("the flow ends", async || !flow(&world, &operation).await.finished.is_empty())
            .await;
        let background = "sleep 60 & echo $!; wait";
        let _: OperationInfo = world.post(OPERATIONS, &request(background, 100)).await;
        assert_eq!(get(8).await.status, "failed");
        let unknown = RunOperation { machines: vec!["9".into()], ..exec("true", &[]) };
        let unknown: OperationInfo = world.post(OPERATIONS, &unknown).await;
        assert_eq!(unknown.refused, ["machine \"9\" not found"]);
        world.end().await;
    }
}

#[tokio::test]
async fn to_cancel_a_flow_cancels_what_it_stands_behind() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&source(), 2).await;
        let agent = Player::start(&world).await;
        let all = RunOperation { applications: vec!["db".into()], ..exec("sleep 60", &[]) };
        let operation: OperationInfo = world.post(OPERATIONS, &all).await;
        agent.task("db/0", report(2, "running", json!(null))).await;
        let before = agent.snapshot("db/0").await.generation;
        let id = operation.flow.as_deref().unwrap();
        let path = |verb: &str| format!("/v1/flows/{id}:{verb}");
        let cancelled: FlowInfo = world.post(&path("cancel"), json!({})).await;
        assert_eq!((cancelled.state.as_str(), &cancelled.verbs[..]), ("cancelled", &[][..]));
        assert_eq!(task(&world, 2).await.status, "aborting");
        assert_eq!(task(&world, 3).await.status, "cancelled");
        let snapshot = agent.snapshot("db/0").await;
        assert!(snapshot.tasks[0].cancelled && snapshot.generation > before);
        agent.task("db/0", report(2, "aborted", json!(null))).await;
        let shown: OperationInfo = world.get(&format!("{OPERATIONS}/1")).await;
        assert_eq!(shown.status, "aborted");
        assert_eq!(flow(&world, &operation).await.state, "cancelled");
        for verb in ["retry", "revert"] {
            let problem = refusal(world.client.post::<_, FlowInfo>(&path(verb), &json!({})).await);
            assert_eq!(problem.status, 409);
            assert!(problem.detail.ends_with("run it again as a new one"), "{}", problem.detail);
        }
        let machine = RunOperation { machines: vec!["0".into()], ..exec("sleep 60", &[]) };
        let operation: OperationInfo = world.post(OPERATIONS, &machine).await;
        world.until("it runs", async || task(&world, 5).await.status == "running").await;
        let path = format!("/v1/flows/{}:cancel", operation.flow.as_deref().unwrap());
        world.post::<FlowInfo>(&path, json!({})).await;
        world.until("it is aborted", async || task(&world, 5).await.status == "aborted").await;
        world
            .until("the flow ends", async || flow(&world, &operation).await.state == "cancelled")
            .await;
        world.end().await;
    }
}

#[tokio::test]
async fn a_flow_whose_command_failed_is_not_run_again() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&source(), 1).await;
        let agent = Player::start(&world).await;
        let operation: OperationInfo = world.post(OPERATIONS, &exec("false", &["db/0"])).await;
        agent.task("db/0", report(2, "completed", json!({"return-code": 1}))).await;
        let failed = flow(&world, &operation).await;
        assert_eq!((failed.state.as_str(), &failed.verbs[..]), ("failed", &[][..]));
        for path in [
            format!("/v1/flows/{}:retry", failed.id),
            format!("/v1/tasks/{}:skip", failed.tasks[0].id),
        ] {
            let problem = refusal(world.client.post::<_, FlowInfo>(&path, &json!({})).await);
            assert_eq!(problem.status, 409);
            assert!(problem.detail.contains("run it again as a new one"), "{}", problem.detail);
        }
        assert_eq!(flow(&world, &operation).await.state, "failed");
        world.end().await;
    }
}
