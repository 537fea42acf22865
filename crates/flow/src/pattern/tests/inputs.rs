use super::*;

#[test]
fn members_are_bound_to_the_nearest_producer() {
    let create = || task::<Create>().inject("gigabytes", 1);
    let bound = |pattern| -> Vec<Vec<(String, usize, String)>> {
        let of = |task: NewTask| {
            task.bindings.into_iter().map(|one| (one.into, one.task, one.from)).collect()
        };
        built(pattern).into_iter().map(of).collect()
    };
    let to = |into: &str, task, from: &str| vec![(into.to_owned(), task, from.to_owned())];
    let volume = |task| to("volume", task, "/volume");
    for (pattern, expected) in [
        (linear("p").add(create()).add(task::<Attach>()), vec![vec![], volume(0)]),
        // In a linear pattern the nearest wins.
        (
            linear("p").add(create()).add(create()).add(task::<Attach>()),
            vec![vec![], vec![], volume(1)],
        ),
        (
            linear("p").add(create()).add(task::<Resize>()).add(task::<Attach>()),
            vec![vec![], volume(0), volume(1)],
        ),
        // Scopes are searched outwards; what a nested pattern provides is seen behind it.
        (
            linear("p").add(create()).add(unordered("n").add(linear("m").add(task::<Attach>()))),
            vec![vec![], volume(0)],
        ),
        (
            linear("p").add(unordered("n").add(linear("m").add(create()))).add(task::<Attach>()),
            vec![vec![], volume(0)],
        ),
        // In a graph it makes the edge, and an outer producer is not taken instead.
        (graph("p").add(task::<Attach>()).add(create()), vec![vec![], volume(0)]),
        (
            linear("p").add(create()).add(graph("g").add(task::<Attach>()).add(create())),
            vec![vec![], vec![], volume(1)],
        ),
        // A task does not take from itself.
        (graph("p").add(task::<Resize>()).add(create()), vec![vec![], volume(0)]),
        // Names of one's own.
        (
            linear("p")
                .add(create().provides("disk"))
                .add(create())
                .add(task::<Attach>().rebind("volume", "disk.volume")),
            vec![vec![], vec![], volume(0)],
        ),
        (
            linear("p").add(create().provides("disk")).add(task::<Resize>().from("disk")),
            vec![vec![], to("", 0, "")],
        ),
        (
            linear("p").add(create()).add(task::<Greet>().from("volume")),
            vec![vec![], to("", 0, "/volume")],
        ),
        (
            linear("p").add(create()).add(task::<Open>().rebind("it", "volume")),
            vec![vec![], to("it", 0, "/volume")],
        ),
        (
            linear("p")
                .add(task::<Greet>().input("Ada").provides("host"))
                .add(create())
                .add(task::<Attach>().rebind("server", "host")),
            vec![vec![], vec![], [to("volume", 1, "/volume"), to("server", 0, "")].concat()],
        ),
    ] {
        assert_eq!(bound(pattern), expected);
    }
}

#[test]
fn given_values_are_inputs() {
    for (pattern, expected) in [
        (linear("p").add(task::<Nothing>()), json!(null)),
        (linear("p").add(task::<Greet>().input("Ada")), json!("Ada")),
        (linear("p").inject("who", "Ada").add(task::<Greet>().from("who")), json!("Ada")),
        (linear("p").inject("gigabytes", 5).add(task::<Create>()), json!({"gigabytes": 5})),
        (
            linear("p").inject("gigabytes", 5).add(task::<Create>().inject("gigabytes", 6)),
            json!({"gigabytes": 6}),
        ),
        (
            linear("p")
                .inject("gigabytes", 5)
                .add(graph("n").inject("gigabytes", 6).add(task::<Create>())),
            json!({"gigabytes": 6}),
        ),
        (
            linear("p")
                .inject("disk", json!({"size": 7}))
                .add(task::<Create>().rebind("gigabytes", "disk.size")),
            json!({"gigabytes": 7}),
        ),
        (
            linear("p")
                .add(task::<Attach>().optional("volume").input(Volume { volume: "v".into() })),
            json!({"volume": "v"}),
        ),
        (linear("p").add(task::<Open>()), json!({})),
        (linear("p").add(task::<Open>().inject("a", 1)), json!({"a": 1})),
    ] {
        let tasks = built(pattern);
        assert_eq!((&tasks[0].input, tasks[0].bindings.len()), (&expected, 0));
    }
}

#[test]
fn every_kind_of_work_is_planned() {
    let minute = Timeouts { attempt: Some(Duration::from_secs(60)), ..Timeouts::default() };
    let child_flow = built_flow(three(linear("c")));
    let pattern = linear("p")
        .or_revert()
        .inject("all", ["Ada"])
        .add(each::<Greet>("all").provides("greetings").timeouts(minute).retry(Retry::times(2)))
        .add(each::<Greet>("greetings"))
        .inject("volume", "v")
        .add(each::<Attach>("all").item("server").resource("x"))
        .add(wait("door", 3).named("knock"))
        .add(sleep(Duration::from_secs(1)))
        .add(until(5))
        .add(completion())
        .add(child(child_flow.clone()).fate(Fate::Bound).title("children"));
    let tasks = built(pattern);
    let Work::Each(greet) = &tasks[0].work else { panic!("no each") };
    assert_eq!((greet.name.as_str(), greet.item.as_str(), greet.timeouts), ("greet", "", minute));
    assert_eq!(greet.retry, Retry::times(2).or_revert());
    assert_eq!(
        (&tasks[0].input, tasks[0].timeouts),
        (&json!({"items": ["Ada"]}), Timeouts::default())
    );
    assert_eq!(tasks[1].bindings, [Binding { into: "items".into(), task: 0, from: String::new() }]);
    let Work::Each(attach) = &tasks[2].work else { panic!("no each") };
    assert_eq!((attach.item.as_str(), &attach.input), ("server", &json!({"volume": "v"})));
    assert_eq!(tasks[3].name, "knock");
    assert_eq!(
        (&tasks[4].work, &tasks[5].work),
        (&Work::Sleep(Duration::from_secs(1)), &Work::Until(5))
    );
    let expected = Work::Flow(Box::new(Child { flow: child_flow, fate: Fate::Bound }));
    assert_eq!((tasks[7].name.as_str(), &tasks[7].work), ("c", &expected));
    let key = crate::task_id(Uuid::nil(), 6).to_string();
    assert_eq!(tasks[6].work, Work::Wait(crate::Wait { key, at_least: 0 }));
    assert!(tasks.iter().all(|task| task.retry.then == Then::Revert));
}

#[test]
fn reverting_is_kept_whatever_is_said_later() {
    let tasks = built(linear("p").add(nothing("a").or_revert().retry(Retry::times(3))));
    assert_eq!(tasks[0].retry, Retry::times(3).or_revert());
}

#[test]
fn steps_have_what_their_tasks_say_unless_told_otherwise() {
    struct Careful;
    impl Task for Careful {
        const NAME: &'static str = "careful";
        const VERSION: u32 = 3;
        const RETRY: Retry = Retry::times(7).or_revert();
        const TIMEOUTS: Timeouts =
            Timeouts { total: Some(Duration::from_secs(9)), ..Timeouts::NONE };
        type Input = ();
        type Output = ();
        async fn execute(&self, _: TaskContext, (): ()) -> Result<(), crate::Failure> {
            Ok(())
        }
    }
    struct Exact;
    impl crate::TxTask for Exact {
        const NAME: &'static str = "exact";
        const VERSION: u32 = 2;
        const RETRY: Retry = Retry::times(4);
        type Input = ();
        type Output = ();
        fn execute(
            &self,
            _: &mut tutti_store::Tx<'_>,
            _: &TaskContext,
            (): (),
        ) -> Result<(), crate::TxError> {
            Ok(())
        }
    }
    let tasks = built(
        linear("p")
            .inject("all", [(), ()])
            .add(task::<Careful>())
            .add(task::<Careful>().retry(Retry::times(2)).timeouts(Timeouts::NONE))
            .add(each::<Careful>("all"))
            .add(tx_task::<Exact>().or_revert()),
    );
    assert_eq!((&*tasks[0].name, tasks[0].retry), ("careful@3", Careful::RETRY));
    assert_eq!(tasks[0].timeouts, Careful::TIMEOUTS);
    assert_eq!((tasks[1].retry, tasks[1].timeouts), (Retry::times(2), Timeouts::NONE));
    let Work::Each(each) = &tasks[2].work else { panic!("no each") };
    assert_eq!((&*each.name, each.retry), ("careful@3", Careful::RETRY));
    assert_eq!((each.timeouts, tasks[2].timeouts), (Careful::TIMEOUTS, Timeouts::NONE));
    assert_eq!((&*tasks[3].name, tasks[3].retry), ("exact@2", Retry::times(4).or_revert()));
    let problem = linear("p").add(task::<Careful>().inject("a", 1)).build(Uuid::nil());
    assert_eq!(problem.unwrap_err().problems, ["task `careful` has no member `a` in its input"]);
}
