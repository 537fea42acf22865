//! What changes between two versions of an API, and whom it breaks.
//!
//! Arguments travel from those who have the old schema to those who have the new one, so they may become wider.
//! Results travel the other way, so they may become narrower. Events do both: listeners of yesterday hear the events
//! of today, and listeners of today find the events of yesterday in the stream; so they may do neither.

use std::fmt;

use serde_json::Value;

use super::{ApiSchema, RpcSchema};
use fits::fits;

mod fits;

/// One difference between two versions of an API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where: `RPC a.b()`, `argument x of RPC a.b()`, `parameter x of event a.b`.
    pub place: String,
    /// What is different there.
    pub what: String,
    /// Whether peers that know only the old version are hurt.
    pub effect: Effect,
}

/// What a change does to peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Nobody notices.
    Compatible,
    /// Some messages are refused, or something is missing.
    Breaking,
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let effect = match self.effect {
            Effect::Compatible => "compatible",
            Effect::Breaking => "breaking",
        };
        write!(formatter, "{effect}: {} {}", self.place, self.what)
    }
}

/// All differences from `old` to `new`, in the order of their names. What cannot be judged counts as breaking.
pub fn compare(old: &ApiSchema, new: &ApiSchema) -> Vec<Change> {
    let mut changes = Vec::new();
    let api = new.name();
    for (name, before) in old.rpcs() {
        let place = format!("RPC {api}.{name}()");
        match new.rpc(name) {
            None => changes.push(Change::new(&place, "is gone", Effect::Breaking)),
            Some(after) => compare_rpc(&place, before, after, &mut changes),
        }
    }
    for (name, _) in new.rpcs().filter(|(name, _)| old.rpc(name).is_none()) {
        changes.push(Change::new(&format!("RPC {api}.{name}()"), "is new", Effect::Compatible));
    }
    for (name, before) in old.events() {
        let place = format!("event {api}.{name}");
        match new.event(name) {
            None => changes.push(Change::new(&place, "is gone", Effect::Breaking)),
            Some(after) => compare_parameters(&place, before, after, &EVENTS, &mut changes),
        }
    }
    for (name, _) in new.events().filter(|(name, _)| old.event(name).is_none()) {
        changes.push(Change::new(&format!("event {api}.{name}"), "is new", Effect::Compatible));
    }
    changes
}

impl Change {
    fn new(place: &str, what: impl Into<String>, effect: Effect) -> Change {
        Change { place: place.to_owned(), what: what.into(), effect }
    }
}

/// What each kind of change to named parameters does.
struct Rules {
    noun: &'static str,
    added_optional: Effect,
    removed_optional: Effect,
    wider: Effect,
    narrower: Effect,
}

const ARGUMENTS: Rules = Rules {
    noun: "argument",
    added_optional: Effect::Compatible,
    // Old callers may send it, and unknown arguments are refused.
    removed_optional: Effect::Breaking,
    wider: Effect::Compatible,
    narrower: Effect::Breaking,
};

const EVENTS: Rules = Rules {
    noun: "parameter",
    // Python hands every parameter to the handler by name, and a handler of yesterday has no such parameter.
    added_optional: Effect::Breaking,
    removed_optional: Effect::Breaking,
    wider: Effect::Breaking,
    narrower: Effect::Breaking,
};

fn compare_rpc(place: &str, old: RpcSchema<'_>, new: RpcSchema<'_>, changes: &mut Vec<Change>) {
    compare_parameters(place, old.parameters, new.parameters, &ARGUMENTS, changes);
    let place = format!("the result of {place}");
    let relation = relation(old.response, new.response);
    changes.extend(relation.change(&place, Effect::Breaking, Effect::Compatible));
}

fn compare_parameters(
    place: &str,
    old: &Value,
    new: &Value,
    rules: &Rules,
    changes: &mut Vec<Change>,
) {
    let noun = rules.noun;
    let mut push = |name: &str, what: &str, effect| {
        changes.push(Change::new(&format!("{noun} {name} of {place}"), what, effect));
    };
    let nothing = serde_json::Map::new();
    let before = old["properties"].as_object().unwrap_or(&nothing);
    let after = new["properties"].as_object().unwrap_or(&nothing);
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        let effect = if is_required(old, name) { Effect::Breaking } else { rules.removed_optional };
        push(name, "is gone", effect);
    }
    for name in after.keys().filter(|name| !before.contains_key(*name)) {
        if is_required(new, name) {
            push(name, "is new and required", Effect::Breaking);
        } else {
            push(name, "is new and optional", rules.added_optional);
        }
    }
    for (name, before) in before {
        let Some(after) = after.get(name) else { continue };
        match (is_required(old, name), is_required(new, name)) {
            (false, true) => push(name, "has become required", Effect::Breaking),
            (true, false) => push(name, "has become optional", Effect::Compatible),
            _ => {}
        }
        if let Some(change) = relation(before, after).change("", rules.wider, rules.narrower) {
            push(name, change.what.as_str(), change.effect);
        }
    }
}

fn is_required(schema: &Value, name: &str) -> bool {
    schema["required"].as_array().is_some_and(|names| names.iter().any(|required| required == name))
}

enum Relation {
    Same,
    /// The new schema takes more; here is what the old one does not take.
    Wider(String),
    Narrower(String),
    Different(String),
}

impl Relation {
    fn change(self, place: &str, wider: Effect, narrower: Effect) -> Option<Change> {
        let (what, effect) = match self {
            Relation::Same => return None,
            Relation::Wider(why) => (format!("takes more than before: {why}"), wider),
            Relation::Narrower(why) => (format!("takes less than before: {why}"), narrower),
            Relation::Different(why) => (format!("has another type: {why}"), Effect::Breaking),
        };
        Some(Change::new(place, what, effect))
    }
}

fn relation(old: &Value, new: &Value) -> Relation {
    match (fits(old, new), fits(new, old)) {
        (Ok(()), Ok(())) => Relation::Same,
        (Ok(()), Err(why)) => Relation::Wider(why),
        (Err(why), Ok(())) => Relation::Narrower(why),
        (Err(why), Err(_)) => Relation::Different(why),
    }
}
