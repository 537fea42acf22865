//! How long tasks may take, and what they say meanwhile.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tutti_flow::{
    Failure, FlowState, Retry, Task, TaskContext, TaskState, Timeouts,
    pattern::{Step, linear, task},
    query,
};

use super::Site;
use crate::world::Log;

/// Takes naps, and says after each that it is alive.
pub(super) struct Slow(pub(super) Log);

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Naps {
    nap_ms: u64,
    naps: u32,
    /// Attempts from this one on take no time.
    quick_from: u32,
    fails: bool,
}

impl Task for Slow {
    const NAME: &'static str = "slow";
    type Input = Naps;
    type Output = ();

    async fn execute(&self, context: TaskContext, naps: Naps) -> Result<(), Failure> {
        self.0.add(format!("+{}", context.attempt));
        if naps.quick_from > 0 && context.attempt >= naps.quick_from {
            return Ok(());
        }
        for nap in 1..=naps.naps {
            tokio::time::sleep(Duration::from_millis(naps.nap_ms)).await;
            context.heartbeat();
            if nap == 1 {
                context
                    .progress(0.5)
                    .await
                    .map_err(|error| Failure::Retryable(error.to_string()))?;
                context.log("the first nap").await.ok();
            }
        }
        context.log("awake").await.ok();
        if naps.fails { Err(Failure::Retryable("still tired".into())) } else { Ok(()) }
    }
}

fn slow(naps: Naps, timeouts: Timeouts) -> Step {
    task::<Slow>().input(naps).title("slow").timeouts(timeouts).retry(Retry::times(2))
}

fn ms(time: u64) -> Option<Duration> {
    Some(Duration::from_millis(time))
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_is_dropped_and_tried_again() {
    for site in Site::all().await {
        let naps = Naps { nap_ms: 60_000, naps: 1, quick_from: 2, fails: false };
        let timeouts = Timeouts { attempt: ms(100), ..Timeouts::default() };
        let flow = site.run(linear("p").add(slow(naps, timeouts))).await;
        assert_eq!(flow.state, FlowState::Succeeded);
        assert_eq!(site.lines(), "+1 +2");
        let naps = Naps { nap_ms: 60_000, naps: 1, ..Naps::default() };
        let flow = site.run(linear("p").add(slow(naps, timeouts))).await;
        assert_eq!(
            (flow.state, flow.error.as_deref()),
            (FlowState::Failed, Some("it took longer than 100ms"))
        );
        site.close().await;
    }
}

#[tokio::test]
async fn the_total_counts_all_attempts() {
    for site in Site::all().await {
        let naps = || Naps { nap_ms: 100, naps: 1, fails: true, ..Naps::default() };
        let total = |time| Timeouts { total: ms(time), ..Timeouts::default() };
        let run = |time| slow(naps(), total(time)).retry(Retry::forever());
        let flow = site.run(linear("p").add(run(2_000))).await;
        assert_eq!((flow.state, flow.error.as_deref()), (FlowState::Failed, Some("still tired")));
        let took = flow.finished.unwrap() - flow.started.unwrap();
        assert!(took < 2_600_000, "{took} µs");
        let attempts = site.tasks(flow.id).await[0].attempt;
        assert!((2..5).contains(&attempts), "{attempts}");
        // The last attempt has only what is left.
        let naps = Naps { nap_ms: 700, naps: 1, fails: true, ..Naps::default() };
        let step = slow(naps, total(1_500)).retry(Retry::forever());
        let flow = site.run(linear("p").add(step)).await;
        let took = flow.finished.unwrap() - flow.started.unwrap();
        assert!(took < 2_000_000, "{took} µs");
        site.close().await;
    }
}

#[tokio::test]
async fn a_task_shows_that_it_is_alive() {
    for site in Site::all().await {
        let timeouts = Timeouts { heartbeat: ms(500), ..Timeouts::default() };
        let naps = Naps { nap_ms: 100, naps: 8, ..Naps::default() };
        let flow = site.run(linear("p").add(slow(naps, timeouts))).await;
        assert_eq!(flow.state, FlowState::Succeeded);
        assert_eq!(site.lines(), "+1");
        let naps = Naps { nap_ms: 60_000, naps: 1, ..Naps::default() };
        let step = slow(naps, timeouts).retry(Retry::never());
        let flow = site.run(linear("p").add(step)).await;
        assert_eq!(
            (flow.state, flow.error.as_deref()),
            (FlowState::Failed, Some("no sign of life for 500ms"))
        );
        site.close().await;
    }
}

#[tokio::test]
async fn progress_and_lines_are_rows() {
    for site in Site::all().await {
        let naps = || Naps { nap_ms: 10, naps: 2, ..Naps::default() };
        let none = Timeouts::default();
        let flow = linear("p").add(slow(naps(), none)).add(slow(naps(), none));
        let flow = site.run(flow).await;
        let tasks = site.tasks(flow.id).await;
        assert_eq!((tasks[0].progress, tasks[0].state), (Some(0.5), TaskState::Succeeded));
        let id = flow.id;
        let lines = |number| {
            let read = site.store.read(move |tx| query::log(tx, id, number));
            async {
                read.await
                    .unwrap()
                    .into_iter()
                    .map(|one| (one.number, one.line))
                    .collect::<Vec<_>>()
            }
        };
        let of = |number: i64| [(number, "the first nap".to_owned()), (number, "awake".to_owned())];
        assert_eq!(lines(None).await, [of(0), of(1)].concat());
        assert_eq!(lines(Some(1)).await, of(1));
        let gone = crate::world::now() + 1;
        site.store.write(move |tx| tutti_flow::prune(tx, gone, 0)).await.unwrap();
        assert_eq!(lines(None).await, []);
        site.close().await;
    }
}
