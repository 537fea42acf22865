use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::schema::{ApiSchema, DRAFT_7, Parameters, schema_of};

#[derive(Serialize, JsonSchema)]
struct Folder {
    name: String,
    folders: Vec<Folder>,
    owner: Owner,
}

/// Who it belongs to.
#[derive(Serialize, JsonSchema)]
struct Owner {
    /// As they log in.
    login: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(tag = "kind")]
enum Shape {
    Circle { radius: f64 },
    Square(Side),
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Side {
    length: f64,
}

#[derive(Serialize, JsonSchema)]
struct Flat {
    id: i64,
    #[serde(flatten)]
    shape: Shape,
}

#[derive(Serialize, JsonSchema)]
struct Rest {
    id: i64,
    #[serde(flatten)]
    rest: BTreeMap<String, String>,
}

#[derive(Serialize, JsonSchema)]
struct Limited {
    #[schemars(range(min = 1, max = 10))]
    count: u8,
    #[schemars(length(min = 3))]
    name: String,
}

#[test]
fn a_type_that_contains_itself_is_a_definition() {
    let schema = ApiSchema::builder("files", 1)
        .rpc::<Folder>("root", "", Parameters::new().required::<Option<Folder>>("beside"))
        .build();
    let root = schema.rpc("root").unwrap();
    assert_eq!(root.response["properties"]["folders"]["items"]["$ref"], "#/definitions/Folder");
    assert_eq!(root.response["definitions"].as_object().unwrap().len(), 1);
    let definition = &root.parameters["definitions"]["Folder"];
    assert_eq!(definition["properties"]["owner"]["title"], "Owner");
    assert_eq!(definition["additionalProperties"], false);
}

#[test]
fn comments_are_descriptions() {
    let schema = schema_of::<Owner>();
    assert_eq!(schema["description"], "Who it belongs to.");
    assert_eq!(schema["properties"]["login"]["description"], "As they log in.");
}

#[test]
fn limits_stay_when_the_author_set_them() {
    let schema = schema_of::<Limited>();
    assert_eq!(
        schema["properties"]["count"],
        json!({ "type": "integer", "minimum": 1, "maximum": 10 })
    );
    assert_eq!(schema["properties"]["name"]["minLength"], 3);
}

#[test]
fn alternatives_take_the_values_of_their_types() {
    let good = [
        (schema_of::<Shape>(), json!(Shape::Circle { radius: 1.0 })),
        (schema_of::<Shape>(), json!(Shape::Square(Side { length: 2.0 }))),
        (schema_of::<Flat>(), json!(Flat { id: 1, shape: Shape::Square(Side { length: 2.0 }) })),
        (schema_of::<Rest>(), json!({ "id": 1, "more": "text" })),
    ];
    for (schema, value) in good {
        assert!(is_valid(&schema, &value), "{value} in {schema}");
    }
    let bad = [
        (schema_of::<Shape>(), json!({ "kind": "Circle" })),
        (schema_of::<Flat>(), json!({ "id": "x", "kind": "Circle", "radius": 1.0 })),
        (schema_of::<Rest>(), json!({ "id": 1, "more": 5 })),
    ];
    for (schema, value) in bad {
        assert!(!is_valid(&schema, &value), "{value} in {schema}");
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", content = "value")]
enum Adjacent {
    Nothing,
    One(i64),
    Pair(i64, String),
    Named { a: bool, b: Option<u8> },
}

#[derive(Serialize, Deserialize, JsonSchema)]
enum External {
    Nothing,
    One(Side),
    Named { a: bool },
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
struct Wrapped(Option<Vec<u8>>);

#[derive(Serialize, Deserialize, JsonSchema)]
struct Generic<T> {
    inner: T,
    boxed: Box<Option<T>>,
}

/// The schema takes every value as serde writes it, and refuses the same value with a part of another type.
fn assert_takes<T: Serialize + JsonSchema>(values: impl IntoIterator<Item = T>, wrong: Value) {
    let schema = schema_of::<T>();
    for value in values {
        let value = json!(value);
        assert!(is_valid(&schema, &value), "{value} in {schema}");
    }
    assert!(!is_valid(&schema, &wrong), "{wrong} in {schema}");
}

#[test]
fn a_schema_takes_what_serde_writes() {
    let named = Adjacent::Named { a: true, b: None };
    assert_takes(
        [Adjacent::Nothing, Adjacent::One(1), Adjacent::Pair(1, "x".into()), named],
        json!({ "kind": "Pair", "value": [1, 2] }),
    );
    assert_takes(
        [External::Nothing, External::One(Side { length: 1.5 }), External::Named { a: true }],
        json!({ "Named": { "a": 1 } }),
    );
    assert_takes([Wrapped(None), Wrapped(Some(vec![0, 255]))], json!(["x"]));
    let generic = Generic { inner: 5_u64, boxed: Box::new(Some(6)) };
    assert_takes([generic], json!({ "inner": 5, "boxed": "x" }));
    assert_takes([Generic { inner: Wrapped(None), boxed: Box::new(None) }], json!({ "inner": 5 }));
    assert_takes(['x', '漢'], json!("xy"));
    assert_takes([[1_u8, 2, 3]], json!([1, 2]));
    assert_takes([(1, (true, "x"))], json!([1, [true, 2]]));
    assert_takes([u64::MAX, 0], json!("0"));
    assert_takes([i64::MIN, i64::MAX], json!(0.5));
    assert_takes([std::num::NonZeroU8::MIN], json!(0));
    assert_takes([std::time::Duration::from_millis(1500)], json!({ "secs": 1 }));
    assert_takes([f64::MIN_POSITIVE, f64::MAX], json!(null));
}

#[test]
fn parameters_have_titles_descriptions_and_the_draft() {
    let parameters =
        Parameters::new().required::<String>("name").describe("name", "As in the list.");
    let schema =
        ApiSchema::builder("a.b", 2).event("made", "Something was made.", parameters).build();
    let made = schema.event("made").unwrap();
    assert_eq!(made["$schema"], DRAFT_7);
    assert_eq!(made["title"], "Event a.b.made parameters");
    assert_eq!(made["description"], "Something was made.");
    assert_eq!(made["properties"]["name"]["description"], "As in the list.");
}

fn is_valid(schema: &serde_json::Value, value: &serde_json::Value) -> bool {
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft7)
        .build(schema)
        .unwrap()
        .is_valid(value)
}
