use proptest::prelude::*;

use super::*;

const TEXT: &str = r#"
backup:
  description: Makes a copy
  parallel: true
  execution-group: slow
  params:
    target: {type: string, default: /srv, minLength: 1}
    level: {type: integer, minimum: 1, maximum: 9}
    mode: {type: string, enum: [full, quick]}
    tags: {type: array, items: {type: string}, maxItems: 2}
    remote:
      type: object
      properties:
        host: {type: string}
        port: {type: integer, default: 22, exclusiveMinimum: 0}
      required: [host]
      additionalProperties: false
    any: {}
    either: {type: [string, "null"]}
    ratio: {type: number, maximum: 1, exclusiveMaximum: true}
  required: [level]
  additionalProperties: false
ping:
"#;

fn actions() -> Actions {
    let (actions, warnings) = from_yaml("actions.yaml", TEXT).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    actions
}

fn parameters(value: Value) -> Parameters {
    value.as_object().unwrap().clone()
}

#[test]
fn declared_properties_are_read() {
    let actions = actions();
    let backup = &actions["backup"];
    assert_eq!(backup.description, "Makes a copy");
    assert_eq!((backup.parallel, backup.execution_group.as_deref()), (Some(true), Some("slow")));
    assert_eq!(actions["ping"].json_schema("ping")["additionalProperties"], true);
    let shown = backup.json_schema("backup");
    assert_eq!(shown["properties"]["target"]["default"], "/srv");
    assert_eq!((&shown["title"], &shown["required"]), (&json!("backup"), &json!(["level"])));
    let stored = serde_json::to_string(&actions).unwrap();
    assert_eq!(serde_json::from_str::<Actions>(&stored).unwrap(), actions);
}

#[test]
fn defaults_fill_every_depth() {
    let backup = &actions()["backup"];
    let filled = backup.defaults(&parameters(json!({"level": 1})));
    assert_eq!(
        Value::Object(filled),
        json!({"level": 1, "target": "/srv", "remote": {"port": 22}})
    );
    let given = parameters(json!({"target": "/x", "remote": {"host": "h", "port": 1}}));
    assert_eq!(backup.defaults(&given), given);
}

#[test]
fn problems_name_their_parameter() {
    let cases: &[(Value, &[&str])] = &[
        (json!({"level": 3}), &[]),
        (json!({"level": 3.0, "any": [1], "either": null, "ratio": 0.5}), &[]),
        (json!({}), &[r#"parameter "level" is required"#]),
        (
            json!({"level": "x", "extra": 1}),
            &[
                r#"parameter "extra" is not known (known: any, either, level, mode, ratio, remote, tags, target)"#,
                r#"parameter "level" expected integer, got "x""#,
            ],
        ),
        (json!({"level": 10}), &[r#"parameter "level" expected at most 9, got 10"#]),
        (json!({"level": 1.5}), &[r#"parameter "level" expected integer, got 1.5"#]),
        (
            json!({"level": 1, "mode": "slow"}),
            &[r#"parameter "mode" expected one of "full", "quick", got "slow""#],
        ),
        (json!({"level": 1, "tags": ["a", 2]}), &[r#"parameter "tags[1]" expected string, got 2"#]),
        (
            json!({"level": 1, "tags": ["a", "b", "c"]}),
            &[r#"parameter "tags" expected at most 2 items, got ["a","b","c"]"#],
        ),
        (
            json!({"level": 1, "target": ""}),
            &[r#"parameter "target" expected at least 1 characters, got """#],
        ),
        (
            json!({"level": 1, "remote": {"port": 0, "user": "u"}}),
            &[
                r#"parameter "remote.host" is required"#,
                r#"parameter "remote.port" expected more than 0, got 0"#,
                r#"parameter "remote.user" is not known (known: host, port)"#,
            ],
        ),
        (
            json!({"level": 1, "either": 5}),
            &[r#"parameter "either" expected string or null, got 5"#],
        ),
        (json!({"level": 1, "ratio": 1}), &[r#"parameter "ratio" expected less than 1, got 1"#]),
    ];
    for (given, expected) in cases {
        let problems = match actions()["backup"].validate("backup", &parameters(given.clone())) {
            Ok(()) => Vec::new(),
            Err(Error::ActionParameters { problems, .. }) => problems,
            Err(other) => panic!("{other}"),
        };
        assert_eq!(problems, *expected, "{given}");
    }
    assert!(actions()["ping"].validate("ping", &parameters(json!({"whatever": 1}))).is_ok());
}

#[test]
fn bad_files_are_refused_whole() {
    let text = "juju-x: {}\na: [1]\nb: {params: {p: {type: text}, q: 5}, parallel: 1}\nc: {params: {r: {$ref: x}}}";
    let error = from_yaml("actions.yaml", text).unwrap_err().to_string();
    for part in [
        "\"juju-x\"",
        "action \"a\": expected a mapping",
        "type cannot be \"text\"",
        "parallel",
        "\"$ref\"",
    ] {
        assert!(error.contains(part), "{part} in {error}");
    }
    assert!(from_yaml("actions.yaml", "[]").is_err());
    for empty in ["", "{}", "# none\n"] {
        assert!(from_yaml("actions.yaml", empty).unwrap().0.is_empty());
    }
}

#[test]
fn unknown_keywords_only_warn() {
    let text = "a: {params: {p: {type: string, pattern: x, required: true}}}";
    let (_, warnings) = from_yaml("actions.yaml", text).unwrap();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(
                "(type|items|properties|required|enum|minimum|p|level|remote)",
                inner,
                0..4
            )
            .prop_map(|map| map.into_iter().collect::<Value>()),
        ]
    })
}

proptest! {
    #[test]
    fn any_schema_and_any_value_are_answered(written in any_json(), value in any_json()) {
        let mut notes = schema::Notes::default();
        let schema = Schema::read("here", &written, &mut notes);
        let action = Action { parameters: schema, ..Action::default() };
        if let Value::Object(given) = value {
            let filled = action.defaults(&given);
            let _ = action.validate("a", &filled);
            prop_assert_eq!(action.defaults(&filled), filled);
            let _ = actions()["backup"].validate("backup", &given);
        }
    }
}
