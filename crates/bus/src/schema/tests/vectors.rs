use std::collections::{BTreeMap, BTreeSet, HashMap};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::schema::{ApiSchema, Parameters, schema_of};
use crate::value::{Bytes, DateTime, Decimal};

const ENCODERS: &str = include_str!("../../../tests/vectors/encoders.json");

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Colour {
    Red,
}

// The same with documented variants, which `schemars` writes in another way.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Colour")]
enum DocumentedColour {
    /// As a rose.
    Red,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Point {
    x: i64,
    #[serde(default)]
    y: i32,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct User {
    username: String,
    #[serde(default)]
    admin: bool,
    tags: Vec<Value>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Team {
    lead: User,
    when: DateTime,
    members: Vec<User>,
}

fn three() -> u8 {
    3
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Plain {
    name: String,
    #[serde(default = "three")]
    age: u8,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum IntOrStr {
    Int(i64),
    Str(String),
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum IntOrStrOrNone {
    Int(i64),
    Str(String),
    None(()),
}

fn vectors(section: &str) -> Value {
    let all: Value = serde_json::from_str(ENCODERS).unwrap();
    all[section].clone()
}

/// Every type of the vectors that a Rust type stands for.
fn counterparts() -> Vec<(&'static str, Value)> {
    vec![
        ("str", schema_of::<String>()),
        ("int", schema_of::<i64>()),
        ("int", schema_of::<u32>()),
        ("int", schema_of::<i8>()),
        ("int", schema_of::<u16>()),
        ("int", schema_of::<usize>()),
        ("float", schema_of::<f64>()),
        ("float", schema_of::<f32>()),
        ("bool", schema_of::<bool>()),
        ("None", schema_of::<()>()),
        ("UUID", schema_of::<uuid::Uuid>()),
        ("bytes", schema_of::<Bytes>()),
        ("Decimal", schema_of::<Decimal>()),
        ("datetime", schema_of::<DateTime>()),
        ("datetime", schema_of::<jiff::Timestamp>()),
        ("date", schema_of::<jiff::civil::Date>()),
        ("time", schema_of::<jiff::civil::Time>()),
        ("list", schema_of::<Vec<Value>>()),
        ("Any", schema_of::<Value>()),
        ("Colour", schema_of::<Colour>()),
        ("Colour", schema_of::<DocumentedColour>()),
        ("Point", schema_of::<Point>()),
        ("User", schema_of::<User>()),
        ("Team", schema_of::<Team>()),
        ("Plain", schema_of::<Plain>()),
        ("Optional[int]", schema_of::<Option<i64>>()),
        ("Optional[int]", schema_of::<Option<u8>>()),
        ("Union[int, str]", schema_of::<IntOrStr>()),
        ("Union[int, str, None]", schema_of::<IntOrStrOrNone>()),
        ("List[int]", schema_of::<Vec<i32>>()),
        ("List[Optional[str]]", schema_of::<Vec<Option<String>>>()),
        ("Set[str]", schema_of::<BTreeSet<String>>()),
        ("Tuple[int, str]", schema_of::<(i64, String)>()),
        ("Dict[str, int]", schema_of::<HashMap<String, u64>>()),
        ("Dict[int, str]", schema_of::<BTreeMap<i64, String>>()),
        ("Mapping[str, Any]", schema_of::<BTreeMap<String, Value>>()),
        ("List[Point]", schema_of::<Vec<Point>>()),
        ("Dict[str, List[User]]", schema_of::<HashMap<String, Vec<User>>>()),
    ]
}

#[test]
fn types_have_the_schemas_python_writes() {
    let vectors = vectors("schema_of_type");
    for (name, schema) in counterparts() {
        let vector = vectors.as_array().unwrap().iter().find(|vector| vector["type"] == name);
        assert_eq!(normal(&schema), normal(&vector.unwrap()["schema"]), "{name}");
    }
}

#[test]
fn an_api_has_the_schema_python_writes() {
    let typed = Parameters::new()
        .required::<i64>("a")
        .optional::<String>("b", "x")
        .optional::<Option<f64>>("c", None::<f64>);
    let ordered = Parameters::new()
        .required::<i64>("id")
        .required::<Decimal>("total")
        .optional::<Option<String>>("note", None::<String>)
        .optional::<u32>("qty", 1);
    let schema = ApiSchema::builder("my.shop", 1)
        .rpc::<Vec<User>>(
            "coroutine",
            "",
            Parameters::new().optional::<Option<Point>>("p", None::<i32>),
        )
        .rpc::<()>("none", "", Parameters::new())
        .rpc::<HashMap<String, i64>>("typed", "", typed)
        .event("loose", "", Parameters::new().required::<Value>("a").required::<Value>("b"))
        .event("nothing", "", Parameters::new())
        .event("ordered", "", ordered)
        .build();

    // `untyped` takes any keyword, which an API of ours does not.
    let mut vector = vectors("schema_of_api");
    vector["rpcs"].as_object_mut().unwrap().remove("untyped");
    assert_eq!(normal(schema.document()), normal(&vector));
}

/// With the names in `required` sorted: their order means nothing.
fn normal(schema: &Value) -> Value {
    match schema {
        Value::Array(items) => items.iter().map(normal).collect(),
        Value::Object(object) => object
            .iter()
            .map(|(key, value)| match (key.as_str(), value.as_array()) {
                ("required", Some(names)) => {
                    let names: BTreeSet<&str> = names.iter().filter_map(Value::as_str).collect();
                    (key.clone(), json!(names))
                }
                _ => (key.clone(), normal(value)),
            })
            .collect(),
        other => other.clone(),
    }
}
