//! Random flows, told what happens in random order, killed at random, and loaded again from what was written.

mod world;

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::{Effect, Event, Graph, Hands, Head, Left, Row, Start};
use crate::{FlowState, TaskState, policy::Trouble};
use world::{Fate, NOT_YET, Shape, World, parent, row, shape};

/// A worker that has the flow.
struct Owner {
    graph: Graph,
    active: BTreeMap<usize, Start>,
}

impl Owner {
    /// Some hear first what came while nobody had the flow.
    fn take(world: &mut World, choice: u32) -> Option<Self> {
        let mut graph = world.load();
        let news = match choice % 3 {
            0 => Some(Event::Suspend(false)),
            1 if world.head.reverting => world.undoes.pop_first().map(|number| {
                world.waits.remove(&number);
                Event::Undone(number, None)
            }),
            _ => None,
        };
        if let Some(news) = news {
            graph.tell(news, Hands::Free, world.now, 0);
        }
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
            let told = matches!(&start.revert, Some(Left::Failure(message)) if message == NOT_YET);
            assert!(!told, "{start:?} is about what undoing it came to before");
            let items = node.successors.iter().flat_map(|later| &self.graph.nodes[*later].items);
            for later in node.successors.iter().chain(items) {
                let later = &self.graph.nodes[*later];
                assert!(
                    !later.has_effect() && later.state != TaskState::RevertFailed,
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
            if let Event::Arrived(number, _) | Event::Missed(number, _) = &event {
                world.waits.remove(number);
            }
            owner.tell(world, event, choice)
        }
        4 if !world.undoes.is_empty() => {
            let number = world.undoes.pop_first().unwrap();
            world.waits.remove(&number);
            owner.tell(world, Event::Undone(number, None), choice)
        }
        2 => {
            world.now += 1_000_000;
            owner.tell(world, Event::Due, choice)
        }
        _ if !running.is_empty() => {
            let mut owner = owner;
            let number = running[choice as usize / 16 % running.len()];
            let start = owner.active.remove(&number).unwrap();
            if choice.is_multiple_of(11) {
                return held(world, owner, &start, choice);
            }
            let outcome = world.outcome(&start);
            owner.tell(world, Event::Attempted(number, outcome), choice)
        }
        _ => {
            world.now += 10_000_000;
            owner.tell(world, Event::Due, choice)
        }
    }
}

/// An attempt was not made, because its backend does not answer: it does not count.
fn held(world: &mut World, owner: Owner, start: &Start, choice: u32) -> Option<Owner> {
    let trouble = Trouble::Held { reason: "down".into(), until: world.now + 3_000_000 };
    let owner = owner.tell(world, Event::Attempted(start.number, Err(trouble)), choice);
    let row = &world.rows[start.number];
    let counted = if start.revert.is_some() { row.revert_attempt } else { row.attempt };
    assert!(counted < start.attempt, "{row:?}");
    owner
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
        _ if !world.undoes.is_empty() => {
            let at = choice as usize % world.undoes.len();
            let number = *world.undoes.iter().nth(at).unwrap();
            world.undoes.remove(&number);
            Event::Undone(number, None)
        }
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
    let known = |effect: &Effect| match effect {
        Effect::Failed { number: failed, .. } => *failed == number,
        Effect::Keep(failed) => failed.number == number,
        // Whoever loads the flow tells it again.
        Effect::Cancel { number, .. } => world.is_told(*number),
        _ => false,
    };
    assert!(settled.effects.iter().all(known), "{:?}", settled.effects);
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
                if ready { Owner::take(&mut world, choice) } else { None }
            }
        };
    }
    check_end(&world);
}

fn check_end(world: &World) {
    assert!(world.children.is_empty(), "a flow of a task is still under way");
    assert!(world.undoes.is_empty(), "a flow of a task is still being undone");
    assert!(world.offers.is_empty(), "an attempt is still offered");
    let items_apart = |row: &&Row| row.state != TaskState::Reverted;
    for row in world.rows.iter().filter(items_apart) {
        let over = row.finished.is_some() && row.state != TaskState::Reverting;
        assert!(over, "task {} is {} at the end", row.number, row.state);
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

    #[test]
    fn every_parent_ends_well(
        shapes in prop::collection::vec(parent(), 0..12),
        choices in prop::collection::vec(any::<u32>(), 1..40),
    ) {
        run(&shapes, &choices);
    }
}
