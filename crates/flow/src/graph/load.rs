//! A flow from its rows.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use uuid::Uuid;

use super::{Graph, Hands, Head, Node, Row};
use crate::{Error, Fate, Result, TaskState, Work, plan::Spec};

/// The flow's row, beside its [`Head`].
pub(crate) struct Whose {
    pub(crate) id: Uuid,
    pub(crate) epoch: i64,
    pub(crate) model: Option<String>,
    pub(crate) revertible: bool,
    /// The flow and the task that submitted it, and what it is to them.
    pub(crate) parent: Option<(Uuid, i64, Fate)>,
}

impl Graph {
    /// A flow from the rows of its tasks, in order, and its edges (a task, then one that needs it).
    pub(crate) fn load(
        whose: Whose,
        head: Head,
        rows: Vec<Row>,
        edges: impl IntoIterator<Item = (i64, i64)>,
    ) -> Result<Self> {
        let mut nodes = Vec::with_capacity(rows.len());
        for row in rows {
            let spec = row.spec.as_deref().map(serde_json::from_str::<Spec>).transpose();
            let spec = spec.map_err(|error| Error::Stored {
                id: whose.id,
                reason: format!("task {} cannot be read: {error}", row.number),
            })?;
            nodes.push(Node::new(row, spec));
        }
        let mut graph = Self {
            id: whose.id,
            epoch: whose.epoch,
            model: whose.model,
            revertible: whose.revertible,
            parent: whose.parent,
            written: Some(head.clone()),
            head,
            nodes,
            hands: Hands::Free,
            known: Arc::default(),
            now: 0,
            random: 0,
            active: BTreeSet::new(),
            open: 0,
            startable: false,
            ready: VecDeque::new(),
            timers: BTreeSet::new(),
            touched: BTreeSet::new(),
            starts: Vec::new(),
            effects: Vec::new(),
            unwinding: BTreeMap::new(),
            children: BTreeSet::new(),
            children_told: false,
        };
        for (need, number) in edges {
            let (Ok(need), Ok(number)) = (usize::try_from(need), usize::try_from(number)) else {
                continue;
            };
            graph.link(need, number);
        }
        graph.derive();
        Ok(graph)
    }

    /// Notes that `number` needs `need`.
    pub(super) fn link(&mut self, need: usize, number: usize) {
        if need < self.nodes.len() && number < self.nodes.len() {
            self.nodes[need].successors.push(number);
            self.nodes[number].needs.push(need);
        }
    }

    /// Everything that follows from the rows. Whatever ran when its worker was lost may have had its effect.
    fn derive(&mut self) {
        for number in 0..self.nodes.len() {
            let needs = &self.nodes[number].needs;
            let blockers = needs.iter().filter(|need| !self.nodes[**need].is_done()).count();
            let node = &mut self.nodes[number];
            node.blockers = blockers;
            if node.state == TaskState::Running {
                node.state = TaskState::MaybeRan;
                self.touched.insert(number);
            }
            let node = &self.nodes[number];
            self.open += usize::from(node.finished.is_none());
            if let Some(at) = node.next_at {
                self.timers.insert((at, number));
            }
            let succeeded = node.state == TaskState::Succeeded;
            if matches!(node.state, TaskState::Waiting | TaskState::Retrying)
                && matches!(node.work(), Work::Flow(_))
            {
                self.children.insert(number);
            }
            // Items of an earlier run of their list are history.
            let stays = !matches!(node.state, TaskState::Reverted | TaskState::Skipped);
            if let Some((list, _)) = node.spec().item_of.filter(|_| stays) {
                let list = &mut self.nodes[list];
                list.items.push(number);
                list.items_open += usize::from(!succeeded);
            }
        }
        self.resume_unwinding();
    }
}
