//! What lists show, and what is forgotten.

use tutti_flow::{
    FlowFilter, FlowState, NewFlow, NewTask, SyncState, TaskFilter, TaskState, at_work, prune,
    query, sync_state,
};
use tutti_store::Store;
use uuid::Uuid;

use crate::world::{Log, Place, Plan, ended, engine, flow, named, now, step, submit};

async fn flows(store: &Store, filter: FlowFilter) -> Vec<Uuid> {
    let rows = store.read(move |tx| query::flows(tx, &filter)).await.unwrap();
    rows.into_iter().map(|flow| flow.id).collect()
}

async fn tasks(store: &Store, filter: TaskFilter) -> Vec<String> {
    let rows = store.read(move |tx| query::tasks(tx, &filter)).await.unwrap();
    rows.into_iter().map(|task| task.title).collect()
}

fn on(name: &str, resource: &str) -> NewTask {
    NewTask { resource: Some(resource.into()), ..step(named(name), &[]) }
}

#[tokio::test]
async fn filters_and_pages() {
    for place in Place::all() {
        let store = place.open().await;
        let one =
            submit(&store, flow(&["app/db"], vec![on("a", "unit/db/0"), on("b", "unit/db/1")]))
                .await;
        let two = NewFlow {
            model: Some("two".into()),
            ..flow(&["app/web"], vec![on("c", "unit/web/0")])
        };
        let two = submit(&store, NewFlow { kind: "other".into(), ..two }).await;
        let three = submit(&store, flow(&["app/db", "app/web"], vec![step(named("d"), &[])])).await;
        let (one, two, three_id) = (one.id, two.id, three.id);
        let all = FlowFilter::default();
        assert_eq!(flows(&store, all.clone()).await, [three_id, two, one]);
        for (filter, expected) in [
            (FlowFilter { model: Some("two".into()), ..all.clone() }, vec![two]),
            (FlowFilter { kind: Some("other".into()), ..all.clone() }, vec![two]),
            (FlowFilter { resource: Some("app/db".into()), ..all.clone() }, vec![three_id, one]),
            (FlowFilter { state: vec![FlowState::Blocked], ..all.clone() }, vec![three_id]),
            (
                FlowFilter { state: vec![FlowState::Ready, FlowState::Failed], ..all.clone() },
                vec![two, one],
            ),
            (FlowFilter { since: Some(three.created), ..all.clone() }, vec![three_id]),
            (
                FlowFilter { since: Some(1), state: vec![FlowState::Ready], ..all.clone() },
                vec![two, one],
            ),
            (
                FlowFilter { state: vec![FlowState::Failed, FlowState::Stuck], ..all.clone() },
                vec![],
            ),
            (FlowFilter { limit: Some(1), ..all.clone() }, vec![three_id]),
            (FlowFilter { name: Some("other".into()), ..all.clone() }, vec![two]),
            (
                FlowFilter { name: Some("The Engine".into()), ..all.clone() },
                vec![three_id, two, one],
            ),
            (FlowFilter { name: Some("the%engine".into()), ..all.clone() }, vec![]),
            (FlowFilter { after: Some(three_id), limit: Some(1), ..all.clone() }, vec![two]),
            (FlowFilter { resource: Some("app/none".into()), ..all }, vec![]),
        ] {
            assert_eq!(flows(&store, filter.clone()).await, expected, "{filter:?}");
        }
        let row = store.read(move |tx| query::flow(tx, three_id)).await.unwrap().unwrap();
        assert_eq!(row, three);
        assert_eq!(row.waiting_for.len(), 2);
        store.close().await;
    }
}

#[tokio::test]
async fn filters_and_pages_of_tasks() {
    for place in Place::all() {
        let store = place.open().await;
        let plan = vec![on("a", "unit/db/0"), on("b", "unit/db/1")];
        let one = submit(&store, flow(&["app/db"], plan)).await.id;
        let two = NewFlow {
            model: Some("two".into()),
            ..flow(&["app/web"], vec![on("c", "unit/web/0")])
        };
        submit(&store, two).await;
        let three = submit(&store, flow(&["app/db", "app/web"], vec![step(named("d"), &[])])).await;
        let three_id = three.id;
        let all = TaskFilter::default();
        for (filter, expected) in [
            (all.clone(), vec!["do d", "do c", "do b", "do a"]),
            (TaskFilter { flow: Some(one), ..all.clone() }, vec!["do a", "do b"]),
            (
                TaskFilter {
                    flow: Some(one),
                    after: Some(tutti_flow::task_id(one, 0)),
                    ..all.clone()
                },
                vec!["do b"],
            ),
            (TaskFilter { model: Some("two".into()), ..all.clone() }, vec!["do c"]),
            (TaskFilter { resource: Some("unit/db/1".into()), ..all.clone() }, vec!["do b"]),
            (TaskFilter { resource: Some("unit/db/".into()), ..all.clone() }, vec!["do b", "do a"]),
            (
                TaskFilter { resource: Some("app/d*".into()), ..all.clone() },
                vec!["do d", "do b", "do a"],
            ),
            (TaskFilter { resource: Some("app/web".into()), ..all.clone() }, vec!["do d", "do c"]),
            (TaskFilter { state: vec![TaskState::Failed], ..all.clone() }, vec![]),
            (
                TaskFilter { state: vec![TaskState::Pending], limit: Some(2), ..all.clone() },
                vec!["do d", "do c"],
            ),
            (
                TaskFilter {
                    resource: Some("app/web".into()),
                    after: Some(tutti_flow::task_id(three_id, 0)),
                    since: Some(three.created - 60_000_000),
                    ..all.clone()
                },
                vec!["do c"],
            ),
            (TaskFilter { since: Some(three.created + 60_000_000), ..all.clone() }, vec![]),
            (TaskFilter { parent: Some(one), ..all.clone() }, vec![]),
            (TaskFilter { name: Some("nothing".into()), ..all }, vec![]),
        ] {
            assert_eq!(tasks(&store, filter.clone()).await, expected, "{filter:?}");
        }
        let id = tutti_flow::task_id(one, 1);
        let task = store.read(move |tx| query::task(tx, id)).await.unwrap().unwrap();
        assert_eq!((task.id, task.number, task.flow), (id, 1, one));
        store.close().await;
    }
}

#[tokio::test]
async fn a_part_of_an_id_finds_what_begins_or_ends_so() {
    for place in Place::all() {
        let store = place.open().await;
        let id = |text: &str| Uuid::parse_str(text).unwrap();
        let one = id("0192abcd-0000-7000-8000-00000000aaaa");
        let two = id("0192ffff-0000-7000-8000-00000192abcd");
        for id in [one, two] {
            let plan = vec![step(named("a"), &[]), step(named("b"), &[])];
            submit(&store, NewFlow { id, ..flow(&["x"], plan) }).await;
        }
        for (part, limit, expected) in [
            ("0192", 9, vec![two, one]),
            ("0192", 1, vec![two]),
            ("0192abcd", 9, vec![two, one]),
            ("0192abcd-0", 9, vec![one]),
            ("192abcd", 9, vec![two]),
            ("00000000aaaa", 9, vec![one]),
            ("8000-00000000aaaa", 9, vec![one]),
            ("0192abcd-0000-7000-8000-00000000aaaa", 9, vec![one]),
            ("0192ab-cd", 9, vec![]),
            ("01930000", 9, vec![]),
            ("0192%", 9, vec![]),
            ("0192ABCD", 9, vec![]),
        ] {
            let found = store.read(move |tx| query::flows_like(tx, part, limit)).await.unwrap();
            assert_eq!(found, expected, "{part} {limit}");
        }
        for (part, expected) in
            [("00000000aaac", vec![(one, 1)]), ("0192abcd-", vec![(one, 1), (one, 0)])]
        {
            let found = store.read(move |tx| query::tasks_like(tx, part, 9)).await.unwrap();
            let expected: Vec<_> =
                expected.into_iter().map(|(flow, at)| tutti_flow::task_id(flow, at)).collect();
            assert_eq!(found, expected, "{part}");
        }
        store.close().await;
    }
}

#[tokio::test]
async fn old_flows_are_forgotten_but_not_what_explains_a_failure() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let engine = engine(&store, &log).start().await.unwrap();
        let converge = |resource: &str, terminal| {
            let plan = Plan { terminal, ..named("a") };
            NewFlow { converge: true, ..flow(&[resource], vec![step(plan, &[])]) }
        };
        for (resource, terminal) in
            [("healed", true), ("healed", false), ("broken", true), ("fine", false), ("new", false)]
        {
            let id = submit(&store, converge(resource, terminal)).await.id;
            ended(&store, id).await;
        }
        assert_eq!(store.write(|tx| prune(tx, 0, 0)).await.unwrap(), 0, "none is that old");
        assert_eq!(store.write(|tx| prune(tx, now() + 1, 5)).await.unwrap(), 0, "all are kept");
        assert_eq!(store.write(|tx| prune(tx, now() + 1, 1)).await.unwrap(), 3);
        assert_eq!(flows(&store, FlowFilter::default()).await.len(), 2);
        assert_eq!(tasks(&store, TaskFilter::default()).await.len(), 2);
        let broken = store.read(|tx| sync_state(tx, "broken")).await.unwrap();
        assert_eq!((broken.state, broken.message.as_str()), (SyncState::Failed, "a refused"));
        engine.stop().await;
        store.close().await;
    }
}

/// Columns of a task's row that change while it runs and succeeds.
const CHANGING: &[&str] = &[
    "state", "attempt", "output", "error", "next_at", "started", "finished", "progress", "offered",
];

#[tokio::test]
async fn no_index_of_tasks_keeps_postgresql_from_updating_them_in_place() {
    let Some(place) = Place::postgres() else { return };
    let store = place.open().await;
    let columns = "SELECT DISTINCT own.attname FROM pg_index AS one
        JOIN pg_depend AS used ON used.objid = one.indexrelid AND used.refobjid = one.indrelid
        JOIN pg_attribute AS own ON own.attrelid = used.refobjid AND own.attnum = used.refobjsubid
        WHERE one.indrelid = 'flow_task'::regclass";
    let indexed: Vec<String> = store.read(move |tx| tx.all(columns, ())).await.unwrap();
    assert!(indexed.contains(&"resource".to_owned()), "{indexed:?}");
    assert!(!indexed.iter().any(|column| CHANGING.contains(&column.as_str())), "{indexed:?}");
    store.close().await;
}

#[tokio::test]
async fn tasks_that_failed_are_found_among_all() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let engine = engine(&store, &log).start().await.unwrap();
        for (name, terminal) in [("a", false), ("b", true), ("c", false)] {
            let plan = Plan { terminal, ..named(name) };
            let id = submit(&store, flow(&["x"], vec![step(plan, &[])])).await.id;
            ended(&store, id).await;
        }
        for state in [vec![TaskState::Failed], vec![TaskState::RevertFailed, TaskState::Failed]] {
            let found = tasks(&store, TaskFilter { state, ..TaskFilter::default() }).await;
            assert_eq!(found, ["do b"]);
        }
        let failed = FlowFilter { state: vec![FlowState::Failed], ..FlowFilter::default() };
        assert_eq!(flows(&store, failed).await.len(), 1);
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn what_is_at_work_is_the_first_of_a_queue_that_counts() {
    for place in Place::all() {
        let store = place.open().await;
        let found = async |except: &'static [&'static str]| {
            store.read(move |tx| at_work(tx, "unit/db/0", except)).await.unwrap()
        };
        assert_eq!(found(&[]).await, None);
        let task = || vec![step(named("a"), &[])];
        let run = NewFlow { kind: "run".into(), ..flow(&["unit/db/0"], task()) };
        let run = submit(&store, run).await;
        let other = submit(&store, flow(&["unit/db/0", "app/db"], task())).await;
        let first = found(&[]).await.unwrap();
        assert_eq!((first.flow, first.state), (Some(run.id), SyncState::Pending));
        assert_eq!(found(&["run"]).await.unwrap().flow, Some(other.id));
        let kind: &'static str = other.kind.clone().leak();
        let both: &'static [&'static str] = vec!["run", kind].leak();
        assert_eq!(found(both).await, None);
        store.close().await;
    }
}

#[tokio::test]
async fn a_scope_is_crowded_by_its_own_flows_alone() {
    for place in Place::all() {
        let store = place.open().await;
        let of = |model: &str| NewFlow {
            model: Some(model.into()),
            ..flow(&[], vec![step(named("a"), &[])])
        };
        let one = submit(&store, of("one")).await.id;
        submit(&store, of("one")).await;
        let two = submit(&store, of("two")).await.id;
        for (id, most, expected) in [
            (one, 0, true),
            (one, 1, true),
            (one, 2, false),
            (two, 0, true),
            (two, 1, false),
            (two, 9, false),
        ] {
            let crowded = store.read(move |tx| query::is_crowded(tx, id, most)).await.unwrap();
            assert_eq!(crowded, expected, "{id} {most}");
        }
        store.close().await;
    }
}
