//! From nested patterns to a list of tasks. Every pattern becomes a block: tasks in order, those that wait for nothing in it,
//! and those nothing in it waits for. Blocks are joined; the more there is to join, the more a gate between them saves.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{Member, Order, Pattern, bind::Binder, names::Scope, step::Step};
use crate::{Access, NewTask, Work, task_id};

/// What a pattern comes to.
pub(crate) struct Composed {
    pub(crate) tasks: Vec<NewTask>,
    /// What it holds, each once.
    pub(crate) resources: Vec<(String, Access)>,
}

/// The tasks of a pattern, or everything that is wrong with it.
pub(crate) fn compose(mut pattern: Pattern, flow: Uuid) -> Result<Composed, Vec<String>> {
    let mut composer = Composer::default();
    let held = pattern.held.clone();
    composer.number(&mut pattern);
    composer.tasks.resize_with(composer.labels.len(), NewTask::default);
    let block = composer.pattern(pattern);
    let resources = composer.resources(held, &block);
    let tasks = composer.finish(&block, flow)?;
    Ok(Composed { tasks, resources })
}

/// Works on nodes: tasks by the order in which they were added, gates behind all of them.
#[derive(Default)]
pub(crate) struct Composer {
    pub(crate) tasks: Vec<NewTask>,
    labels: Vec<String>,
    /// What is held for a task.
    held: BTreeMap<usize, Vec<(String, Access)>>,
    producers: BTreeMap<String, String>,
    pub(crate) scopes: Vec<Scope>,
    within: Vec<u32>,
    nested: u32,
    guard: Option<usize>,
    or_revert: bool,
    pub(crate) problems: Vec<String>,
}

/// A part of the flow, by nodes.
#[derive(Debug, Default)]
pub(crate) struct Block {
    pub(crate) order: Vec<usize>,
    pub(crate) sources: Vec<usize>,
    pub(crate) sinks: Vec<usize>,
}

impl Composer {
    /// Gives each task its node, in the order in which [`pattern`](Self::pattern) meets them.
    fn number(&mut self, pattern: &mut Pattern) {
        if let Some(controller) = &mut pattern.controller {
            self.number_step(controller);
        }
        for member in &mut pattern.members {
            match member {
                Member::Step(step) => self.number_step(step),
                Member::Pattern(pattern) => self.number(pattern),
            }
        }
    }

    fn number_step(&mut self, step: &mut Step) {
        step.node = self.labels.len();
        self.labels.push(step.label.clone());
        for name in step.offers().into_keys() {
            self.producers.entry(name).or_insert_with(|| step.label.clone());
        }
    }

    fn step(&mut self, mut step: Step) -> Block {
        if self.or_revert {
            step = step.or_revert();
        }
        let mut binder = Binder::new(&mut self.scopes, &self.producers, "task", &step.label);
        let task = binder.bind(&step);
        self.problems.append(&mut binder.problems);
        self.held.insert(step.node, binder.resources);
        let (guard, within) = (self.guard, self.within.clone());
        self.tasks[step.node] = NewTask { guard, within, ..task };
        Block { order: vec![step.node], sources: vec![step.node], sinks: vec![step.node] }
    }

    fn pattern(&mut self, mut pattern: Pattern) -> Block {
        self.problems.append(&mut pattern.problems);
        let (guard, or_revert) = (self.guard, self.or_revert);
        self.or_revert |= pattern.or_revert;
        let mut binder = Binder::new(&mut self.scopes, &self.producers, "pattern", &pattern.name);
        let whens = binder.conditions(&pattern.when);
        self.problems.append(&mut binder.problems);
        self.scopes.push(Scope::new(pattern.given()));
        let mut block = Block::default();
        if let Some(controller) = pattern.controller.take() {
            let offers = controller.offers();
            block = self.step(*controller);
            self.guard = block.sinks.first().copied();
            if let Some(scope) = self.scopes.last_mut() {
                scope.give(offers);
            }
        }
        let held = std::mem::take(&mut pattern.held);
        let inner = match pattern.order {
            Order::Linear => self.linear(pattern.members),
            Order::Unordered => self.unordered(pattern.members),
            Order::Graph => self.graph(pattern),
        };
        self.scopes.pop();
        self.or_revert = or_revert;
        self.then(&mut block, inner);
        self.guard = guard;
        // What a pattern holds is held for its first task: not if a target leaves that out.
        if let Some(first) = block.order.first() {
            self.held.entry(*first).or_default().extend(held);
        }
        for source in &block.sources {
            let task = &mut self.tasks[*source];
            task.needs.extend(whens.iter().map(|when| when.task));
            task.when.extend(whens.iter().cloned());
        }
        block
    }

    pub(crate) fn member(&mut self, member: Member) -> Block {
        match member {
            Member::Step(step) => self.step(*step),
            Member::Pattern(pattern) => {
                self.nested += 1;
                self.within.push(self.nested);
                let block = self.pattern(*pattern);
                self.within.pop();
                block
            }
        }
    }

    fn linear(&mut self, members: Vec<Member>) -> Block {
        let mut block = Block::default();
        for (at, member) in members.into_iter().enumerate() {
            self.look_at(at);
            let offers = member.offers();
            let next = self.member(member);
            self.then(&mut block, next);
            if let Some(scope) = self.scopes.last_mut() {
                scope.replace(at, offers);
            }
        }
        block
    }

    fn unordered(&mut self, members: Vec<Member>) -> Block {
        let mut all = Block::default();
        for member in members {
            let block = self.member(member);
            all.order.extend(block.order);
            all.sources.extend(block.sources);
            all.sinks.extend(block.sinks);
        }
        all
    }

    pub(crate) fn look_at(&mut self, member: usize) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.current = member;
        }
    }

    /// Puts the second block behind the first.
    fn then(&mut self, first: &mut Block, second: Block) {
        if second.order.is_empty() {
            return;
        }
        if first.order.is_empty() {
            *first = second;
            return;
        }
        if let Some(gate) = self.connect(&first.sinks, &second.sources) {
            first.order.push(gate);
        }
        first.order.extend(second.order);
        first.sinks = second.sinks;
    }

    /// Lets each source need every sink; if that is many by many, by way of a gate.
    pub(crate) fn connect(&mut self, sinks: &[usize], sources: &[usize]) -> Option<usize> {
        let gate = (sinks.len() > 1 && sources.len() > 1).then(|| self.gate(sinks));
        let needs = gate.as_ref().map_or(sinks, std::slice::from_ref);
        for source in sources {
            self.tasks[*source].needs.extend(needs);
        }
        gate
    }

    pub(crate) fn gate(&mut self, needs: &[usize]) -> usize {
        self.labels.push("gate".into());
        self.tasks.push(NewTask {
            name: "gate".into(),
            work: Work::Gate,
            needs: needs.to_vec(),
            guard: self.guard,
            within: self.within.clone(),
            ..NewTask::default()
        });
        self.tasks.len() - 1
    }

    /// What is held for tasks that run, each once: alone if anybody wants it alone.
    fn resources(
        &mut self,
        mut held: Vec<(String, Access)>,
        block: &Block,
    ) -> Vec<(String, Access)> {
        for node in &block.order {
            held.append(self.held.entry(*node).or_default());
        }
        let mut resources: BTreeMap<String, Access> = BTreeMap::new();
        for (name, access) in held {
            let known = resources.entry(name).or_insert(access);
            if access == Access::Exclusive {
                *known = access;
            }
        }
        resources.into_iter().collect()
    }

    /// Turns nodes into positions.
    fn finish(mut self, block: &Block, flow: Uuid) -> Result<Vec<NewTask>, Vec<String>> {
        let mut positions = vec![None; self.tasks.len()];
        for (position, node) in block.order.iter().enumerate() {
            positions[*node] = Some(position);
        }
        let mut ordered = Vec::with_capacity(block.order.len());
        for (position, node) in block.order.iter().enumerate() {
            let mut task = std::mem::take(&mut self.tasks[*node]);
            let bound = task.bindings.iter_mut().map(|binding| &mut binding.task);
            let decided = task.when.iter_mut().map(|when| &mut when.task);
            for need in bound.chain(decided).chain(&mut task.needs).chain(&mut task.guard) {
                match positions[*need] {
                    Some(position) => *need = position,
                    None if self.problems.is_empty() => self.problems.push(format!(
                        "task `{}` needs `{}`, which a target leaves out",
                        self.labels[*node], self.labels[*need]
                    )),
                    None => {}
                }
            }
            task.needs.sort_unstable();
            task.needs.dedup();
            if let Work::Wait(wait) = &mut task.work
                && wait.key.is_empty()
            {
                wait.key = task_id(flow, position).to_string();
            }
            ordered.push(task);
        }
        if self.problems.is_empty() { Ok(ordered) } else { Err(self.problems) }
    }
}
