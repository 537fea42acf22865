//! Flows as they are shown.

use tutti_model::api::WaitingFor;

use super::*;

fn now() -> Timestamp {
    "2026-08-11T10:00:30Z".parse().unwrap()
}

fn task(id: &str, needs: &[&str], state: &str) -> TaskInfo {
    TaskInfo {
        id: format!("x-{id}"),
        title: format!("Task {id}"),
        needs: needs.iter().map(|need| format!("x-{need}")).collect(),
        state: state.into(),
        ..TaskInfo::default()
    }
}

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

#[test]
fn tasks_stand_below_what_they_need() {
    let flow = FlowInfo {
        tasks: vec![
            TaskInfo {
                started: "2026-08-11T10:00:00Z".into(),
                finished: "2026-08-11T10:00:00.120Z".into(),
                ..task("a", &[], "succeeded")
            },
            TaskInfo {
                started: "2026-08-11T10:00:00Z".into(),
                attempts: 2,
                attempts_max: 5,
                next: "2026-08-11T10:00:42Z".into(),
                message: "no route\nto host".into(),
                class: Some("timeout".into()),
                ..task("b", &["a"], "retrying")
            },
            TaskInfo {
                started: "2026-08-11T09:58:25Z".into(),
                progress: Some(0.4),
                ..task("c", &["a"], "running")
            },
            task("d", &["a", "b"], "pending"),
            task("e", &[], "skipped"),
        ],
        children: vec![ChildFlow {
            id: "x-f".into(),
            title: "A flow".into(),
            state: "blocked".into(),
            task: Some("x-c".into()),
            ..ChildFlow::default()
        }],
        ..FlowInfo::default()
    };
    let expected = "\
✓ Task a        succeeded    0.1s  a
├─ ◐ Task b     retrying      30s  b  attempt 2 of 5, next attempt in 12s, timeout
│  │  no route
│  │  to host
│  └─ ○ Task d  pending            d
└─ ● Task c     running     2m05s  c  40 %
   └─ ○ A flow  blocked            f  flow
– Task e        skipped            e
";
    assert_eq!(plain(&tasks(&flow, now())), expected);
}

#[test]
fn what_holds_a_flow_up_is_said_in_words() {
    let ahead = |place| WaitingFor {
        resource: "application/db".into(),
        flow: "1-2-abc".into(),
        position: Some(place),
    };
    let flow = FlowInfo {
        id: "f".into(),
        title: "Configure db".into(),
        state: "blocked".into(),
        waiting_for: vec![ahead(3)],
        verbs: vec![
            "cancel".into(),
            "suspend".into(),
            "resume".into(),
            "retry".into(),
            "abandon".into(),
        ],
        created: "2026-08-11T10:00:00Z".into(),
        task_count: 2,
        tasks_open: 2,
        ..FlowInfo::default()
    };
    let text = plain(&describe(&flow, now()));
    for line in [
        "State      blocked, 0 of 2 tasks ended\n",
        "Waits for  flow abc of application/db, 3rd in the queue\n",
        "Can be     cancelled, suspended, resumed, retried, abandoned\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let places: Vec<_> = [1, 2, 4, 11, 12, 21, 103].into_iter().map(ordinal).collect();
    assert_eq!(places, ["1st", "2nd", "4th", "11th", "12th", "21st", "103rd"]);
}

#[test]
fn a_long_chain_stays_readable() {
    let tasks: Vec<TaskInfo> = (0..2000)
        .map(|at: i32| match at {
            0 => task("0", &[], "pending"),
            at => task(&at.to_string(), &[&(at - 1).to_string()], "pending"),
        })
        .collect();
    let flow = FlowInfo { tasks, ..FlowInfo::default() };
    let text = plain(&super::tasks(&flow, now()));
    assert_eq!(text.lines().count(), 2000);
    assert!(text.lines().all(|line| line.chars().count() < 100));
}
