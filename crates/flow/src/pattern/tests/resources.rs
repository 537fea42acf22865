use super::*;
use crate::{Access::Exclusive, Access::Shared, Resources};

#[derive(Serialize, Deserialize)]
struct Mount {
    volume: String,
    server: String,
}

struct Mounting;

impl Task for Mounting {
    const NAME: &'static str = "mount";
    const RESOURCES: Resources<Mount> = Some(|input| {
        vec![
            (format!("volume/{}", input.volume), Exclusive),
            (format!("server/{}", input.server), Shared),
        ]
    });
    type Input = Mount;
    type Output = ();

    async fn execute(&self, _: TaskContext, _: Mount) -> Result<(), crate::Failure> {
        Ok(())
    }
}

fn mount(server: &str) -> Step {
    task::<Mounting>().inject("server", server).named(server)
}

fn create() -> Step {
    task::<Create>().inject("gigabytes", 1)
}

fn resources(pattern: Pattern) -> Vec<(String, Access)> {
    built_flow(pattern).resources
}

#[test]
fn what_tasks_add_is_the_flows() {
    let all = |names: &[(&str, Access)]| {
        names.iter().map(|(name, access)| ((*name).to_owned(), *access)).collect::<Vec<_>>()
    };
    let two = || [mount("one"), mount("two")];
    for (pattern, expected) in [
        (three(linear("p")), all(&[])),
        (linear("p").holds("x", Shared), all(&[("x", Shared)])),
        (
            linear("p").inject("volume", "v").add_all(two()),
            all(&[("server/one", Shared), ("server/two", Shared), ("volume/v", Exclusive)]),
        ),
        // Each once, alone if anybody wants it alone.
        (
            linear("p")
                .holds("server/two", Exclusive)
                .inject("volume", "v")
                .add(unordered("n").holds("server/one", Shared).add_all(two()))
                .add(nothing("a").holds("volume/v", Shared).holds("y", Exclusive)),
            all(&[
                ("server/one", Shared),
                ("server/two", Exclusive),
                ("volume/v", Exclusive),
                ("y", Exclusive),
            ]),
        ),
        // What a task adds by an input that comes later is said.
        (
            linear("p").add(create()).add(mount("one").holds("volumes", Exclusive)),
            all(&[("volumes", Exclusive)]),
        ),
        (
            linear("p").inject("all", ["v", "w"]).add(
                each::<Mounting>("all").item("volume").inject("server", "one").holds("z", Shared),
            ),
            all(&[("z", Shared)]),
        ),
        // A flow that is waited for runs under what its parent holds.
        (
            linear("p")
                .holds("x", Shared)
                .add(child(built_flow(linear("c").holds("x", Exclusive))))
                .add(child(built_flow(linear("c").holds("y", Shared))).fate(Fate::Free)),
            all(&[("x", Exclusive)]),
        ),
        // What a target leaves out needs nothing.
        (
            graph("p")
                .holds("x", Shared)
                .inject("volume", "v")
                .add_all(two())
                .add(linear("n").holds("y", Shared).add(nothing("a").holds("z", Shared)))
                .target("one"),
            all(&[("server/one", Shared), ("volume/v", Exclusive), ("x", Shared)]),
        ),
    ] {
        assert_eq!(resources(pattern), expected);
    }
}

#[test]
fn what_is_known_only_later_is_to_be_said() {
    let problem = "adds resources by an input that is known only later: say them by `holds`";
    for (pattern, name) in [
        (linear("p").add(create()).add(mount("one")), "one"),
        (
            linear("p")
                .inject("all", ["v", "w"])
                .add(each::<Mounting>("all").item("volume").inject("server", "one")),
            "mount",
        ),
    ] {
        let refused = pattern.build(Uuid::nil()).unwrap_err();
        assert_eq!(refused.problems, [format!("task `{name}` {problem}")]);
    }
}
