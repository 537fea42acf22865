//! From nested patterns to a list of tasks. Every pattern becomes a block: tasks in order, those that wait for nothing in it,
//! and those nothing in it waits for. Blocks are joined; the more there is to join, the more a gate between them saves.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{
    Link, Member, Order, Pattern,
    bind::Binder,
    graph,
    names::{Offer, Offers, Part, Scope, merge},
    shape::Shape,
    step::Step,
};
use crate::{Condition, Depth, NewTask, When, Work, task_id};

/// The tasks of a pattern, or everything that is wrong with it.
pub(crate) fn compose(mut pattern: Pattern, flow: Uuid) -> Result<Vec<NewTask>, Vec<String>> {
    let mut composer = Composer::default();
    composer.number(&mut pattern);
    composer.tasks.resize_with(composer.labels.len(), NewTask::default);
    let block = composer.pattern(pattern);
    composer.finish(&block, flow)
}

/// Works on nodes: tasks by the order in which they were added, gates behind all of them.
#[derive(Default)]
struct Composer {
    tasks: Vec<NewTask>,
    labels: Vec<String>,
    producers: BTreeMap<String, String>,
    scopes: Vec<Scope>,
    within: Vec<u32>,
    nested: u32,
    guard: Option<usize>,
    or_revert: bool,
    problems: Vec<String>,
}

/// A part of the flow, by nodes.
#[derive(Debug, Default)]
struct Block {
    order: Vec<usize>,
    sources: Vec<usize>,
    sinks: Vec<usize>,
}

/// Why a member of a graph needs another.
#[derive(Debug, Default)]
struct Edge {
    /// What it takes from it.
    name: Option<String>,
    when: Option<(Condition, Depth)>,
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
        let inner = match pattern.order {
            Order::Linear => self.linear(pattern.members),
            Order::Unordered => self.unordered(pattern.members),
            Order::Graph => self.graph(pattern),
        };
        self.scopes.pop();
        self.or_revert = or_revert;
        self.then(&mut block, inner);
        self.guard = guard;
        for source in &block.sources {
            let task = &mut self.tasks[*source];
            task.needs.extend(whens.iter().map(|when| when.task));
            task.when.extend(whens.iter().cloned());
        }
        block
    }

    fn member(&mut self, member: Member) -> Block {
        match member {
            Member::Step(step) => self.step(*step),
            Member::Pattern(pattern) => {
                self.nested += 1;
                self.within.push(self.nested);
                let block = self.pattern(pattern);
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

    fn graph(&mut self, pattern: Pattern) -> Block {
        let Pattern { name, members, links, target, .. } = pattern;
        let names: Vec<String> = members.iter().map(|member| member.name().to_owned()).collect();
        if let Some(scope) = self.scopes.last_mut() {
            for (at, member) in members.iter().enumerate() {
                scope.add(at, member.offers());
            }
        }
        let mut blocks = Vec::with_capacity(members.len());
        let mut problems = Vec::with_capacity(members.len());
        for (at, member) in members.into_iter().enumerate() {
            self.look_at(at);
            let before = self.problems.len();
            blocks.push(self.member(member));
            problems.push(self.problems.split_off(before));
        }
        let taken = self.scopes.last_mut().map(|scope| std::mem::take(&mut scope.taken));
        let mut edges: BTreeMap<(usize, usize), Edge> = taken
            .into_iter()
            .flatten()
            .map(|(pair, name)| (pair, Edge { name: Some(name), when: None }))
            .collect();
        self.link(&name, &names, links, &mut edges);
        if let Some(target) = target
            && let Some(target) = self.find(&name, &names, &target)
        {
            let needed = graph::needed(names.len(), &edges, target);
            edges.retain(|(_, to), _| needed.contains(to));
            for at in (0..names.len()).filter(|at| !needed.contains(at)) {
                blocks[at] = Block::default();
                problems[at].clear();
            }
        }
        self.problems.extend(problems.into_iter().flatten());
        match graph::order(names.len(), &edges) {
            Ok(order) => self.join(&names, &order, blocks, &edges),
            Err(circle) => {
                self.problems.push(circle_of(&name, &names, &circle, &edges));
                Block::default()
            }
        }
    }

    fn look_at(&mut self, member: usize) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.current = member;
        }
    }

    fn link(
        &mut self,
        pattern: &str,
        names: &[String],
        links: Vec<Link>,
        edges: &mut BTreeMap<(usize, usize), Edge>,
    ) {
        for link in links {
            let from = self.find(pattern, names, &link.from);
            let to = self.find(pattern, names, &link.to);
            if let (Some(from), Some(to)) = (from, to) {
                let edge = edges.entry((from, to)).or_default();
                edge.when = link.when.or_else(|| edge.when.take());
            }
        }
    }

    fn find(&mut self, pattern: &str, names: &[String], name: &str) -> Option<usize> {
        let mut found = (0..names.len()).filter(|at| names[*at] == name);
        let (first, second) = (found.next(), found.next());
        if first.is_none() {
            let known = names.iter().map(String::as_str);
            let meant = super::names::closest(known, name);
            let hint = super::bind::did_you_mean(meant);
            self.problems.push(format!("graph `{pattern}` has no member `{name}`{hint}"));
        } else if second.is_some() {
            self.problems.push(format!(
                "graph `{pattern}` has several members `{name}`: tell them apart by `named`"
            ));
        }
        first
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
    fn connect(&mut self, sinks: &[usize], sources: &[usize]) -> Option<usize> {
        let gate = (sinks.len() > 1 && sources.len() > 1).then(|| self.gate(sinks));
        let needs = gate.as_ref().map_or(sinks, std::slice::from_ref);
        for source in sources {
            self.tasks[*source].needs.extend(needs);
        }
        gate
    }

    fn gate(&mut self, needs: &[usize]) -> usize {
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

    /// Joins the members of a graph, given in order, by its edges.
    fn join(
        &mut self,
        names: &[String],
        order: &[usize],
        mut blocks: Vec<Block>,
        edges: &BTreeMap<(usize, usize), Edge>,
    ) -> Block {
        let mut needs: Vec<Vec<(usize, &Edge)>> = names.iter().map(|_| vec![]).collect();
        let mut successors = vec![0_usize; names.len()];
        for ((from, to), edge) in edges {
            needs[*to].push((*from, edge));
            successors[*from] += 1;
        }
        let mut all = Block::default();
        for at in order {
            let mut block = std::mem::take(&mut blocks[*at]);
            let linked = successors[*at] > 0 || !needs[*at].is_empty();
            if linked && block.order.is_empty() {
                let gate = self.gate(&[]);
                block = Block { order: vec![gate], sources: vec![gate], sinks: vec![gate] };
            }
            let mut sinks = vec![];
            for (from, edge) in &needs[*at] {
                match (&edge.when, &blocks[*from].sinks[..]) {
                    (None, all) => sinks.extend(all),
                    (Some(when), [decider]) => self.decide(*decider, when, &block.sources),
                    (Some(_), _) => self.problems.push(format!(
                        "the link from `{}` to `{}` has a condition, but `{}` has no single last task",
                        names[*from], names[*at], names[*from],
                    )),
                }
            }
            all.order.extend(self.connect(&sinks, &block.sources));
            all.order.append(&mut block.order);
            if successors[*at] > 1 && block.sinks.len() > 1 {
                let gate = self.gate(&block.sinks);
                all.order.push(gate);
                block.sinks = vec![gate];
            }
            if needs[*at].is_empty() {
                all.sources.append(&mut block.sources);
            }
            if successors[*at] == 0 {
                all.sinks.append(&mut block.sinks);
            }
            blocks[*at] = block;
        }
        all
    }

    fn decide(&mut self, decider: usize, when: &(Condition, Depth), sources: &[usize]) {
        for source in sources {
            let task = &mut self.tasks[*source];
            task.needs.push(decider);
            task.when.push(When { task: decider, is: when.0.clone(), depth: when.1 });
        }
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

fn circle_of(
    pattern: &str,
    names: &[String],
    circle: &[usize],
    edges: &BTreeMap<(usize, usize), Edge>,
) -> String {
    let steps: Vec<String> = circle
        .iter()
        .zip(circle.iter().cycle().skip(1))
        .map(|(member, need)| {
            let name = edges.get(&(*need, *member)).and_then(|edge| edge.name.as_deref());
            let (member, need) = (&names[*member], &names[*need]);
            match name {
                Some(name) => format!("`{member}` needs `{name}` of `{need}`"),
                None => format!("`{member}` needs `{need}`"),
            }
        })
        .collect();
    format!("graph `{pattern}` runs in a circle: {}", steps.join(", "))
}

impl Member {
    fn name(&self) -> &str {
        match self {
            Self::Step(step) => &step.label,
            Self::Pattern(pattern) => &pattern.name,
        }
    }

    fn offers(&self) -> Offers {
        match self {
            Self::Step(step) => step.offers(),
            Self::Pattern(pattern) => pattern.offers(),
        }
    }
}

impl Step {
    fn offers(&self) -> Offers {
        let offer = |pointer: String, shape: &Shape| {
            let (node, producer, shape) = (self.node, self.label.clone(), shape.clone());
            Offer::Task(Part { node, producer, pointer, shape })
        };
        match &self.provides {
            Some(name) if matches!(self.task.work, Work::Retry(_)) => {
                Offers::from([(name.clone(), offer("/value".into(), &Shape::Any))])
            }
            Some(name) => Offers::from([(name.clone(), offer(String::new(), &self.gives))]),
            None => (self.gives.members().iter())
                .map(|member| {
                    let pointer = super::names::pointer_to(member.name);
                    (member.name.to_owned(), offer(pointer, &member.shape))
                })
                .collect(),
        }
    }
}

impl Pattern {
    /// What it offers to those that follow: the last of a name if its members are in order.
    fn offers(&self) -> Offers {
        let mut offers = Offers::new();
        for member in &self.members {
            match self.order {
                Order::Linear => offers.extend(member.offers()),
                Order::Unordered | Order::Graph => merge(&mut offers, member.offers()),
            }
        }
        for (name, offer) in self.controller.iter().flat_map(|controller| controller.offers()) {
            offers.entry(name).or_insert(offer);
        }
        offers
    }

    /// What it offers to its members and to its controller.
    fn given(&self) -> Offers {
        let values = self.injected.iter();
        values.map(|(name, value)| (name.clone(), Offer::Value(value.clone()))).collect()
    }
}
