use schemars::JsonSchema;
use serde::Serialize;

use crate::schema::{ApiSchema, Effect, Parameters, compare};

fn rpc<R: JsonSchema>(parameters: Parameters) -> ApiSchema {
    ApiSchema::builder("a", 1).rpc::<R>("p", "", parameters).build()
}

fn event(parameters: Parameters) -> ApiSchema {
    ApiSchema::builder("a", 1).event("e", "", parameters).build()
}

fn changes(old: &ApiSchema, new: &ApiSchema) -> Vec<String> {
    compare(old, new).iter().map(ToString::to_string).collect()
}

fn none() -> Parameters {
    Parameters::new()
}

#[test]
fn nothing_has_changed() {
    let schema = rpc::<Vec<String>>(none().required::<(i64, bool)>("x"));
    assert_eq!(changes(&schema, &schema), [""; 0]);
    let documented = ApiSchema::builder("a", 2)
        .rpc::<Vec<String>>("p", "Now with a comment.", none().required::<(i64, bool)>("x"))
        .build();
    assert_eq!(changes(&schema, &documented), [""; 0]);
}

#[test]
fn members_come_and_go() {
    let (one, other) = (rpc::<bool>(none()), event(none()));
    assert_eq!(
        changes(&one, &other),
        ["breaking: RPC a.p() is gone", "compatible: event a.e is new"]
    );
    assert_eq!(
        changes(&other, &one),
        ["compatible: RPC a.p() is new", "breaking: event a.e is gone"]
    );
}

#[test]
fn arguments_may_become_wider() {
    let old = rpc::<bool>(none().required::<i64>("x"));
    for (new, expected) in [
        (
            none().required::<f64>("x"),
            "compatible: argument x of RPC a.p() takes more than before: \
            number and integer",
        ),
        (none().optional::<i64>("x", 1), "compatible: argument x of RPC a.p() has become optional"),
        (
            none().required::<bool>("x"),
            "breaking: argument x of RPC a.p() has another type: \
            integer and boolean",
        ),
        (
            none().required::<i64>("x").required::<i64>("y"),
            "breaking: argument y of RPC a.p() is \
            new and required",
        ),
        (
            none().required::<i64>("x").optional::<i64>("y", 1),
            "compatible: argument y of RPC \
            a.p() is new and optional",
        ),
        (none(), "breaking: argument x of RPC a.p() is gone"),
    ] {
        assert_eq!(changes(&old, &rpc::<bool>(new)), [expected]);
    }
    let narrower = changes(&rpc::<bool>(none().required::<f64>("x")), &old);
    assert_eq!(
        narrower,
        ["breaking: argument x of RPC a.p() takes less than before: number and integer"]
    );
    let required = changes(&rpc::<bool>(none().optional::<i64>("x", 1)), &old);
    assert_eq!(required, ["breaking: argument x of RPC a.p() has become required"]);
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "User")]
struct UserOfToday {
    name: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "User")]
struct UserOfTomorrow {
    name: String,
    age: Option<u8>,
}

#[test]
fn results_may_become_narrower() {
    let effect = |old: &ApiSchema, new: &ApiSchema| compare(old, new)[0].effect;
    let (maybe, sure) = (rpc::<Option<bool>>(none()), rpc::<bool>(none()));
    assert_eq!(effect(&maybe, &sure), Effect::Compatible);
    assert_eq!(effect(&sure, &maybe), Effect::Breaking);
    let (today, tomorrow) = (rpc::<Vec<UserOfToday>>(none()), rpc::<Vec<UserOfTomorrow>>(none()));
    assert_eq!(
        changes(&today, &tomorrow),
        ["breaking: the result of RPC a.p() takes more than before: [].age is only on one side"]
    );
    assert_eq!(effect(&tomorrow, &today), Effect::Compatible);
}

#[test]
fn events_stay_as_they_are() {
    let old = event(none().required::<i64>("x"));
    for new in
        [none().required::<f64>("x"), none(), none().required::<i64>("x").optional::<i64>("y", 1)]
    {
        let changes = compare(&old, &event(new));
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].effect, Effect::Breaking, "{}", changes[0]);
    }
}
