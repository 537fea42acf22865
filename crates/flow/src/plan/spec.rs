//! The part of a task's plan that is stored as JSON beside its row: absent for the plain task, which most are.

use serde::{Deserialize, Serialize};

use super::{Backoff, Binding, NewTask, Timeouts, When, Work};

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
    #[serde(skip_serializing_if = "Backoff::is_default")]
    pub(crate) backoff: Backoff,
}

impl Spec {
    /// A plain task's.
    pub(crate) const PLAIN: Self = Self {
        bindings: Vec::new(),
        when: Vec::new(),
        work: Work::Run,
        timeouts: Timeouts::NONE,
        guard: None,
        within: Vec::new(),
        item_of: None,
        labels: Vec::new(),
        backoff: Backoff::DEFAULT,
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
            backoff: task.retry.backoff,
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::{Child, Controller, Each, NewFlow, Retry};

    fn read(text: &str) -> Spec {
        serde_json::from_str(text).expect("a plan that was stored")
    }

    #[test]
    fn plans_stored_before_there_were_growing_waits_are_read() {
        let no_limits = r#""timeouts":{"attempt":null,"total":null,"heartbeat":null}"#;
        let pause = r#"{"times":{"attempts_max":3,"pause":{"secs":2,"nanos":0}}}"#;
        let times = |backoff| Work::Retry(Controller::Times { attempts_max: 3, backoff });
        let constant = Backoff::constant(Duration::from_secs(2));
        for (work, expected) in [
            (format!(r#"{{"retry":{pause}}}"#), times(constant)),
            (r#"{"retry":{"times":{"attempts_max":3}}}"#.into(), times(Backoff::NONE)),
            (r#""run""#.into(), Work::Run),
        ] {
            let spec = read(&format!(r#"{{"work":{work},{no_limits},"guard":1}}"#));
            assert_eq!((spec.work, spec.backoff), (expected, Backoff::DEFAULT));
        }
        let retry = r#"{"attempts_max":4,"then":"revert"}"#;
        let each = format!(
            r#"{{"work":{{"each":{{"name":"a","input":null,"item":"","retry":{retry},{no_limits}}}}},{no_limits}}}"#
        );
        let Work::Each(each) = read(&each).work else { panic!("no each") };
        assert_eq!(each.retry, Retry::times(4).or_revert());
        let child = format!(
            r#"{{"work":{{"flow":{{"flow":{{"tasks":[{{"name":"a","retry":{retry}}}]}},"fate":"joined"}}}},{no_limits}}}"#
        );
        let Work::Flow(child) = read(&child).work else { panic!("no child") };
        assert_eq!(child.flow.tasks[0].retry, Retry::times(4).or_revert());
    }

    #[test]
    fn what_is_not_said_is_not_stored() {
        let plain = NewTask { retry: Retry::times(7), ..NewTask::default() };
        assert_eq!(Spec::of(&plain).stored(), None);
        assert_eq!(
            serde_json::to_value(plain.retry).ok(),
            Some(json!({"attempts_max": 7, "then": "fail"}))
        );
    }

    #[test]
    fn what_is_stored_is_read_as_it_was() {
        let slow = Backoff { base: Duration::from_secs(1), factor: 3, max: Duration::from_secs(9) };
        let retry = Retry::times(2).backoff(slow);
        let each = Each {
            name: "a".into(),
            input: json!(1),
            item: String::new(),
            retry,
            timeouts: Timeouts::default(),
            labels: Vec::new(),
        };
        let flow =
            NewFlow { tasks: vec![NewTask { retry, ..NewTask::default() }], ..NewFlow::default() };
        let child = Child { flow, fate: crate::Fate::Joined };
        for work in [
            Work::Run,
            Work::Retry(Controller::Times { attempts_max: 3, backoff: slow }),
            Work::Each(Box::new(each)),
        ] {
            let spec = Spec::of(&NewTask { work, retry, ..NewTask::default() });
            assert_eq!(read(&spec.stored().expect("it says something")), spec);
        }
        let stored = serde_json::to_string(&child).expect("a child is JSON");
        let read: Child = serde_json::from_str(&stored).expect("a child that was stored");
        assert_eq!(read.flow.tasks[0].retry, retry);
    }
}
