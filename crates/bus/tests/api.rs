//! An API defined by the macro, from the outside: served, called, fired, stubbed.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tutti_bus::{Bus, CallOptions, Context, Error, Event, FailureKind, Result, Service};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    days: u32,
    lines: Vec<String>,
}

/// Who may come in.
#[tutti_bus::api(name = "my_company.auth", version = 3)]
pub trait Auth {
    /// Whether the password is right.
    async fn check_password(&self, username: String, password: String) -> Result<bool>;

    #[rpc(timeout = "20s")]
    async fn report(
        &self,
        /// The first day.
        from: String,
        #[default(7)] days: u32,
        #[default("all")] group: String,
        note: Option<String>,
    ) -> Result<Report>;

    async fn slow(&self) -> Result<()>;

    async fn who_calls(&self, context: &Context) -> Result<String>;

    async fn fails(&self, r#type: u8) -> Result<(), std::num::ParseIntError>;

    async fn with_body(&self, number: i64) -> Result<i64> {
        Ok(number * 2)
    }

    /// Somebody is new.
    #[event]
    #[derive(PartialEq)]
    fn user_registered(username: String, #[default(false)] is_admin: bool);

    #[event]
    fn closed();
}

struct Server;

impl Auth for Server {
    async fn check_password(&self, username: String, password: String) -> Result<bool> {
        Ok(username == "ann" && password == "secret")
    }

    async fn report(
        &self,
        from: String,
        days: u32,
        group: String,
        note: Option<String>,
    ) -> Result<Report> {
        Ok(Report { days, lines: vec![from, group, note.unwrap_or_default()] })
    }

    async fn slow(&self) -> Result<()> {
        tokio::time::sleep(Duration::from_secs(60)).await;
        Ok(())
    }

    async fn who_calls(&self, context: &Context) -> Result<String> {
        Ok(format!("{}.{} v{}", context.api(), context.name(), context.version()))
    }

    async fn fails(&self, r#type: u8) -> Result<(), std::num::ParseIntError> {
        format!("x{type}").parse::<u8>().map(drop)
    }
}

fn served() -> AuthClient {
    let bus = Bus::offline();
    bus.serve_here(AuthServer(Server));
    AuthClient::new(&bus)
}

#[tokio::test]
async fn calls_reach_the_trait() {
    let auth = served();
    assert!(auth.check_password("ann", "secret").await.unwrap());
    assert_eq!(auth.who_calls().await.unwrap(), "my_company.auth.who_calls v3");
    assert_eq!(auth.with_body(21).await.unwrap(), 42);
}

#[tokio::test]
async fn what_is_not_given_has_its_default() {
    let auth = served();
    let report = auth.report("monday").await.unwrap();
    assert_eq!(report, Report { days: 7, lines: ["monday", "all", ""].map(Into::into).to_vec() });
    let report = auth.report("monday").days(2).group("few").note("!".to_owned()).await.unwrap();
    assert_eq!(report, Report { days: 2, lines: ["monday", "few", "!"].map(Into::into).to_vec() });
}

#[tokio::test]
async fn options_are_of_one_call_or_of_a_client() {
    let auth = served();
    let timeout = Duration::from_millis(1);
    let error = auth.slow().timeout(timeout).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { timeout: given, .. } if given == timeout));
    let options = CallOptions { timeout: Some(timeout), ..CallOptions::default() };
    let error = auth.with_options(options).slow().await.unwrap_err();
    assert!(matches!(error, Error::Timeout { timeout: given, .. } if given == timeout));
}

#[tokio::test]
async fn failures_come_back() {
    let Error::Remote { failure, .. } = served().fails(1).await.unwrap_err() else {
        panic!("another error");
    };
    assert_eq!(failure.kind, FailureKind::Failed);
    assert_eq!(failure.message, "invalid digit found in string");
}

#[tokio::test]
async fn wrong_arguments_are_named() {
    let bus = Bus::offline();
    bus.serve_here(AuthServer(Server));
    for (arguments, complaint) in [
        (json!({ "username": "ann" }), "password is missing"),
        (json!({ "username": "a", "password": "b", "x": 1 }), "x is unknown"),
    ] {
        let options = CallOptions::default();
        let call =
            bus.request::<Value, bool>("my_company.auth", "check_password", &arguments, &options);
        let error = call.await.unwrap_err().to_string();
        assert!(error.contains(complaint), "{error}");
    }
}

#[test]
fn the_schema_says_it_all() {
    let schema = auth_schema();
    assert_eq!((schema.name(), schema.version()), ("my_company.auth", 3));
    let report = schema.rpc("report").unwrap();
    assert_eq!(report.parameters["required"], json!(["from"]));
    assert_eq!(report.parameters["properties"]["from"]["description"], "The first day.");
    assert_eq!(
        report.parameters["properties"]["note"],
        json!({ "anyOf": [{ "type": "string", "default": null }, { "type": "null", "default": null }] })
    );
    assert_eq!(report.response["title"], "RPC my_company.auth.report() response");
    assert_eq!(schema.rpc("who_calls").unwrap().parameters["properties"], json!({}));
    assert_eq!(schema.rpc("fails").unwrap().parameters["required"], json!(["type"]));
    let check = schema.rpc("check_password").unwrap().parameters;
    assert_eq!(check["description"], "Whether the password is right.");
    assert_eq!(AuthServer(Server).schema(), schema);
}

#[test]
fn events_carry_their_names_and_defaults() {
    assert_eq!((UserRegistered::API, UserRegistered::NAME), ("my_company.auth", "user_registered"));
    assert_eq!(UserRegistered::VERSION, 3);
    let event: UserRegistered = serde_json::from_str(r#"{"username": "ann"}"#).unwrap();
    assert_eq!(event, UserRegistered { username: "ann".into(), is_admin: false });
    assert_eq!(
        serde_json::to_value(event).unwrap(),
        json!({ "username": "ann", "is_admin": false })
    );
    assert_eq!(serde_json::to_value(Closed {}).unwrap(), json!({}));
    let parameters = UserRegistered::schema().event("user_registered").unwrap();
    assert_eq!(
        parameters["properties"]["is_admin"],
        json!({ "type": "boolean", "default": false })
    );
    assert_eq!(parameters["description"], "Somebody is new.");
}

#[tokio::test]
async fn a_stub_answers_and_remembers() {
    let stub = AuthStub::new().on_check_password(|arguments| Ok(arguments.username == "bob"));
    let bus = Bus::offline();
    bus.serve_here(stub.clone());
    let auth = AuthClient::new(&bus);
    assert!(auth.check_password("bob", "x").await.unwrap());
    assert!(!auth.check_password("ann", "y").await.unwrap());
    let passwords: Vec<String> = stub
        .calls::<AuthCheckPasswordArguments>()
        .into_iter()
        .map(|arguments| arguments.password)
        .collect();
    assert_eq!(passwords, ["x", "y"]);
    let error = auth.slow().await.unwrap_err().to_string();
    assert!(error.contains("the stub of my_company.auth has no answer for slow"), "{error}");
}

/// Something was sold.
#[derive(Debug, Serialize, Deserialize, JsonSchema, tutti_bus::Event)]
#[event(api = "shop", version = 2)]
struct ItemSold {
    /// As on the shelf.
    item: String,
    #[serde(default = "one")]
    count: u32,
    note: Option<String>,
}

fn one() -> u32 {
    1
}

#[test]
fn an_event_may_stand_alone() {
    assert_eq!((ItemSold::API, ItemSold::NAME, ItemSold::VERSION), ("shop", "item_sold", 2));
    let parameters = ItemSold::schema().event("item_sold").unwrap();
    assert_eq!(parameters["title"], "Event shop.item_sold parameters");
    assert_eq!(parameters["description"], "Something was sold.");
    assert_eq!(parameters["required"], json!(["item"]));
    assert_eq!(parameters["properties"]["count"], json!({ "type": "integer", "default": 1 }));
    assert_eq!(parameters["additionalProperties"], false);
    assert_eq!(parameters["properties"]["item"]["description"], "As on the shelf.");
}
