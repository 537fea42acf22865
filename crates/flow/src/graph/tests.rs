//! Random flows, told what happens in random order, killed at random, and loaded again from what was written.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::{
    Effect, Event, Graph, Hands, Head, Known, Node, Offer, Return, Row, Skills, Start, Whose,
};
use crate::{
    Child, Condition, Controller, Depth, Each, Failure, FlowState, NewFlow, Retry, TaskState, Then,
    Timeouts, Wait, When, Work, plan::Spec, policy::Trouble,
};

/// What comes of a task's attempts.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Succeeds,
    /// Fails so often before it succeeds.
    FailsFirst(u32),
    FailsForGood,
}

#[derive(Clone, Debug)]
struct Shape {
    fate: Fate,
    /// Bits of the tasks before it that it needs.
    needs: u16,
    work: u8,
    guard: u8,
    condition: u8,
    reverts: bool,
    /// Its worker is another one.
    away: bool,
}

fn shape() -> impl Strategy<Value = Shape> {
    let fate = prop_oneof![
        6 => Just(Fate::Succeeds),
        2 => (1..4u32).prop_map(Fate::FailsFirst),
        1 => Just(Fate::FailsForGood),
    ];
    (fate, any::<u16>(), 0..18u8, 0..4u8, 0..8u8, any::<bool>(), 0..3u8).prop_map(
        |(fate, needs, work, guard, condition, reverts, away)| Shape {
            fate,
            needs,
            work,
            guard,
            condition,
            reverts,
            away: away == 0,
        },
    )
}

/// A flow of the test: rows as the database has them.
#[derive(Clone)]
struct World {
    rows: Vec<Row>,
    head: Head,
    fates: Vec<Fate>,
    /// Tasks whose flows are under way.
    children: BTreeSet<usize>,
    /// Attempts offered, and whether somebody has claimed them.
    offers: BTreeMap<usize, (Offer, bool)>,
    /// Not heard yet.
    news: VecDeque<Event>,
    /// Tasks that wait for signals, or did, and where their ends meet those of others.
    waits: BTreeMap<usize, Option<i64>>,
    epoch: i64,
    now: i64,
}

impl World {
    fn new(shapes: &[Shape]) -> Self {
        let mut world = Self {
            rows: Vec::new(),
            head: fresh(),
            fates: Vec::new(),
            children: BTreeSet::new(),
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
    fn add(
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
        self.rows.push(Row {
            flow: Uuid::nil(),
            number: number as i64,
            name: if shape.away { "away" } else { "task" }.into(),
            resource: None,
            input: input.to_string(),
            needs: Some(json!(needs).to_string()),
            spec: spec.stored(),
            wait_key: wait.as_ref().map(|wait| wait.key.clone()),
            wait_at_least: wait.map(|wait| wait.at_least),
            attempts_max: 3,
            or_revert: shape.reverts,
            state: TaskState::Pending,
            attempt: 0,
            revert_attempt: 0,
            before_revert: None,
            output: None,
            error: None,
            next_at: None,
            started: None,
            finished: None,
            offered: false,
        });
        self.fates.push(shape.fate);
        relied_on
    }

    /// A task, if it is a controller, and the controllers that guard it.
    fn guards_of(&self, task: Option<usize>) -> Vec<usize> {
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

    fn spec(&self, number: usize) -> Spec {
        let stored = self.rows[number].spec.as_deref();
        stored.map(|text| serde_json::from_str(text).unwrap()).unwrap_or_default()
    }

    fn load(&mut self) -> Graph {
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

    fn write(&mut self, graph: &Graph, touched: &[usize], effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Add(items) => {
                    for item in items {
                        assert_eq!(item.number, self.rows.len());
                        let node = &graph.nodes[item.number];
                        let fate = self.fates[node.spec().item_of.unwrap().0];
                        self.fates.push(fate);
                        self.rows.push(row(item.number, node, Some(item.spec.clone())));
                    }
                }
                Effect::Submit { number } => {
                    self.children.insert(*number);
                }
                Effect::Cancel { number } => {
                    assert!(self.children.contains(number), "{number} has no child to cancel");
                    self.fates[*number] = Fate::FailsForGood;
                }
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
    fn offer_moves(&mut self, choice: u32) -> Option<Event> {
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
    fn record(&mut self, start: &Start) {
        let Ok(output) = self.outcome(start) else { return };
        let row = &mut self.rows[start.number];
        row.finished = Some(self.now);
        if start.revert.is_some() {
            (row.state, row.before_revert) = (TaskState::Reverted, None);
        } else {
            (row.state, row.output) = (TaskState::Succeeded, Some(output));
        }
    }

    fn waits_for(&self, task: usize) -> bool {
        let row = &self.rows[task];
        matches!(row.state, TaskState::Waiting | TaskState::Retrying) && row.wait_key.is_some()
    }

    /// What is written of news if nothing follows from it, as if the flow need not be known.
    fn note(&mut self, event: &Event) -> Option<(usize, Row)> {
        let joins = match event {
            Event::Arrived(number, _) => self.waits.remove(number).flatten(),
            _ => None,
        };
        if !self.head.is_at_rest(self.now) {
            return None;
        }
        match event {
            Event::Troubled(number, message) => {
                let state = Graph::waiting_state(message.as_deref());
                let row = self.rows[*number].clone();
                Some((*number, Row { state, error: message.clone(), ..row }))
            }
            Event::Arrived(number, output) => {
                let others = self.waits.iter().filter(|(task, _)| self.waits_for(**task));
                if !others.map(|(_, joins)| *joins).any(|other| joins.is_some() && other == joins) {
                    return None;
                }
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

    fn outcome(&self, start: &Start) -> Result<String, Trouble> {
        let failed = |message: &str| Err(Trouble::Failed(Failure::Retryable(message.into())));
        if start.revert.is_some() {
            return if start.attempt == 1 && start.number.is_multiple_of(3) {
                failed("not yet")
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

fn fresh() -> Head {
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

fn work(kind: u8) -> Work {
    match kind {
        0 => Work::Gate,
        1 => Work::Wait(Wait { key: "key".into(), at_least: 1 }),
        2 => Work::Sleep(Duration::from_secs(3)),
        3 => Work::Retry(Controller::Times { attempts_max: 2, pause: Duration::ZERO }),
        4 => Work::Retry(Controller::ForEach { values: vec![json!("a"), json!("b")] }),
        5 => Work::Retry(Controller::AlwaysRevert),
        6 => Work::Each(Box::new(Each {
            name: "task".into(),
            input: json!(null),
            item: String::new(),
            retry: Retry { attempts_max: 3, then: Then::Fail },
            timeouts: Timeouts::default(),
            labels: Vec::new(),
        })),
        7 => Work::Until(5_000_000),
        8 => Work::Retry(Controller::Times { attempts_max: 3, pause: Duration::from_secs(1) }),
        9 => Work::Retry(Controller::AlwaysRevertAll),
        10 => Work::Flow(Box::new(Child { flow: NewFlow::default(), fate: crate::Fate::Joined })),
        _ => Work::Run,
    }
}

fn row(number: usize, node: &Node, spec: Option<String>) -> Row {
    let wait = match node.work() {
        Work::Wait(wait) => Some(wait.clone()),
        _ => None,
    };
    Row {
        flow: Uuid::nil(),
        number: number as i64,
        name: node.name.clone(),
        resource: None,
        input: node.input.clone(),
        needs: None,
        spec,
        wait_key: wait.as_ref().map(|wait| wait.key.clone()),
        wait_at_least: wait.map(|wait| wait.at_least),
        attempts_max: node.retry.attempts_max,
        or_revert: node.retry.then == Then::Revert,
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
    }
}

/// A worker that has the flow.
struct Owner {
    graph: Graph,
    active: BTreeMap<usize, Start>,
}

impl Owner {
    fn take(world: &mut World) -> Option<Self> {
        let mut graph = world.load();
        graph.begin(Hands::Worker, world.now);
        Self { graph, active: BTreeMap::new() }.settled(world)
    }

    fn tell(mut self, world: &mut World, event: Event, random: u32) -> Option<Self> {
        self.graph.tell(event, Hands::Worker, world.now, random);
        self.settled(world)
    }

    /// Writes the change; nothing if the flow was let go.
    fn settled(mut self, world: &mut World) -> Option<Self> {
        let settled = self.graph.settle();
        self.check_starts(&settled.starts);
        world.write(&self.graph, &settled.touched, &settled.effects);
        for start in settled.starts {
            let before = self.active.insert(start.number, start);
            assert!(before.is_none(), "a task runs once at a time");
        }
        assert!(settled.held || self.active.is_empty(), "no flow is let go while it runs");
        settled.held.then_some(self)
    }

    fn check_starts(&self, starts: &[Start]) {
        for start in starts {
            let node = &self.graph.nodes[start.number];
            if start.revert.is_none() {
                assert!(node.needs.iter().all(|need| passed(&self.graph, *need)), "{start:?}");
                continue;
            }
            for later in &node.successors {
                let later = &self.graph.nodes[*later];
                assert!(
                    !later.has_effect(),
                    "{} is undone while {} is {:?}",
                    start.number,
                    later.name,
                    later.state
                );
            }
        }
    }
}

/// Whether a task has ended, and all before it, so that those that need it can begin.
fn passed(graph: &Graph, number: usize) -> bool {
    let node = &graph.nodes[number];
    match node.state {
        TaskState::Succeeded => true,
        TaskState::Skipped => node.needs.iter().all(|need| passed(graph, *need)),
        _ => false,
    }
}

/// One of the things that can happen, chosen by `choice`.
fn happen(world: &mut World, owner: Owner, choice: u32) -> Option<Owner> {
    if let Some(event) = world.news.pop_front() {
        return owner.tell(world, event, choice);
    }
    if !world.offers.is_empty() && choice % 16 > 8 {
        return match world.offer_moves(choice) {
            Some(event) => owner.tell(world, event, choice),
            None => Some(owner),
        };
    }
    let running: Vec<usize> = owner.active.keys().copied().collect();
    match choice % 16 {
        0 => {
            // Its worker dies: what was not written is gone. One task may have recorded its end by itself.
            if let Some(start) = owner.active.values().next().filter(|_| choice.is_multiple_of(3)) {
                world.record(start);
            }
            drop(owner);
            None
        }
        1 if choice % 64 == 1 => owner.tell(world, Event::Cancel, choice),
        1 if choice % 64 == 17 => owner.tell(world, Event::Suspend(true), choice),
        1 if choice % 64 == 33 => owner.tell(world, Event::Suspend(false), choice),
        3 if !world.children.is_empty() => {
            let event = child_ends(world);
            owner.tell(world, event, choice)
        }
        2 => {
            world.now += 1_000_000;
            owner.tell(world, Event::Due, choice)
        }
        _ if !running.is_empty() => {
            let mut owner = owner;
            let number = running[choice as usize / 16 % running.len()];
            let start = owner.active.remove(&number).unwrap();
            let outcome = world.outcome(&start);
            owner.tell(world, Event::Attempted(number, outcome), choice)
        }
        _ => {
            world.now += 10_000_000;
            owner.tell(world, Event::Due, choice)
        }
    }
}

fn child_ends(world: &mut World) -> Event {
    let number = world.children.pop_first().unwrap();
    match world.fates[number] {
        Fate::FailsForGood => Event::Missed(number, "its flow failed".into()),
        _ => Event::Arrived(number, json!({ "yes": number % 2 }).to_string()),
    }
}

/// News for a flow nobody has.
fn arrive(world: &mut World, choice: u32) {
    let waiting: Vec<usize> = (0..world.rows.len()).filter(|task| world.waits_for(*task)).collect();
    let waiting = waiting.get(choice as usize / 8 % waiting.len().max(1)).copied();
    let event = match waiting {
        _ if !world.news.is_empty() => world.news.pop_front().unwrap(),
        _ if world.head.state == FlowState::Suspended && !choice.is_multiple_of(4) => {
            Event::Suspend(false)
        }
        _ if !world.offers.is_empty() => match world.offer_moves(choice) {
            Some(event) => event,
            None => return,
        },
        _ if !world.children.is_empty() => child_ends(world),
        Some(number) if choice % 8 < 2 => {
            Event::Troubled(number, choice.is_multiple_of(8).then(|| "trouble".into()))
        }
        // Some come in time, others do not.
        Some(number) if number % 3 > 0 || world.rows[number].next_at.is_none() => {
            Event::Arrived(number, json!({"value": 1}).to_string())
        }
        _ => return,
    };
    let alone = world.note(&event);
    let mut graph = world.load();
    graph.tell(event, Hands::Free, world.now, 0);
    let settled = graph.settle();
    assert!(settled.starts.is_empty() && !settled.held);
    let Some((number, noted)) = alone else {
        return world.write(&graph, &settled.touched, &settled.effects);
    };
    assert!(settled.touched.iter().all(|touched| *touched == number), "{:?}", settled.touched);
    assert!(settled.effects.is_empty(), "{:?}", settled.effects);
    let told = row(number, &graph.nodes[number], noted.spec.clone());
    assert_eq!(format!("{noted:?}"), format!("{:?}", Row { needs: noted.needs.clone(), ..told }));
    let (before, after) = (world.head.wake_at, graph.head.wake_at);
    assert!(after.is_none() || before <= after, "{before:?} {after:?}");
    assert_eq!(world.head, Head { wake_at: before, ..graph.head });
    world.rows[number] = noted;
}

fn run(shapes: &[Shape], choices: &[u32]) {
    let mut world = World::new(shapes);
    let mut owner = None;
    let mut events = 0;
    let mut choices = choices.iter().copied().cycle();
    while !world.head.state.is_ended() {
        events += 1;
        assert!(events < 5_000, "the flow does not end: {:?}", world.head);
        let choice = choices.next().unwrap().wrapping_add(events * 7);
        owner = match owner {
            Some(owner) => happen(&mut world, owner, choice),
            None => {
                if matches!(world.head.state, FlowState::Waiting | FlowState::Suspended) {
                    arrive(&mut world, choice);
                    world.now += 400_000_000;
                }
                let waits = matches!(world.head.state, FlowState::Waiting | FlowState::Suspended);
                let ready = !waits && !world.head.state.is_ended()
                    || world.head.wake_at.is_some_and(|at| at <= world.now)
                    || choice % 5 == 0 && !world.head.state.is_ended();
                if ready { Owner::take(&mut world) } else { None }
            }
        };
    }
    check_end(&world);
}

fn check_end(world: &World) {
    assert!(world.children.is_empty(), "a flow of a task is still under way");
    assert!(world.offers.is_empty(), "an attempt is still offered");
    let items_apart = |row: &&Row| row.state != TaskState::Reverted;
    for row in world.rows.iter().filter(items_apart) {
        assert!(row.finished.is_some(), "task {} is {} at the end", row.number, row.state);
        let effect = matches!(row.state, TaskState::Succeeded | TaskState::Failed);
        match world.head.state {
            FlowState::Succeeded => {
                assert!(matches!(row.state, TaskState::Succeeded | TaskState::Skipped), "{row:?}");
            }
            FlowState::Reverted => assert!(!effect, "{row:?} is left"),
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn every_flow_ends_well(
        shapes in prop::collection::vec(shape(), 0..12),
        choices in prop::collection::vec(any::<u32>(), 1..40),
    ) {
        run(&shapes, &choices);
    }
}
