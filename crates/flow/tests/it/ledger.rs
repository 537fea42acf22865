//! Flows of some kinds, counted and paged by numbers, and forgotten on demand.

use tutti_flow::query::{LedgerFilter, ledger};
use tutti_flow::{Access, Error, FlowState, NewFlow, Retry, forget_flow, purge};
use tutti_store::Store;
use uuid::Uuid;

use crate::world::{Log, Place, Plan, ended, engine, flow, named, step, submit};

async fn listed(store: &Store, filter: &LedgerFilter, limit: u32, offset: u32) -> (Vec<Uuid>, u64) {
    let filter = filter.clone();
    let read = store.read(move |tx| ledger(tx, &filter, limit, offset));
    let (rows, count) = read.await.unwrap();
    (rows.into_iter().map(|row| row.flow.id).collect(), count)
}

#[tokio::test]
async fn a_ledger_is_filtered_counted_and_paged() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let engine = engine(&store, &log).start().await.unwrap();
        let one = submit(&store, flow(&["r/1"], vec![step(named("one"), &[])])).await.id;
        let fails = Plan { terminal: true, ..named("two") };
        let never = tutti_flow::NewTask { retry: Retry::never(), ..step(fails, &[]) };
        let two =
            NewFlow { resources: vec![("r/1".into(), Access::Shared)], ..flow(&[], vec![never]) };
        let two = submit(&store, two).await.id;
        let other = NewFlow { kind: "other".into(), ..flow(&[], vec![step(named("three"), &[])]) };
        let other = submit(&store, other).await.id;
        for id in [one, two, other] {
            ended(&store, id).await;
        }
        let all = LedgerFilter { kinds: vec!["test".into()], ..LedgerFilter::default() };
        assert_eq!(listed(&store, &all, 10, 0).await, (vec![two, one], 2));
        assert_eq!(listed(&store, &all, 1, 1).await, (vec![one], 2));
        assert_eq!(listed(&store, &all, 1, 9).await, (vec![], 2));
        let resources = Some(vec!["r/1".to_owned()]);
        for (filter, expected) in [
            (LedgerFilter { ascending: true, ..all.clone() }, vec![one, two]),
            (
                LedgerFilter { kinds: vec!["test".into(), "other".into()], ..all.clone() },
                vec![other, two, one],
            ),
            (LedgerFilter { states: Some(vec![FlowState::Failed]), ..all.clone() }, vec![two]),
            (LedgerFilter { is_ending: Some(true), ..all.clone() }, vec![]),
            (LedgerFilter { ids: Some(vec![one, other]), ..all.clone() }, vec![one]),
            (LedgerFilter { resources: resources.clone(), ..all.clone() }, vec![two, one]),
            (LedgerFilter { exclusive: resources.clone(), ..all.clone() }, vec![one]),
            (LedgerFilter { shared: resources, ..all.clone() }, vec![two]),
            (LedgerFilter { finished: (None, Some(1)), ..all.clone() }, vec![]),
            (LedgerFilter { started: (Some(1), None), ..all.clone() }, vec![two, one]),
            (LedgerFilter { answer_contains: Some("by one".into()), ..all.clone() }, vec![one]),
        ] {
            assert_eq!(listed(&store, &filter, 10, 0).await.0, expected, "{filter:?}");
        }
        let (rows, _) = store.read(move |tx| ledger(tx, &all, 10, 0)).await.unwrap();
        assert_eq!(rows[1].output, Some("made by one".into()));
        assert_eq!((&rows[0].output, rows[0].flow.error.is_some()), (&None, true));
        engine.stop().await;
    }
}

#[tokio::test]
async fn flows_are_forgotten_on_demand() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let waiting = submit(&store, flow(&["r"], vec![step(named("waits"), &[])])).await.id;
        let refused = store.write(move |tx| forget_flow(tx, waiting)).await;
        assert!(matches!(refused, Err(Error::NotEnded { .. })), "{refused:?}");
        let engine = engine(&store, &log).start().await.unwrap();
        ended(&store, waiting).await;
        let later = submit(&store, flow(&["s"], vec![step(named("later"), &[])])).await.id;
        ended(&store, later).await;
        store.write(move |tx| forget_flow(tx, waiting)).await.unwrap();
        let gone = store.write(move |tx| forget_flow(tx, waiting)).await;
        assert!(matches!(gone, Err(Error::NoFlow { .. })), "{gone:?}");
        let kinds = vec!["test".to_owned()];
        for (states, older_than, expected) in [
            (vec![FlowState::Failed], i64::MAX, 0),
            (vec![FlowState::Succeeded], 1, 0),
            (vec![FlowState::Succeeded], i64::MAX, 1),
        ] {
            let kinds = kinds.clone();
            let purged = store.write(move |tx| purge(tx, &kinds, &states, older_than)).await;
            assert_eq!(purged.unwrap(), expected);
        }
        engine.stop().await;
    }
}
