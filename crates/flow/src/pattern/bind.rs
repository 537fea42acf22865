//! The input of a task: what is given becomes its value, what others provide becomes bindings.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    names::{self, Offer, Part, Scope},
    shape::{Member, Shape},
    step::{Source, Step},
};
use crate::{Access, Binding, Condition, Fate, NewTask, When, Work};

/// Binds the input of one task; positions are nodes.
pub(crate) struct Binder<'a> {
    scopes: &'a mut [Scope],
    /// Every name of the flow, with one that provides it.
    producers: &'a BTreeMap<String, String>,
    kind: &'static str,
    label: String,
    pub(crate) problems: Vec<String>,
    bindings: Vec<Binding>,
    /// What the task adds to the resources of the flow.
    pub(crate) resources: Vec<(String, Access)>,
}

impl<'a> Binder<'a> {
    pub(crate) fn new(
        scopes: &'a mut [Scope],
        producers: &'a BTreeMap<String, String>,
        kind: &'static str,
        label: &str,
    ) -> Self {
        let label = label.to_owned();
        Self {
            scopes,
            producers,
            kind,
            label,
            problems: vec![],
            bindings: vec![],
            resources: vec![],
        }
    }

    /// The task with its input, bindings and conditions.
    pub(crate) fn bind(&mut self, step: &Step) -> NewTask {
        self.problems.extend(step.problems.iter().cloned());
        let mut task = step.task.clone();
        if step.or_revert {
            task.retry = task.retry.or_revert();
        }
        task.when = self.conditions(&step.when);
        task.needs = task.when.iter().map(|when| when.task).collect();
        let input = self.input(step);
        match &mut task.work {
            Work::Each(each) => {
                if !self.bindings.is_empty() {
                    self.problem("takes only its items from other tasks: inject the rest");
                }
                self.bindings.clear();
                each.input = input;
                each.retry = task.retry;
                each.timeouts = std::mem::take(&mut task.timeouts);
                each.labels = std::mem::take(&mut task.labels);
                task.input = self.list(step);
            }
            Work::Retry(_) => task.input = self.list(step),
            _ => {
                if self.bindings.is_empty() && self.problems.is_empty() {
                    match (step.check)(input.clone()) {
                        Ok(resources) => self.resources = resources,
                        Err(error) => self.problem(&format!("cannot take its input: {error}")),
                    }
                }
                task.input = input;
            }
        }
        task.bindings = std::mem::take(&mut self.bindings);
        let later = !task.bindings.is_empty() || matches!(task.work, Work::Each(_));
        if step.adds_resources && later && step.held.is_empty() {
            self.problem(
                "adds resources by an input that is known only later: say them by `holds`",
            );
        }
        self.resources.extend(step.held.iter().cloned());
        if let Work::Flow(child) = &task.work
            && child.fate == Fate::Joined
        {
            // It runs under the resources of the flow that waits for it.
            self.resources.extend(child.flow.resources.iter().cloned());
        }
        task
    }

    /// Conditions on what is provided by names.
    pub(crate) fn conditions(
        &mut self,
        conditions: &[(String, Condition, crate::Depth)],
    ) -> Vec<When> {
        let mut whens = vec![];
        for (name, is, depth) in conditions {
            match names::look_up(self.scopes, name) {
                Some(Offer::Task(Part { node, pointer, .. })) => {
                    let is = is.clone();
                    let is =
                        if pointer.is_empty() { is } else { Condition::At(pointer, Box::new(is)) };
                    whens.push(When { task: node, is, depth: *depth });
                }
                Some(Offer::Value(_)) => self.problem(&format!(
                    "depends on `{name}`, which is a given value and not decided by a task"
                )),
                Some(Offer::Several(one, other)) => self.ambiguous(name, &one, &other),
                None => self.missing("depends on", name, name),
            }
        }
        whens
    }

    fn input(&mut self, step: &Step) -> Value {
        let mut input = match &step.source {
            Source::Value(value) => value.clone(),
            Source::Name(name) => {
                let whole = Member { name: "", shape: step.takes.clone(), optional: false };
                self.member(&whole, name).unwrap_or(Value::Null)
            }
            Source::Names => self.members(step),
        };
        let mut told = step.injected.clone();
        for (member, name) in &step.rebound {
            let known = step.takes.members().iter().find(|known| known.name == member);
            let shape = known.map_or(Shape::Any, |known| known.shape.clone());
            if let Some(value) = self.part(member, &shape, name, false) {
                told.push((member.clone(), value));
            }
        }
        let rebound = step.rebound.iter().map(|(member, _)| member);
        for member in step.injected.iter().map(|(member, _)| member).chain(rebound) {
            self.check_known(step, member);
        }
        if !step.injected.is_empty() || !step.rebound.is_empty() {
            if input.is_null() {
                input = Value::Object(Map::new());
            }
            match &mut input {
                Value::Object(members) => members.extend(told),
                _ => self.problem("is given members of an input that has none"),
            }
        }
        input
    }

    /// The members that are found by their own names.
    fn members(&mut self, step: &Step) -> Value {
        let item = match &step.task.work {
            Work::Each(each) if each.item.is_empty() => return Value::Null,
            Work::Each(each) => {
                self.check_known(step, &each.item);
                Some(each.item.as_str())
            }
            _ => None,
        };
        let mut input = Map::new();
        for member in step.takes.members() {
            let told = step.injected.iter().any(|(name, _)| name == member.name)
                || step.rebound.iter().any(|(name, _)| name == member.name);
            if told || item == Some(member.name) {
                continue;
            }
            let optional = member.optional || step.optional.iter().any(|name| name == member.name);
            let member = Member { optional, ..member.clone() };
            if let Some(value) = self.member(&member, member.name) {
                input.insert(member.name.to_owned(), value);
            }
        }
        match step.takes {
            Shape::Struct(_) | Shape::Map => Value::Object(input),
            Shape::Any | Shape::Unit | Shape::Option(_) | Shape::Enum => Value::Null,
            _ => {
                let takes = &step.takes;
                self.problem(&format!("takes {takes}: say which by `input` or `from`"));
                Value::Null
            }
        }
    }

    fn list(&mut self, step: &Step) -> Value {
        let Some((member, name)) = &step.list else { return Value::Null };
        match self.part(member, &Shape::List, name, false) {
            Some(list) => Value::Object(Map::from_iter([((*member).to_owned(), list)])),
            None => Value::Object(Map::new()),
        }
    }

    fn member(&mut self, member: &Member, name: &str) -> Option<Value> {
        self.part(member.name, &member.shape, name, member.optional)
    }

    /// Binds a member, or returns its value if that is known by now.
    fn part(&mut self, into: &str, shape: &Shape, name: &str, optional: bool) -> Option<Value> {
        match names::look_up(self.scopes, name) {
            Some(Offer::Task(part)) => {
                self.check_shape(name, &part.shape, shape, &part.producer);
                let (into, task) = (into.to_owned(), part.node);
                self.bindings.push(Binding { into, task, from: part.pointer });
                None
            }
            Some(Offer::Value(value)) => {
                self.check_shape(name, &Shape::of_value(&value), shape, "a given value");
                Some(value)
            }
            Some(Offer::Several(one, other)) => {
                self.ambiguous(name, &one, &other);
                None
            }
            None => {
                if !optional {
                    self.missing("needs", if into.is_empty() { name } else { into }, name);
                }
                None
            }
        }
    }

    fn check_shape(&mut self, name: &str, from: &Shape, into: &Shape, producer: &str) {
        if !from.fits(into) {
            let producer = match producer {
                "a given value" => "the given value".to_owned(),
                task => format!("what `{task}` provides"),
            };
            self.problem(&format!("takes {into} as `{name}`, but {producer} is {from}"));
        }
    }

    fn check_known(&mut self, step: &Step, member: &str) {
        let members = step.takes.members();
        if step.takes.is_open() || members.iter().any(|known| known.name == member) {
            return;
        }
        let meant = names::closest(members.iter().map(|known| known.name), member);
        let hint = did_you_mean(meant);
        self.problem(&format!("has no member `{member}` in its input{hint}"));
    }

    fn ambiguous(&mut self, name: &str, one: &str, other: &str) {
        self.problem(&format!("cannot tell whether `{name}` is of `{one}` or of `{other}`"));
    }

    fn missing(&mut self, verb: &str, member: &str, name: &str) {
        let known = self.producers.get(name).filter(|producer| **producer != self.label);
        let hint = match known {
            Some(producer) => format!(": `{producer}` does, but nothing puts it first"),
            None => did_you_mean(names::meant(self.scopes, name)),
        };
        let as_name = if member == name { String::new() } else { format!(" (as `{name}`)") };
        self.problem(&format!(
            "{verb} `{member}`{as_name}, which nothing before it provides{hint}"
        ));
    }

    fn problem(&mut self, what: &str) {
        self.problems.push(format!("{} `{}` {what}", self.kind, self.label));
    }
}

pub(crate) fn did_you_mean(word: Option<String>) -> String {
    word.map(|word| format!(": did you mean `{word}`?")).unwrap_or_default()
}
