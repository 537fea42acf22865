//! Patterns: flows put together from typed tasks.
//!
//! A [`Pattern`] is [`linear`], [`unordered`] or a [`graph`] of tasks and further patterns. Tasks say what they take and provide by
//! their types: the members of an input struct are bound by name to the nearest task before it whose output struct has a
//! member of that name. [`Pattern::build`] turns it into a [`NewFlow`], or reports everything that does not fit: names nobody
//! provides, names of two providers, shapes that differ, circles.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use tutti_flow::{Failure, Retry, Task, TaskContext, pattern::{linear, task, unordered}};
//! use uuid::Uuid;
//!
//! struct CreateVolume;
//! #[derive(Deserialize)]
//! struct Size { gigabytes: u64 }
//! #[derive(Serialize, Deserialize)]
//! struct Volume { volume: Uuid }
//!
//! impl Task for CreateVolume {
//!     const NAME: &'static str = "volume.create";
//!     type Input = Size;
//!     type Output = Volume;
//!     async fn execute(&self, _: TaskContext, _: Size) -> Result<Volume, Failure> {
//!         Ok(Volume { volume: Uuid::now_v7() })
//!     }
//! }
//!
//! struct Attach;
//! #[derive(Deserialize)]
//! struct Attachment { volume: Uuid, server: Option<String> }
//!
//! impl Task for Attach {
//!     const NAME: &'static str = "volume.attach";
//!     type Input = Attachment;
//!     type Output = ();
//!     async fn execute(&self, _: TaskContext, _: Attachment) -> Result<(), Failure> {
//!         Ok(())
//!     }
//! }
//!
//! let flow = linear("storage")
//!     .inject("gigabytes", 10)
//!     .add(task::<CreateVolume>().title("create the volume").or_revert())
//!     .add(unordered("attach")
//!         .add(task::<Attach>().inject("server", "one").retry(Retry::times(3)))
//!         .add(task::<Attach>().inject("server", "two")))
//!     .build(Uuid::now_v7())?;
//! assert_eq!(flow.tasks.len(), 3);
//! assert_eq!((flow.tasks[2].bindings[0].task, &flow.tasks[2].needs[..]), (0, &[0][..]));
//! # Ok::<(), tutti_flow::pattern::BuildError>(())
//! ```
//!
//! Inside, `shape` learns the members of types, `names` knows what a name means where, `bind` gives tasks their inputs,
//! `compose` puts blocks together, and `graph` orders them.

mod bind;
mod compose;
mod graph;
mod names;
mod shape;
mod step;
#[cfg(test)]
mod tests;

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use compose::Composed;

use crate::{Access, Condition, Controller, Depth, Error, NewFlow};

pub use step::{Step, child, completion, each, sleep, task, tx_task, until, wait};

/// Tasks and patterns, and the order among them.
#[derive(Clone, Debug)]
#[must_use]
pub struct Pattern {
    name: String,
    title: String,
    order: Order,
    members: Vec<Member>,
    links: Vec<Link>,
    target: Option<String>,
    injected: Vec<(String, Value)>,
    controller: Option<Box<Step>>,
    when: Vec<(String, Condition, Depth)>,
    or_revert: bool,
    held: Vec<(String, Access)>,
    problems: Vec<String>,
}

/// Something a pattern is made of.
#[derive(Clone, Debug)]
pub enum Member {
    /// A task.
    Step(Box<Step>),
    /// A nested pattern.
    Pattern(Box<Pattern>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Linear,
    Unordered,
    Graph,
}

#[derive(Clone, Debug)]
struct Link {
    from: String,
    to: String,
    when: Option<(Condition, Depth)>,
}

/// Everything that is wrong with a flow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("flow `{flow}` makes no sense: {}", problems.join("; "))]
pub struct BuildError {
    /// The name of the outermost pattern.
    pub flow: String,
    /// One sentence each.
    pub problems: Vec<String>,
}

impl From<BuildError> for Error {
    fn from(error: BuildError) -> Self {
        Self::Plan { kind: error.flow, reason: error.problems.join("; ") }
    }
}

/// Members that run one after the other.
pub fn linear(name: impl Into<String>) -> Pattern {
    Pattern::new(name.into(), Order::Linear)
}

/// Members that run at the same time.
pub fn unordered(name: impl Into<String>) -> Pattern {
    Pattern::new(name.into(), Order::Unordered)
}

/// Members that run as soon as those have that provide what they take, and those they are [linked](Pattern::link) to.
pub fn graph(name: impl Into<String>) -> Pattern {
    Pattern::new(name.into(), Order::Graph)
}

impl Pattern {
    fn new(name: String, order: Order) -> Self {
        Self {
            name,
            title: String::new(),
            order,
            members: vec![],
            links: vec![],
            target: None,
            injected: vec![],
            controller: None,
            when: vec![],
            or_revert: false,
            held: vec![],
            problems: vec![],
        }
    }

    /// One sentence for people, if it is the outermost.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Adds a task or a pattern.
    #[expect(clippy::should_implement_trait, reason = "TaskFlow's word; `+` would say less")]
    pub fn add(mut self, member: impl Into<Member>) -> Self {
        self.members.push(member.into());
        self
    }

    /// Adds several.
    pub fn add_all<M: Into<Member>>(mut self, members: impl IntoIterator<Item = M>) -> Self {
        self.members.extend(members.into_iter().map(Into::into));
        self
    }

    /// Provides a value to the members by name.
    pub fn inject(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        let name = name.into();
        match serde_json::to_value(value) {
            Ok(value) => self.injected.push((name, value)),
            Err(error) => self.problems.push(format!("`{name}` is not JSON: {error}")),
        }
        self
    }

    /// In a graph: the second member needs the first, whatever they provide and take. They are called by their names.
    pub fn link(self, from: impl Into<String>, to: impl Into<String>) -> Self {
        self.add_link(Link { from: from.into(), to: to.into(), when: None })
    }

    /// As [`link`](Self::link); the second is skipped unless the first's output meets the condition.
    pub fn link_when(
        self,
        from: impl Into<String>,
        to: impl Into<String>,
        is: Condition,
        depth: Depth,
    ) -> Self {
        self.add_link(Link { from: from.into(), to: to.into(), when: Some((is, depth)) })
    }

    /// In a graph: only this member runs, and what it needs.
    pub fn target(mut self, member: impl Into<String>) -> Self {
        let member = member.into();
        if self.order != Order::Graph {
            self.problems.push(format!("only a graph has a target: not `{}`", self.name));
        }
        self.target = Some(member);
        self
    }

    /// What follows a failure among the members.
    pub fn retry(mut self, controller: Controller) -> Self {
        self.controller = Some(Box::new(Step::controller(&self.name, controller)));
        self
    }

    /// The name of the value that the controller has chosen for this time, for the members. Say [`retry`](Self::retry) first.
    pub fn providing(mut self, name: impl Into<String>) -> Self {
        use crate::Work::Retry;
        use Controller::{ForEach, ParameterizedForEach};
        match self.controller.as_deref_mut() {
            Some(step)
                if matches!(step.task.work, Retry(ForEach { .. } | ParameterizedForEach)) =>
            {
                step.provides = Some(name.into());
            }
            _ => {
                let problem = format!("pattern `{}` has no controller with values", self.name);
                self.problems.push(problem);
            }
        }
        self
    }

    /// The name of the list of values that [`Controller::ParameterizedForEach`] goes through; otherwise `values`.
    pub fn values(mut self, name: impl Into<String>) -> Self {
        match self.controller.as_deref_mut() {
            Some(Step { list: Some((_, list)), .. }) => *list = name.into(),
            _ => {
                let problem =
                    format!("pattern `{}` has no controller that takes values", self.name);
                self.problems.push(problem);
            }
        }
        self
    }

    /// It is skipped unless what is provided by this name meets the condition.
    pub fn when(mut self, name: impl Into<String>, is: Condition, depth: Depth) -> Self {
        self.when.push((name.into(), is, depth));
        self
    }

    /// The flow is reverted after the last failure of any of its tasks.
    pub fn or_revert(mut self) -> Self {
        self.or_revert = true;
        self
    }

    /// Adds a resource to those of the flow, which are all held from before its first task until its end.
    pub fn holds(mut self, resource: impl Into<String>, access: Access) -> Self {
        self.held.push((resource.into(), access));
        self
    }

    /// The flow, under the caller's id, of the kind of the pattern's name. Its resources are those that it and its members
    /// [hold](Self::holds), and those its tasks [add](crate::Task::RESOURCES) by their input. What else a flow has is yours to fill
    /// in, and only that: `NewFlow { model, ..pattern.build(id)? }`.
    ///
    /// # Errors
    /// Everything that does not fit together.
    pub fn build(self, id: Uuid) -> Result<NewFlow, BuildError> {
        let (kind, mut title) = (self.name.clone(), self.title.clone());
        if title.is_empty() {
            title.clone_from(&kind);
        }
        match compose::compose(self, id) {
            Ok(Composed { tasks, resources }) => {
                Ok(NewFlow { id, kind, title, resources, tasks, ..NewFlow::default() })
            }
            Err(problems) => Err(BuildError { flow: kind, problems }),
        }
    }

    fn add_link(mut self, link: Link) -> Self {
        if self.order != Order::Graph {
            self.problems.push(format!("only a graph has links: not `{}`", self.name));
        }
        self.links.push(link);
        self
    }
}

impl From<Step> for Member {
    fn from(step: Step) -> Self {
        Self::Step(Box::new(step))
    }
}

impl From<Pattern> for Member {
    fn from(pattern: Pattern) -> Self {
        Self::Pattern(Box::new(pattern))
    }
}
