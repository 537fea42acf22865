//! Any sequence of wishes, whatever agents do: the controller stays consistent, and in the end
//! everything goes without a trace.

use std::time::Duration;

use serde_json::{Value, json};
use tutti_client::Error;
use tutti_model::api::{ModelInfo, Status};

use crate::charm::charm;
use crate::world::{World, refusal};

/// Every table that holds parts of models.
const TABLES: &[&str] = &[
    "model",
    "counter",
    "machine",
    "application",
    "unit",
    "unit_state",
    "deferred",
    "relation",
    "relation_endpoint",
    "relation_unit",
    "storage",
    "resource",
    "secret",
    "secret_revision",
    "secret_grant",
    "secret_consumer",
    "operation",
    "operation_task",
    "operation_message",
    "log",
    "status_log",
    "repository",
];

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    fn name(&mut self) -> &'static str {
        ["a", "b", "log"][usize::try_from(self.roll(3)).unwrap()]
    }
}

/// A wish: method, path below the model, body.
fn wish(dice: &mut Dice) -> (&'static str, String, Value) {
    let (one, other) = (dice.name(), dice.name());
    let application = format!("applications/{one}");
    let unit = format!("{one}/{}", dice.roll(4));
    let force =
        ["", "?force=true", "?force=true&no_wait=true"][usize::try_from(dice.roll(3)).unwrap()];
    match dice.roll(14) {
        0..=2 => {
            let units = if one == "log" { Value::Null } else { json!(dice.roll(3)) };
            (
                "POST",
                "applications".into(),
                json!({"charm": format!("local:{one}-0"), "units": units}),
            )
        }
        3 => ("POST", format!("{application}/units"), json!({"count": dice.roll(3)})),
        4 => ("POST", "units/remove".into(), json!({"units": [unit]})),
        5 => (
            "POST",
            "units/remove".into(),
            json!({"units": [unit], "force": true, "no_wait": dice.roll(2) == 0}),
        ),
        6 | 7 => ("POST", "relations".into(), json!({"endpoints": [one, other]})),
        8 => (
            "POST",
            "relations/remove".into(),
            json!({"endpoints": [one, other], "force": dice.roll(2) == 0}),
        ),
        9 => (
            "PATCH",
            format!("{application}/config"),
            json!({"set": {"port": dice.roll(99).to_string()}}),
        ),
        10 => {
            ("POST", format!("{application}/refresh"), json!({"charm": format!("local:{one}-1")}))
        }
        11 => ("PUT", format!("{application}/leader"), json!({"unit": unit})),
        12 => ("POST", "operations".into(), json!({"units": [unit], "command": "true"})),
        _ => ("DELETE", format!("{application}{force}"), Value::Null),
    }
}

/// Whether the wish was granted; a refusal is fine, a failure is not.
async fn send(world: &World, (method, path, body): (&str, String, Value)) -> bool {
    let path = format!("/v1/models/m/{path}");
    let result: Result<Value, Error> = match method {
        "POST" => world.client.post(&path, &body).await,
        "PUT" => world.client.put(&path, &body).await,
        "PATCH" => world.client.patch(&path, &body).await,
        _ => world.client.delete(&path).await,
    };
    match result {
        Ok(_) => true,
        Err(Error::Problem(problem)) if problem.status < 500 => false,
        Err(error) => panic!("{method} {path} {body}: {error}"),
    }
}

#[tokio::test]
async fn whatever_was_wished_for_goes_without_a_trace() {
    for seed in 0..6 {
        for mut world in World::all().await {
            let mut dice = Dice(seed);
            world.options.force_wait = Duration::from_millis(50);
            world.restart().await;
            world.model().await;
            let subordinate = charm("log").with(
                "metadata.yaml",
                "name: log\nsubordinate: true\nrequires: {host: {interface: juju-info, scope: container}}\n",
            );
            for source in
                [charm("a"), charm("b"), subordinate.clone(), charm("a"), charm("b"), subordinate]
            {
                world.upload(&source).await;
            }
            let agent = match dice.roll(3) {
                0 => None,
                broken => {
                    let agent = world.agent().await;
                    (broken == 1).then(|| agent.break_unit("a/1"));
                    Some(agent)
                }
            };
            let mut granted = 0;
            for _ in 0..40 {
                granted += usize::from(send(&world, wish(&mut dice)).await);
                let _: Status = world.status().await;
            }
            assert!(granted > 8, "seed {seed} grants {granted} wishes: it tests nothing");
            let path = "/v1/models/m?force=true&timeout_ms=50";
            let accepted = world.delete(path).await;
            assert_eq!(world.ended(&accepted).await.state, "succeeded", "seed {seed}");
            assert_eq!(refusal(world.client.get::<ModelInfo>("/v1/models/m").await).status, 404);
            // Every flow ends, since nobody waits for what is gone; a cancelled one with the task a
            // worker is at.
            let path = "/v1/flows?state=blocked,ready,running,waiting,reverting";
            let ended = async || world.get::<Vec<Value>>(path).await.is_empty();
            world.until("every flow has ended", ended).await;
            drop(agent);
            assert_eq!(world.leftovers(TABLES).await, [], "seed {seed}");
        }
    }
}
