//! What links the spans of attempts: over attempts, workers and flows, and at whoever claims a task.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tutti_flow::{
    Child, Engine, Error, Failure, FlowState, NewFlow, NewTask, Task, TaskContext, Work,
    claim::{self, Claimant},
};
use uuid::Uuid;

use crate::{
    recovery::expire_leases,
    world::{Log, Place, Plan, ended, engine, flow, named, row, sees, step, submit},
};

const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn traceparent() -> Option<String> {
    Some(format!("00-{TRACE_ID}-{PARENT}-01"))
}

/// The fields of every `task` span of this thread.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<Fields>>>, Arc<AtomicU64>);

#[derive(Clone, Debug, Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Fields {
    fn get(&self, name: &str) -> &str {
        self.0.get(name).map(String::as_str).unwrap_or_default()
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.name() == "task"
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields::default();
        span.record(&mut fields);
        self.0.lock().unwrap().push(fields);
        Id::from_u64(1 + self.1.fetch_add(1, Ordering::Relaxed))
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

impl Spans {
    fn of(&self, flow: Uuid) -> Vec<Fields> {
        let flow = flow.to_string();
        self.0.lock().unwrap().iter().filter(|span| span.get("flow") == flow).cloned().collect()
    }
}

/// Tells the trace it is to pass on.
struct PassOn(Log);

impl Task for PassOn {
    const NAME: &'static str = "pass_on";
    type Input = ();
    type Output = ();

    async fn execute(&self, context: TaskContext, (): ()) -> Result<(), Failure> {
        self.0.add(context.trace().unwrap_or("none"));
        Ok(())
    }
}

#[tokio::test]
async fn attempts_at_all_workers_are_linked_also_those_of_children() {
    let spans = Spans::default();
    // Of a single subscriber tracing asks whichever thread comes to a span first, which may be another test's.
    let _second = tracing::Dispatch::new(Spans::default());
    let _guard = tracing::subscriber::set_default(spans.clone());
    for place in Place::all() {
        let (store, log, other) = (place.open().await, Log::default(), Log::default());
        let first = engine(&store, &log).start().await.unwrap();
        let child = flow(&[], vec![step(named("b"), &[])]);
        let child = Work::Flow(Box::new(Child { flow: child, fate: tutti_flow::Fate::Joined }));
        let parent = NewFlow {
            trace: traceparent(),
            ..flow(
                &[],
                vec![
                    step(Plan { until: "go on".into(), ..named("a") }, &[]),
                    NewTask {
                        name: "child".into(),
                        work: child,
                        needs: vec![0],
                        ..NewTask::default()
                    },
                ],
            )
        };
        let id = submit(&store, parent).await.id;
        assert_eq!(row(&store, id).await.trace, traceparent());
        log.has("+a").await;
        expire_leases(&store).await;
        let second = engine(&store, &other).start().await.unwrap();
        other.has("+a").await;
        other.add("go on");
        log.add("go on");
        assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        let own = spans.of(id);
        assert_eq!(own.iter().map(|span| span.get("attempt")).collect::<Vec<_>>(), ["1", "2"]);
        assert_ne!(own[0].get("worker"), own[1].get("worker"));
        let child = tutti_flow::child_id(tutti_flow::task_id(id, 1));
        let all = [own, spans.of(child)].concat();
        assert_eq!(all.len(), 3);
        for span in &all {
            assert_eq!((span.get("trace_id"), span.get("parent_span_id")), (TRACE_ID, PARENT));
            assert!(Uuid::try_parse(span.get("worker")).is_ok(), "{span:?}");
        }
        let plain = submit(&store, flow(&[], vec![step(named("c"), &[])])).await.id;
        ended(&store, plain).await;
        assert!(spans.of(plain).iter().all(|span| !span.0.contains_key("trace_id")));
        first.stop().await;
        second.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_task_and_a_claim_have_the_trace_to_pass_on() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let worker = Engine::builder(store.clone()).task(PassOn(log.clone()));
        let worker = worker.start().await.unwrap();
        let here = NewTask { name: "pass_on".into(), ..NewTask::default() };
        let there = NewTask { labels: vec!["gpu".into()], needs: vec![0], ..here.clone() };
        let trace = Some("request 7".to_owned());
        let new = NewFlow { trace: trace.clone(), ..flow(&[], vec![here.clone(), there]) };
        let id = submit(&store, new).await.id;
        let claim = sees("a claim", || {
            let remote = Claimant {
                name: "remote".into(),
                handlers: ["pass_on".to_owned()].into(),
                labels: ["gpu".to_owned()].into(),
            };
            let lease = Duration::from_secs(30);
            let claims = store.write(move |tx| claim::claim(tx, &remote, 1, lease));
            async move { claims.await.unwrap().pop() }
        })
        .await;
        assert_eq!((&claim.trace, log.lines()), (&trace, vec!["request 7".to_owned()]));
        store.write(move |tx| claim::finish(tx, claim.id, Ok(().into()))).await.unwrap();
        ended(&store, id).await;
        // Another worker of this process claims it the same way.
        let gpu = Engine::builder(store.clone()).task(PassOn(log.clone())).label("gpu");
        let gpu = gpu.start().await.unwrap();
        let there = NewTask { labels: vec!["gpu".into()], ..here };
        let begun = submit(&store, NewFlow { trace, ..flow(&[], vec![there.clone()]) }).await.id;
        ended(&store, begun).await;
        ended(&store, worker_run(&worker, flow(&[], vec![there])).await).await;
        assert_eq!(log.lines(), ["request 7", "request 7", "none"]);
        gpu.stop().await;
        worker.stop().await;
        store.close().await;
    }
}

/// Submits a flow that begins in the transaction that queues it.
async fn worker_run(worker: &Engine, flow: NewFlow) -> Uuid {
    let id = flow.id;
    worker.run(flow).await.unwrap();
    id
}

#[tokio::test]
async fn a_trace_that_cannot_be_kept_is_refused() {
    let place = Place::sqlite();
    let store = place.open().await;
    for trace in ["", "a\u{0}b", &"x".repeat(257)] {
        let new =
            NewFlow { trace: Some(trace.to_owned()), ..flow(&[], vec![step(named("a"), &[])]) };
        let refused = store.write(move |tx| tutti_flow::submit(tx, new.clone(), 0)).await;
        assert!(matches!(refused, Err(Error::Plan { .. })), "{refused:?}");
    }
    store.close().await;
}
