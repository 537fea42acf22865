//! Flows and tasks as the API shows them.

use tutti_flow::{FailedAttempt, FlowRow, TaskRow, TaskState};
use tutti_model::api::{FlowInfo, TaskFailure, TaskInfo, WaitingFor};

use super::unscoped;
use crate::time::rfc3339_milliseconds as rfc3339;

/// A flow without its tasks; `name` answers a model's short name.
pub(super) fn flow(row: FlowRow, name: impl Fn(&str) -> String) -> FlowInfo {
    let time = |time: Option<i64>| time.map(rfc3339).unwrap_or_default();
    let waiting = |one: tutti_flow::WaitingFor| WaitingFor {
        resource: unscoped(&one.resource).to_owned(),
        flow: one.flow.to_string(),
        position: Some(one.place),
    };
    FlowInfo {
        id: row.id.to_string(),
        kind: row.kind,
        title: row.title,
        model: row.model.as_deref().map(name).unwrap_or_default(),
        resources: row.resources.iter().map(|(name, _)| unscoped(name).to_owned()).collect(),
        state: row.state.to_string(),
        message: row.error.unwrap_or_default(),
        waiting_for: row.waiting_for.into_iter().map(waiting).collect(),
        cancelling: row.cancelling,
        reverting: row.reverting,
        superseded_by: row.superseded_by.map(|id| id.to_string()),
        parent: row.parent.map(|(parent, _)| parent.to_string()),
        next: time(row.wake_at),
        suspended: row.suspended,
        task_count: row.tasks,
        tasks_open: row.tasks_open,
        generation: row.generation,
        created: rfc3339(row.created),
        retried: time(row.requeued),
        started: time(row.started),
        finished: time(row.finished),
        trace: row.trace,
        ..FlowInfo::default()
    }
}

/// A task.
pub(super) fn task(row: TaskRow, name: impl Fn(&str) -> String) -> TaskInfo {
    let time = |time: Option<i64>| time.map(rfc3339).unwrap_or_default();
    let waits =
        row.offer.filter(|_| row.state == TaskState::Offered).map(|offer| offer.to_string());
    TaskInfo {
        id: row.id.to_string(),
        flow: row.flow.to_string(),
        model: row.model.as_deref().map(name).unwrap_or_default(),
        name: row.name,
        title: row.title,
        resource: row.resource.as_deref().map(unscoped).unwrap_or_default().to_owned(),
        state: state(row.state).to_owned(),
        attempts: row.attempt,
        attempts_max: row.attempts_max,
        progress: row.progress,
        recovering: row.state == TaskState::MaybeRan,
        next: time(row.next_at),
        message: waits.or(row.error).unwrap_or_default(),
        class: row.class.map(|class| class.to_string()),
        output: row.output.unwrap_or_default(),
        started: time(row.started),
        finished: time(row.finished),
        ..TaskInfo::default()
    }
}

/// An attempt that failed.
pub(super) fn failure(failed: FailedAttempt) -> TaskFailure {
    TaskFailure {
        attempt: failed.attempt,
        undoing: failed.undoing,
        time: rfc3339(failed.at),
        class: failed.class.to_string(),
        message: failed.message,
        worker: failed.worker,
    }
}

/// What the API calls the states of tasks.
pub(super) fn task_state_words() -> Vec<&'static str> {
    let mut words = Vec::new();
    for word in TaskState::ALL.iter().map(|one| state(*one)) {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words
}

/// The API knows fewer states than the engine.
pub(super) fn state(state: TaskState) -> &'static str {
    match state {
        TaskState::RetryWait => "retrying",
        TaskState::MaybeRan => "running",
        state => state.as_str(),
    }
}

/// The engine's states behind a list of the API's, in any case; an unknown word is answered.
pub(super) fn task_states(words: &str) -> Result<Vec<TaskState>, String> {
    let mut states = Vec::new();
    for word in words.split(',').map(|word| word.trim().to_lowercase()) {
        let meant: Vec<_> =
            TaskState::ALL.iter().copied().filter(|one| state(*one) == word).collect();
        if meant.is_empty() && !word.is_empty() {
            return Err(word);
        }
        states.extend(meant);
    }
    Ok(states)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_by_the_words_of_the_api() {
        assert_eq!(task_states("FAILED").unwrap(), [TaskState::Failed]);
        let retrying = task_states("retrying").unwrap();
        assert_eq!(retrying, [TaskState::RetryWait, TaskState::Retrying]);
        assert_eq!(task_states("").unwrap(), []);
        assert_eq!(task_states("failed,lost").unwrap_err(), "lost");
        let words = task_state_words();
        assert_eq!(words.iter().filter(|word| **word == "retrying").count(), 1, "{words:?}");
        assert!(task_states(&words.join(",")).is_ok());
    }
}
