//! One task of a pattern: what it does, what it is given, and what it provides.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::shape::Shape;
use crate::{
    Access, Child, Condition, Controller, Depth, Each, Fate, NewFlow, NewTask, Resources, Retry,
    Task, Timeouts, TxTask, Wait, Work,
};

/// A task in the making. Methods that make no sense for it are reported by [`Pattern::build`](super::Pattern::build).
#[derive(Clone, Debug)]
#[must_use]
pub struct Step {
    /// What it is called in links and messages.
    pub(crate) label: String,
    pub(crate) task: NewTask,
    pub(crate) takes: Shape,
    pub(crate) gives: Shape,
    pub(crate) check: Check,
    /// Whether its type adds resources by its input.
    pub(crate) adds_resources: bool,
    /// Resources it adds by itself.
    pub(crate) held: Vec<(String, Access)>,
    pub(crate) source: Source,
    /// The name of the list an [`each`] goes through, or of the values of a retry controller.
    pub(crate) list: Option<(&'static str, String)>,
    pub(crate) injected: Vec<(String, Value)>,
    pub(crate) rebound: Vec<(String, String)>,
    pub(crate) optional: Vec<String>,
    pub(crate) provides: Option<String>,
    pub(crate) when: Vec<(String, Condition, Depth)>,
    pub(crate) or_revert: bool,
    pub(crate) node: usize,
    pub(crate) problems: Vec<String>,
}

/// The resources a task adds with this input; or why it cannot be its input.
pub(crate) type Check = fn(Value) -> Result<Vec<(String, Access)>, String>;

/// Where the input comes from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    /// Its members from the nearest producers of their names.
    Names,
    /// All of it from one producer.
    Name(String),
    /// It is given.
    Value(Value),
}

/// A task that a worker runs. The members of its input are bound by name to what earlier tasks provide, and the members of its
/// output are provided by name.
pub fn task<T: Task>() -> Step {
    Step {
        check: |input| check(input, T::RESOURCES),
        adds_resources: T::RESOURCES.is_some(),
        ..run::<T::Input, T::Output>(T::NAME, NewTask::of::<T>(), T::OPTIONAL)
    }
}

/// The same for a [`TxTask`].
pub fn tx_task<T: TxTask>() -> Step {
    Step {
        check: |input| check(input, T::RESOURCES),
        adds_resources: T::RESOURCES.is_some(),
        ..run::<T::Input, T::Output>(T::NAME, NewTask::of_tx::<T>(), T::OPTIONAL)
    }
}

fn run<I: DeserializeOwned, O: DeserializeOwned>(
    label: &str,
    task: NewTask,
    optional: &[&str],
) -> Step {
    Step {
        task,
        takes: Shape::of::<I>(),
        gives: Shape::of::<O>(),
        optional: optional.iter().map(|&name| name.to_owned()).collect(),
        ..Step::new(label, Work::Run)
    }
}

fn check<I: DeserializeOwned>(
    input: Value,
    resources: Resources<I>,
) -> Result<Vec<(String, Access)>, String> {
    let input = serde_json::from_value(input).map_err(|error| error.to_string())?;
    Ok(resources.map(|resources| resources(&input)).unwrap_or_default())
}

/// A task run for each item of a list that is known only when the flow runs. The item is all of its input, unless it is told
/// by [`item`](Step::item) which member; the others are [injected](Step::inject). It provides the list of the outputs, under the
/// name it is given by [`provides`](Step::provides).
pub fn each<T: Task>(items: impl Into<String>) -> Step {
    let step = task::<T>();
    // Retries and limits of the step become those of its items once nothing more is said of it.
    let each = Each {
        name: step.task.name.clone(),
        input: Value::Null,
        item: String::new(),
        retry: Retry::default(),
        timeouts: Timeouts::default(),
        labels: Vec::new(),
    };
    Step {
        list: Some(("items", items.into())),
        gives: Shape::List,
        task: NewTask { name: T::NAME.into(), work: Work::Each(Box::new(each)), ..step.task },
        ..step
    }
}

/// A task that succeeds by a [`signal`](crate::signal()) of this key with at least this value, now or earlier.
pub fn wait(key: impl Into<String>, at_least: i64) -> Step {
    Step { gives: Shape::Any, ..Step::new("wait", Work::Wait(Wait { key: key.into(), at_least })) }
}

/// A task that ends by [`complete`](crate::complete) from outside. Its id is [`task_id`](crate::task_id()) of the flow and its
/// position; what it is completed with is its output.
pub fn completion() -> Step {
    // The key becomes its own id once that is known.
    wait("", 0).named("completion")
}

/// A task that succeeds after so long.
pub fn sleep(time: Duration) -> Step {
    Step::new("sleep", Work::Sleep(time))
}

/// A task that succeeds at this time, in microseconds since 1970, UTC.
pub fn until(time: i64) -> Step {
    Step::new("until", Work::Until(time))
}

/// A task that submits a flow of its own, and waits for its end unless [`fate`](Step::fate) says otherwise.
pub fn child(flow: NewFlow) -> Step {
    let name = if flow.kind.is_empty() { "child".to_owned() } else { flow.kind.clone() };
    let work = Work::Flow(Box::new(Child { flow, fate: Fate::Joined }));
    Step { gives: Shape::Any, ..Step::new(&name, work) }
}

impl Step {
    pub(crate) fn new(name: &str, work: Work) -> Self {
        Self {
            label: name.to_owned(),
            task: NewTask { name: name.to_owned(), work, ..NewTask::default() },
            takes: Shape::Unit,
            gives: Shape::Unit,
            check: |_| Ok(vec![]),
            adds_resources: false,
            held: vec![],
            source: Source::Names,
            list: None,
            injected: vec![],
            rebound: vec![],
            optional: vec![],
            provides: None,
            when: vec![],
            or_revert: false,
            node: 0,
            problems: vec![],
        }
    }

    /// The task that decides what follows a failure in a pattern.
    pub(crate) fn controller(pattern: &str, controller: Controller) -> Self {
        let list = match controller {
            Controller::ParameterizedForEach => Some(("values", "values".to_owned())),
            _ => None,
        };
        let name = format!("{pattern}.retry");
        Self { list, gives: Shape::Any, ..Self::new(&name, Work::Retry(controller)) }
    }

    /// What it is called in [`link`](super::Pattern::link)s and messages, instead of the name of its handler.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.label = name.into();
        if !matches!(self.task.work, Work::Run | Work::Each(_)) {
            self.task.name.clone_from(&self.label);
        }
        self
    }

    /// One sentence for people.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.task.title = title.into();
        self
    }

    /// The resource it works on, for filters.
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.task.resource = Some(resource.into());
        self
    }

    /// Adds a resource to those of the flow, which are all held from before its first task until its end. Needed where the
    /// task's [type](Task::RESOURCES) would say it by an input that is known only later: then what is said here is all it adds.
    pub fn holds(mut self, resource: impl Into<String>, access: Access) -> Self {
        self.held.push((resource.into(), access));
        self
    }

    /// All of its input; nothing is bound by name.
    pub fn input(mut self, input: impl Serialize) -> Self {
        let value = self.json("its input", input);
        self.source = Source::Value(value);
        self
    }

    /// All of its input is what is provided by this name.
    pub fn from(mut self, name: impl Into<String>) -> Self {
        self.source = Source::Name(name.into());
        self
    }

    /// The value of a member of its input.
    pub fn inject(mut self, member: impl Into<String>, value: impl Serialize) -> Self {
        let member = member.into();
        let value = self.json(&format!("`{member}`"), value);
        self.injected.push((member, value));
        self
    }

    /// Binds a member of its input to what is provided by another name, or to a part of it: `hotel.id`.
    pub fn rebind(mut self, member: impl Into<String>, name: impl Into<String>) -> Self {
        self.rebound.push((member.into(), name.into()));
        self
    }

    /// A member of its input may be absent if nothing provides it. This is known of `Option`s, of structs whose every member has a
    /// default, and of [`Task::OPTIONAL`].
    pub fn optional(mut self, member: impl Into<String>) -> Self {
        self.optional.push(member.into());
        self
    }

    /// Provides all of its output by this name, instead of its members by theirs.
    pub fn provides(mut self, name: impl Into<String>) -> Self {
        self.provides = Some(name.into());
        self
    }

    /// It is skipped unless what is provided by this name meets the condition: a decider. What the skipping spreads to is up to
    /// the depth.
    pub fn when(mut self, name: impl Into<String>, is: Condition, depth: Depth) -> Self {
        self.when.push((name.into(), is, depth));
        self
    }

    /// What follows a failed attempt, in place of [`Task::RETRY`].
    pub fn retry(mut self, retry: Retry) -> Self {
        self.task.retry = retry;
        self
    }

    /// The flow is reverted after its last failure, whatever else is said of retries.
    pub fn or_revert(mut self) -> Self {
        self.or_revert = true;
        self
    }

    /// How long it may take, in place of [`Task::TIMEOUTS`].
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.task.timeouts = timeouts;
        self
    }

    /// What a worker must have to run it, such as `gpu`; several must all be there.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.task.labels.push(label.into());
        self
    }

    /// The member of the input that the item of an [`each`] becomes.
    pub fn item(mut self, member: impl Into<String>) -> Self {
        match &mut self.task.work {
            Work::Each(each) => each.item = member.into(),
            _ => self.problems.push(format!("task `{}` is no `each`: it has no item", self.label)),
        }
        self
    }

    /// What a [`child`] is to this flow.
    pub fn fate(mut self, fate: Fate) -> Self {
        match &mut self.task.work {
            Work::Flow(child) => child.fate = fate,
            _ => self.problems.push(format!("task `{}` is no child flow", self.label)),
        }
        self
    }

    fn json(&mut self, what: &str, value: impl Serialize) -> Value {
        serde_json::to_value(value).unwrap_or_else(|error| {
            self.problems.push(format!("{what} for task `{}` is not JSON: {error}", self.label));
            Value::Null
        })
    }
}
