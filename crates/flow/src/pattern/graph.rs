//! The order of the members of a graph, or the circle that makes one impossible.

use std::collections::{BTreeMap, BTreeSet};

/// Members in an order in which each is behind those it needs, the first added first; or a circle of members, each needing the
/// next and the last the first.
pub(crate) fn order<E>(
    members: usize,
    edges: &BTreeMap<(usize, usize), E>,
) -> Result<Vec<usize>, Vec<usize>> {
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
pub(crate) fn needed<E>(
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
