use serde::{Deserialize, Serialize};
use tutti_bus::schemars::{self, JsonSchema};

#[tutti_bus::api(name = "my.shop", version = 1)]
pub trait Shop {
    async fn coroutine(&self, p: Option<Point>) -> tutti_bus::Result<Vec<User>>;

    async fn none(&self) -> tutti_bus::Result<()>;

    async fn typed(&self, a: i64, #[default("x")] b: String, c: Option<f64>) -> tutti_bus::Result<std::collections::BTreeMap<String, i64>>;

    // untyped takes arguments of any name, which no method can.

    #[event]
    fn loose(a: serde_json::Value, b: serde_json::Value);

    #[event]
    fn nothing();

    #[event]
    fn ordered(id: i64, total: tutti_bus::value::Decimal, note: Option<String>, #[default(1)] qty: i64);
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Point {
    pub x: i64,
    #[serde(default = "point_y")]
    pub y: i64,
}

fn point_y() -> i64 {
    0
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct User {
    #[serde(default = "user_admin")]
    pub admin: bool,
    pub tags: Vec<serde_json::Value>,
    pub username: String,
}

fn user_admin() -> bool {
    false
}
