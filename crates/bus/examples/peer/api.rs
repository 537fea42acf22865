//! The API `my_company.auth`, as the Python service in `tests/bus/service/bus.py` defines it.
#![expect(clippy::too_many_arguments, reason = "one of each type")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tutti_bus::value::{Bytes, DateTime, Decimal};
use tutti_bus::{Failure, Result};
use uuid::Uuid;

/// Python's enum goes by its values.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Colour {
    Red,
    Blue,
}

/// A named tuple in Python.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Point {
    x: i64,
    #[serde(default)]
    y: i64,
}

/// A data class in Python.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct User {
    username: String,
    #[serde(default)]
    admin: bool,
}

/// In Python a union of both types.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Either {
    Number(i64),
    Text(String),
}

/// Says that it is a truth value and is none: a service with a mistake.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Mistaken(#[schemars(with = "bool")] String);

/// Who may come in.
#[tutti_bus::api(name = "my_company.auth")]
pub(crate) trait Auth {
    /// Whether the password is right.
    async fn check_password(&self, username: String, password: String) -> Result<bool>;

    async fn add(&self, a: i64, #[default(7)] b: i64) -> Result<i64>;

    async fn get_user(&self, username: String) -> Result<User>;

    async fn fail(&self, why: String) -> Result<()>;

    async fn slow(&self, seconds: f64) -> Result<String>;

    async fn bad_result(&self) -> Result<Mistaken>;

    async fn who_serves(&self) -> Result<String>;

    /// Answers how each argument was read, in the words of the Python service.
    async fn describe(
        &self,
        when: DateTime,
        day: Date,
        price: Decimal,
        uid: Uuid,
        blob: Bytes,
        colour: Colour,
        point: Point,
        user: User,
        tags: Vec<String>,
        mapping: BTreeMap<String, i64>,
        nothing: Option<String>,
        money: String,
        phase: String,
        names: BTreeSet<String>,
    ) -> Result<BTreeMap<String, Value>>;

    async fn typed_rpc(
        &self,
        when: DateTime,
        day: Date,
        price: Decimal,
        uid: Uuid,
        blob: Bytes,
        colour: Colour,
        point: Point,
        user: User,
        tags: Option<Vec<String>>,
    ) -> Result<BTreeMap<String, Value>>;

    /// Somebody is new.
    #[event]
    fn user_registered(username: String, email: String, #[default(false)] is_admin: bool);

    #[event]
    fn untyped(a: Value, b: Value);

    /// One of each type.
    #[event]
    fn typed(
        when: DateTime,
        day: Date,
        price: Decimal,
        uid: Uuid,
        blob: Bytes,
        colour: Colour,
        point: Point,
        user: User,
        tags: Vec<String>,
        pair: (i64, String),
        mapping: BTreeMap<String, i64>,
        nothing: Option<String>,
        #[serde(with = "tutti_bus::value::float")] num: f64,
        big: i128,
        anything: Value,
        either: Either,
        money: String,
        phase: String,
        names: BTreeSet<String>,
    );
}

/// Serves the API.
pub(crate) struct Server {
    /// What `who_serves` answers.
    pub(crate) process: String,
}

impl Auth for Server {
    async fn check_password(&self, username: String, password: String) -> Result<bool> {
        Ok(username == "admin" && password == "secret")
    }

    async fn add(&self, a: i64, b: i64) -> Result<i64> {
        a.checked_add(b).ok_or_else(|| Failure::message("the sum is too large"))
    }

    async fn get_user(&self, username: String) -> Result<User> {
        Ok(User { username, admin: true })
    }

    async fn fail(&self, why: String) -> Result<()> {
        let cause = std::io::Error::other(format!("because of {why}"));
        Err(Failed { why, cause }.into())
    }

    async fn slow(&self, seconds: f64) -> Result<String> {
        crate::say(&json!({ "slow": seconds }));
        tokio::time::sleep(Duration::try_from_secs_f64(seconds)?).await;
        Ok("done".to_owned())
    }

    async fn bad_result(&self) -> Result<Mistaken> {
        Ok(Mistaken("not a truth value".to_owned()))
    }

    async fn who_serves(&self) -> Result<String> {
        Ok(self.process.clone())
    }

    async fn describe(
        &self,
        when: DateTime,
        day: Date,
        price: Decimal,
        uid: Uuid,
        blob: Bytes,
        colour: Colour,
        point: Point,
        user: User,
        tags: Vec<String>,
        mapping: BTreeMap<String, i64>,
        nothing: Option<String>,
        money: String,
        phase: String,
        names: BTreeSet<String>,
    ) -> Result<BTreeMap<String, Value>> {
        let blob = blob.0.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        Ok(BTreeMap::from(
            [
                ("when", json!(when)),
                ("day", json!(day)),
                ("price", json!(price)),
                ("uid", json!(uid)),
                ("blob", json!(blob)),
                ("colour", json!(format!("{colour:?}").to_uppercase())),
                ("point", json!([point.x, point.y])),
                ("user", json!(user)),
                ("tags", json!(tags)),
                ("mapping", json!(mapping)),
                ("nothing", json!(nothing)),
                ("money", json!(money)),
                ("phase", json!(phase)),
                ("names", json!(names)),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        ))
    }

    async fn typed_rpc(
        &self,
        _when: DateTime,
        _day: Date,
        _price: Decimal,
        _uid: Uuid,
        _blob: Bytes,
        _colour: Colour,
        _point: Point,
        _user: User,
        _tags: Option<Vec<String>>,
    ) -> Result<BTreeMap<String, Value>> {
        Ok(BTreeMap::new())
    }
}

/// What `fail` fails with: an error with a cause, both of which the caller is told.
#[derive(Debug, thiserror::Error)]
#[error("failed: {why}")]
struct Failed {
    why: String,
    #[source]
    cause: std::io::Error,
}

/// The arguments of `describe` and the parameters of `typed`, as Rust values.
pub(crate) mod sample {
    use super::*;

    fn read<T: serde::de::DeserializeOwned>(value: Value) -> Result<T> {
        Ok(serde_json::from_value(value)?)
    }

    fn values() -> Value {
        json!({
            "when": "2024-02-29T13:05:07.250000+00:00",
            "day": "2024-02-29",
            "price": "12.50",
            "uid": "12345678-1234-5678-1234-567812345678",
            "blob": "AP9oaQ==",
            "colour": "red",
            "point": {"x": 1, "y": 2},
            "user": {"username": "ann", "admin": true},
            "tags": ["a", "é", "😀"],
            "mapping": {"k": 1},
            "nothing": null,
            "money": "9.99",
            "phase": "(1+2j)",
            "names": ["only-one"],
        })
    }

    /// For `describe`.
    pub(crate) fn arguments() -> Result<AuthDescribeArguments> {
        read(values())
    }

    /// For `typed`.
    pub(crate) fn event() -> Result<Typed> {
        let mut values = values();
        for (name, value) in [
            ("pair", json!([1, "x"])),
            ("num", json!(0.5)),
            ("anything", json!([1, null])),
            ("either", json!("x")),
            ("big", json!(0)),
        ] {
            values[name] = value;
        }
        // Past 64 bits.
        Ok(Typed { big: 1 << 70, ..read(values)? })
    }
}
