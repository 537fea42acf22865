//! The rules every change follows over HTTP: addresses, entity tags, waiting, keys, conditions.

use serde_json::{Value, json};
use tutti_model::api::{FlowPage, ModelInfo, Problem, Settled};
use tutti_store::Store;

use crate::charm::charm;
use crate::world::{Answer, World};

const CONFIG: &str = "/v1/models/m/applications/db/config";

/// A model `m` with an application `db`.
async fn prepared(world: &World) {
    world.model().await;
    world.deploy(&charm("db"), 1).await;
}

async fn generation(world: &World) -> i64 {
    world.application("db").await.generation
}

#[tokio::test]
async fn a_change_names_its_resource_and_its_flow() {
    for world in World::all().await {
        prepared(&world).await;
        let body = json!({"set": {"port": "1"}});
        let answer = world.send("PATCH", CONFIG, &[], &body).await;
        assert_eq!(answer.status, 202);
        assert_eq!(answer.header("location"), "/v1/models/m/applications/db");
        let flow = answer.json::<Value>()["flow"]["id"].as_str().unwrap().to_owned();
        assert_eq!(answer.header("link"), format!("</v1/flows/{flow}>; rel=\"status\""));
        let shown = world.send("GET", CONFIG, &[], &Value::Null).await;
        assert_eq!(answer.header("etag"), shown.header("etag"));
        let before = generation(&world).await;
        let again = world.send("PATCH", CONFIG, &[], &body).await;
        assert_eq!((again.status, again.header("link")), (200, ""));
        assert_eq!(again.json::<Value>()["flow"], Value::Null);
        assert_eq!(generation(&world).await, before, "nothing changed");
        let added = json!({"count": 2});
        let answer = world.send("POST", "/v1/models/m/machines", &[], &added).await;
        assert_eq!(answer.header("location"), "/v1/models/m", "several have no one address");
        let answer = world.send("POST", "/v1/models/m/machines", &[], &json!({})).await;
        let machine = world.send("GET", answer.header("location"), &[], &Value::Null).await;
        assert_eq!((machine.status, machine.header("etag")), (200, answer.header("etag")));
        let named = json!({"name": "n"});
        let answer = world.send("POST", "/v1/models", &[], &named).await;
        assert_eq!((answer.status, answer.header("location")), (201, "/v1/models/n"));
        world.end().await;
    }
}

#[tokio::test]
async fn the_tag_of_what_is_large_is_read_after_the_change() {
    for world in World::all().await {
        prepared(&world).await;
        let _agent = world.agent().await;
        let path = "/v1/models/m/applications/db";
        let (on, wait) = (json!({"on": true}), [("Prefer", "wait=30")]);
        let exposed = format!("{path}/exposed");
        assert_eq!(world.send("PUT", &exposed, &wait, &on).await.status, 200);
        let shown = world.send("GET", path, &[], &Value::Null).await;
        let etag = shown.header("etag");
        for headers in [&[][..], &[("If-Match", etag)], &[("Idempotency-Key", "k")]] {
            let unchanged = world.send("PUT", &exposed, headers, &on).await;
            assert_eq!((unchanged.status, unchanged.header("etag")), (200, etag), "{headers:?}");
        }
        let changed = world.send("PUT", &exposed, &[], &json!({"on": false})).await;
        assert_eq!(changed.status, 202);
        assert!(!["", etag].contains(&changed.header("etag")));
        let gone = world.send("DELETE", path, &wait, &Value::Null).await;
        assert_eq!((gone.status, gone.header("etag")), (204, ""));
        world.end().await;
    }
}

#[tokio::test]
async fn a_tag_never_stands_for_a_change_its_client_has_not_seen() {
    for mut world in World::all().await {
        world.options.queue_max = 10_000;
        world.restart().await;
        // Without an agent nobody but the clients changes anything.
        prepared(&world).await;
        let path = "/v1/models/m/applications/db/exposed";
        let generation = |answer: &Answer| answer.json::<Value>()["flow"]["generation"].as_i64();
        let client = async |on: bool| {
            let mut built_upon = 0;
            for _ in 0..30 {
                let first = world.send("PUT", path, &[], &json!({"on": on})).await;
                let (Some(seen), tag) = (generation(&first), first.header("etag")) else {
                    continue;
                };
                if tag.is_empty() {
                    continue;
                }
                let tag = [("If-Match", tag)];
                let second = world.send("PUT", path, &tag, &json!({"on": !on})).await;
                if second.status != 412 {
                    assert_eq!(generation(&second), Some(seen + 1), "{}", second.body);
                    built_upon += 1;
                }
            }
            built_upon
        };
        let clients = (0..6).map(|number| client(number % 2 == 0));
        let built_upon: i32 = futures_util::future::join_all(clients).await.iter().sum();
        assert!(built_upon > 0, "most find that somebody was faster, but not all");
        world.end().await;
    }
}

#[tokio::test]
async fn so_many_changes_may_wait_for_a_resource_and_no_more() {
    for mut world in World::all().await {
        world.options.queue_max = 2;
        world.restart().await;
        // Without an agent the deployment keeps the application.
        prepared(&world).await;
        let path = "/v1/models/m/applications/db";
        let exposed = format!("{path}/exposed");
        let (on, off) = (json!({"on": true}), json!({"on": false}));
        assert_eq!(world.send("PUT", &exposed, &[], &on).await.status, 202);
        let before = generation(&world).await;
        let refused = world.send("PUT", &exposed, &[], &off).await;
        assert_eq!((refused.status, refused.header("retry-after")), (429, "5"));
        let problem: Problem = refused.json();
        assert_eq!(problem.code, "queue-full");
        assert!(problem.detail.starts_with("application/db has 2 changes waiting already"));
        assert_eq!(generation(&world).await, before, "nothing has changed");
        let elsewhere = world.send("POST", "/v1/models/m/machines", &[], &json!({})).await;
        assert_eq!(elsewhere.status, 202);
        // What removes is never refused.
        assert_eq!(world.send("DELETE", path, &[], &Value::Null).await.status, 202);
        world.end().await;
    }
}

#[tokio::test]
async fn a_reader_who_has_it_already_is_told_so() {
    for world in World::all().await {
        prepared(&world).await;
        // Not the application itself, which changes as its flow goes on.
        let path = CONFIG;
        let first = world.send("GET", path, &[], &Value::Null).await;
        let seen = first.header("etag");
        let again = world.send("GET", path, &[("If-None-Match", seen)], &Value::Null).await;
        assert_eq!((again.status, again.body.as_str()), (304, ""));
        assert_eq!(again.header("etag"), seen);
        world.send("PATCH", CONFIG, &[], &json!({"set": {"port": "1"}})).await;
        let changed = world.send("GET", path, &[("If-None-Match", seen)], &Value::Null).await;
        assert_eq!(changed.status, 200);
        assert_ne!(changed.header("etag"), seen);
        let bad = world.send("GET", path, &[("If-None-Match", "x")], &Value::Null).await;
        assert_eq!(bad.status, 400);
        world.end().await;
    }
}

#[tokio::test]
async fn a_change_of_what_has_changed_since_is_refused() {
    for world in World::all().await {
        prepared(&world).await;
        let shown = world.send("GET", CONFIG, &[], &Value::Null).await;
        let seen = shown.header("etag");
        let (one, two) = (json!({"set": {"port": "1"}}), json!({"set": {"port": "2"}}));
        let first = world.send("PATCH", CONFIG, &[("If-Match", seen)], &one).await;
        assert_eq!(first.status, 202);
        let late = world.send("PATCH", CONFIG, &[("If-Match", seen)], &two).await;
        assert_eq!((late.status, late.header("etag")), (412, first.header("etag")));
        assert_eq!(late.json::<Problem>().code, "precondition");
        let now = late.header("etag");
        assert_eq!(world.send("PATCH", CONFIG, &[("If-Match", now)], &two).await.status, 202);
        let none = "/v1/models/m/applications/none";
        assert_eq!(
            world.send("DELETE", none, &[("If-Match", "*")], &Value::Null).await.status,
            404
        );
        let nowhere = json!({"name": "n"});
        let answer = world.send("POST", "/v1/models", &[("If-Match", "*")], &nowhere).await;
        assert_eq!(answer.status, 400);
        world.end().await;
    }
}

#[tokio::test]
async fn a_generation_is_expected_in_query_or_body() {
    for world in World::all().await {
        prepared(&world).await;
        let generation = generation(&world).await;
        let body = json!({"set": {"port": "1"}, "expect_generation": generation + 1});
        let refused = world.send("PATCH", CONFIG, &[], &body).await;
        assert_eq!(refused.status, 412);
        let said = refused.json::<Problem>().detail;
        assert!(said.contains(&format!("generation {generation}, not")), "{said}");
        let body = json!({"set": {"port": "1"}, "expect_generation": generation});
        assert_eq!(world.send("PATCH", CONFIG, &[], &body).await.status, 202);
        let path = format!("{CONFIG}?expect_generation={generation}");
        let late = world.send("PATCH", &path, &[], &json!({"set": {"port": "2"}})).await;
        assert_eq!(late.status, 412);
        // Wishes that are maps have room for it, too.
        let path = "/v1/models/m/constraints";
        let model: ModelInfo = world.get("/v1/models/m").await;
        let body = json!({"cores": 2, "expect_generation": model.generation});
        assert_eq!(world.send("PUT", path, &[], &body).await.status, 202);
        assert_eq!(world.get::<Value>(path).await, json!({"cores": 2}));
        let path = "/v1/models/m/units/db/0/resolved?expect_generation=1";
        assert_eq!(world.send("POST", path, &[], &json!({})).await.status, 400);
        world.end().await;
    }
}

#[tokio::test]
async fn who_prefers_to_wait_gets_the_end() {
    for world in World::all().await {
        prepared(&world).await;
        let wait = [("Prefer", "wait=1")];
        let body = json!({"set": {"port": "1"}});
        let early = world.send("PATCH", CONFIG, &wait, &body).await;
        assert_eq!((early.status, early.header("preference-applied")), (202, ""));
        let wait = [("Prefer", "respond-async, wait=30")];
        let agent = world.agent().await;
        let done = world.send("PATCH", CONFIG, &wait, &json!({"set": {"port": "2"}})).await;
        assert_eq!((done.status, done.header("preference-applied")), (200, "wait=30"));
        let settled: Settled = done.json();
        assert_eq!(settled.sync.state, "in_sync");
        assert_eq!(settled.accepted.flow.unwrap().state, "succeeded");
        assert_eq!(settled.problem, None);
        let path = "/v1/models/m/applications/db/units";
        let added = world.send("POST", path, &wait, &json!({"count": 1})).await;
        assert_eq!(added.status, 201);
        let path = "/v1/models/m/operations";
        let command = json!({"machines": ["0"], "command": "true"});
        let answer = world.send("POST", path, &wait, &command).await;
        assert_eq!((answer.status, &answer.json::<Value>()["status"]), (201, &json!("completed")));
        let path = "/v1/models/m/applications/db";
        let gone = world.send("DELETE", path, &wait, &Value::Null).await;
        assert_eq!((gone.status, gone.body.as_str()), (204, ""));
        drop(agent);
        world.end().await;
    }
}

#[tokio::test]
async fn who_waits_for_a_flow_that_fails_is_told_why() {
    for world in World::all().await {
        prepared(&world).await;
        let body = json!({"set": {"port": "1"}});
        let wait = [("Prefer", "wait=30")];
        let waiting = world.send("PATCH", CONFIG, &wait, &body);
        let cancelling = async {
            let list = "/v1/models/m/applications/db/flows?kind=configure";
            world
                .until("a flow is there", async || {
                    !world.get::<FlowPage>(list).await.flows.is_empty()
                })
                .await;
            let flow = world.get::<FlowPage>(list).await.flows.remove(0);
            let path = format!("/v1/flows/{}/cancel", flow.id);
            assert_eq!(world.send("POST", &path, &[], &json!({})).await.status, 200);
        };
        let (answer, ()) = tokio::join!(waiting, cancelling);
        assert_eq!(answer.status, 200, "the change was accepted");
        let settled: Settled = answer.json();
        assert_eq!(settled.sync.state, "failed");
        assert_eq!(settled.problem.unwrap().code, "flow-cancelled");
        world.end().await;
    }
}

#[tokio::test]
async fn a_request_that_is_sent_again_takes_effect_once() {
    for mut world in World::all().await {
        world.model().await;
        let key = [("Idempotency-Key", "k1")];
        let path = "/v1/models/m/machines";
        let first = world.send("POST", path, &key, &json!({})).await;
        assert_eq!((first.status, first.header("idempotency-replayed")), (202, ""));
        // As after a crash between the commit and the answer.
        world.restart().await;
        let again = world.send("POST", path, &key, &json!({})).await;
        assert_eq!((again.status, again.header("idempotency-replayed")), (202, "true"));
        assert_eq!(again.body, first.body);
        for name in ["location", "link", "etag"] {
            assert_eq!(again.header(name), first.header(name), "{name}");
        }
        assert_eq!(world.get::<Vec<Value>>(path).await.len(), 1);
        let other = world.send("POST", path, &key, &json!({"count": 2})).await;
        assert_eq!((other.status, other.json::<Problem>().code.as_str()), (422, "key-reused"));
        // Keys count in one model, and what is refused is not kept.
        world.add_model("n", "").await;
        let elsewhere = world.send("POST", "/v1/models/n/machines", &key, &json!({})).await;
        assert_eq!((elsewhere.status, elsewhere.header("idempotency-replayed")), (202, ""));
        let key = [("Idempotency-Key", "k2")];
        let path = "/v1/models/m/machines/7";
        assert_eq!(world.send("DELETE", path, &key, &Value::Null).await.status, 404);
        assert_eq!(world.send("DELETE", path, &key, &Value::Null).await.status, 404);
        let long = "k".repeat(256);
        let answer = world.send("POST", path, &[("Idempotency-Key", &long)], &json!({})).await;
        assert_eq!(answer.status, 405, "{}", answer.body);
        let path = "/v1/models/m/machines";
        let answer = world.send("POST", path, &[("Idempotency-Key", &long)], &json!({})).await;
        assert_eq!(answer.status, 400, "{}", answer.body);
        world.end().await;
    }
}

#[tokio::test]
async fn an_answer_is_kept_for_a_day() {
    let mut world = World::sqlite().await;
    world.model().await;
    let key = [("Idempotency-Key", "k")];
    let path = "/v1/models/m/machines";
    world.send("POST", path, &key, &json!({})).await;
    world.stop().await;
    let file = world.options.data.join("tutti.db").display().to_string();
    let store = Store::open(&file, &[]).await.unwrap();
    const OLDER: &str = "UPDATE idempotency SET created = created - 86400000000";
    store.write(|tx| tx.exec(OLDER, ())).await.unwrap();
    store.close().await;
    world.start_again().await;
    let again = world.send("POST", path, &key, &json!({"count": 2})).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (202, ""));
    assert_eq!(world.get::<Vec<Value>>(path).await.len(), 3);
    world.end().await;
}

#[tokio::test]
async fn who_removes_twice_gets_the_same_flow() {
    for world in World::all().await {
        world.model().await;
        let agent = world.agent().await;
        let deployed = world.deploy(&charm("db"), 1).await;
        assert_eq!(world.ended(&deployed).await.state, "succeeded");
        drop(agent);
        let path = "/v1/models/m/applications/db";
        let first = world.delete(path).await;
        let second = world.delete(path).await;
        assert_eq!(first.flow.as_ref().unwrap().id, second.flow.unwrap().id);
        let _agent = world.agent().await;
        assert_eq!(world.ended(&first).await.state, "succeeded");
        let answer = world.send("DELETE", path, &[], &Value::Null).await;
        assert_eq!(answer.status, 404);
        world.end().await;
    }
}

#[tokio::test]
async fn the_end_of_a_model_is_answered_again_after_it() {
    for world in World::all().await {
        world.model().await;
        let key = [("Idempotency-Key", "end")];
        let first = world.send("DELETE", "/v1/models/m", &key, &Value::Null).await;
        assert_eq!(first.status, 202);
        world
            .until("it is gone", async || {
                world.client.get::<ModelInfo>("/v1/models/m").await.is_err()
            })
            .await;
        let again = world.send("DELETE", "/v1/models/m", &key, &Value::Null).await;
        assert_eq!((again.status, again.body), (202, first.body));
        world.end().await;
    }
}

#[tokio::test]
async fn requests_with_one_key_at_once_take_effect_once() {
    for world in World::all().await {
        world.model().await;
        let key = [("Idempotency-Key", "at once")];
        let path = "/v1/models/m/machines";
        let body = json!({});
        let send = || world.send("POST", path, &key, &body);
        let answers: [Answer; 4] = tokio::join!(send(), send(), send(), send()).into();
        let replayed = answers.iter().filter(|one| one.header("idempotency-replayed") == "true");
        assert_eq!(replayed.count(), 3);
        assert!(answers.iter().all(|one| one.body == answers[0].body));
        assert_eq!(world.get::<Vec<Value>>(path).await.len(), 1);
        world.end().await;
    }
}
