use serde_json::{Value, json};

use crate::schema::{
    ApiSchema, ApiValidator, Direction, Parameters, Strictness, Subject, ValidationRules,
};

fn auth() -> ApiSchema {
    let check = Parameters::new().required::<String>("username").required::<String>("password");
    let registered =
        Parameters::new().required::<Vec<(i64, String)>>("places").optional::<bool>("admin", false);
    ApiSchema::builder("my.auth", 1)
        .rpc::<bool>("check", "", check)
        .event("registered", "", registered)
        .build()
}

fn complaint(subject: Subject, name: &str, value: Value) -> String {
    let validator = ApiValidator::compile(&auth()).unwrap();
    validator.check(subject, name, &value).unwrap_err().to_string()
}

#[test]
fn what_fits_passes() {
    let validator = ApiValidator::compile(&auth()).unwrap();
    let arguments = json!({ "username": "ann", "password": "secret" });
    validator.check(Subject::Arguments, "check", &arguments).unwrap();
    validator.check_json(Subject::Result, "check", "true").unwrap();
    validator.check(Subject::Event, "registered", &json!({ "places": [[1, "x"]] })).unwrap();
}

#[test]
fn a_complaint_names_api_procedure_field_and_reason_but_no_value() {
    assert_eq!(
        complaint(Subject::Arguments, "check", json!({ "username": "ann" })),
        "the arguments of my.auth.check do not fit the schema: password is missing"
    );
    assert_eq!(
        complaint(Subject::Arguments, "check", json!({ "username": "a", "password": 12345 })),
        "the arguments of my.auth.check do not fit the schema: password must be a string, not an integer"
    );
    let extra = json!({ "username": "a", "password": "b", "admin": 1 });
    assert_eq!(
        complaint(Subject::Arguments, "check", extra),
        "the arguments of my.auth.check do not fit the schema: admin is unknown"
    );
    assert_eq!(
        complaint(Subject::Result, "check", json!("yes")),
        "the result of my.auth.check does not fit the schema: the value must be a boolean, not a string"
    );
    assert_eq!(
        complaint(Subject::Event, "registered", json!({ "places": [[1, "a"], [2, 3]] })),
        "the parameters of my.auth.registered do not fit the schema: \
         places[1][1] must be a string, not an integer"
    );
}

#[test]
fn an_unknown_name_is_a_complaint() {
    assert_eq!(
        complaint(Subject::Arguments, "chekc", json!({})),
        "the arguments of my.auth.chekc do not fit the schema: it has no procedure of this name"
    );
}

#[test]
fn tuples_of_both_versions_of_python_are_checked() {
    for keyword in ["items", "prefixItems"] {
        let point = json!({ "type": "array", "minItems": 2, "maxItems": 2,
            keyword: [{ "type": "integer" }, { "type": "string" }] });
        let parameters = json!({ "type": "object", "properties": { "point": point } });
        let document = json!({ "rpcs": {}, "events": { "moved": { "parameters": parameters } } });
        let validator = ApiValidator::compile(&ApiSchema::new("a", 1, document)).unwrap();
        validator.check(Subject::Event, "moved", &json!({ "point": [1, "x"] })).unwrap();
        for point in [json!([1, 2]), json!([1]), json!([1, "x", 3])] {
            let value = json!({ "point": point });
            assert!(validator.check(Subject::Event, "moved", &value).is_err(), "{keyword} {value}");
        }
    }
}

#[test]
fn formats_are_not_checked() {
    let parameters = Parameters::new().required::<jiff::Timestamp>("when");
    let schema = ApiSchema::builder("a", 1).event("made", "", parameters).build();
    let validator = ApiValidator::compile(&schema).unwrap();
    validator.check(Subject::Event, "made", &json!({ "when": "tomorrow" })).unwrap();
}

#[test]
fn what_is_no_schema_is_said_so() {
    for parameters in [json!({ "type": "strnig" }), json!({ "$ref": "http://example.com/x" })] {
        let document = json!({ "rpcs": {}, "events": { "made": { "parameters": parameters } } });
        let error = ApiValidator::compile(&ApiSchema::new("a.b", 1, document)).unwrap_err();
        assert!(error.to_string().contains("the schema of made in the API a.b"), "{error}");
    }
}

#[test]
fn a_schema_that_refers_to_itself_does_no_harm() {
    let document = json!({ "rpcs": {}, "events": { "made": { "parameters": { "$ref": "#" } } } });
    if let Ok(validator) = ApiValidator::compile(&ApiSchema::new("a", 1, document)) {
        let _ = validator.check(Subject::Event, "made", &json!({ "x": 1 }));
    }
}

#[test]
fn rules_say_what_a_complaint_means() {
    let validator = ApiValidator::compile(&auth()).unwrap();
    let rules = ValidationRules {
        outgoing: Strictness::Strict,
        incoming: Strictness::Warn,
        ..ValidationRules::default()
    };
    let check = || validator.check(Subject::Result, "check", &json!(5));
    assert!(rules.enforce(Direction::Outgoing, check).is_err());
    assert!(rules.enforce(Direction::Incoming, check).is_ok());
    let off = ValidationRules { outgoing: Strictness::Off, ..rules };
    off.enforce(Direction::Outgoing, || unreachable!("nobody looks")).unwrap();
}
