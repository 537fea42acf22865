//! Real processes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use tutti_model::agent::Report;

use super::*;

struct Place {
    directory: tempfile::TempDir,
    reports: Reports,
}

impl Place {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), reports: Reports::default() }
    }

    /// A file with this content and mode, as a program.
    fn program(&self, content: &str, mode: u32) -> Program {
        let file = self.directory.path().join("program");
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        Program {
            file,
            arguments: Vec::new(),
            directory: self.directory.path().to_owned(),
            environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
        }
    }

    async fn run(&self, program: &Program, stop: impl Future<Output = ()>) -> Result<Finished> {
        let mut mark = Mark::announce(self.directory.path(), "x-1", None).unwrap();
        let destination = Destination {
            reports: self.reports.clone(),
            logger: "unit.x/0.y".into(),
            capture: true,
        };
        let finished = run(program, &mut mark, &destination, stop).await;
        mark.end();
        finished
    }

    async fn script(&self, script: &str) -> Finished {
        let program = self.program(&format!("#!/bin/bash\n{script}\n"), 0o755);
        self.run(&program, std::future::pending()).await.unwrap()
    }

    async fn lines(&self) -> Vec<(String, String)> {
        let batch = self.reports.take().await;
        let lines = batch.reports.iter().flat_map(|report| match report {
            Report::Log { lines } => lines.clone(),
            _ => Vec::new(),
        });
        lines.map(|line| (line.level, line.message)).collect()
    }
}

#[tokio::test]
async fn an_end_is_told_apart_from_a_death() {
    let place = Place::new();
    assert_eq!(place.script("exit 0").await.ending, Ending::Exited(0));
    assert_eq!(place.script("exit 7").await.ending, Ending::Exited(7));
    assert_eq!(place.script("kill -TERM $$").await.ending, Ending::Signalled(15));
}

#[tokio::test]
async fn output_becomes_lines_and_is_captured_to_the_last_byte() {
    let place = Place::new();
    let finished = place.script("echo one; printf two; echo oh >&2").await;
    assert_eq!(
        (finished.stdout.text().as_str(), finished.stderr.text().as_str()),
        ("one\ntwo", "oh\n")
    );
    let mut lines = place.lines().await;
    lines.sort();
    let line = |level: &str, text: &str| (level.to_owned(), text.to_owned());
    assert_eq!(lines, [line("DEBUG", "one"), line("DEBUG", "two"), line("WARNING", "oh")]);
}

#[tokio::test]
async fn the_environment_is_exactly_what_was_given() {
    let place = Place::new();
    let program = Program { file: "/usr/bin/env".into(), ..place.program("", 0o644) };
    let finished = place.run(&program, std::future::pending()).await.unwrap();
    assert_eq!(finished.stdout.text(), "PATH=/usr/bin:/bin\n");
}

#[tokio::test]
async fn what_does_not_start_says_why() {
    let place = Place::new();
    for (content, mode, reason) in [
        ("#!/bin/bash\n", 0o644, "it is not executable"),
        ("#!/nowhere/bash\n", 0o755, "(#!) does not exist"),
        ("echo hello\n", 0o755, "has no #! line"),
    ] {
        let program = place.program(content, mode);
        let error = place.run(&program, std::future::pending()).await.unwrap_err();
        assert!(error.to_string().ends_with(reason), "{error}");
    }
    let missing = Program { file: "/nowhere/at/all".into(), ..place.program("", 0o755) };
    let error = place.run(&missing, std::future::pending()).await.unwrap_err();
    assert!(error.to_string().ends_with("it does not exist"), "{error}");
    let program = Program { directory: "/nowhere".into(), ..place.program("", 0o755) };
    let error = place.run(&program, std::future::pending()).await.unwrap_err();
    assert!(error.to_string().ends_with("charm directory is missing"), "{error}");
}

#[tokio::test]
async fn a_daemon_left_in_the_background_is_not_waited_for() {
    let place = Place::new();
    let began = Instant::now();
    let finished = place.script("setsid sleep 60 & echo $!").await;
    assert_eq!(finished.ending, Ending::Exited(0));
    assert!(began.elapsed() < Duration::from_secs(50));
    let pid = finished.stdout.text().trim().to_owned();
    // It lives on, if perhaps not yet as what it is going to be.
    while !fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap().starts_with("sleep") {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    kill_group(pid.parse().unwrap());
}

#[tokio::test]
async fn stopping_kills_the_whole_group() {
    let place = Place::new();
    let program =
        place.program("#!/bin/bash\ntrap '' TERM\nsleep 60 & echo $! >pid; wait\n", 0o755);
    let pid = place.directory.path().join("pid");
    let begun = async {
        while fs::read_to_string(&pid).unwrap_or_default().trim().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let finished = place.run(&program, begun).await.unwrap();
    assert_eq!(finished.ending, Ending::Killed);
    let child = fs::read_to_string(pid).unwrap();
    let status = format!("/proc/{}/cmdline", child.trim());
    while fs::read(&status).is_ok_and(|text| !text.is_empty()) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn dropping_a_run_kills_it() {
    let place = Place::new();
    let program = place.program("#!/bin/bash\necho $$ >pid; sleep 60\n", 0o755);
    let pid = place.directory.path().join("pid");
    tokio::select! {
        _ = place.run(&program, std::future::pending()) => panic!("it cannot have ended"),
        () = async {
            while fs::read_to_string(&pid).unwrap_or_default().trim().is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        } => {}
    }
    let group = fs::read_to_string(pid).unwrap();
    let status = format!("/proc/{}/cmdline", group.trim());
    while fs::read(&status).is_ok_and(|text| !text.is_empty()) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_file_still_open_for_writing_is_waited_for() {
    let place = Place::new();
    let program = place.program("#!/bin/bash\nexit 4\n", 0o755);
    let writer = fs::OpenOptions::new().append(true).open(&program.file).unwrap();
    let (finished, ()) = tokio::join!(place.run(&program, std::future::pending()), async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        drop(writer);
    });
    assert_eq!(finished.unwrap().ending, Ending::Exited(4));
}
