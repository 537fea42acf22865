use proptest::prelude::*;

use super::*;
use crate::agent::{CharmReference, Journal};
use crate::api::Life;

fn said(message: &str) -> Said {
    Said { message: message.to_owned(), since: 7 }
}

fn work(state: SyncState) -> Option<Work> {
    let reason = state.as_str().to_owned();
    Some(Work { state, flow: Some("f".into()), reason, since: 3, ..Work::default() })
}

/// In force, and nothing to tell.
fn settled() -> Facts {
    Facts { generation: 4, observed: 4, applied: 4, has_begun: true, ..Facts::default() }
}

#[test]
fn states_by_event() {
    let failed = Facts { applied: 3, work: work(SyncState::Failed), ..settled() };
    let cases = [
        ("never a flow", settled(), SyncState::InSync),
        ("flow succeeded", Facts { work: work(SyncState::InSync), ..settled() }, SyncState::InSync),
        (
            "mutation accepted",
            Facts { observed: 3, applied: 3, work: work(SyncState::Pending), ..settled() },
            SyncState::Pending,
        ),
        (
            "flow starts",
            Facts { observed: 3, applied: 3, work: work(SyncState::Syncing), ..settled() },
            SyncState::Syncing,
        ),
        (
            "task will be retried",
            Facts { observed: 3, applied: 3, work: work(SyncState::Retrying), ..settled() },
            SyncState::Retrying,
        ),
        ("flow failed", failed.clone(), SyncState::Failed),
        ("nobody tells why", Facts { applied: 3, ..settled() }, SyncState::Failed),
        (
            "agent reports otherwise",
            Facts { drift: Some(said("d")), ..settled() },
            SyncState::Drifted,
        ),
        (
            "drift is being repaired",
            Facts { drift: Some(said("d")), work: work(SyncState::Syncing), ..settled() },
            SyncState::Syncing,
        ),
        (
            "drift after a failure",
            Facts { drift: Some(said("d")), ..failed.clone() },
            SyncState::Failed,
        ),
        ("agent silent", Facts { silent: Some(said("s")), ..settled() }, SyncState::Unknown),
        (
            "agent silent after a failure",
            Facts { silent: Some(said("s")), ..failed },
            SyncState::Unknown,
        ),
        (
            "agent silent, flow queued",
            Facts { silent: Some(said("s")), work: work(SyncState::Pending), ..settled() },
            SyncState::Unknown,
        ),
    ];
    for (event, facts, expected) in cases {
        check(event, facts, expected);
    }
}

fn check(event: &str, facts: Facts, expected: SyncState) {
    let has_flow = facts.work.is_some();
    let progress = progress(facts);
    assert_eq!(progress.state, expected, "{event}");
    assert_eq!(progress.flow.is_some(), has_flow, "{event}: who answers for it stays named");
}

#[test]
fn states_of_what_agents_follow() {
    let behind = Some(said("has not caught up"));
    for (event, facts, expected) in [
        ("agent follows", Facts { behind: behind.clone(), ..settled() }, SyncState::Syncing),
        (
            "agent never began",
            Facts { behind: behind.clone(), has_begun: false, ..settled() },
            SyncState::Pending,
        ),
        (
            "flow waits for an agent that never began",
            Facts {
                behind: behind.clone(),
                has_begun: false,
                work: work(SyncState::Syncing),
                ..settled()
            },
            SyncState::Pending,
        ),
        (
            "hook failed, tried again",
            Facts { behind: behind.clone(), stuck: Some(said("h")), is_retried: true, ..settled() },
            SyncState::Retrying,
        ),
        (
            "hook failed, an operator is waited for",
            Facts { behind, stuck: Some(said("h")), ..settled() },
            SyncState::Failed,
        ),
    ] {
        check(event, facts, expected);
    }
}

#[test]
fn reason_and_message_are_those_of_what_decided() {
    let facts = Facts { silent: Some(said("gone")), work: work(SyncState::Failed), ..settled() };
    let found = progress(facts);
    assert_eq!(
        (found.reason.as_str(), found.message.as_str(), found.since),
        ("agent-silent", "gone", 7)
    );
    let found =
        progress(Facts { work: work(SyncState::Syncing), drift: Some(said("d")), ..settled() });
    assert_eq!((found.reason.as_str(), found.since), ("syncing", 3));
    let found = progress(Facts { settled: 9, ..settled() });
    assert_eq!((found.reason.as_str(), found.message.as_str(), found.since), ("none", "", 9));
}

fn facts() -> impl Strategy<Value = Facts> {
    let state = prop::sample::select(vec![
        SyncState::InSync,
        SyncState::Pending,
        SyncState::Syncing,
        SyncState::Retrying,
        SyncState::Failed,
    ]);
    let maybe = || prop::option::of(Just(said("so")));
    let generations = (0..4i64, 0..4i64, 0..4i64);
    let flags = (any::<bool>(), any::<bool>());
    (generations, prop::option::of(state), maybe(), maybe(), maybe(), maybe(), flags).prop_map(
        |((generation, observed, applied), state, silent, stuck, behind, drift, flags)| Facts {
            generation,
            observed,
            applied,
            work: state.and_then(work),
            silent,
            stuck,
            is_retried: flags.0,
            behind,
            has_begun: flags.1,
            drift,
            settled: 0,
        },
    )
}

proptest! {
    /// The invariants of every resource, whatever the facts.
    #[test]
    fn invariants(facts in facts()) {
        let found = progress(facts.clone());
        prop_assert!(found.applied <= found.observed && found.observed <= facts.generation);
        let open = facts.work.as_ref().is_some_and(|work| work.state.is_under_way());
        let settled = facts.silent.is_none() && facts.stuck.is_none() && facts.behind.is_none()
            && facts.drift.is_none() && !open;
        if found.state == SyncState::InSync {
            prop_assert!(settled && facts.applied >= facts.generation);
        }
        if settled && facts.applied >= facts.generation
            && facts.work.as_ref().is_none_or(|work| work.state == SyncState::InSync) {
            prop_assert_eq!(found.state, SyncState::InSync);
        }
        if found.state.is_under_way() {
            // Nothing is under way without an owner that lives: a flow, or an agent that is heard of.
            prop_assert!(facts.silent.is_none());
            prop_assert!(open || facts.behind.is_some() || facts.stuck.is_some() && facts.is_retried);
        }
        prop_assert_eq!(found.state == SyncState::Unknown, facts.silent.is_some());
        if found.state == SyncState::Drifted {
            prop_assert!(facts.drift.is_some() && !open);
        }
        prop_assert!(!found.reason.is_empty() && found.flow == facts.work.and_then(|work| work.flow));
    }
}

#[test]
fn a_unit_drifts_by_what_its_journal_says() {
    let charm = CharmReference { url: "local:db-2".into(), digest: "d".into(), revision: 2 };
    let wanted = Wanted {
        charm: charm.clone(),
        charm_modified: 1,
        config_hash: "c".into(),
        trust_hash: "t".into(),
    };
    let agrees = Journal {
        charm: Some(charm.clone()),
        charm_modified: 1,
        config_hash: "c".into(),
        trust_hash: "t".into(),
        ..Journal::default()
    };
    assert_eq!(drift(&agrees, &wanted), None);
    let older = CharmReference { url: "local:db-1".into(), revision: 1, ..charm.clone() };
    let other = CharmReference { digest: "e".into(), ..charm };
    for (journal, expected) in [
        (Journal { charm: None, ..agrees.clone() }, "runs no charm, not local:db-2"),
        (Journal { charm: Some(older), ..agrees.clone() }, "runs local:db-1, not local:db-2"),
        (Journal { charm: Some(other), ..agrees.clone() }, "runs another archive as local:db-2"),
        (
            Journal { charm_modified: 0, ..agrees.clone() },
            "runs with other resources than its application has",
        ),
        (
            Journal { config_hash: String::new(), ..agrees.clone() },
            "runs with other options than its application has",
        ),
        (
            Journal { trust_hash: String::new(), ..agrees },
            "runs with other trust than its application has",
        ),
    ] {
        assert_eq!(drift(&journal, &wanted).as_deref(), Some(expected));
    }
}

#[test]
fn conditions() {
    let (heard, never) = (AgentFacts { heard: Some(5), silent: None }, AgentFacts::default());
    let lost = AgentFacts { heard: Some(5), silent: Some(said("silent since noon")) };
    let silent = lost.silent.as_ref();
    let ready = said("ready");
    for (condition, status, reason) in [
        (agent_heard("A", &heard), Truth::True, "agent-heard"),
        (agent_heard("A", &lost), Truth::False, "agent-silent"),
        (agent_heard("A", &never), Truth::Unknown, "agent-never-heard"),
        (agents_heard(&[]), Truth::True, "no-units"),
        (agents_heard(std::slice::from_ref(&heard)), Truth::True, "agents-heard"),
        (agents_heard(&[heard.clone(), never.clone()]), Truth::Unknown, "agent-never-heard"),
        (agents_heard(&[never, lost.clone(), heard.clone()]), Truth::False, "agent-silent"),
        (installed(true, silent), Truth::True, "installed"),
        (installed(false, silent), Truth::False, "hook-failed"),
        (installed(false, None), Truth::False, "not-yet"),
        (workload_active("active", &ready, &heard), Truth::True, "active"),
        (workload_active("blocked", &ready, &heard), Truth::False, "blocked"),
        (workload_active("active", &ready, &lost), Truth::Unknown, "agent-silent"),
        (leader_elected(Some("db/0"), 1, None), Truth::True, "elected"),
        (leader_elected(Some("db/0"), 1, silent), Truth::Unknown, "agent-silent"),
        (leader_elected(None, 1, None), Truth::False, "none-elected"),
        (leader_elected(None, 0, silent), Truth::False, "no-units"),
        (joined(Life::Alive, 2, 2, None), Truth::True, "joined"),
        (joined(Life::Alive, 1, 2, None), Truth::False, "joining"),
        (joined(Life::Alive, 0, 0, None), Truth::False, "no-units"),
        (joined(Life::Dying, 2, 2, None), Truth::False, "leaving"),
        (joined(Life::Alive, 2, 2, silent), Truth::Unknown, "agent-silent"),
        (available(Life::Alive, 1), Truth::True, "available"),
        (available(Life::Dying, 1), Truth::False, "destroying"),
    ] {
        assert_eq!(
            (condition.status, condition.reason.as_str()),
            (status, reason),
            "{condition:?}"
        );
    }
    for (state, status) in [
        (SyncState::InSync, Truth::True),
        (SyncState::Unknown, Truth::Unknown),
        (SyncState::Drifted, Truth::False),
        (SyncState::Pending, Truth::False),
    ] {
        assert_eq!(converged(&Progress { state, ..Progress::default() }).status, status);
    }
}
