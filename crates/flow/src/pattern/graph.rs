//! Graphs: edges from what members take of each other and from links; the order of the members, or the circle that makes one
//! impossible.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Link, Pattern,
    bind::did_you_mean,
    compose::{Block, Composer},
    names::closest,
};
use crate::{Condition, Depth, When};

/// Why a member of a graph needs another.
#[derive(Debug, Default)]
struct Edge {
    /// What it takes from it.
    name: Option<String>,
    when: Option<(Condition, Depth)>,
}

/// Where the members of a name are in their graph.
type Positions<'a> = BTreeMap<&'a str, Vec<usize>>;

impl Composer {
    /// The block of a graph.
    pub(crate) fn graph(&mut self, pattern: Pattern) -> Block {
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
        let mut known = Positions::new();
        for (at, member) in names.iter().enumerate() {
            known.entry(member).or_default().push(at);
        }
        self.link(&name, &known, links, &mut edges);
        if let Some(target) = target
            && let Some(target) = self.find(&name, &known, &target)
        {
            let needed = needed(names.len(), &edges, target);
            edges.retain(|(_, to), _| needed.contains(to));
            for at in (0..names.len()).filter(|at| !needed.contains(at)) {
                blocks[at] = Block::default();
                problems[at].clear();
            }
        }
        self.problems.extend(problems.into_iter().flatten());
        match order(names.len(), &edges) {
            Ok(order) => self.join(&names, &order, blocks, &edges),
            Err(circle) => {
                self.problems.push(circle_of(&name, &names, &circle, &edges));
                Block::default()
            }
        }
    }

    fn link(
        &mut self,
        pattern: &str,
        known: &Positions<'_>,
        links: Vec<Link>,
        edges: &mut BTreeMap<(usize, usize), Edge>,
    ) {
        for link in links {
            let from = self.find(pattern, known, &link.from);
            let to = self.find(pattern, known, &link.to);
            if let (Some(from), Some(to)) = (from, to) {
                let edge = edges.entry((from, to)).or_default();
                edge.when = link.when.or_else(|| edge.when.take());
            }
        }
    }

    fn find(&mut self, pattern: &str, known: &Positions<'_>, name: &str) -> Option<usize> {
        let found = known.get(name).map_or(&[][..], Vec::as_slice);
        if found.is_empty() {
            let hint = did_you_mean(closest(known.keys().copied(), name));
            self.problems.push(format!("graph `{pattern}` has no member `{name}`{hint}"));
        } else if found.len() > 1 {
            self.problems.push(format!(
                "graph `{pattern}` has several members `{name}`: tell them apart by `named`"
            ));
        }
        found.first().copied()
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

/// Members in an order in which each is behind those it needs, the first added first; or a circle of members, each needing the
/// next and the last the first.
fn order<E>(members: usize, edges: &BTreeMap<(usize, usize), E>) -> Result<Vec<usize>, Vec<usize>> {
    let mut successors = vec![vec![]; members];
    let mut blockers = vec![0_usize; members];
    for (from, to) in edges.keys() {
        successors[*from].push(*to);
        blockers[*to] += 1;
    }
    let mut ready: BTreeSet<usize> = (0..members).filter(|at| blockers[*at] == 0).collect();
    let mut ordered = Vec::with_capacity(members);
    while let Some(member) = ready.pop_first() {
        ordered.push(member);
        for successor in &successors[member] {
            blockers[*successor] -= 1;
            if blockers[*successor] == 0 {
                ready.insert(*successor);
            }
        }
    }
    if ordered.len() == members { Ok(ordered) } else { Err(circle(edges, &blockers)) }
}

/// The members a target needs, and itself.
fn needed<E>(
    members: usize,
    edges: &BTreeMap<(usize, usize), E>,
    target: usize,
) -> BTreeSet<usize> {
    let mut needs = vec![vec![]; members];
    for (from, to) in edges.keys() {
        needs[*to].push(*from);
    }
    let mut needed = BTreeSet::from([target]);
    let mut open = vec![target];
    while let Some(member) = open.pop() {
        open.extend(needs[member].iter().filter(|need| needed.insert(**need)));
    }
    needed
}

/// Every blocked member needs a blocked one, so a walk along needs meets a member twice.
fn circle<E>(edges: &BTreeMap<(usize, usize), E>, blockers: &[usize]) -> Vec<usize> {
    let mut need_of = vec![None; blockers.len()];
    for (from, to) in edges.keys() {
        if blockers[*from] > 0 && blockers[*to] > 0 {
            need_of[*to] = Some(*from);
        }
    }
    let mut walk = vec![];
    let mut at = need_of.iter().position(Option::is_some);
    while let Some(member) = at {
        if let Some(first) = walk.iter().position(|known| *known == member) {
            return walk.split_off(first);
        }
        walk.push(member);
        at = need_of[member];
    }
    walk
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(pairs: &[(usize, usize)]) -> BTreeMap<(usize, usize), ()> {
        pairs.iter().map(|pair| (*pair, ())).collect()
    }

    #[test]
    fn members_are_ordered_or_run_in_a_circle() {
        for (members, pairs, expected) in [
            (0, &[][..], Ok(vec![])),
            (3, &[], Ok(vec![0, 1, 2])),
            (3, &[(2, 0), (0, 1)], Ok(vec![2, 0, 1])),
            (4, &[(3, 1), (3, 2), (1, 0), (2, 0)], Ok(vec![3, 1, 2, 0])),
            (1, &[(0, 0)], Err(vec![0])),
            (2, &[(0, 1), (1, 0)], Err(vec![0, 1])),
            (5, &[(0, 1), (1, 2), (2, 3), (3, 1), (3, 4)], Err(vec![1, 3, 2])),
        ] {
            assert_eq!(order(members, &edges(pairs)), expected, "{pairs:?}");
        }
    }

    #[test]
    fn a_target_needs_what_leads_to_it() {
        let edges = edges(&[(0, 1), (1, 2), (3, 2), (2, 4), (0, 5)]);
        assert_eq!(needed(6, &edges, 2), BTreeSet::from([0, 1, 2, 3]));
        assert_eq!(needed(6, &edges, 0), BTreeSet::from([0]));
    }
}
