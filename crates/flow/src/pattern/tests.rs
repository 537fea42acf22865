use std::{collections::HashMap, time::Duration};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;

use super::{shape::Shape, *};
use crate::{Binding, Child, Fate, NewTask, Retry, Task, TaskContext, Then, Timeouts, When, Work};

macro_rules! tasks {
    ($($task:ident = $name:literal: $input:ty => $output:ty;)*) => { $(
        struct $task;
        impl Task for $task {
            const NAME: &'static str = $name;
            type Input = $input;
            type Output = $output;
            async fn execute(&self, _: TaskContext, _: $input) -> Result<$output, crate::Failure> {
                Err(crate::Failure::Terminal("only planned".into()))
            }
        }
    )* };
}

tasks! {
    Nothing = "nothing": () => ();
    Greet = "greet": String => String;
    Create = "create": Size => Volume;
    Attach = "attach": Attachment => ();
    Resize = "resize": Volume => Volume;
    Left = "left": Right1 => Left1;
    Right = "right": Left1 => Right1;
    Count = "count": Numbered => ();
    Open = "open": HashMap<String, serde_json::Value> => serde_json::Value;
}

#[derive(Serialize, Deserialize)]
struct Size {
    gigabytes: u64,
}

#[derive(Serialize, Deserialize)]
struct Volume {
    volume: String,
}

#[derive(Deserialize)]
struct Attachment {
    #[serde(rename = "volume")]
    _volume: String,
    #[serde(rename = "server")]
    _server: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Left1 {
    left: u32,
}

#[derive(Serialize, Deserialize)]
struct Right1 {
    right: u32,
}

#[derive(Deserialize)]
struct Numbered {
    #[serde(rename = "volume")]
    _volume: u64,
}

fn built(pattern: Pattern) -> Vec<NewTask> {
    pattern.build(Uuid::nil()).unwrap().tasks
}

fn problems(pattern: Pattern) -> Vec<String> {
    pattern.build(Uuid::nil()).unwrap_err().problems
}

fn nothing(name: &str) -> Step {
    task::<Nothing>().named(name).title(name)
}

fn three(pattern: Pattern) -> Pattern {
    pattern.add_all(["a", "b", "c"].map(nothing))
}

/// Who needs whom, by titles, else names.
fn needs(tasks: &[NewTask]) -> String {
    let name = |at: &usize| {
        let task = &tasks[*at];
        if task.title.is_empty() { task.name.clone() } else { task.title.clone() }
    };
    let line = |at: usize| {
        let needs: Vec<String> = tasks[at].needs.iter().map(name).collect();
        format!("{}<{}", name(&at), needs.join(","))
    };
    (0..tasks.len()).map(line).collect::<Vec<_>>().join(" ")
}

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
            vec![vec![], vec![], vec![to("volume", 1, "/volume"), to("server", 0, "")].concat()],
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
fn nonsense_is_refused_by_name() {
    let create = || task::<Create>().inject("gigabytes", 1);
    let attach = task::<Attach>;
    for (pattern, expected) in [
        (
            linear("p").add(attach()),
            &["task `attach` needs `volume`, which nothing before it provides"][..],
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
    ] {
        assert_eq!(problems(pattern), expected);
    }
    let error = linear("p").add(attach()).add(attach()).build(Uuid::nil()).unwrap_err();
    assert_eq!(error.problems.len(), 2);
    assert!(error.to_string().starts_with("flow `p` makes no sense: task `attach` needs"));
    assert!(matches!(Error::from(error), Error::Plan { kind, .. } if kind == "p"));
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
    assert_eq!(greet.retry, Retry { attempts_max: 2, then: Then::Revert });
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

fn built_flow(pattern: Pattern) -> NewFlow {
    pattern.build(Uuid::nil()).unwrap()
}

#[test]
fn shapes_are_seen_without_macros() {
    #[derive(Deserialize)]
    struct Wrapped(#[expect(dead_code, reason = "only its shape is looked at")] Option<Inner>);
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Inner {
        number: f32,
        #[serde(rename = "type")]
        kind: Option<Kind>,
        id: Uuid,
        list: (u8, u8),
        rest: HashMap<String, char>,
    }
    #[derive(Deserialize)]
    enum Kind {
        One(u8),
    }
    #[derive(Deserialize)]
    struct Endless(
        #[expect(dead_code, reason = "only its shape is looked at")] Option<Box<Endless>>,
    );
    fn of<T: DeserializeOwned>() -> Shape {
        Shape::of::<T>()
    }
    let option = |inner| Shape::Option(Box::new(inner));
    let seen: Vec<_> = of::<Inner>()
        .members()
        .iter()
        .map(|member| (member.name, member.shape.clone(), member.optional))
        .collect();
    assert_eq!(
        seen,
        [
            ("number", Shape::Float, true),
            ("type", option(Shape::Enum), true),
            ("id", Shape::Text, true),
            ("list", Shape::List, true),
            ("rest", Shape::Map, true),
        ]
    );
    assert!(matches!(of::<Wrapped>(), Shape::Option(inner) if inner.members().len() == 5));
    let optional =
        |shape: Shape| shape.members().iter().map(|one| one.optional).collect::<Vec<_>>();
    assert_eq!(optional(of::<Attachment>()), [false, true]);
    for (shape, expected) in [
        (of::<()>(), Shape::Unit),
        (of::<bool>(), Shape::Bool),
        (of::<i128>(), Shape::Integer),
        (of::<Vec<u8>>(), Shape::List),
        (of::<serde_json::Value>(), Shape::Any),
        (of::<Option<String>>(), option(Shape::Text)),
        (of::<Endless>(), option(Shape::Any)),
    ] {
        assert_eq!(shape, expected);
    }
}

#[test]
fn shapes_fit_or_do_not() {
    let option = |inner| Shape::Option(Box::new(inner));
    for (from, into, expected) in [
        (Shape::Text, Shape::Text, true),
        (Shape::Text, Shape::Integer, false),
        (Shape::Any, Shape::Integer, true),
        (Shape::Integer, Shape::Float, true),
        (Shape::Float, Shape::Integer, false),
        (Shape::Text, option(Shape::Text), true),
        (option(Shape::Text), Shape::Text, true),
        (option(Shape::Text), option(Shape::Bool), false),
        (Shape::Unit, option(Shape::Bool), true),
        (Shape::Unit, Shape::Bool, false),
        (Shape::Enum, Shape::Text, true),
        (Shape::Map, Shape::Struct(vec![]), true),
        (Shape::List, Shape::Map, false),
    ] {
        assert_eq!(from.fits(&into), expected, "{from:?} into {into:?}");
    }
}

#[test]
fn reverting_is_kept_whatever_is_said_later() {
    let tasks = built(linear("p").add(nothing("a").or_revert().retry(Retry::times(3))));
    assert_eq!(tasks[0].retry, Retry { attempts_max: 3, then: Then::Revert });
}
