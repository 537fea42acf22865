//! Command lines that need no controller.

use std::process::Stdio;

use crate::place::Place;

#[test]
fn mistakes_end_with_two_and_one_line_on_stderr() {
    let place = Place::new();
    for (words, message) in [
        (&["status", "--foo"][..], "ERROR flag provided but not defined: --foo\n"),
        (&["version", "x"], "ERROR unrecognized args: [\"x\"]\n"),
        (&["status", "-m"], "ERROR flag needs an argument: --model\n"),
        (&["run", "a/0"], "ERROR no action specified\n"),
        (
            &["exec", "ls"],
            "ERROR You must specify a target, either through --all, --machine, --application or --unit\n",
        ),
        (&["integrate", "a"], "ERROR a relation must involve two applications\n"),
        (
            &["frobnicate"],
            "ERROR juju: \"frobnicate\" is not a juju command. See \"juju --help\".\n",
        ),
    ] {
        let answer = place.run("juju", words);
        assert_eq!(
            (answer.code, answer.stdout.as_str(), answer.stderr.as_str()),
            (2, "", message),
            "{words:?}"
        );
    }
}

#[test]
fn commands_for_later_end_with_one_and_say_why() {
    let place = Place::new();
    for words in [
        &["offer", "m.a:e"][..],
        &["add-cloud", "c", "--client", "--file", "x"],
        &["add-ssh-key", "-m", "m", "key"],
        &["add-credential", "c"],
    ] {
        let answer = place.run("juju", words);
        assert_eq!((answer.code, answer.stdout.as_str()), (1, ""), "{words:?}");
        assert!(answer.stderr.starts_with("ERROR '"), "{answer:?}");
    }
    assert!(!place.data().exists(), "nothing was started");
}

#[test]
fn versions_agree() {
    let place = Place::new();
    let short = place.juju(&["version"]);
    let long = place.juju(&["version", "--all", "--format", "json"]);
    assert_eq!(long.json()["version"], short.stdout.trim());
    assert_eq!(short.stdout.trim().split('-').count(), 3);
    assert_eq!(short.stderr, "");
}

#[test]
fn help_and_completion_go_to_stdout() {
    let place = Place::new();
    for (program, words) in [
        ("tutti", &["--help"][..]),
        ("juju", &["help", "deploy"]),
        ("tutti", &["completion", "bash"]),
        ("tutti", &["completion", "zsh"]),
        ("tutti", &["completion", "fish"]),
    ] {
        let answer = place.run(program, words);
        assert_eq!((answer.code, answer.stderr.as_str()), (0, ""), "{words:?}");
        assert!(answer.stdout.len() > 100 && answer.stdout.contains(program), "{words:?}");
        assert!(!answer.stdout.contains('\u{1b}'), "no colours into a pipe: {words:?}");
    }
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let place = Place::new();
    let mut child = place
        .command("tutti", &["completion", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(141));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn hook_tools_answer_by_their_name() {
    let place = Place::new();
    let answer = place.run("config-get", &[]);
    assert_eq!(answer.code, 1);
    assert!(answer.stderr.contains("inside a hook"), "{answer:?}");
}

#[test]
fn listening_beyond_loopback_is_refused() {
    let place = Place::new();
    let answer = place.run("tutti", &["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!(answer.code, 1);
    assert!(answer.stderr.contains("only loopback"), "{answer:?}");
}

#[test]
fn a_charm_is_packed_the_same_twice() {
    let place = Place::new();
    let charm = place.path().join("charm");
    std::fs::create_dir_all(charm.join("hooks")).unwrap();
    std::fs::write(charm.join("metadata.yaml"), "name: tiny\nsummary: s\ndescription: d\n")
        .unwrap();
    std::fs::write(charm.join("hooks/start"), "#!/bin/sh\n").unwrap();
    let charm = charm.display().to_string();
    let mut packed = Vec::new();
    for name in ["a.charm", "b.charm"] {
        let out = place.path().join(name);
        let answer = place.run("tutti", &["pack", &charm, "-o", &out.display().to_string()]);
        assert_eq!(answer.code, 0, "{answer:?}");
        assert_eq!(answer.stdout.trim(), out.display().to_string());
        packed.push(std::fs::read(out).unwrap());
    }
    assert_eq!(packed[0], packed[1]);
}
