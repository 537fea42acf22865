//! An API that tests serve, written by hand.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use tutti_bus::schema::ApiSchema;
use tutti_bus::{Call, Event, Failure, Service};

pub(crate) const API: &str = "my_company.auth";

pub(crate) fn schema() -> &'static ApiSchema {
    static SCHEMA: OnceLock<ApiSchema> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let object = |properties: serde_json::Value| {
            let required: Vec<_> = properties.as_object().unwrap().keys().cloned().collect();
            json!({"type": "object", "additionalProperties": false, "properties": properties, "required": required})
        };
        let add = object(json!({"a": {"type": "integer"}, "b": {"type": "integer"}}));
        let rpc = |parameters: &serde_json::Value, response| json!({"parameters": parameters, "response": response});
        let document = json!({
            "rpcs": {
                "add": rpc(&add, json!({"type": "integer"})),
                "lie": rpc(&object(json!({})), json!({"type": "integer"})),
                "fail": rpc(&object(json!({"why": {"type": "string"}})), json!({"type": "null"})),
                "panic": rpc(&object(json!({})), json!({"type": "null"})),
                "sleep": rpc(&object(json!({"milliseconds": {"type": "integer"}})), json!({"type": "null"})),
                "time_left": rpc(&object(json!({})), json!({"type": "integer"})),
                "trace": rpc(&object(json!({})), json!({"type": "string"})),
            },
            "events": {
                "user_registered": {"parameters": object(json!({"username": {"type": "string"}, "number": {"type": "integer"}}))},
                "other": {"parameters": object(json!({}))},
            },
        });
        ApiSchema::new(API, 2, document)
    })
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UserRegistered {
    pub(crate) username: String,
    pub(crate) number: u32,
}

impl UserRegistered {
    pub(crate) fn number(number: u32) -> UserRegistered {
        UserRegistered { username: "ann".to_owned(), number }
    }
}

impl Event for UserRegistered {
    const API: &'static str = API;
    const NAME: &'static str = "user_registered";
    const VERSION: u32 = 2;

    fn schema() -> &'static ApiSchema {
        schema()
    }
}

/// Serves the API, and counts how many procedures run.
#[derive(Default)]
pub(crate) struct Auth {
    running: AtomicUsize,
}

#[derive(Deserialize)]
struct Add {
    a: i64,
    b: i64,
}

#[derive(Deserialize)]
struct Fail {
    why: String,
}

#[derive(Deserialize)]
struct Sleep {
    milliseconds: u64,
}

impl Service for Auth {
    fn schema(&self) -> &ApiSchema {
        schema()
    }

    fn execute<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Box<RawValue>, Failure>> {
        Box::pin(async move {
            match call.procedure {
                "add" => {
                    let Add { a, b } = call.parse()?;
                    call.respond(&(a + b))
                }
                "lie" => call.respond("not a number"),
                "fail" => Err(Failure::message(format!("failed: {}", call.parse::<Fail>()?.why))),
                "panic" => panic!("as asked"),
                "sleep" => {
                    self.running.fetch_add(1, Ordering::SeqCst);
                    let Sleep { milliseconds } = call.parse()?;
                    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
                    self.running.fetch_sub(1, Ordering::SeqCst);
                    call.respond(&())
                }
                "time_left" => {
                    let left = call.context.deadline().map(|at| at - std::time::Instant::now());
                    call.respond(&left.unwrap_or_default().as_millis())
                }
                "trace" => call.respond(call.context.trace().unwrap_or_default()),
                _ => Err(call.unknown()),
            }
        })
    }
}
