//! Whatever is nested in whatever, exactly those tasks are behind one another that shall be.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Tree {
    Leaf,
    Nested { order: Order, guarded: bool, members: Vec<Tree> },
}

fn trees() -> impl Strategy<Value = Tree> {
    let orders = || prop::sample::select(vec![Order::Linear, Order::Unordered, Order::Graph]);
    Just(Tree::Leaf).prop_recursive(4, 40, 5, move |inner| {
        (orders(), any::<bool>(), prop::collection::vec(inner, 0..5))
            .prop_map(|(order, guarded, members)| Tree::Nested { order, guarded, members })
    })
}

/// What is expected of a tree.
#[derive(Default)]
struct Expected {
    /// How many controllers are around each leaf; leaves are called by their positions here.
    guards: Vec<usize>,
    /// Which leaf is before which.
    before: BTreeSet<(usize, usize)>,
}

impl Expected {
    fn member(&mut self, tree: &Tree, name: &str, guards: usize) -> (Member, Vec<usize>) {
        let Tree::Nested { order, guarded, members } = tree else {
            let leaf = self.guards.len();
            self.guards.push(guards);
            return (task::<Nothing>().named(name).title(leaf.to_string()).into(), vec![leaf]);
        };
        let mut pattern = Pattern::new(name.to_owned(), *order);
        let mut leaves: Vec<usize> = vec![];
        for (at, tree) in members.iter().enumerate() {
            let guards = guards + usize::from(*guarded);
            let (member, more) = self.member(tree, &at.to_string(), guards);
            pattern = pattern.add(member);
            if *order != Order::Unordered {
                let pairs = leaves.iter().flat_map(|one| more.iter().map(move |two| (*one, *two)));
                self.before.extend(pairs);
            }
            // The links of the graph say what a linear pattern says.
            if *order == Order::Graph && at > 0 {
                pattern = pattern.link((at - 1).to_string(), at.to_string());
            }
            leaves.extend(more);
        }
        if *guarded {
            pattern = pattern.retry(Controller::AlwaysRevert);
        }
        (pattern.into(), leaves)
    }
}

proptest! {
    #[test]
    fn nested_patterns_keep_their_order(tree in trees()) {
        let mut expected = Expected::default();
        let (member, leaves) = expected.member(&tree, "tree", 0);
        let tasks = built(linear("p").add(member));
        let mut before: Vec<BTreeSet<usize>> = vec![];
        for (at, task) in tasks.iter().enumerate() {
            prop_assert!(task.needs.iter().chain(&task.guard).all(|need| *need < at));
            let mut all: BTreeSet<usize> = task.needs.iter().copied().collect();
            all.extend(task.needs.iter().flat_map(|need| before[*need].clone()));
            prop_assert!(task.guard.is_none_or(|guard| all.contains(&guard)));
            before.push(all);
        }
        let leaf = |at: usize| tasks[at].title.parse::<usize>().ok();
        let pairs: BTreeSet<(usize, usize)> = (0..tasks.len())
            .filter_map(|at| Some((at, leaf(at)?)))
            .flat_map(|(at, two)| before[at].iter().filter_map(move |one| Some((leaf(*one)?, two))))
            .collect();
        prop_assert_eq!(pairs, expected.before);
        prop_assert_eq!((0..tasks.len()).filter_map(leaf).count(), leaves.len());
        for (at, task) in tasks.iter().enumerate() {
            let guards = std::iter::successors(task.guard, |guard| tasks[*guard].guard).count();
            if let Some(leaf) = leaf(at) {
                prop_assert_eq!(guards, expected.guards[leaf]);
            }
        }
    }
}
