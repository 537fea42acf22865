//! Work that grows the flow while it runs: a task for each item of a list, and flows of their own.

use std::{collections::BTreeMap, mem};

use serde_json::{Map, Value};
use tutti_store::ToValue as _;

use super::{Effect, Graph, Node, Row};
use crate::{Child, Each, FailureClass, Fate, TaskState, Then, Work, plan::Spec, version};

/// Items of one list; more belong into lists of lists.
const ITEMS_MAX: usize = 100_000;

/// A task added to a flow that runs.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) number: usize,
    pub(crate) title: String,
    pub(crate) spec: String,
}

impl Graph {
    pub(super) fn begin_each(&mut self, list: usize, each: &Each) {
        let items = match self.items(list) {
            Ok(items) => items,
            Err(message) => return self.fail_by_policy(list, FailureClass::Bug, &message),
        };
        self.begin_waiting(list, None);
        let mut known: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for item in mem::take(&mut self.nodes[list].items) {
            let position = self.nodes[item].spec().item_of.map_or(0, |(_, position)| position);
            known.entry(position).or_default().push(item);
        }
        self.nodes[list].items_open = 0;
        let mut added = Vec::new();
        for (position, item) in items.into_iter().enumerate() {
            let input = item_input(each, item).to_string();
            let candidates = known.entry(position).or_default();
            match candidates.iter().position(|item| self.nodes[*item].input == input) {
                // It has been there since before the flow was run again.
                Some(at) => self.use_item(list, candidates.swap_remove(at)),
                None => added.push(self.add_item(list, each, position, input)),
            }
        }
        for item in known.into_values().flatten() {
            if self.nodes[item].finished.is_none() {
                self.finish(item, TaskState::Skipped);
            }
        }
        if !added.is_empty() {
            self.effects.push(Effect::Add(added));
        }
        if self.nodes[list].items_open == 0 {
            self.list_succeeded(list);
        }
    }

    fn items(&self, list: usize) -> Result<Vec<Value>, String> {
        let Value::Object(mut input) = self.input_value(list)? else {
            return Err("its input has no member `items`".into());
        };
        match input.remove("items") {
            Some(Value::Array(items)) if items.len() <= ITEMS_MAX => Ok(items),
            Some(Value::Array(items)) => {
                Err(format!("{} items are more than {ITEMS_MAX}", items.len()))
            }
            _ => Err("its `items` are not a list".into()),
        }
    }

    fn add_item(&mut self, list: usize, each: &Each, position: usize, input: String) -> Item {
        let number = self.nodes.len();
        let spec = Spec {
            timeouts: each.timeouts,
            backoff: each.retry.backoff,
            labels: each.labels.clone(),
            within: self.nodes[list].spec().within.clone(),
            item_of: Some((list, position)),
            ..Spec::default()
        };
        let stored = spec.stored().unwrap_or_default();
        let at = i64::try_from(number).unwrap_or(i64::MAX);
        let row = Row {
            resource: self.nodes[list].resource.clone(),
            ..Row::pending(self.id, at, each.name.clone(), input, &each.retry)
        };
        self.nodes.push(Node::new(row, Some(spec)));
        self.note_guard(number);
        self.open += 1;
        self.touched.insert(number);
        self.use_item(list, number);
        Item {
            number,
            title: format!("{} {}", version::without(&each.name), position + 1),
            spec: stored,
        }
    }

    fn use_item(&mut self, list: usize, item: usize) {
        self.nodes[list].items.push(item);
        if self.nodes[item].state != TaskState::Succeeded {
            self.nodes[list].items_open += 1;
            self.ready.push_back(item);
        }
    }

    /// The last item of a list completes it.
    pub(super) fn item_succeeded(&mut self, number: usize) {
        let Some((list, _)) = self.nodes[number].spec().item_of else { return };
        let node = &mut self.nodes[list];
        node.items_open = node.items_open.saturating_sub(1);
        if node.items_open > 0 || node.finished.is_some() {
            return;
        }
        self.list_succeeded(list);
    }

    /// Ends the lists whose last item was recorded by itself, by a worker that died before it knew.
    pub(super) fn end_lists(&mut self) {
        let over = |number: &usize| {
            let node = &self.nodes[*number];
            let waits = node.state == TaskState::Waiting && node.items_open == 0;
            waits && matches!(node.work(), Work::Each(_))
        };
        if self.head.reverting {
            return;
        }
        for list in (0..self.nodes.len()).filter(over).collect::<Vec<_>>() {
            self.list_succeeded(list);
        }
    }

    fn list_succeeded(&mut self, list: usize) {
        let outputs = self.nodes[list].items.iter().map(|item| self.output(&self.nodes[*item]));
        let outputs: Vec<Value> = outputs.map(Option::unwrap_or_default).collect();
        self.succeed(list, Value::Array(outputs).to_string());
    }

    /// What the last task of the plan answered; items of lists were not planned.
    pub(crate) fn last_output(&self) -> Option<String> {
        let planned = self.nodes.iter().rev().find(|node| node.spec().item_of.is_none());
        planned.and_then(|node| node.output.clone())
    }

    pub(super) fn begin_child(&mut self, number: usize, child: &Child) {
        self.effects.push(Effect::Submit { number });
        if child.fate == Fate::Joined {
            self.begin_waiting(number, None);
            self.children.insert(number);
        } else {
            let id = crate::child_id(crate::task_id(self.id, number));
            self.succeed(number, Value::String(id.to_string()).to_string());
        }
    }
}

fn item_input(each: &Each, item: Value) -> Value {
    if each.item.is_empty() {
        return item;
    }
    let mut input = match &each.input {
        Value::Object(members) => members.clone(),
        _ => Map::new(),
    };
    input.insert(each.item.clone(), item);
    Value::Object(input)
}

impl Item {
    /// The row of a new task, in the order of the columns in [`crate::submit`].
    pub(crate) fn values(&self, graph: &Graph) -> Vec<tutti_store::Value> {
        let node = &graph.nodes[self.number];
        vec![
            graph.id.to_value(),
            self.number.to_value(),
            crate::task_id(graph.id, self.number).to_value(),
            node.name.to_value(),
            self.title.to_value(),
            node.input.to_value(),
            None::<String>.to_value(),
            node.retry.attempts_max.to_value(),
            (node.retry.then == Then::Revert).to_value(),
            TaskState::Pending.to_value(),
            0.to_value(),
            0.to_value(),
            node.resource.to_value(),
            self.spec.to_value(),
            None::<String>.to_value(),
            None::<i64>.to_value(),
        ]
    }
}
