//! A deployment is killed at random instants; whatever it left, the next run completes it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tutti_charm::archive::pack;
use tutti_charm::deploy_files::{carry_over, current, directory, manifest, prune, stage, switch};
use tutti_charm::digest::Digest;

const UNIT: &str = "TUTTI_TEST_DEPLOY";
const FILES: usize = 40;

/// Makes archive `version` and answers it.
fn archive(root: &Path, version: u32) -> (PathBuf, Digest) {
    let source = root.join(format!("source-{version}"));
    fs::create_dir_all(source.join("src")).unwrap();
    fs::write(source.join("metadata.yaml"), "name: a\n").unwrap();
    for i in 0..FILES {
        fs::write(source.join(format!("src/{i}")), format!("{version} {}", "x".repeat(i * 997)))
            .unwrap();
    }
    let packed = pack(&source, &root.join(format!("{version}.charm"))).unwrap();
    (packed.path, packed.digest)
}

fn deploy(root: &Path, archive: &Path, digest: Digest) {
    let unit = root.join("unit");
    let new = stage(archive, &unit, digest, 1).unwrap();
    if let Some(old) = current(&unit).unwrap() {
        let (was, is) = (manifest(&unit, old).unwrap(), manifest(&unit, digest).unwrap());
        carry_over(&directory(&unit, old), &was, &new, &is).unwrap();
    }
    switch(&unit, digest).unwrap();
    prune(&unit, &[]).unwrap();
}

/// The process that is killed: deploys one charm after the other until it dies.
#[test]
#[ignore = "started by the test below"]
fn deploys_for_ever() {
    let Ok(root) = std::env::var(UNIT) else { return };
    let root = PathBuf::from(root);
    let archives = [1, 2].map(|version| {
        let path = root.join(format!("{version}.charm"));
        let digest = Digest::of_file(&path).unwrap();
        (path, digest)
    });
    println!("ready");
    loop {
        for (archive, digest) in &archives {
            deploy(&root, archive, *digest);
        }
    }
}

#[test]
fn killed_at_any_instant() {
    let root = TempDir::new().unwrap();
    fs::create_dir(root.path().join("unit")).unwrap();
    let archives = [archive(root.path(), 1), archive(root.path(), 2)];
    let unit = root.path().join("unit");
    deploy(root.path(), &archives[0].0, archives[0].1);
    fs::write(unit.join("charm/state"), "precious").unwrap();
    let (mut seen, mut interrupted) = ([0, 0], 0);
    for round in 0..16u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "deploy::deploys_for_ever", "--ignored", "--nocapture"])
            .env(UNIT, root.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("ready")));
        // Spread over more than one deployment.
        std::thread::sleep(Duration::from_micros(500 + round * 2_733 % 30_000));
        child.kill().unwrap();
        child.wait().unwrap();
        let running = current(&unit).unwrap().expect("a switch never takes the charm away");
        let version = archives.iter().position(|(_, digest)| *digest == running).unwrap();
        seen[version] += 1;
        interrupted += u32::from(is_unfinished(&unit));
        assert_whole(&unit, version as u32 + 1);
        let other = 1 - version;
        deploy(root.path(), &archives[other].0, archives[other].1);
        assert_whole(&unit, other as u32 + 1);
    }
    assert!(seen.iter().all(|times| *times > 0), "{seen:?}");
    assert!(interrupted > 0, "the processes were always killed between two deployments");
}

/// Whether something was going on: a half-made name, or another charm beside the one that runs.
fn is_unfinished(unit: &Path) -> bool {
    let names = |directory: &Path| {
        let entries = fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    let charms = names(&unit.join("charms"));
    charms.len() != 1 || charms.iter().chain(&names(unit)).any(|name| name.starts_with('.'))
}

fn assert_whole(unit: &Path, version: u32) {
    for i in 0..FILES {
        let content = fs::read_to_string(unit.join(format!("charm/src/{i}"))).unwrap();
        assert_eq!(content, format!("{version} {}", "x".repeat(i * 997)));
    }
    assert_eq!(fs::read_to_string(unit.join("charm/state")).unwrap(), "precious");
}
