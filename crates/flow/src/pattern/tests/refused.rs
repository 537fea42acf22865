use super::*;

fn refused(cases: Vec<(Pattern, &[&str])>) {
    for (pattern, expected) in cases {
        assert_eq!(pattern.build(Uuid::nil()).unwrap_err().problems, expected);
    }
}

fn create() -> Step {
    task::<Create>().inject("gigabytes", 1)
}

fn attach() -> Step {
    task::<Attach>()
}

#[test]
fn names_without_one_producer() {
    let cases: Vec<(Pattern, &[&str])> = vec![
        (
            linear("p").add(attach()),
            &["task `attach` needs `volume`, which nothing before it provides"],
        ),
        (
            linear("p").inject("volumes", "v").add(attach()),
            &[
                "task `attach` needs `volume`, which nothing before it provides: did you mean `volumes`?",
            ],
        ),
        (
            unordered("p").add(create()).add(attach()),
            &[
                "task `attach` needs `volume`, which nothing before it provides: `create` does, but nothing puts it first",
            ],
        ),
        (
            linear("p").add(create()).add(attach().rebind("server", "host")),
            &["task `attach` needs `server` (as `host`), which nothing before it provides"],
        ),
        (
            graph("p").add(create().named("one")).add(create().named("two")).add(attach()),
            &["task `attach` cannot tell whether `volume` is of `one` or of `two`"],
        ),
        (
            linear("p")
                .add(unordered("n").add(create().named("one")).add(create().named("two")))
                .add(attach()),
            &["task `attach` cannot tell whether `volume` is of `one` or of `two`"],
        ),
    ];
    refused(cases);
}

#[test]
fn circles_and_members_nobody_knows() {
    let cases: Vec<(Pattern, &[&str])> = vec![
        (
            graph("p").add(task::<Left>()).add(task::<Right>()),
            &[
                "graph `p` runs in a circle: `left` needs `right` of `right`, `right` needs `left` of `left`",
            ],
        ),
        (
            three(graph("p")).link("a", "b").link("b", "c").link("c", "b"),
            &["graph `p` runs in a circle: `b` needs `c`, `c` needs `b`"],
        ),
        (three(graph("p")).link("a", "a"), &["graph `p` runs in a circle: `a` needs `a`"]),
        (
            three(graph("p")).add(nothing("abc")).link("a", "abd"),
            &["graph `p` has no member `abd`: did you mean `abc`?"],
        ),
        (
            three(graph("p")).add(nothing("a")).link("a", "b"),
            &["graph `p` has several members `a`: tell them apart by `named`"],
        ),
        (three(graph("p")).target("z"), &["graph `p` has no member `z`: did you mean `a`?"]),
        (
            three(linear("p")).link("a", "b").target("b"),
            &["only a graph has links: not `p`", "only a graph has a target: not `p`"],
        ),
    ];
    refused(cases);
}

#[test]
fn inputs_that_do_not_fit() {
    let cases: Vec<(Pattern, &[&str])> = vec![
        (
            linear("p").add(create()).add(task::<Count>()),
            &["task `count` takes an integer as `volume`, but what `create` provides is a text"],
        ),
        (
            linear("p").inject("volume", 7).add(task::<Attach>()),
            &["task `attach` takes a text as `volume`, but the given value is an integer"],
        ),
        (
            linear("p").add(create()).add(task::<Create>().inject("gigabyte", 1)),
            &[
                "task `create` needs `gigabytes`, which nothing before it provides",
                "task `create` has no member `gigabyte` in its input: did you mean `gigabytes`?",
            ],
        ),
        (
            linear("p").add(task::<Create>().inject("gigabytes", -1)),
            &["task `create` cannot take its input: invalid value: integer `-1`, expected u64"],
        ),
        (
            linear("p").add(task::<Greet>()),
            &["task `greet` takes a text: say which by `input` or `from`"],
        ),
        (
            linear("p").add(task::<Greet>().input("Ada").inject("name", 1)),
            &[
                "task `greet` has no member `name` in its input",
                "task `greet` is given members of an input that has none",
            ],
        ),
    ];
    refused(cases);
}

#[test]
fn what_makes_no_sense_there() {
    let cases: Vec<(Pattern, &[&str])> = vec![
        (
            linear("p").inject("sure", true).add(nothing("a").when(
                "sure",
                Condition::True,
                Depth::All,
            )),
            &["task `a` depends on `sure`, which is a given value and not decided by a task"],
        ),
        (
            linear("p").add(three(linear("n")).when("sure", Condition::True, Depth::All)),
            &["pattern `n` depends on `sure`, which nothing before it provides"],
        ),
        (
            graph("p").add(nothing("x")).add(three(unordered("n"))).link_when(
                "n",
                "x",
                Condition::True,
                Depth::All,
            ),
            &["the link from `n` to `x` has a condition, but `n` has no single last task"],
        ),
        (linear("p").providing("server"), &["pattern `p` has no controller with values"]),
        (
            linear("p").retry(Controller::AlwaysRevert).providing("server"),
            &["pattern `p` has no controller with values"],
        ),
        (
            linear("p").retry(Controller::AlwaysRevert).values("servers"),
            &["pattern `p` has no controller that takes values"],
        ),
        (
            linear("p").retry(Controller::ParameterizedForEach).add(nothing("a")),
            &["task `p.retry` needs `values`, which nothing before it provides"],
        ),
        (
            linear("p").add(nothing("a").item("x")).add(nothing("b").fate(Fate::Free)),
            &["task `a` is no `each`: it has no item", "task `b` is no child flow"],
        ),
        (
            linear("p").inject("all", 1).add(each::<Greet>("all")),
            &["task `greet` takes a list as `all`, but the given value is an integer"],
        ),
        (
            linear("p").add(create()).inject("all", [1]).add(each::<Attach>("all").item("server")),
            &["task `attach` takes only its items from other tasks: inject the rest"],
        ),
        (
            linear("p").add(graph("g").add(create()).add(nothing("b")).target("b")).add(attach()),
            &["task `attach` needs `create`, which a target leaves out"],
        ),
    ];
    refused(cases);
}

#[test]
fn every_problem_is_reported_at_once() {
    let error = linear("p").add(attach()).add(attach()).build(Uuid::nil()).unwrap_err();
    assert_eq!(error.problems.len(), 2);
    assert!(error.to_string().starts_with("flow `p` makes no sense: task `attach` needs"));
    assert!(matches!(Error::from(error), Error::Plan { kind, .. } if kind == "p"));
}
