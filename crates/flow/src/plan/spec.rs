//! The part of a task's plan that is stored as JSON beside its row: absent for the plain task, which most are.

use serde::{Deserialize, Serialize};

use super::{Binding, NewTask, Timeouts, When, Work};

/// Everything of a task's plan that has no column of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Spec {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) bindings: Vec<Binding>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) when: Vec<When>,
    pub(crate) work: Work,
    pub(crate) timeouts: Timeouts,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) guard: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) within: Vec<u32>,
    /// The task for whose list this is an item, and which.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) item_of: Option<(usize, usize)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) labels: Vec<String>,
}

impl Spec {
    /// A plain task's.
    pub(crate) const PLAIN: Self = Self {
        bindings: Vec::new(),
        when: Vec::new(),
        work: Work::Run,
        timeouts: Timeouts { attempt: None, total: None, heartbeat: None },
        guard: None,
        within: Vec::new(),
        item_of: None,
        labels: Vec::new(),
    };

    pub(crate) fn of(task: &NewTask) -> Self {
        Self {
            bindings: task.bindings.clone(),
            when: task.when.clone(),
            work: task.work.clone(),
            timeouts: task.timeouts,
            guard: task.guard,
            within: task.within.clone(),
            item_of: None,
            labels: task.labels.clone(),
        }
    }

    /// As it is stored: nothing for a plain task.
    pub(crate) fn stored(&self) -> Option<String> {
        // A wait has columns of its own, because signals look for it.
        let plain = Self { work: Work::Run, ..self.clone() } == Self::default();
        match self.work {
            Work::Run | Work::Wait(_) if plain => None,
            _ => serde_json::to_string(self).ok(),
        }
    }
}
