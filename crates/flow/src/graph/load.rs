//! A flow from its rows.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use uuid::Uuid;

use super::{Graph, Hands, Head, Node, Row};
use crate::{Error, Fate, Result, TaskState, Work, plan::Spec};

/// What a flow is called.
#[derive(Clone, Debug, Default)]
pub(crate) struct Label {
    pub(crate) kind: String,
    pub(crate) title: String,
    pub(crate) model: Option<String>,
    /// For what it was submitted.
    pub(crate) trace: Option<Arc<str>>,
    /// The names of its resources, one a line.
    pub(crate) resources: String,
}

/// The flow's row, beside its [`Head`].
pub(crate) struct Whose {
    pub(crate) id: Uuid,
    pub(crate) epoch: i64,
    pub(crate) label: Arc<Label>,
    pub(crate) revertible: bool,
    /// The flow and the task that submitted it, and what it is to them.
    pub(crate) parent: Option<(Uuid, i64, Fate)>,
}

impl Graph {
    /// A flow from the rows of its tasks, in order.
    pub(crate) fn load(whose: Whose, head: Head, rows: Vec<Row>) -> Result<Self> {
        let count = rows.len();
        let mut nodes = Vec::with_capacity(count);
        let mut needs = Vec::with_capacity(count);
        for row in rows {
            let (own, spec) = plan_of(&row, nodes.len(), count).map_err(|reason| {
                let reason = format!("task {}: {reason}", row.number);
                Error::Stored { id: whose.id, reason }
            })?;
            needs.push(own);
            nodes.push(Node::new(row, spec));
        }
        let mut graph = Self {
            id: whose.id,
            epoch: whose.epoch,
            label: whose.label,
            revertible: whose.revertible,
            parent: whose.parent,
            written: Some(head.clone()),
            told: head.told(),
            head,
            nodes,
            hands: Hands::Free,
            known: Arc::default(),
            now: 0,
            random: 0,
            class: None,
            active: BTreeSet::new(),
            open: 0,
            startable: false,
            ready: VecDeque::new(),
            timers: BTreeSet::new(),
            touched: BTreeSet::new(),
            starts: Vec::new(),
            effects: Vec::new(),
            guarded: BTreeMap::new(),
            unwinding: BTreeMap::new(),
            children: BTreeSet::new(),
            children_told: BTreeSet::new(),
            cancels_left: false,
            children_undone: BTreeSet::new(),
            offered: BTreeSet::new(),
            withdrawn: BTreeMap::new(),
        };
        for (number, needs) in needs.into_iter().enumerate() {
            for need in &needs {
                graph.nodes[*need].successors.push(number);
            }
            graph.nodes[number].needs = needs;
        }
        graph.derive();
        Ok(graph)
    }

    /// Counts what a task still has to wait for; those before it are counted.
    pub(super) fn count_blockers(&mut self, number: usize) {
        let needs = &self.nodes[number].needs;
        let blockers = needs.iter().filter(|need| !self.nodes[**need].is_passed()).count();
        self.nodes[number].blockers = blockers;
    }

    /// Everything that follows from the rows. Whatever ran when its worker was lost may have had its effect.
    fn derive(&mut self) {
        for number in 0..self.nodes.len() {
            self.count_blockers(number);
            self.note_guard(number);
            let node = &mut self.nodes[number];
            if node.offered {
                self.offered.insert(number);
            } else if node.state == TaskState::Running {
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
            if node.state == TaskState::Reverting && node.has_joined() && node.revert_attempt > 0 {
                self.children_undone.insert(number);
            }
            // Items of an earlier run of their list are history.
            let stays = match node.state {
                TaskState::Reverted => false,
                TaskState::Skipped => node.has_effect(),
                _ => true,
            };
            if let Some((list, _)) = node.spec().item_of.filter(|_| stays) {
                let list = &mut self.nodes[list];
                list.items.push(number);
                list.items_open += usize::from(!succeeded);
            }
        }
        self.resume_unwinding();
    }
}

/// What the row of the task that comes `next` of `count` says about its plan, if it can be followed.
fn plan_of(row: &Row, next: usize, count: usize) -> Result<(Vec<usize>, Option<Spec>), String> {
    if usize::try_from(row.number) != Ok(next) {
        return Err(format!("task {next} is missing"));
    }
    let said = |what: &str, error: serde_json::Error| format!("its {what}: {error}");
    let needs: Option<Vec<usize>> = row
        .needs
        .as_deref()
        .map(serde_json::from_str)
        .transpose()
        .map_err(|error| said("needs", error))?;
    let needs = needs.unwrap_or_default();
    let spec: Option<Spec> = row
        .spec
        .as_deref()
        .map(serde_json::from_str)
        .transpose()
        .map_err(|error| said("plan", error))?;
    let plan = spec.iter();
    let named = plan.flat_map(|spec| {
        let bound = spec.bindings.iter().map(|binding| binding.task);
        let asked = spec.when.iter().map(|when| when.task);
        bound.chain(asked).chain(spec.guard).chain(spec.item_of.map(|(list, _)| list))
    });
    match needs.iter().copied().chain(named).find(|other| *other >= count) {
        Some(other) => Err(format!("it names task {other} of {count}")),
        None => Ok((needs, spec)),
    }
}
