use super::*;

#[test]
fn patterns_become_needs() {
    let (x, y) = (|| nothing("x"), || nothing("y"));
    for (pattern, expected) in [
        (linear("p"), ""),
        (three(linear("p")), "a< b<a c<b"),
        (three(unordered("p")), "a< b< c<"),
        (three(graph("p")).link("c", "a").link("a", "b"), "c< a<c b<a"),
        // What follows a nested pattern needs all of its last tasks, its first ones need what precedes.
        (linear("p").add(x()).add(three(unordered("n"))).add(y()), "x< a<x b<x c<x y<a,b,c"),
        (linear("p").add(unordered("empty")).add(x()).add(unordered("empty")).add(y()), "x< y<x"),
        (
            linear("p").add(three(unordered("one"))).add(unordered("two").add(x()).add(y())),
            "a< b< c< gate<a,b,c x<gate y<gate",
        ),
        (
            graph("p").add(three(linear("n"))).add(x()).add(y()).link("x", "n").link("n", "y"),
            "x< a<x b<a c<b y<c",
        ),
        (
            graph("p").add(three(unordered("n"))).add(x()).add(y()).link("n", "x").link("n", "y"),
            "a< b< c< gate<a,b,c x<gate y<gate",
        ),
        (
            graph("p").add(x()).add(y()).add(three(unordered("n"))).link("x", "n").link("y", "n"),
            "x< y< gate<x,y a<gate b<gate c<gate",
        ),
        (
            graph("p")
                .add(x())
                .add(unordered("empty"))
                .add(y())
                .link("x", "empty")
                .link("empty", "y"),
            "x< gate<x y<gate",
        ),
        (three(graph("p")).link("a", "b").link("b", "c").target("b"), "a< b<a"),
        (three(graph("p")).target("c"), "c<"),
    ] {
        assert_eq!(needs(&built(pattern)), expected);
    }
}

#[test]
fn large_patterns_stay_linear_in_size() {
    let wide = || unordered("wide").add_all((0..1000).map(|_| task::<Nothing>()));
    let tasks = built(linear("p").add(wide()).add(wide()));
    let edges: usize = tasks.iter().map(|task| task.needs.len()).sum();
    assert_eq!((tasks.len(), edges), (2001, 2000));
}

#[test]
fn a_target_forgives_what_it_leaves_out() {
    let pattern = graph("p").add(task::<Attach>()).add(nothing("b")).target("b");
    assert_eq!(needs(&built(pattern)), "b<");
}

#[test]
fn controllers_guard_what_is_nested() {
    let values = Controller::ForEach { values: vec![json!("one"), json!("two")] };
    let pattern = linear("p")
        .add(task::<Greet>().input("x").provides("volume"))
        .add(
            linear("inner")
                .retry(values.clone())
                .providing("server")
                .add(task::<Attach>())
                .add(three(unordered("deep")).retry(Controller::AlwaysRevertAll)),
        )
        .add(nothing("end"));
    let tasks = built(pattern);
    let guards: Vec<_> = tasks.iter().map(|task| (task.guard, task.within.clone())).collect();
    let names: Vec<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
    assert_eq!(names[..4], ["greet", "inner.retry", "attach", "deep.retry"]);
    assert_eq!(
        guards,
        [
            (None, vec![]),
            (None, vec![1]),
            (Some(1), vec![1]),
            (Some(1), vec![1, 2]),
            (Some(3), vec![1, 2]),
            (Some(3), vec![1, 2]),
            (Some(3), vec![1, 2]),
            (None, vec![]),
        ]
    );
    let need: Vec<&[usize]> = tasks.iter().map(|task| &task.needs[..]).collect();
    assert_eq!(need, [&[][..], &[0], &[1], &[2], &[3], &[3], &[3], &[4, 5, 6]]);
    assert_eq!(tasks[1].work, Work::Retry(values));
    assert!(tasks[2].bindings.contains(&Binding {
        into: "server".into(),
        task: 1,
        from: "/value".into()
    }));
    let pattern = linear("p")
        .inject("servers", ["one"])
        .retry(Controller::ParameterizedForEach)
        .values("servers")
        .providing("volume")
        .add(task::<Attach>());
    let tasks = built(pattern);
    assert_eq!(tasks[0].input, json!({"values": ["one"]}));
    assert_eq!(tasks[1].bindings[0].task, 0);
}

#[test]
fn conditions_are_on_names_or_links() {
    let when = |task, is, depth| vec![When { task, is, depth }];
    let at = |is| Condition::At("/left".into(), Box::new(is));
    let left = || task::<Left>().inject("right", 1);
    let tasks = built(
        linear("p")
            .add(left())
            .add(nothing("a").when("left", Condition::True, Depth::Atom))
            .add(unordered("n").add(nothing("b")).when("left", Condition::False, Depth::Flow)),
    );
    assert_eq!(tasks[1].when, when(0, at(Condition::True), Depth::Atom));
    assert_eq!(tasks[2].when, when(0, at(Condition::False), Depth::Flow));
    assert_eq!(tasks[2].needs, [0, 1]);
    let tasks = built(graph("p").add(three(unordered("n"))).add(left()).link_when(
        "left",
        "n",
        Condition::True,
        Depth::Neighbors,
    ));
    for task in &tasks[1..] {
        assert_eq!(task.when, when(0, Condition::True, Depth::Neighbors));
        assert_eq!(task.needs, [0]);
    }
}
