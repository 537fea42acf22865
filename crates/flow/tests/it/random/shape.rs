//! What random cases look like: flows, and what people and machines do meanwhile.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use tutti_flow::{Fate as Tie, Point};

/// Workers at a time.
pub(super) const WORKERS: usize = 3;

/// Resources of a case.
const RESOURCES: u8 = 3;

/// Flows over resources of their own, and what happens to them.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) flows: Vec<Shape>,
    pub(super) events: Vec<Event>,
}

#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// Resources and whether exclusively.
    pub(super) resources: BTreeMap<u8, bool>,
    pub(super) tasks: Vec<Task>,
    pub(super) priority: i32,
    /// Whether a newer one may take its place.
    pub(super) converge: bool,
    pub(super) way: Way,
}

/// How a flow is submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Alone,
    /// Together with those next to it that are as well.
    Together,
    /// By a worker, which may begin it with that.
    At(usize),
}

#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) what: What,
    pub(super) fate: Fate,
    pub(super) undo: Undo,
    /// Bits of the tasks before it that it needs.
    pub(super) needs: u8,
    /// Whether it asks for what one of them answers.
    pub(super) asks: bool,
    /// Which of the controllers before it guards it.
    pub(super) guard: Guard,
    /// Whether the flow is undone if it fails.
    pub(super) reverts: bool,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    Run,
    /// Does all it does in the transaction that records its end.
    Tx,
    /// One worker has the label.
    Labelled,
    /// In a transaction, of another worker than its flow's.
    LabelledTx,
    /// One worker has the handler.
    Rare,
    /// No worker has the handler.
    Unknown,
    Gate,
    /// What it waits for has come.
    Come,
    /// What it waits for comes while flows wait for it, or after that.
    Late,
    Sleep,
    /// A task for each of so many items.
    List(u8),
    Controller(u8),
    /// A flow of its own: whether it names the resources too, and its tasks.
    Flow(Tie, bool, Vec<Task>),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Guard {
    None,
    Innermost,
    Outermost,
}

/// What comes of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Fate {
    Succeed,
    FailOnce,
    /// Every attempt could have gone well.
    FailAlways,
    FailForGood,
}

/// What comes of undoing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Undo {
    Succeed,
    FailOnce,
    /// Fails for good so often, until somebody wants it once more.
    FailForGood(u32),
}

/// What people and machines do meanwhile; to a flow, an item, or a worker, counted round and round.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    Pause,
    Signal(usize),
    Trouble(usize, bool),
    Cancel(usize),
    Suspend(usize),
    Resume(usize),
    /// What is done to flows that failed, or were given up.
    Operate(Verb, usize),
    /// A worker is killed, at once or where it gets to such a point, and another one started.
    Kill(usize, Option<Point>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Retry,
    Revert,
    Skip,
    Abandon,
}

fn leaf() -> impl Strategy<Value = What> {
    prop_oneof![
        12 => Just(What::Run),
        3 => Just(What::Tx),
        1 => Just(What::Labelled),
        1 => Just(What::LabelledTx),
        1 => Just(What::Rare),
        2 => Just(What::Gate),
        1 => Just(What::Come),
        2 => Just(What::Late),
        1 => Just(What::Sleep),
        2 => (0..4_u8).prop_map(What::List),
        4 => (0..7_u8).prop_map(What::Controller),
    ]
}

fn task(what: impl Strategy<Value = What>) -> impl Strategy<Value = Task> {
    let fate = prop_oneof![
        16 => Just(Fate::Succeed),
        2 => Just(Fate::FailOnce),
        1 => Just(Fate::FailAlways),
        2 => Just(Fate::FailForGood),
    ];
    let undo = prop_oneof![
        8 => Just(Undo::Succeed),
        1 => Just(Undo::FailOnce),
        1 => (1..3_u32).prop_map(Undo::FailForGood),
    ];
    let guard = prop_oneof![
        1 => Just(Guard::None),
        1 => Just(Guard::Innermost),
        1 => Just(Guard::Outermost),
    ];
    let asks = prop::bool::weighted(0.15);
    (what, fate, undo, any::<u8>(), asks, guard, any::<bool>()).prop_map(
        |(what, fate, undo, needs, asks, guard, reverts)| Task {
            what,
            fate,
            undo,
            needs,
            asks,
            guard,
            reverts,
        },
    )
}

/// Tasks of a flow in a flow, which may have flows of their own.
fn inner(depth: u32) -> BoxedStrategy<Vec<Task>> {
    if depth == 0 {
        return prop::collection::vec(task(leaf()), 0..3).boxed();
    }
    let what = prop_oneof![5 => leaf(), 1 => child(depth)];
    prop::collection::vec(task(what), 0..3).boxed()
}

fn child(depth: u32) -> impl Strategy<Value = What> {
    let tie = prop_oneof![4 => Just(Tie::Joined), 1 => Just(Tie::Bound), 1 => Just(Tie::Free)];
    (tie, any::<bool>(), inner(depth - 1))
        .prop_map(|(tie, about, tasks)| What::Flow(tie, about, tasks))
}

fn flow() -> impl Strategy<Value = Shape> {
    let what = prop_oneof![
        30 => leaf(),
        5 => child(2),
        1 => Just(What::Unknown),
    ];
    let way = prop_oneof![
        2 => Just(Way::Alone),
        1 => Just(Way::Together),
        2 => (0..WORKERS).prop_map(Way::At),
    ];
    (
        prop::collection::btree_map(0..RESOURCES, prop::bool::weighted(0.6), 0..3),
        prop::collection::vec(task(what), 0..5),
        0..3_i32,
        prop::bool::weighted(0.15),
        way,
    )
        .prop_map(|(resources, tasks, priority, converge, way)| Shape {
            resources,
            tasks,
            priority,
            converge,
            way,
        })
}

fn event() -> impl Strategy<Value = Event> {
    let verb = prop_oneof![
        3 => Just(Verb::Retry),
        3 => Just(Verb::Revert),
        2 => Just(Verb::Skip),
        1 => Just(Verb::Abandon),
    ];
    let point = prop::option::of(prop::sample::select(Point::ALL));
    prop_oneof![
        8 => Just(Event::Pause),
        4 => any::<usize>().prop_map(Event::Signal),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(at, is)| Event::Trouble(at, is)),
        6 => any::<usize>().prop_map(Event::Cancel),
        4 => any::<usize>().prop_map(Event::Suspend),
        4 => any::<usize>().prop_map(Event::Resume),
        9 => (verb, any::<usize>()).prop_map(|(verb, at)| Event::Operate(verb, at)),
        1 => (0..WORKERS, point).prop_map(|(at, point)| Event::Kill(at, point)),
    ]
}

pub(super) fn case() -> impl Strategy<Value = Case> {
    (prop::collection::vec(flow(), 1..5), prop::collection::vec(event(), 0..7))
        .prop_map(|(flows, events)| Case { flows, events })
}
