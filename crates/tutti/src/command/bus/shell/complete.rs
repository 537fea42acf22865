//! How a line may go on: commands, APIs, procedures, events and parameters, from the schemas on the bus.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tutti_bus::schema::ApiSchema;

use super::super::name::Kind;
use super::super::parameters::{names, types};
use super::line::VERBS;

/// The schemas, as they were last seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Known(Arc<Mutex<Vec<ApiSchema>>>);

impl Known {
    pub(super) fn set(&self, schemas: Vec<ApiSchema>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = schemas;
    }

    /// Where the word to be completed begins, and what it may become.
    pub(super) fn complete(&self, line: &str) -> (usize, Vec<String>) {
        let schemas = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let start = line
            .rfind(char::is_whitespace)
            .map_or(0, |at| at + line[at..].chars().next().map_or(1, char::len_utf8));
        let word = &line[start..];
        let before: Vec<&str> = line[..start].split_whitespace().collect();
        let mut candidates = match before.as_slice() {
            [] => {
                let mut all: Vec<String> = VERBS.iter().map(|verb| format!("{verb} ")).collect();
                all.extend(members(&schemas, word, &[Kind::Procedure]));
                all
            }
            ["call"] => members(&schemas, word, &[Kind::Procedure]),
            ["fire"] => members(&schemas, word, &[Kind::Event]),
            ["listen" | "unlisten", ..] => with_star(members(&schemas, word, &[Kind::Event]), word),
            ["ack"] => members(&schemas, word, &[Kind::Event]),
            ["schema"] => members(&schemas, word, &[Kind::Procedure, Kind::Event]),
            ["stats"] | [.., "--api" | "-a"] => {
                schemas.iter().map(|api| format!("{} ", api.name())).collect()
            }
            ["dead-letters"] => ["list ", "show ", "replay ", "drop "].map(str::to_owned).into(),
            ["call", name, given @ ..] => {
                of_member(&schemas, name, Kind::Procedure, given, word).unwrap_or_default()
            }
            ["fire", name, given @ ..] => {
                of_member(&schemas, name, Kind::Event, given, word).unwrap_or_default()
            }
            [name, given @ ..] if name.contains('.') => {
                of_member(&schemas, name, Kind::Procedure, given, word).unwrap_or_default()
            }
            _ => Vec::new(),
        };
        candidates.retain(|candidate| candidate.starts_with(word) && candidate != word);
        candidates.sort();
        candidates.dedup();
        (start, candidates)
    }
}

/// `API.` of all APIs, or the members of one, once it is clear which.
fn members(schemas: &[ApiSchema], word: &str, kinds: &[Kind]) -> Vec<String> {
    let has_members = |api: &&ApiSchema| kinds.iter().any(|kind| !kind.names(api).is_empty());
    let fits = |api: &&ApiSchema| {
        let name = format!("{}.", api.name());
        name.starts_with(word) || word.starts_with(&name)
    };
    let apis: Vec<&ApiSchema> = schemas.iter().filter(has_members).filter(fits).collect();
    let is_chosen =
        |api: &&ApiSchema| apis.len() == 1 || word.starts_with(&format!("{}.", api.name()));
    let mut all = Vec::new();
    for api in &apis {
        match is_chosen(api) {
            true => all.extend(
                kinds
                    .iter()
                    .flat_map(|kind| kind.names(api))
                    .map(|name| format!("{}.{name} ", api.name())),
            ),
            false => all.push(format!("{}.", api.name())),
        }
    }
    all
}

/// The members, and all of them.
fn with_star(mut members: Vec<String>, word: &str) -> Vec<String> {
    if let Some((api, _)) =
        members.first().filter(|name| name.ends_with(' ')).and_then(|name| name.rsplit_once('.'))
    {
        let all = format!("{api}.* ");
        if all.starts_with(word) {
            members.push(all);
        }
    }
    members
}

/// Parameters that are not given yet, or the values of one that has few.
fn of_member(
    schemas: &[ApiSchema],
    name: &str,
    kind: Kind,
    given: &[&str],
    word: &str,
) -> Option<Vec<String>> {
    let (api, member) = name.rsplit_once('.')?;
    let api = schemas.iter().find(|known| known.name() == api)?;
    let schema = match kind {
        Kind::Procedure => api.rpc(member)?.parameters,
        Kind::Event => api.event(member)?,
    };
    if let Some((parameter, _)) = word.split_once('=') {
        let property = schema.get("properties")?.get(parameter)?;
        return Some(
            values(property, schema).iter().map(|it| format!("{parameter}={it} ")).collect(),
        );
    }
    let is_given = |name: &str| {
        given.iter().any(|word| word.split_once('=').is_some_and(|(given, _)| given == name))
    };
    Some(names(schema).filter(|name| !is_given(name)).map(|name| format!("{name}=")).collect())
}

/// The values a parameter can have, if they are few.
fn values(property: &Value, root: &Value) -> Vec<String> {
    if let Some(values) = property.get("enum").and_then(Value::as_array) {
        let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        return values.iter().map(word).collect();
    }
    let mut words = Vec::new();
    for kind in types(property, root) {
        match kind.as_str() {
            "boolean" => words.extend(["true".to_owned(), "false".to_owned()]),
            "null" => words.push("null".to_owned()),
            _ => {}
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn known() -> Known {
        let parameters = json!({"properties": {
            "username": {"type": "string"},
            "admin": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
            "colour": {"enum": ["red", "blue"]},
        }});
        let document = json!({
            "rpcs": {"check": {"parameters": parameters, "response": {}}, "list": {"parameters": {}, "response": {}}},
            "events": {"registered": {"parameters": parameters}},
        });
        let other = json!({"rpcs": {"send": {"parameters": {}, "response": {}}}, "events": {}});
        let known = Known::default();
        known
            .set(vec![ApiSchema::new("my.auth", 1, document), ApiSchema::new("my.mail", 1, other)]);
        known
    }

    fn complete(line: &str) -> Vec<String> {
        known().complete(line).1
    }

    #[test]
    fn names_are_completed_from_left_to_right() {
        assert_eq!(complete("ca"), ["call "]);
        assert_eq!(complete("call m"), ["my.auth.", "my.mail."]);
        assert_eq!(complete("my."), ["my.auth.", "my.mail."]);
        assert_eq!(complete("call my.auth."), ["my.auth.check ", "my.auth.list "]);
        assert_eq!(complete("fire m"), ["my.auth.registered "]);
        assert_eq!(complete("listen my.auth."), ["my.auth.* ", "my.auth.registered "]);
        assert_eq!(complete("schema my.auth.r"), ["my.auth.registered "]);
        assert_eq!(complete("nothing x"), Vec::<String>::new());
    }

    #[test]
    fn parameters_and_values_are_completed() {
        assert_eq!(complete("my.auth.check "), ["admin=", "colour=", "username="]);
        assert_eq!(complete("my.auth.check username=é a"), ["admin="]);
        assert_eq!(complete("fire my.auth.registered username=x "), ["admin=", "colour="]);
        assert_eq!(complete("call my.auth.check colour=r"), ["colour=red "]);
        assert_eq!(
            complete("call my.auth.check admin="),
            ["admin=false ", "admin=null ", "admin=true "]
        );
        assert_eq!(known().complete("call my.auth.check a").0, "call my.auth.check ".len());
    }
}
