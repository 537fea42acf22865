//! The work of a flow, built task by task.

use serde_json::json;
use tutti_flow::{NewTask, Wait, Work, task_id};
use uuid::Uuid;

use super::{scoped, unit_key};
use crate::applications::Application;

/// The tasks of a flow to be submitted, and its id.
#[derive(Debug)]
pub(crate) struct Tasks {
    flow: Uuid,
    tasks: Vec<NewTask>,
    /// Tasks that each later one needs.
    first: Vec<usize>,
}

impl Tasks {
    /// No tasks yet.
    pub(crate) fn new() -> Self {
        Self { flow: Uuid::now_v7(), tasks: Vec::new(), first: Vec::new() }
    }

    /// Makes sure, before anything else, that an application's charm can be handed to agents.
    pub(crate) fn check_charm(mut self, application: &Application) -> Self {
        let task = NewTask {
            name: crate::tasks::CHECK_CHARM.to_owned(),
            title: format!("Check the archive of {}", application.charm),
            resource: Some(format!("application/{}", application.name)),
            input: json!({ "digest": application.charm_digest }),
            ..NewTask::default()
        };
        self.first.push(self.tasks.len());
        self.tasks.push(task);
        self
    }

    /// Waits for units, by id and name, to handle everything up to a generation.
    pub(crate) fn units<'u>(
        mut self,
        units: impl IntoIterator<Item = (&'u String, &'u String)>,
        generation: i64,
    ) -> Self {
        for (id, name) in units {
            let wait = Wait { key: unit_key(id), at_least: generation };
            let title = format!("Wait until {name} has caught up");
            self.wait("unit.converge", title, format!("unit/{name}"), wait);
        }
        self
    }

    /// Waits until a thing of this kind, by id and name, is gone.
    pub(crate) fn gone(mut self, kind: &str, id: &str, name: &str) -> Self {
        let wait = Wait { key: format!("{kind}/{id}"), at_least: i64::MAX };
        let title = format!("Wait until {kind} {name} is gone");
        self.wait(&format!("{kind}.removed"), title, format!("{kind}/{name}"), wait);
        self
    }

    /// Work that is done elsewhere and ends with [`tutti_flow::complete`]; answers the task's id.
    pub(crate) fn external(&mut self, name: &str, title: String, resource: String) -> Uuid {
        let id = task_id(self.flow, self.tasks.len());
        self.wait(name, title, resource, Wait { key: id.to_string(), at_least: 0 });
        id
    }

    /// Work of a handler of the engine.
    pub(crate) fn with(mut self, task: NewTask) -> Self {
        self.tasks.push(task);
        self
    }

    fn wait(&mut self, name: &str, title: String, resource: String, wait: Wait) {
        self.tasks.push(NewTask {
            name: name.to_owned(),
            title,
            resource: Some(resource),
            needs: self.first.clone(),
            work: Work::Wait(wait),
            ..NewTask::default()
        });
    }

    /// Id and tasks of the flow, for a model.
    pub(super) fn finish(self, model: &str) -> (Uuid, Vec<NewTask>) {
        let mut tasks = self.tasks;
        for task in &mut tasks {
            task.resource = task.resource.as_deref().map(|resource| scoped(model, resource));
        }
        (self.flow, tasks)
    }
}
