//! Workers that take tasks over HTTP.

use std::time::Duration;

use serde_json::{Value, json};
use tutti_client::Error;
use tutti_flow::{NewFlow, NewTask, Retry};
use tutti_model::api::{
    ClaimBeat, ClaimInfo, ClaimRequest, ClaimResult, ClaimStanding, FlowInfo, TaskInfo, TaskPage,
    WorkerInfo,
};
use tutti_store::Store;
use uuid::Uuid;

use crate::world::{World, refusal};

fn remote(label: &str, needs: &[usize]) -> NewTask {
    NewTask {
        name: "render".into(),
        title: "render a picture".into(),
        input: json!({ "size": 3 }),
        labels: vec![label.into()],
        needs: needs.to_vec(),
        retry: Retry::times(3).or_revert(),
        ..NewTask::default()
    }
}

/// Submits a flow as a program with the database would; answers its path.
async fn submit(world: &mut World, tasks: Vec<NewTask>) -> String {
    let id = Uuid::now_v7();
    let trace = Some("request 7".into());
    let flow = NewFlow { id, kind: "render".into(), tasks, trace, ..NewFlow::default() };
    world.stop().await;
    let file = world.options.data.join("tutti.db").display().to_string();
    let url = world.options.database.clone().unwrap_or(file);
    let store = Store::open(&url, &[]).await.unwrap();
    store
        .write(move |tx| {
            let now = tx.now()?;
            tutti_flow::submit(tx, flow.clone(), now)
        })
        .await
        .unwrap();
    store.close().await;
    world.start_again().await;
    format!("/v1/flows/{id}")
}

fn request(lease_ms: u64) -> ClaimRequest {
    ClaimRequest {
        handlers: vec!["render".into(), "other".into()],
        labels: vec!["gpu".into(), "ssd".into()],
        wait_ms: 20_000,
        lease_ms,
        ..ClaimRequest::default()
    }
}

async fn claim(world: &World, worker: &str, lease_ms: u64) -> ClaimInfo {
    let path = format!("/v1/workers/{worker}/claims");
    let mut claims: Vec<ClaimInfo> = world.client.post(&path, &request(lease_ms)).await.unwrap();
    assert_eq!(claims.len(), 1, "{claims:?}");
    claims.remove(0)
}

async fn finish(world: &World, claim: &str, result: &ClaimResult) -> Result<(), Error> {
    world.client.post(&format!("/v1/claims/{claim}/result"), result).await
}

fn done(output: Value) -> ClaimResult {
    ClaimResult { output, ..ClaimResult::default() }
}

async fn task(world: &World, flow: &str, number: usize) -> TaskInfo {
    let flow: FlowInfo = world.get(flow).await;
    flow.tasks[number].clone()
}

async fn ended(world: &World, flow: &str) -> FlowInfo {
    world.get(&format!("{flow}?wait_ms=20000")).await
}

#[tokio::test]
async fn what_others_did_they_are_asked_to_undo() {
    for mut world in World::all().await {
        let flow = submit(&mut world, vec![remote("gpu", &[])]).await;
        let got = claim(&world, "render-1", 30_000).await;
        finish(&world, &got.id, &done(json!("picture"))).await.unwrap();
        let succeeded = ended(&world, &flow).await;
        assert_eq!(
            (succeeded.state.as_str(), &succeeded.verbs[..]),
            ("succeeded", &["revert".into()][..])
        );
        let undone: FlowInfo = world.post(&format!("{flow}:revert"), json!({})).await;
        assert_eq!((undone.state.as_str(), undone.reverting), ("reverting", true));
        let metrics = world.send("GET", "/v1/metrics", &[], &Value::Null).await.body;
        for line in ["tutti_flows{state=\"reverting\"} 1\n", "tutti_flows{state=\"stuck\"} 0\n"] {
            assert!(metrics.contains(line), "{line}");
        }
        assert_eq!(undone.verbs, ["abandon"]);
        let got = claim(&world, "render-1", 30_000).await;
        assert!(got.undo.is_some());
        let refused = ClaimResult { error: Some("no".into()), ..ClaimResult::default() };
        finish(&world, &got.id, &refused).await.unwrap();
        let stuck = ended(&world, &flow).await;
        assert_eq!((stuck.state.as_str(), stuck.reverting), ("stuck", false));
        let metrics = world.send("GET", "/v1/metrics", &[], &Value::Null).await.body;
        assert!(metrics.contains("tutti_flows{state=\"stuck\"} 1\n"));
        world.post::<FlowInfo>(&format!("{flow}:retry"), json!({})).await;
        let got = claim(&world, "render-1", 30_000).await;
        finish(&world, &got.id, &done(Value::Null)).await.unwrap();
        let reverted = ended(&world, &flow).await;
        assert_eq!((reverted.state.as_str(), reverted.reverting), ("reverted", false));
        world.end().await;
    }
}

#[tokio::test]
async fn a_task_is_taken_shown_and_finished() {
    for mut world in World::all().await {
        let flow = submit(&mut world, vec![remote("gpu", &[]), remote("ssd", &[0])]).await;
        let got = claim(&world, "render-1", 30_000).await;
        assert_eq!(
            (got.name.as_str(), &got.input, got.attempt),
            ("render", &json!({"size": 3}), 1)
        );
        assert!(got.lease_ms > 25_000 && got.lease_ms <= 30_000, "{got:?}");
        assert_eq!((got.undo, got.time_left_ms), (None, None));
        assert_eq!(got.trace.as_deref(), Some("request 7"));
        let beat = ClaimBeat {
            progress: Some(0.25),
            log: vec!["a quarter".into()],
            lease_ms: Some(60_000),
        };
        let path = format!("/v1/claims/{}", got.id);
        let standing: ClaimStanding = world.client.post(&path, &beat).await.unwrap();
        assert!(standing.lease_ms > 50_000 && !standing.cancelled, "{standing:?}");
        let shown = task(&world, &flow, 0).await;
        assert_eq!((shown.state.as_str(), shown.progress), ("running", Some(0.25)));
        let lines: Value = world.get(&format!("{flow}/log")).await;
        assert_eq!(lines[0]["line"], "a quarter");
        let workers: Vec<WorkerInfo> = world.get("/v1/workers").await;
        let own = workers.iter().find(|worker| worker.name == "render-1").unwrap();
        assert_eq!(
            (own.remote, own.claims, &own.labels[..]),
            (true, 1, &["gpu".into(), "ssd".into()][..])
        );

        // Its answer was lost: sent again, it is the same.
        let headers = [("Idempotency-Key", "once")];
        let result = format!("{path}/result");
        for _ in 0..2 {
            let answer = world.send("POST", &result, &headers, &json!({"output": "one"})).await;
            assert_eq!(answer.status, 204, "{}", answer.body);
        }
        let second = claim(&world, "render-1", 30_000).await;
        finish(&world, &second.id, &done(json!("two"))).await.unwrap();
        let flow = ended(&world, &flow).await;
        assert_eq!(flow.state, "succeeded", "{}", flow.message);
        assert_eq!(flow.tasks[0].output, "one");
        world.end().await;
    }
}

#[tokio::test]
async fn what_failed_where_is_seen_over_http() {
    for mut world in World::all().await {
        let flow = submit(&mut world, vec![remote("gpu", &[])]).await;
        let failed = |error: &str, retryable| ClaimResult {
            error: Some(error.into()),
            retryable,
            ..ClaimResult::default()
        };
        let first = claim(&world, "render-1", 30_000).await;
        finish(&world, &first.id, &failed("no memory", true)).await.unwrap();
        let second = claim(&world, "render-2", 30_000).await;
        let path = "/v1/tasks?name=render&class=RETRYABLE,bug";
        let found = world.get::<TaskPage>(path).await.tasks;
        assert_eq!((found.len(), found[0].class.as_deref()), (1, Some("retryable")));
        assert_eq!(found[0].failures, [], "lists leave them out");
        finish(&world, &second.id, &failed("no driver", false)).await.unwrap();
        // It is to be undone.
        let undo = claim(&world, "render-2", 30_000).await;
        finish(&world, &undo.id, &done(Value::Null)).await.unwrap();
        assert_eq!(ended(&world, &flow).await.state, "reverted");
        let shown: TaskInfo = world.get(&format!("/v1/tasks/{}", second.task)).await;
        assert_eq!(shown.class.as_deref(), Some("terminal"));
        let seen: Vec<_> = shown
            .failures
            .iter()
            .map(|one| {
                (one.attempt, one.class.as_str(), one.message.as_str(), one.worker.as_deref())
            })
            .collect();
        assert_eq!(
            seen,
            [
                (1, "retryable", "no memory", Some("render-1")),
                (2, "terminal", "no driver", Some("render-2"))
            ]
        );
        let none = world.get::<TaskPage>("/v1/tasks?name=render&error_class=lost").await.tasks;
        assert_eq!(none, []);
        world.end().await;
    }
}

#[tokio::test]
async fn who_falls_silent_is_replaced_and_refused() {
    for mut world in World::all().await {
        let flow = submit(&mut world, vec![remote("gpu", &[])]).await;
        let first = claim(&world, "one", 1_000).await;
        let second = claim(&world, "two", 30_000).await;
        assert_eq!((first.attempt, second.attempt), (1, 2));
        assert_eq!(first.idempotency_key, second.idempotency_key);
        let late = refusal(finish(&world, &first.id, &done(json!("late"))).await);
        assert_eq!((late.status, late.code.as_str()), (409, "claim-lost"));
        assert!(late.detail.contains(&first.id), "{}", late.detail);
        let path = format!("/v1/claims/{}", first.id);
        let late = world.client.post::<_, ClaimStanding>(&path, &ClaimBeat::default()).await;
        assert_eq!(refusal(late).status, 409);
        finish(&world, &second.id, &done(json!("in time"))).await.unwrap();
        let flow = ended(&world, &flow).await;
        assert_eq!((flow.state.as_str(), &flow.tasks[0].output), ("succeeded", &json!("in time")));
        world.end().await;
    }
}

#[tokio::test]
async fn cancelling_is_heard_with_the_next_sign_of_life_and_undone_elsewhere() {
    for mut world in World::all().await {
        let flow = submit(&mut world, vec![remote("gpu", &[]), remote("gpu", &[0])]).await;
        let first = claim(&world, "one", 30_000).await;
        finish(&world, &first.id, &done(json!("made"))).await.unwrap();
        let second = claim(&world, "one", 30_000).await;
        let _: FlowInfo = world.client.post(&format!("{flow}:cancel"), &json!({})).await.unwrap();
        let path = format!("/v1/claims/{}", second.id);
        let wait = async {
            loop {
                let beat = ClaimBeat::default();
                let standing: ClaimStanding = world.client.post(&path, &beat).await.unwrap();
                if standing.cancelled {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap();
        let stopped = ClaimResult { error: Some("stopped".into()), ..ClaimResult::default() };
        finish(&world, &second.id, &stopped).await.unwrap();
        for (outcome, what) in [("failed", json!("stopped")), ("succeeded", json!("made"))] {
            let undo = claim(&world, "one", 30_000).await;
            assert!(undo.idempotency_key.ends_with("-revert"));
            let how = undo.undo.unwrap();
            let said = if outcome == "failed" { json!(how.error) } else { how.output };
            assert_eq!((how.outcome.as_str(), said), (outcome, what));
            finish(&world, &undo.id, &done(Value::Null)).await.unwrap();
        }
        assert_eq!(ended(&world, &flow).await.state, "cancelled");
        world.end().await;
    }
}

#[tokio::test]
async fn what_nobody_can_do_waits_and_says_for_whom() {
    for mut world in World::all().await {
        let flow = submit(&mut world, vec![remote("tape", &[])]).await;
        let none = ClaimRequest { wait_ms: 300, ..request(30_000) };
        let none: Vec<ClaimInfo> =
            world.client.post("/v1/workers/one/claims", &none).await.unwrap();
        assert_eq!(none, []);
        let wait = async {
            while task(&world, &flow, 0).await.state != "offered" {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap();
        let shown = task(&world, &flow, 0).await;
        assert_eq!(shown.message, "waiting for a worker with label tape that knows render");
        let tape = ClaimRequest { labels: vec!["tape".into()], ..request(30_000) };
        let got: Vec<ClaimInfo> = world.client.post("/v1/workers/two/claims", &tape).await.unwrap();
        world.client.delete::<()>(&format!("/v1/claims/{}", got[0].id)).await.unwrap();
        let again: Vec<ClaimInfo> =
            world.client.post("/v1/workers/two/claims", &tape).await.unwrap();
        assert_eq!(again[0].attempt, 2, "given back, it is offered again at once");
        finish(&world, &again[0].id, &done(json!(1))).await.unwrap();
        assert_eq!(ended(&world, &flow).await.state, "succeeded");
        world.end().await;
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let world = World::sqlite().await;
    let now = ClaimRequest { wait_ms: 0, ..request(1) };
    let uuid = format!("/v1/workers/{}/claims", Uuid::now_v7());
    let long = format!("/v1/workers/{}/claims", "n".repeat(101));
    let unnamed = ClaimRequest { labels: vec![String::new()], ..now.clone() };
    for (path, request) in
        [(&uuid, &now), (&long, &now), (&"/v1/workers/one/claims".to_owned(), &unnamed)]
    {
        let refused = world.client.post::<_, Vec<ClaimInfo>>(path, request).await;
        let refused = refusal(refused);
        assert_eq!((refused.status, refused.code.as_str()), (400, "invalid"), "{path}");
    }
    let unknown = finish(&world, &Uuid::now_v7().to_string(), &done(Value::Null)).await;
    assert_eq!(refusal(unknown).code, "claim-lost");
    let many = ClaimBeat { log: vec!["line".into(); 101], ..ClaimBeat::default() };
    let path = format!("/v1/claims/{}", Uuid::now_v7());
    let refused = refusal(world.client.post::<_, ClaimStanding>(&path, &many).await);
    assert_eq!(refused.status, 400);
    world.end().await;
}
