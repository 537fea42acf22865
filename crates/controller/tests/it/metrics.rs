//! What Prometheus reads.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::charm::charm;
use crate::world::World;

/// Every line by its name and labels.
async fn read(world: &World) -> BTreeMap<String, f64> {
    let answer = world.send("GET", "/v1/metrics", &[], &Value::Null).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let lines = answer.body.lines().filter(|line| !line.starts_with('#') && line.contains(' '));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

#[tokio::test]
async fn flows_tasks_and_requests_are_counted() {
    for world in World::all().await {
        world.model().await;
        let deployed = world.deploy(&charm("db"), 1).await;
        let path = "/v1/models/m/applications/db/config";
        let configured = world.patch(path, json!({"set": {"port": "1"}})).await;
        world
            .until("the first waits for the unit", || async {
                let now = read(&world).await;
                now["tutti_flows{state=\"waiting\"}"] == 1.0
            })
            .await;
        let now = read(&world).await;
        assert_eq!(now["tutti_flows{state=\"blocked\"}"], 1.0);
        assert_eq!(now["tutti_flows{state=\"running\"}"], 0.0);
        assert!(now["tutti_flow_oldest_wait_seconds"] > 0.0);
        assert_eq!(now["tutti_tasks{state=\"waiting\"}"], 1.0);
        assert!(now["process_resident_memory_bytes"] > 1e6);
        assert!(now["process_start_time_seconds"] > 1.7e9);
        assert!(!now.keys().any(|name| name.starts_with("tutti_flows_ended_total")));
        let route =
            "method=\"PATCH\",route=\"/v1/models/{model}/applications/{application}/config\"";
        assert_eq!(now[&format!("tutti_http_requests_total{{{route},status=\"202\"}}")], 1.0);
        assert_eq!(now[&format!("tutti_http_request_duration_seconds_count{{{route}}}")], 1.0);
        assert!(now["tutti_flow_takes_total"] >= 1.0);
        assert_eq!(
            now["tutti_task_attempts_total{outcome=\"succeeded\"}"], 1.0,
            "the charm's check"
        );
        for never in [
            "tutti_task_attempts_total{outcome=\"failed\"}",
            "tutti_task_attempts_total{outcome=\"panicked\"}",
            "tutti_flow_lease_losses_total",
            "tutti_flow_fenced_total",
            "tutti_task_attempts_leaked",
        ] {
            assert_eq!(now[never], 0.0, "{never}");
        }
        let _agent = world.agent().await;
        assert_eq!(world.ended(&deployed).await.state, "succeeded");
        assert_eq!(world.ended(&configured).await.state, "succeeded");
        world
            .until("both ends are counted", || async {
                let now = read(&world).await;
                let ended = |kind: &str| {
                    let name =
                        format!("tutti_flows_ended_total{{kind=\"{kind}\",state=\"succeeded\"}}");
                    now.get(&name).copied().unwrap_or_default()
                };
                (ended("deploy"), ended("configure")) == (1.0, 1.0)
            })
            .await;
        let now = read(&world).await;
        assert_eq!(now["tutti_task_duration_seconds_count{name=\"unit.converge\"}"], 2.0);
        assert_eq!(now["tutti_flow_oldest_wait_seconds"], 0.0);
        world.end().await;
    }
}

#[tokio::test]
async fn what_a_retried_flow_did_before_is_not_counted_again() {
    for world in World::all().await {
        world.model().await;
        let deployed = world.deploy(&charm("db"), 1).await;
        let id = &deployed.flow.as_ref().unwrap().id;
        let checked = "tutti_task_duration_seconds_count{name=\"charm.check\"}";
        let task = async || {
            let now = read(&world).await;
            now.get(checked).copied().unwrap_or_default()
        };
        world
            .until("the charm is checked", || async {
                read(&world).await["tutti_tasks{state=\"waiting\"}"] == 1.0
            })
            .await;
        for state in ["cancelled", "succeeded"] {
            if state == "cancelled" {
                world.post::<Value>(&format!("/v1/flows/{id}:cancel"), json!({})).await;
            } else {
                world.post::<Value>(&format!("/v1/flows/{id}:retry"), json!({})).await;
            }
            let agent = if state == "succeeded" { Some(world.agent().await) } else { None };
            assert_eq!(world.ended(&deployed).await.state, state);
            let name = format!("tutti_flows_ended_total{{kind=\"deploy\",state=\"{state}\"}}");
            world
                .until("the end is counted", || async { read(&world).await.contains_key(&name) })
                .await;
            assert_eq!(task().await, 1.0, "{state}");
            drop(agent);
        }
        world.end().await;
    }
}
