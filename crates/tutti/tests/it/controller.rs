//! Commands against a controller that they start themselves.

use std::process::Stdio;

use crate::place::{Answer, Place};

/// Writes a charm of a few shell hooks.
fn charm(place: &Place) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let charm = place.path().join("tiny");
    std::fs::create_dir_all(charm.join("hooks")).unwrap();
    std::fs::create_dir_all(charm.join("actions")).unwrap();
    let write = |name: &str, text: &str| {
        let path = charm.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    write("metadata.yaml", "name: tiny\nsummary: s\ndescription: d\n");
    write("config.yaml", "options:\n  word: {type: string, default: '', description: a word}\n");
    write("actions.yaml", "greet:\n  description: says hello\nrefuse: {}\nbreak: {}\n");
    write("hooks/start", "#!/bin/sh\nstatus-set active ready\n");
    write("actions/greet", "#!/bin/sh\naction-set a.b=\"$(config-get word)\"\necho hi\n");
    write("actions/refuse", "#!/bin/sh\naction-fail 'not today'\n");
    write("actions/break", "#!/bin/sh\necho oops >&2\nexit 3\n");
    charm.display().to_string()
}

fn wait_active(place: &Place) {
    let line = [
        "wait-for",
        "application",
        "tiny",
        "--timeout",
        "60s",
        "--query",
        "status==\"active\" && forEach(units, u => u.agent-status==\"idle\")",
    ];
    place.juju(&line);
}

#[test]
fn two_commands_at_once_share_one_controller() {
    let place = Place::new();
    let mut children = Vec::new();
    for _ in 0..3 {
        let mut command = place.command("juju", &["models", "--format", "json"]);
        children.push(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    }
    for child in children {
        let answer = Answer::from(child.wait_with_output().unwrap());
        assert_eq!(answer.code, 0, "{answer:?}");
        assert_eq!(answer.json()["models"].as_array().map(Vec::len), Some(0), "{answer:?}");
    }
}

#[test]
fn models_come_and_go() {
    let place = Place::new();
    let added = place.juju(&["add-model", "one"]);
    assert_eq!(added.stdout, "");
    assert!(added.stderr.contains("started controller \"local\""), "{added:?}");
    assert!(added.stderr.contains("Added 'one' model on localhost"), "{added:?}");
    let again = place.run("juju", &["add-model", "--no-switch", "one"]);
    assert_eq!(again.code, 1);
    assert!(again.stderr.contains("already exists"), "{again:?}");
    place.juju(&["add-model", "--no-switch", "two"]);
    assert_eq!(place.juju(&["switch"]).stdout, "local:admin/one\n");
    place.juju(&["switch", "two"]);
    let whoami = place.juju(&["whoami", "--format", "json"]).json();
    assert_eq!(whoami["model"], "two");
    for name in ["one", "admin/one", "local:one", "local:admin/one"] {
        let shown = place.juju(&["show-model", "--format", "json", name]).json();
        assert_eq!(shown["one"]["name"], "admin/one", "{name}");
    }
    let status = place.juju(&["status", "-m", "one"]);
    assert_eq!(status.stdout.lines().count(), 2, "{status:?}");
    assert!(status.stderr.contains("Model \"one\" is empty."), "{status:?}");
    place.juju(&["destroy-model", "one", "--no-prompt", "--destroy-storage", "--force"]);
    let gone = place.run("juju", &["show-model", "one"]);
    assert_eq!(gone.code, 1, "{gone:?}");
    let unasked = place.run("juju", &["destroy-model", "two"]);
    assert_eq!(unasked.code, 1);
    assert!(unasked.stderr.contains("--no-prompt"), "{unasked:?}");
    let models = place.juju(&["models", "--format", "json"]).json();
    assert_eq!(models["models"][0]["short-name"], "two");
}

#[test]
fn a_charm_lives_its_life() {
    let place = Place::new();
    let charm = charm(&place);
    place.juju(&["add-model", "m"]);
    let deployed = place.juju(&["deploy", &charm]);
    assert_eq!(deployed.stdout, "");
    assert!(deployed.stderr.contains("Located local charm \"tiny\", revision 0"), "{deployed:?}");
    assert!(deployed.stderr.contains("Deploying \"tiny\" from local charm"), "{deployed:?}");
    let status = place.juju(&["status", "--format", "json"]).json();
    assert_eq!(status["applications"]["tiny"]["charm"], "local:tiny-0");
    assert!(status["applications"]["tiny"]["units"]["tiny/0"].is_object(), "{status}");
    wait_active(&place);
    assert!(place.juju(&["status"]).stdout.contains("tiny/0*"));

    let config = || place.juju(&["config", "tiny", "--format", "json"]).json();
    assert_eq!(config()["settings"]["word"]["value"], "");
    assert_eq!(config()["application-config"]["trust"]["value"], false);
    place.juju(&["config", "tiny", "word=hello"]);
    assert_eq!(place.juju(&["config", "tiny", "word"]).stdout, "hello\n");
    let unknown = place.run("juju", &["config", "tiny", "nope=1"]);
    assert_eq!(unknown.code, 1);
    assert!(unknown.stderr.contains("unknown option \"nope\""), "{unknown:?}");

    runs(&place);

    let removed = place.juju(&["remove-application", "--no-prompt", "tiny"]);
    assert!(removed.stdout.contains("will remove"), "{removed:?}");
    place.juju(&["destroy-model", "m", "--no-prompt", "--timeout", "60s"]);
}

/// The outcome table of `run` and `exec`, with exit codes and streams.
fn runs(place: &Place) {
    let json = ["--format", "json"];
    let run = |words: &[&str]| place.run("juju", &[words, &json].concat());
    let exec = |words: &[&str], command: &[&str]| {
        place.run("juju", &[&["exec"][..], &json, words, &["--"], command].concat())
    };

    let done = run(&["run", "tiny/leader", "greet"]);
    assert_eq!(done.code, 0, "{done:?}");
    let task = &done.json()["tiny/0"];
    assert_eq!(task["status"], "completed");
    assert_eq!(task["results"]["a"]["b"], "hello");
    assert_eq!(task["results"]["stdout"], "hi\n");
    assert_eq!(task["results"]["return-code"], 0);
    assert!(task["results"].get("stderr").is_none());

    let refused = run(&["run", "tiny/0", "refuse"]);
    assert_eq!(refused.code, 0, "{refused:?}");
    assert_eq!(refused.json()["tiny/0"]["message"], "not today");
    assert_eq!(refused.json()["tiny/0"]["status"], "failed");

    let broken = run(&["run", "tiny/0", "break"]);
    assert_eq!(broken.code, 1, "{broken:?}");
    assert_eq!(broken.json()["tiny/0"]["results"]["return-code"], 3);
    assert_eq!(broken.json()["tiny/0"]["results"]["stderr"], "oops\n");
    assert!(broken.stderr.contains("ERROR the following task failed:\n - id \""), "{broken:?}");
    assert!(broken.stderr.contains("use 'juju show-task' to inspect"), "{broken:?}");

    for words in [&["run", "tiny/0", "missing"][..], &["run", "tiny/9", "greet"]] {
        let nothing = run(words);
        assert_eq!((nothing.code, nothing.stdout.as_str()), (0, ""), "{nothing:?}");
        assert!(nothing.stderr.contains("failed to schedule any tasks:"), "{nothing:?}");
    }

    let command = exec(&["--unit", "tiny/0"], &["echo", "bar", "b az"]);
    assert_eq!(command.json()["tiny/0"]["results"]["stdout"], "bar b az\n", "{command:?}");
    let failing = exec(&["--unit", "tiny/0"], &["exit 4"]);
    assert_eq!(failing.code, 1, "{failing:?}");
    assert_eq!(failing.json()["tiny/0"]["results"]["return-code"], 4);
    assert_eq!(failing.json()["tiny/0"]["status"], "completed");
    let nobody = exec(&["--unit", "tiny/9"], &["true"]);
    assert_eq!((nobody.code, nobody.stdout.as_str()), (0, ""), "{nobody:?}");
    let late = exec(&["--unit", "tiny/0", "--wait", "0.001s"], &["sleep 1"]);
    assert_eq!(late.code, 1, "{late:?}");
    assert!(late.stderr.contains("timed out waiting for results from: unit tiny/0"), "{late:?}");

    let beside = place.run("juju-exec", &["tiny/0", "status-get"]);
    assert_eq!((beside.code, beside.stdout.trim()), (0, "active"), "{beside:?}");
    let shell = place.run("juju", &["ssh", "tiny/0", "cat", "charm/metadata.yaml;", "exit", "7"]);
    assert_eq!(shell.code, 7, "{shell:?}");
    assert!(shell.stdout.contains("name: tiny"), "{shell:?}");
    let copy = place.path().join("copy.yaml").display().to_string();
    place.juju(&["scp", "tiny/0:agents/unit-tiny-0/charm/metadata.yaml", &copy]);
    assert!(std::fs::read_to_string(copy).unwrap().contains("name: tiny"));
}

#[test]
fn user_secrets_are_kept() {
    let place = Place::new();
    place.juju(&["add-model", "m"]);
    let file = place.path().join("secret.yaml");
    std::fs::write(&file, "username: usr\npassword: '12'\n").unwrap();
    let file = file.display().to_string();
    let added = place.juju(&["add-secret", "one", "--info", "what", "--file", &file]);
    let id = added.stdout.trim().strip_prefix("secret:").unwrap().to_owned();
    assert_eq!(id.len(), 20, "{added:?}");
    let shown = place.juju(&["show-secret", "one", "--reveal", "--format", "json"]).json();
    assert_eq!(shown[&id]["content"]["Data"]["password"], "12");
    assert_eq!(shown[&id]["owner"], "<model>");
    assert_eq!(shown[&id]["created"], shown[&id]["updated"]);
    place.juju(&["update-secret", "one", "username=other"]);
    let listed = place.juju(&["secrets", "--format", "json"]).json();
    assert_eq!(listed[&id]["revision"], 2);
    place.juju(&["remove-secret", "one"]);
    assert_eq!(place.juju(&["secrets", "--format", "json"]).stdout, "{}\n");
}

#[test]
fn model_settings_are_kept() {
    let place = Place::new();
    place.juju(&["add-model", "m"]);
    let interval = || {
        let config = place.juju(&["model-config", "--format", "json"]).json();
        config["update-status-hook-interval"]["Value"].clone()
    };
    assert_eq!(interval(), "5m");
    place.juju(&["model-config", "update-status-hook-interval=10s"]);
    assert_eq!(interval(), "10s");
    place.juju(&["model-config", "--reset", "update-status-hook-interval"]);
    assert_eq!(interval(), "5m");
    assert_eq!(place.juju(&["model-constraints", "--format", "json"]).stdout, "{}\n");
    place.juju(&["set-model-constraints", "mem=1G", "cores=4"]);
    let constraints = place.juju(&["model-constraints", "--format", "json"]);
    assert_eq!(constraints.stdout, "{\"cores\":4,\"mem\":1024}\n");
}
