//! Flows as people meet them who mistype, pipe and wait.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::place::{Answer, Place};

/// A model with a unit whose first hook fails: the flow of its deployment waits.
fn stuck() -> (Place, String) {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    let charm = place.path().join("stuck");
    std::fs::create_dir_all(charm.join("hooks")).unwrap();
    std::fs::write(charm.join("metadata.yaml"), "name: stuck\nsummary: s\n").unwrap();
    let hook = charm.join("hooks/install");
    std::fs::write(&hook, "#!/bin/sh\nexit 1\n").unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    place.juju(&["add-model", "m"]);
    place.juju(&["deploy", &charm.display().to_string()]);
    let flows = place.run("tutti", &["flows", "--format", "json"]).json();
    assert_eq!(flows.as_array().map(Vec::len), Some(1), "{flows}");
    (place, flows[0]["id"].as_str().unwrap().to_owned())
}

fn spawn(place: &Place, words: &[&str]) -> Child {
    let mut command = place.command("tutti", words);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// How a process ends, which it does soon.
fn ended(mut child: Child) -> Answer {
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("it never ended: {:?}", Answer::from(child.wait_with_output().unwrap()));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Answer::from(child.wait_with_output().unwrap())
}

#[test]
fn what_is_no_id_stands_for_no_flow() {
    let (place, flow) = stuck();
    for verb in
        ["show", "watch", "log", "cancel", "suspend", "resume", "retry", "revert", "abandon"]
    {
        // An empty one above all: there is only one flow.
        for part in ["", "abc", "../../v1", "zzzzzzzz-zzzz-zzzz-zzzz-zzzzzzzzzzzz"] {
            let answer = place.run("tutti", &["flow", verb, part]);
            assert_eq!(
                (answer.code, answer.stdout.as_str()),
                (1, ""),
                "{verb} {part:?}: {answer:?}"
            );
            let expected = format!("ERROR {part:?} is no id of a flow: write one, or at least 6");
            assert!(answer.stderr.starts_with(&expected), "{verb}: {answer:?}");
        }
    }
    let skip = place.run("tutti", &["flow", "skip", ""]);
    assert!(skip.code == 1 && skip.stderr.contains("is no id of a task"), "{skip:?}");
    let flows = place.run("tutti", &["flows", "--format", "json"]).json();
    assert_eq!(flows[0]["state"], "waiting", "nobody touched it");

    let end = flow.rsplit('-').next().unwrap();
    let tasks = place.run("tutti", &["tasks", "--flow", end, "--format", "json"]).json();
    assert_eq!(tasks.as_array().map(Vec::len), Some(2), "{tasks}");
    let odd = place.run("tutti", &["tasks", "--flow", "xyz"]);
    assert!(odd.code == 1 && odd.stderr.contains("\"xyz\" is no id of a flow"), "{odd:?}");
    let resource = place.run("tutti", &["flows", "--resource", "stuck"]);
    assert_eq!(resource.code, 1);
    assert!(resource.stderr.contains("\"stuck\" is none: write application/"), "{resource:?}");
    let more = place.run("tutti", &["tasks", "--limit", "1"]);
    assert!(more.code == 0 && more.stderr.contains("--limit shows more"), "{more:?}");
    let log = place.run("tutti", &["flow", "log", end]);
    assert!(log.code == 0 && log.stderr.contains("no task of this flow has said"), "{log:?}");
}

#[test]
fn who_waits_in_vain_is_told() {
    let (place, flow) = stuck();
    let shown = place.run("tutti", &["flow", "show", &flow, "--wait", "200ms"]);
    assert_eq!(shown.code, 1, "{shown:?}");
    assert!(shown.stdout.contains("Deploy"), "{shown:?}");
    let said = format!("ERROR flow {flow} is waiting and not over after ");
    assert!(shown.stderr.starts_with(&said), "{shown:?}");
    assert_eq!(place.run("tutti", &["flow", "show", &flow]).code, 0);
    assert_eq!(place.run("tutti", &["flow", "abandon", &flow]).code, 0);
    assert_eq!(place.run("tutti", &["flow", "show", &flow, "--wait", "10s"]).code, 0);

    let listed = |words: &[&str]| {
        let words = [words, &["--format", "json"]].concat();
        place.run("tutti", &words).json().as_array().map(Vec::len)
    };
    assert_eq!(listed(&["flows", "--name", "deploy"]), Some(1));
    assert_eq!(listed(&["flows", "--name", "as STUCK"]), Some(1));
    assert_eq!(listed(&["flows", "--name", "other"]), Some(0));
    assert_eq!(listed(&["flows", "--parent", &flow]), Some(0));
    assert_eq!(listed(&["tasks", "--parent", &flow]), Some(0));
}

#[test]
fn who_follows_ends_with_the_reader() {
    let (place, flow) = stuck();
    for words in [&["events", "--follow", "--after", "0"][..], &["flow", "watch", &flow]] {
        let mut child = spawn(&place, words);
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert!(!line.is_empty());
        // As `| head -1` does. Nothing more happens that it could find out by.
        drop(reader);
        let answer = ended(child);
        assert_eq!((answer.code, answer.stderr.as_str()), (141, ""), "{words:?}");
    }
}

#[test]
fn who_follows_waits_for_a_controller_that_comes_back() {
    let (place, flow) = stuck();
    let mut watch = spawn(&place, &["flow", "watch", &flow]);
    let mut reader = BufReader::new(watch.stdout.take().unwrap());
    reader.read_line(&mut String::new()).unwrap();
    assert_eq!(place.run("tutti", &["stop"]).code, 0);
    std::thread::sleep(Duration::from_millis(300));
    // Any command starts it again.
    let begun = Instant::now();
    while place.run("juju", &["resolve", "stuck/0", "--no-retry"]).code != 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "the unit never is in error");
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut told = Vec::new();
    for line in reader.lines() {
        told.push(line.unwrap());
    }
    let answer = ended(watch);
    assert_eq!(answer.code, 0, "{answer:?} {told:?}");
    assert!(told.last().is_some_and(|line| line.contains("succeeded  Deploy")), "{told:?}");
    assert!(answer.stderr.contains("waiting for it to come back"), "{answer:?}");
}
