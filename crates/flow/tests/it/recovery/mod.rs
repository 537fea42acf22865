//! What can go wrong, and what becomes of flows then.
//!
//! Rows are those of the engine's list of failure modes.
//!
//! | row | what happens | test |
//! |---|---|---|
//! | 1, 2 | killed around the commit of a submission | the submission is the caller's transaction: the store's own tests |
//! | 3, 38 | nobody is told of a flow, or `NOTIFY` is lost | `failures::a_flow_nobody_was_told_of_is_found` |
//! | 4, 5 | flows over crossed resources from several places | `random::random_flows_*`, the unit tests of `queue`, `cargo xtask chaos` |
//! | 6, 7, 8, 9 | killed before the handler, after its effect, after the record, before the end | `points::a_crash_anywhere_*` |
//! | 10 | killed while reverting | `points::a_crash_anywhere_*`, the flow that is doomed |
//! | 11 | every process killed | `crash::a_killed_process_resumes` |
//! | 12 | a worker paused for longer than its lease | `crash::a_worker_that_was_paused_changes_nothing`, `failures::a_worker_declared_dead_writes_nothing` |
//! | 12, 13 | the database does not answer | `hangs::a_database_that_hangs_ends_what_its_worker_runs` |
//! | 13 | the database restarts | `restarts`, on a server of its own; `failures::connections_that_break_are_made_again`; `cargo xtask chaos` |
//! | 14 | a commit without an answer | `points::no_answer_anywhere_*`, `failures::a_list_is_added_once_and_a_failure_announced_once` |
//! | 15 | fail-over to a replica that lacks commits | not here: it needs a second server; to the engine it is row 7 |
//! | 16, 17 | clocks jump | `failures::clocks_jump`; leases go by the database's clock, which a test cannot move |
//! | 18 | a handler panics | `flows::poison_is_parked` |
//! | 19 | a task kills its worker | `crash::a_flow_that_kills_its_workers_is_parked`, `failures::undoing_that_kills_its_workers_is_stuck` |
//! | 20, 21 | a task hangs, or gives no sign of life | `patterns::timeouts`; one that blocks its thread: `leaks` |
//! | 22 | the backend is down for hours | `failures::hours_of_trouble_pass`; a thousand flows spare it: `backends` |
//! | 23, 24, 25 | cancelled while queued, running, reverting, after the end | `flows::cancelling_ends_a_flow_wherever_it_stands`, `failures::cancelling_too_late_is_refused` |
//! | 26 | undoing fails for good | `flows::a_revert_that_fails_leaves_the_flow_stuck_until_somebody_retries` |
//! | 27 | abandoned while its worker is alive | `failures::an_abandoned_flow_is_out_of_its_workers_hands` |
//! | 28 | an output that is not JSON | `failures::an_output_that_is_no_json_fails_for_good`; `limits::a_result_too_large_fails_the_task_and_loses_nothing` |
//! | 29 | senseless plans, unknown handlers | `queues::plans_that_make_no_sense_are_refused`, `failures::old_and_new_workers_share_the_work` |
//! | 30 | workers of two versions | `failures::old_and_new_workers_share_the_work` |
//! | 31, 32 | superseded, many updates of one resource | `queues::a_newer_converging_flow_takes_the_place_of_unstarted_ones` |
//! | 33 | a long query holds back vacuum | not here: a measurement |
//! | 34 | the disk is full | `failures::a_full_disk_stops_nothing_for_ever` |
//! | – | the database refuses what a task answered | `refusals` |
//! | – | a flow, news for it, or an offer cannot be read | `unreadable` |
//! | 35 | a consumer of events lags | the store's own tests; flows do not read the outbox |
//! | 36 | an agent reports late | the controller's tests |
//! | 37 | a worker comes back under its old name | workers have no names: each start is a new id |

mod backends;
mod cluster;
mod failures;
mod hangs;
mod leaks;
mod points;
mod refusals;
mod restarts;
mod unreadable;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use tutti_flow::TaskContext;
use tutti_store::Store;

/// Lets the leases of all workers end now, as if the time had passed.
pub(crate) async fn expire_leases(store: &Store) {
    let expire =
        |tx: &mut tutti_store::Tx<'_>| tx.exec("UPDATE flow_worker SET lease_until = 0", ());
    store.write(expire).await.unwrap();
}

/// What handlers did, in order.
#[derive(Clone, Default)]
pub(crate) struct Journal(Arc<Mutex<Vec<Entry>>>);

#[derive(Clone, Debug)]
struct Entry {
    what: String,
    key: String,
    attempt: u32,
    epoch: i64,
    flow: uuid::Uuid,
}

impl Journal {
    pub(crate) fn add(&self, what: &str, context: &TaskContext) {
        self.0.lock().unwrap().push(Entry {
            what: what.to_owned(),
            key: context.idempotency_key(),
            attempt: context.attempt,
            epoch: context.epoch,
            flow: context.flow,
        });
    }

    /// Everything happened in this order, each at least once and at most twice, under one key and with growing attempts and
    /// epochs.
    fn check(&self, expected: &[String], what: &str) {
        let entries = self.0.lock().unwrap().clone();
        let mut order: Vec<&str> = entries.iter().map(|entry| entry.what.as_str()).collect();
        order.dedup();
        assert_eq!(order, expected, "{what}: {entries:#?}");
        assert!(entries.len() <= expected.len() + 1, "{what}: more than one repetition");
        let mut keys = BTreeMap::new();
        let mut epochs = BTreeMap::new();
        for entry in &entries {
            let (key, attempt) = keys.entry(&entry.what).or_insert((&entry.key, 0));
            assert_eq!(*key, &entry.key, "{what}: one key for every attempt");
            assert!(entry.attempt >= *attempt, "{what}: {entries:#?}");
            *attempt = entry.attempt;
            let epoch = epochs.entry(entry.flow).or_insert(0);
            assert!(entry.epoch >= *epoch, "{what}: {entries:#?}");
            *epoch = entry.epoch;
        }
    }
}
