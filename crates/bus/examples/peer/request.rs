//! What the peer can be asked to do.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tutti_bus::{
    Backoff, Bus, CallOptions, Context, Error, Event, Failure, Listen, PendingCall, Procedure,
    Start,
};

use crate::api::{AuthClient, AuthServer, Server, Typed, UserRegistered, sample};
use crate::load::{Counter, Load};
use crate::say;

const API: &str = "my_company.auth";

/// A request. `typed` goes through what the macro made; otherwise the API is known by its schema alone.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Request {
    /// Serve the API.
    Serve(Nothing),
    Call(Message),
    Fire(Message),
    Listen(Listener),
    /// Fire events until told to stop, some at a time.
    Load {
        in_flight: usize,
    },
    /// Stop firing; answers what was acknowledged.
    StopLoad(Nothing),
    /// Answers what a counting listener has counted.
    Counted(Nothing),
    /// Lists what a group gave up.
    DeadLetters {
        group: String,
    },
    /// Gives a dead letter to its group again.
    Replay {
        group: String,
        id: String,
    },
    /// Acknowledges an event in all groups.
    AcknowledgeEverywhere {
        event: String,
        native_id: String,
    },
}

/// `{}`
#[derive(Deserialize)]
struct Nothing {}

#[derive(Deserialize)]
struct Message {
    name: String,
    #[serde(default)]
    arguments: Value,
    #[serde(default)]
    typed: bool,
    timeout_s: Option<f64>,
    #[serde(default = "api")]
    api: String,
}

fn api() -> String {
    API.to_owned()
}

#[derive(Deserialize)]
struct Listener {
    name: String,
    event: String,
    #[serde(default)]
    typed: bool,
    /// Where a new group begins: `0`, an id, or with what is new.
    since: Option<String>,
    /// The handler fails so many times for each event.
    #[serde(default)]
    failures: u32,
    deliveries_max: Option<u32>,
    /// Seconds that the handler takes.
    #[serde(default)]
    takes_s: f64,
    /// Events are counted instead of told.
    #[serde(default)]
    counts: bool,
}

#[derive(Deserialize)]
struct Numbered {
    number: u64,
    #[serde(flatten)]
    request: Request,
}

/// The peer. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Peer(Arc<Inner>);

struct Inner {
    bus: Bus,
    process: String,
    load: Mutex<Option<Load>>,
    counter: Counter,
}

impl Peer {
    pub(crate) fn new(bus: Bus, process: String) -> Peer {
        Peer(Arc::new(Inner { bus, process, load: Mutex::default(), counter: Counter::default() }))
    }

    /// Does what one line asks for; what came of it.
    pub(crate) async fn answer(&self, line: &str) -> Value {
        let Numbered { number, request } = match serde_json::from_str(line) {
            Ok(request) => request,
            Err(error) => return json!({ "error": error.to_string(), "kind": "request" }),
        };
        let mut answer = self.perform(request).await.unwrap_or_else(|error| described(&error));
        answer["number"] = json!(number);
        answer
    }

    async fn perform(&self, request: Request) -> Result<Value, Error> {
        let Inner { bus, process, load, counter } = &*self.0;
        match request {
            Request::Serve(Nothing {}) => {
                bus.serve(AuthServer(Server { process: process.clone() })).await?;
                Ok(json!({ "serving": API }))
            }
            Request::Call(call) => Ok(json!({ "result": self.call(call).await? })),
            Request::Fire(event) => self.fire(event).await,
            Request::Listen(listener) => {
                let name = listener.name.clone();
                self.listen(listener).await?;
                Ok(json!({ "listening": name }))
            }
            Request::Load { in_flight } => {
                let begun = Load::begin(bus, in_flight);
                *load.lock().unwrap_or_else(PoisonError::into_inner) = Some(begun);
                Ok(json!({ "loading": in_flight }))
            }
            Request::StopLoad(Nothing {}) => {
                let begun = load.lock().unwrap_or_else(PoisonError::into_inner).take();
                Ok(match begun {
                    Some(load) => load.stop().await,
                    None => json!({ "error": "there is no load", "kind": "request" }),
                })
            }
            Request::Counted(Nothing {}) => Ok(counter.report()),
            Request::DeadLetters { group } => {
                let letters = bus.dead_letters(&group, None, 1_000).await?;
                let letters = letters.iter().map(|letter| {
                    json!({
                        "id": letter.id,
                        "native_id": letter.native_id,
                        "event": letter.event().1,
                        "error": letter.error,
                        "deliveries": letter.deliveries,
                    })
                });
                Ok(json!({ "dead_letters": letters.collect::<Vec<_>>() }))
            }
            Request::Replay { group, id } => {
                Ok(json!({ "replayed": bus.replay_dead_letter(&group, &id).await? }))
            }
            Request::AcknowledgeEverywhere { event, native_id } => {
                let groups = bus.acknowledge_everywhere(API, &event, &native_id).await?;
                Ok(json!({ "groups": groups }))
            }
        }
    }

    async fn call(&self, call: Message) -> Result<Value, Error> {
        let options = CallOptions {
            timeout: call.timeout_s.map(Duration::from_secs_f64),
            ..CallOptions::default()
        };
        let bus = &self.0.bus;
        if !call.typed {
            return bus.request(&call.api, &call.name, &call.arguments, &options).await;
        }
        let client = AuthClient::new(bus).with_options(options.clone());
        let text = |name: &str| call.arguments[name].as_str().unwrap_or_default().to_owned();
        match call.name.as_str() {
            "add" => {
                let adding = client.add(call.arguments["a"].as_i64().unwrap_or_default());
                let sum = match call.arguments["b"].as_i64() {
                    Some(b) => adding.b(b).await?,
                    None => adding.await?,
                };
                Ok(json!(sum))
            }
            "check_password" => {
                Ok(json!(client.check_password(text("username"), text("password")).await?))
            }
            "get_user" => Ok(json!(client.get_user(text("username")).await?)),
            "fail" => Ok(json!(client.fail(text("why")).await?)),
            "describe" => answer_of(PendingCall::new(bus, &options, sample()?)).await,
            name => Err(Error::Invalid(format!("the peer has no typed call of {name}"))),
        }
    }

    async fn fire(&self, event: Message) -> Result<Value, Error> {
        let bus = &self.0.bus;
        let fired = match (event.typed, event.name.as_str()) {
            (false, name) => bus.fire_dynamic(&event.api, name, event.arguments).await?,
            (true, "typed") => bus.fire(sample::event().map_err(invalid)?).await?,
            (true, "user_registered") => bus.fire(read::<UserRegistered>(event.arguments)?).await?,
            (true, name) => {
                return Err(Error::Invalid(format!("the peer has no type of the event {name}")));
            }
        };
        Ok(json!({ "id": fired.id, "native_id": fired.native_id }))
    }

    async fn listen(&self, wanted: Listener) -> Result<(), Error> {
        let bus = &self.0.bus;
        let options = (wanted.failures, Duration::from_secs_f64(wanted.takes_s));
        let name = wanted.name.clone();
        let listen = match (wanted.typed, wanted.event.as_str()) {
            (true, "user_registered") => bus.listen(&name, hears::<UserRegistered>(&name, options)),
            (true, "typed") => bus.listen(&name, hears::<Typed>(&name, options)),
            (true, event) => {
                return Err(Error::Invalid(format!("the peer has no type of the event {event}")));
            }
            (false, event) if wanted.counts => {
                let counter = self.0.counter.clone();
                bus.listen_dynamic(&name, API, event, move |_: Value, context: Context| {
                    counter.count(context.id());
                    async { Ok(()) }
                })
            }
            (false, event) => bus.listen_dynamic(&name, API, event, hears::<Value>(&name, options)),
        };
        begin(listen, &wanted).await
    }
}

async fn begin(mut listen: Listen, wanted: &Listener) -> Result<(), Error> {
    if let Some(deliveries_max) = wanted.deliveries_max {
        listen = listen.retry(deliveries_max, Backoff::fixed(Duration::from_millis(50)));
    }
    listen = match wanted.since.as_deref() {
        Some("0") => listen.from(Start::Beginning),
        Some(id) => listen.from(Start::After(id.to_owned())),
        None => listen,
    };
    listen.await
}

/// What a listener hears.
#[derive(Serialize)]
struct Heard<'a, E> {
    listener: &'a str,
    event: &'a str,
    id: &'a str,
    native_id: Option<&'a str>,
    version: u32,
    sender: Option<&'a str>,
    deliveries: u32,
    parameters: &'a E,
}

/// A handler that tells what it hears, and fails as often as it should.
fn hears<E>(
    name: &str,
    (failures, takes): (u32, Duration),
) -> impl Fn(E, Context) -> futures_util::future::BoxFuture<'static, Result<(), Failure>> + use<E>
where
    E: Serialize + Send + Sync + 'static,
{
    let name = name.to_owned();
    move |event, context| {
        let name = name.clone();
        Box::pin(async move {
            say(&Heard {
                listener: &name,
                event: context.name(),
                id: context.id(),
                native_id: context.native_id(),
                version: context.version(),
                sender: context.sender(),
                deliveries: context.deliveries(),
                parameters: &event,
            });
            tokio::time::sleep(takes).await;
            if context.deliveries() <= failures {
                return Err(Failure::message("the listener fails as it was told"));
            }
            Ok(())
        })
    }
}

fn sample() -> Result<crate::api::AuthDescribeArguments, Error> {
    sample::arguments().map_err(invalid)
}

async fn answer_of<P: Procedure>(call: PendingCall<P>) -> Result<Value, Error> {
    Ok(json!(call.await?))
}

fn read<E: Event>(parameters: Value) -> Result<E, Error> {
    serde_json::from_value(parameters).map_err(|error| Error::Invalid(error.to_string()))
}

fn invalid(failure: Failure) -> Error {
    Error::Invalid(failure.message)
}

/// An error as the tests look at it.
fn described(error: &Error) -> Value {
    let kind = match error {
        Error::Timeout { .. } => "timeout",
        Error::Remote { .. } => "remote",
        Error::Invalid(_) => "invalid",
        Error::SchemaNotFound(_) => "schema_not_found",
        Error::Json { .. } => "json",
        Error::Transport { .. } => "transport",
        _ => "other",
    };
    let mut answer = json!({ "error": error.to_string(), "kind": kind });
    if let Error::Remote { failure, .. } = error {
        answer["failure"] = json!({
            "kind": failure.kind,
            "message": failure.message,
            "trace": failure.trace,
        });
    }
    answer
}
