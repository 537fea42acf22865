//! What a flow of the test is made of, and its rows as a database would have them.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use crate::graph::{
    Effect, Event, Graph, Head, Known, Node, Offer, Return, Row, Skills, Start, Whose, is_unwanted,
};
use crate::{
    Backoff, Child, Condition, Controller, Depth, Each, Failure, FlowState, NewFlow, Retry,
    TaskState, Timeouts, Wait, When, Work, plan::Spec, policy::Trouble,
};

/// Why something could not be undone.
pub(super) const NOT_YET: &str = "not yet";

/// What comes of a task's attempts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    Succeeds,
    /// Fails so often before it succeeds.
    FailsFirst(u32),
    FailsForGood,
}

#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) fate: Fate,
    /// Bits of the tasks before it that it needs.
    pub(super) needs: u16,
    pub(super) work: u8,
    pub(super) guard: u8,
    pub(super) condition: u8,
    pub(super) reverts: bool,
    /// Its worker is another one.
    pub(super) away: bool,
    /// It cannot be undone.
    pub(super) knot: bool,
}

pub(super) fn shape() -> impl Strategy<Value = Shape> {
    let fate = prop_oneof![
        6 => Just(Fate::Succeeds),
        2 => (1..4u32).prop_map(Fate::FailsFirst),
        1 => Just(Fate::FailsForGood),
    ];
    (fate, any::<u16>(), 0..18u8, 0..4u8, 0..8u8, any::<bool>(), 0..3u8, 0..20u8).prop_map(
        |(fate, needs, work, guard, condition, reverts, away, knot)| Shape {
            fate,
            needs,
            work,
            guard,
            condition,
            reverts,
            away: away == 0,
            knot: knot == 0,
        },
    )
}

/// Mostly a task that waits for a flow of its own, and needs little.
pub(super) fn parent() -> impl Strategy<Value = Shape> {
    (shape(), any::<u16>()).prop_map(|(shape, needs)| Shape {
        needs: shape.needs & needs,
        work: [1, 3, 10, 10, 10, 11][usize::from(shape.work) % 6],
        ..shape
    })
}

/// A flow of the test: rows as the database has them.
#[derive(Clone)]
pub(super) struct World {
    pub(super) rows: Vec<Row>,
    pub(super) head: Head,
    pub(super) fates: Vec<Fate>,
    /// Tasks that cannot be undone.
    pub(super) knots: BTreeSet<usize>,
    /// Tasks whose flows are under way.
    pub(super) children: BTreeSet<usize>,
    /// Tasks whose flows are being undone.
    pub(super) undoes: BTreeSet<usize>,
    /// Attempts offered, and whether somebody has claimed them.
    pub(super) offers: BTreeMap<usize, (Offer, bool)>,
    /// Not heard yet.
    pub(super) news: VecDeque<Event>,
    /// Tasks that wait for signals or flows, or did, and where their ends meet those of others.
    pub(super) waits: BTreeMap<usize, Option<i64>>,
    pub(super) epoch: i64,
    pub(super) now: i64,
}

impl World {
    pub(super) fn new(shapes: &[Shape]) -> Self {
        let mut world = Self {
            rows: Vec::new(),
            head: fresh(),
            fates: Vec::new(),
            knots: BTreeSet::new(),
            children: BTreeSet::new(),
            undoes: BTreeSet::new(),
            offers: BTreeMap::new(),
            news: VecDeque::new(),
            waits: BTreeMap::new(),
            epoch: 0,
            now: 1,
        };
        // Those that may still get something to guard.
        let mut guards: Vec<usize> = Vec::new();
        for (number, shape) in shapes.iter().enumerate() {
            let guard = match shape.guard {
                0 => guards.last().copied(),
                1 => guards.first().copied(),
                _ => None,
            };
            let work = work(shape.work);
            if matches!(work, Work::Retry(_)) {
                guards.push(number);
            }
            let relied_on = world.add(number, shape, work, guard);
            guards.retain(|guard| {
                let own = world.guards_of(Some(*guard));
                !own.iter().any(|guard| relied_on.contains(guard))
            });
        }
        world
    }

    /// Adds a task; answers the controllers it needs all guarded tasks of.
    pub(super) fn add(
        &mut self,
        number: usize,
        shape: &Shape,
        work: Work,
        guard: Option<usize>,
    ) -> BTreeSet<usize> {
        let mut needs: BTreeSet<usize> =
            (0..number).filter(|need| shape.needs >> need & 1 == 1).collect();
        // As the builder does it: who relies on a part of what a controller guards relies on all of it, and nothing guarded
        // begins before its controller.
        let own = self.guards_of(guard);
        let relied_on: BTreeSet<usize> = needs
            .iter()
            .flat_map(|need| self.guards_of(Some(*need)))
            .filter(|guard| !own.contains(guard))
            .collect();
        let inside = |other: &usize| {
            self.guards_of(Some(*other)).iter().any(|guard| relied_on.contains(guard))
        };
        needs.extend((0..number).filter(inside));
        needs.extend(guard);
        let asked = needs.first().copied().filter(|_| shape.condition == 0);
        let when = asked.map(|task| When {
            task,
            is: Condition::At("/yes".into(), Box::new(Condition::True)),
            depth: [Depth::Atom, Depth::Neighbors, Depth::Flow, Depth::All][number % 4],
        });
        let input =
            if matches!(work, Work::Each(_)) { json!({"items": [1, 2]}) } else { json!(null) };
        let timeout = matches!(work, Work::Wait(_)).then(|| Duration::from_secs(40));
        let timeout = timeout.filter(|_| shape.reverts);
        let wait = match &work {
            Work::Wait(wait) => Some(wait.clone()),
            _ => None,
        };
        let spec = Spec {
            when: when.into_iter().collect(),
            work,
            guard,
            timeouts: Timeouts { attempt: timeout, ..Timeouts::default() },
            ..Spec::default()
        };
        let name = if shape.away { "away" } else { "task" };
        let retry = if shape.reverts { Retry::times(3).or_revert() } else { Retry::times(3) };
        self.rows.push(Row {
            needs: Some(json!(needs).to_string()),
            spec: spec.stored(),
            wait_key: wait.as_ref().map(|wait| wait.key.clone()),
            wait_at_least: wait.map(|wait| wait.at_least),
            ..Row::pending(Uuid::nil(), number as i64, name.into(), input.to_string(), &retry)
        });
        self.fates.push(shape.fate);
        if shape.knot {
            self.knots.insert(number);
        }
        relied_on
    }

    /// A task, if it is a controller, and the controllers that guard it.
    pub(super) fn guards_of(&self, task: Option<usize>) -> Vec<usize> {
        let mut guards = Vec::new();
        let mut next = task;
        while let Some(number) = next {
            let spec = self.spec(number);
            if matches!(spec.work, Work::Retry(_)) {
                guards.push(number);
            }
            next = spec.guard;
        }
        guards
    }

    pub(super) fn spec(&self, number: usize) -> Spec {
        let stored = self.rows[number].spec.as_deref();
        stored.map(|text| serde_json::from_str(text).unwrap()).unwrap_or_default()
    }

    pub(super) fn load(&mut self) -> Graph {
        self.epoch += 1;
        let revertible = self.rows.iter().any(|row| row.or_revert);
        let whose = Whose {
            id: Uuid::nil(),
            epoch: self.epoch,
            label: std::sync::Arc::default(),
            revertible,
            parent: None,
        };
        let mut graph = Graph::load(whose, self.head.clone(), self.rows.clone()).unwrap();
        let handlers = ["task".to_owned()].into();
        graph.taken(Known::new(Skills { handlers, ..Skills::default() }));
        graph
    }

    pub(super) fn write(&mut self, graph: &Graph, touched: &[usize], effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Add(items) => {
                    for item in items {
                        assert_eq!(item.number, self.rows.len());
                        let node = &graph.nodes[item.number];
                        let list = node.spec().item_of.unwrap().0;
                        self.fates.push(self.fates[list]);
                        if self.knots.contains(&list) {
                            self.knots.insert(item.number);
                        }
                        self.rows.push(row(item.number, node, Some(item.spec.clone())));
                    }
                }
                Effect::Submit { number } => {
                    self.children.insert(*number);
                    self.waits.insert(*number, graph.joins(*number));
                }
                Effect::Undo { number, joins } => {
                    assert!(!self.children.contains(number), "{number} has a child under way");
                    assert!(self.undoes.insert(*number), "{number} is being undone");
                    let mut later = graph.nodes[*number].successors.iter();
                    assert!(later.all(|later| !graph.nodes[*later].has_effect()), "too early");
                    self.waits.insert(*number, *joins);
                }
                Effect::Cancel { number, joins } => {
                    assert!(self.children.contains(number), "{number} has no child to cancel");
                    // Some succeed before they hear of it.
                    if number % 2 == 0 {
                        self.fates[*number] = Fate::FailsForGood;
                    }
                    self.waits.insert(*number, Some(*joins));
                }
                Effect::Anew { .. } => {}
                Effect::Keep(_) => {}
                Effect::Offer(offer) => {
                    assert!(!self.offers.contains_key(&offer.number), "offered twice");
                    self.offers.insert(offer.number, (offer.clone(), false));
                }
                Effect::Withdraw { number, .. } => {
                    if let Some((offer, false)) = self.offers.get(number) {
                        let event = Event::Returned(*number, offer.attempt, Return::Withdrawn);
                        self.news.push_back(event);
                        self.offers.remove(number);
                    }
                }
                Effect::Look { number, .. } => {
                    if graph.is_waiting(*number) {
                        self.waits.insert(*number, graph.joins(*number));
                    }
                }
                Effect::Suspend { number, .. } => {
                    assert!(self.children.contains(number), "{number} has no child to suspend");
                }
                Effect::Failed { .. } => {}
            }
        }
        for number in touched {
            let (spec, needs) = (self.rows[*number].spec.clone(), self.rows[*number].needs.clone());
            self.rows[*number] = Row { needs, ..row(*number, &graph.nodes[*number], spec) };
        }
        self.head = graph.head.clone();
    }

    /// Somebody claims an offer, or what it claimed comes to something.
    pub(super) fn offer_moves(&mut self, choice: u32) -> Option<Event> {
        let at = choice as usize / 16 % self.offers.len();
        let (number, (offer, claimed)) = self.offers.iter_mut().nth(at)?;
        if !*claimed {
            *claimed = true;
            return None;
        }
        let (number, offer) = (*number, offer.clone());
        self.offers.remove(&number);
        let start = Start { number, attempt: offer.attempt, revert: offer.undo };
        let what = match choice % 11 {
            0 => Return::Lapsed,
            1 => Return::GivenBack,
            _ => Return::Ended(self.outcome(&start)),
        };
        Some(Event::Returned(number, offer.attempt, what))
    }

    /// As a task in a transaction of its own records its end.
    pub(super) fn record(&mut self, start: &Start) {
        let Ok(output) = self.outcome(start) else { return };
        let row = &mut self.rows[start.number];
        row.finished = Some(self.now);
        if start.revert.is_some() {
            (row.state, row.before_revert) = (TaskState::Reverted, None);
        } else {
            (row.state, row.output) = (TaskState::Succeeded, Some(output));
        }
    }

    pub(super) fn waits_for(&self, task: usize) -> bool {
        self.is_waiting(task) && self.rows[task].wait_key.is_some()
    }

    fn is_waiting(&self, task: usize) -> bool {
        matches!(self.rows[task].state, TaskState::Waiting | TaskState::Retrying)
    }

    /// Whether the flow of a task was told to end.
    pub(super) fn is_told(&self, task: usize) -> bool {
        self.waits.get(&task).copied().flatten().is_some_and(is_unwanted)
    }

    /// What is written of news if nothing follows from it, as if the flow need not be known.
    pub(super) fn note(&mut self, event: &Event) -> Option<(usize, Row)> {
        let joins = match event {
            Event::Arrived(number, _) | Event::Missed(number, _) | Event::Undone(number, _) => {
                self.waits.remove(number).flatten()
            }
            _ => None,
        };
        let undone = matches!(event, Event::Undone(..));
        if !self.head.is_at_rest(undone, joins, self.now) {
            return None;
        }
        let waits = |task: usize| self.is_waiting(task) || self.undoes.contains(&task);
        let mut others = self.waits.iter().filter(|(task, _)| waits(**task));
        let nothing_follows = joins.is_some() && others.any(|(_, other)| *other == joins);
        match event {
            Event::Troubled(number, message) => {
                let state = Graph::waiting_state(message.as_deref());
                let row = self.rows[*number].clone();
                Some((*number, Row { state, error: message.clone(), ..row }))
            }
            Event::Missed(number, message) if nothing_follows && joins.is_some_and(is_unwanted) => {
                let row = Row {
                    state: TaskState::Failed,
                    error: Some(message.clone()),
                    next_at: None,
                    finished: Some(self.now),
                    ..self.rows[*number].clone()
                };
                Some((*number, row))
            }
            Event::Undone(number, None) if nothing_follows => {
                let row = self.rows[*number].clone();
                let row = Row {
                    state: TaskState::Reverted,
                    before_revert: None,
                    error: row.failure.clone(),
                    failure: None,
                    finished: Some(self.now),
                    ..row
                };
                Some((*number, row))
            }
            Event::Arrived(number, output) if nothing_follows => {
                let row = Row {
                    state: TaskState::Succeeded,
                    output: Some(output.clone()),
                    error: None,
                    next_at: None,
                    finished: Some(self.now),
                    ..self.rows[*number].clone()
                };
                Some((*number, row))
            }
            _ => None,
        }
    }

    pub(super) fn outcome(&self, start: &Start) -> Result<String, Trouble> {
        let failed = |message: &str| Err(Trouble::Failed(Failure::Retryable(message.into())));
        if start.revert.is_some() && self.knots.contains(&start.number) {
            return Err(Trouble::Failed(Failure::Terminal("cannot be undone".into())));
        }
        if start.revert.is_some() {
            return if start.attempt == 1 && start.number.is_multiple_of(3) {
                failed(NOT_YET)
            } else {
                Ok("null".into())
            };
        }
        match self.fates[start.number] {
            Fate::FailsFirst(failures) if start.attempt <= failures => failed("busy"),
            Fate::FailsForGood => Err(Trouble::Failed(Failure::Terminal("no".into()))),
            _ => Ok(json!({ "yes": start.number % 2 }).to_string()),
        }
    }
}

pub(super) fn fresh() -> Head {
    Head {
        state: FlowState::Ready,
        ending: None,
        reverting: false,
        suspended: false,
        losses: 0,
        superseded_by: None,
        error: None,
        wake_at: None,
        started: None,
        finished: None,
    }
}

pub(super) fn work(kind: u8) -> Work {
    match kind {
        0 => Work::Gate,
        1 => Work::Wait(Wait { key: "key".into(), at_least: 1 }),
        2 => Work::Sleep(Duration::from_secs(3)),
        3 => Work::Retry(Controller::times(2)),
        4 => Work::Retry(Controller::ForEach { values: vec![json!("a"), json!("b")] }),
        5 => Work::Retry(Controller::AlwaysRevert),
        6 => Work::Each(Box::new(Each {
            name: "task".into(),
            input: json!(null),
            item: String::new(),
            retry: Retry::times(3),
            timeouts: Timeouts::default(),
            labels: Vec::new(),
        })),
        7 => Work::Until(5_000_000),
        8 => Work::Retry(Controller::Times {
            attempts_max: 3,
            backoff: Backoff::constant(Duration::from_secs(1)),
        }),
        9 => Work::Retry(Controller::AlwaysRevertAll),
        10 => Work::Flow(Box::new(Child { flow: NewFlow::default(), fate: crate::Fate::Joined })),
        _ => Work::Run,
    }
}

pub(super) fn row(number: usize, node: &Node, spec: Option<String>) -> Row {
    let wait = match node.work() {
        Work::Wait(wait) => Some(wait.clone()),
        _ => None,
    };
    let (name, input) = (node.name.clone(), node.input.clone());
    Row {
        spec,
        wait_key: wait.as_ref().map(|wait| wait.key.clone()),
        wait_at_least: wait.map(|wait| wait.at_least),
        state: node.state,
        attempt: node.attempt,
        revert_attempt: node.revert_attempt,
        before_revert: node.before_revert,
        output: node.output.clone(),
        error: node.error.clone(),
        next_at: node.next_at,
        started: node.started,
        finished: node.finished,
        offered: node.offered,
        failure: node.failure.clone(),
        ran: node.ran,
        ..Row::pending(Uuid::nil(), number as i64, name, input, &node.retry)
    }
}
