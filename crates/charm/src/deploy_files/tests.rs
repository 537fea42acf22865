use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::archive::pack;

/// A unit's directory and a place for archives.
struct Unit {
    root: TempDir,
}

impl Unit {
    fn new() -> Unit {
        let root = TempDir::new().unwrap();
        fs::create_dir(root.path().join("unit")).unwrap();
        Unit { root }
    }

    fn dir(&self) -> PathBuf {
        self.root.path().join("unit")
    }

    /// An archive of the files given.
    fn charm(&self, name: &str, files: &[(&str, &str)]) -> (PathBuf, Digest) {
        let source = self.root.path().join(format!("{name}.source"));
        for (path, content) in files {
            let path = source.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let packed = pack(&source, &self.root.path().join(format!("{name}.charm"))).unwrap();
        (packed.path, packed.digest)
    }

    /// The whole way from whatever runs to a charm.
    fn upgrade(&self, (archive, digest): &(PathBuf, Digest), revision: u32) {
        let unit = self.dir();
        let new = stage(archive, &unit, *digest, revision).unwrap();
        if let Some(running) = current(&unit).unwrap() {
            let (old_manifest, new_manifest) =
                (manifest(&unit, running).unwrap(), manifest(&unit, *digest).unwrap());
            carry_over(&directory(&unit, running), &old_manifest, &new, &new_manifest).unwrap();
        }
        switch(&unit, *digest).unwrap();
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.dir().join("charm").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.dir().join("charm").join(path)).ok()
    }
}

#[test]
fn upgrade_and_rollback() {
    let unit = Unit::new();
    let one =
        unit.charm("one", &[("metadata.yaml", "name: a"), ("src/a.py", "1"), ("only/one", "x")]);
    let two = unit.charm(
        "two",
        &[
            ("metadata.yaml", "name: a"),
            ("src/a.py", "2"),
            ("made", "shipped"),
            ("logs", "a file now"),
        ],
    );
    assert_eq!(current(&unit.dir()).unwrap(), None);
    unit.upgrade(&one, 0);
    assert_eq!(current(&unit.dir()).unwrap(), Some(one.1));
    assert_eq!(unit.read("revision").unwrap(), "0\n");
    for (path, content) in [
        (".unit-state.db", "v1"),
        ("made", "by charm"),
        ("logs/x", "log"),
        ("only/own", "y"),
        ("empty2/x", "z"),
        ("src/__pycache__/a.pyc", "old code"),
    ] {
        unit.write(path, content);
    }
    symlink("a.py", unit.dir().join("charm/src/link")).unwrap();
    fs::create_dir(unit.dir().join("charm/empty")).unwrap();
    let db = unit.dir().join("charm/.unit-state.db");
    fs::set_permissions(&db, fs::Permissions::from_mode(0o600)).unwrap();
    let modified = fs::metadata(&db).unwrap().modified().unwrap();

    unit.upgrade(&two, 1);
    assert_eq!(unit.read("src/a.py").unwrap(), "2");
    assert_eq!(unit.read(".unit-state.db").unwrap(), "v1");
    assert_eq!(fs::metadata(&db).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&db).unwrap().modified().unwrap(), modified);
    assert_eq!(unit.read("made").unwrap(), "shipped", "what the new charm ships wins");
    assert_eq!(unit.read("logs").unwrap(), "a file now");
    assert_eq!(
        unit.read("only/own").unwrap(),
        "y",
        "also where the old charm alone had the directory"
    );
    assert_eq!(unit.read("empty2/x").unwrap(), "z");
    assert_eq!(unit.read("only/one"), None);
    assert_eq!(unit.read("src/__pycache__/a.pyc"), None);
    assert_eq!(unit.read("src/link").unwrap(), "2");
    assert!(unit.dir().join("charm/empty").is_dir());
    assert_eq!(unit.read("revision").unwrap(), "1\n");

    unit.write(".unit-state.db", "v2");
    fs::remove_file(unit.dir().join("charm/only/own")).unwrap();
    unit.upgrade(&one, 0);
    assert_eq!(unit.read(".unit-state.db").unwrap(), "v2", "the state of the charm that ran last");
    assert_eq!(unit.read("only/own"), None, "what was deleted stays deleted");
    assert_eq!(unit.read("only/one").unwrap(), "x");
    assert_eq!(unit.read("src/a.py").unwrap(), "1");

    prune(&unit.dir(), &[]).unwrap();
    assert_eq!(names(&unit.dir().join("charms")).unwrap().len(), 1, "the manifest of what runs");
    assert_eq!(unit.read("src/a.py").unwrap(), "1");
}

#[test]
fn wrong_bytes_are_refused() {
    let unit = Unit::new();
    let (archive, _) = unit.charm("one", &[("metadata.yaml", "name: a")]);
    let error = stage(&archive, &unit.dir(), Digest::of(b"other"), 0).unwrap_err();
    assert!(matches!(error, Error::Archive { source: Fault::WrongDigest { .. }, .. }), "{error}");
    assert!(switch(&unit.dir(), Digest::of(b"other")).is_err(), "nothing is there");
    assert_eq!(current(&unit.dir()).unwrap(), None);
}

#[test]
fn what_a_crash_left_does_not_matter() {
    let unit = Unit::new();
    let one = unit.charm("one", &[("metadata.yaml", "name: a"), ("src/a.py", "1")]);
    let charms = unit.dir().join("charms");
    // Killed while unpacking, after the manifest, and while a file was replaced.
    let staging = charms.join(format!("{STAGING}{}", one.1));
    fs::create_dir_all(staging.join("src")).unwrap();
    fs::write(staging.join("src/half"), "").unwrap();
    fs::write(manifest_path(&unit.dir(), one.1), "half").unwrap();
    fs::write(charms.join(".revision.next"), "half").unwrap();
    unit.upgrade(&one, 3);
    assert_eq!(manifest(&unit.dir(), one.1).unwrap().len(), 5);
    assert!(!unit.dir().join("charm/src/half").exists());
    // Killed while removing.
    let two = unit.charm("two", &[("metadata.yaml", "name: a")]);
    unit.upgrade(&two, 4);
    fs::create_dir_all(charms.join(format!("{REMOVING}{}/x", one.1))).unwrap();
    prune(&unit.dir(), &[two.1]).unwrap();
    let mut left = names(&charms).unwrap();
    left.sort();
    assert_eq!(left, [format!("{}.manifest", two.1)]);
    prune(&unit.dir(), &[]).unwrap();
    unit.upgrade(&two, 5);
    assert_eq!(unit.read("revision").unwrap(), "5\n", "the same charm under a new number");
}

#[test]
fn a_tree_under_the_name_of_another_gets_its_own() {
    let unit = Unit::new();
    let one = unit.charm("one", &[("metadata.yaml", "name: a"), ("content", "1")]);
    let two = unit.charm("two", &[("metadata.yaml", "name: a"), ("content", "2")]);
    unit.upgrade(&one, 0);
    stage(&two.0, &unit.dir(), two.1, 1).unwrap();
    // Killed between the exchange and what follows it.
    exchange(&staged(&unit.dir(), two.1), &unit.dir().join(CHARM)).unwrap();
    assert_eq!(current(&unit.dir()).unwrap(), Some(two.1));
    unit.upgrade(&two, 1);
    assert_eq!(unit.read("content").unwrap(), "2");
    let previous = directory(&unit.dir(), one.1);
    assert_eq!(fs::read_to_string(previous.join("content")).unwrap(), "1");
    assert!(!staged(&unit.dir(), two.1).exists());
    unit.upgrade(&one, 0);
    assert_eq!(unit.read("content").unwrap(), "1");
}

#[test]
fn a_carry_over_that_was_cut_is_made_good() {
    let unit = Unit::new();
    let one = unit.charm("one", &[("metadata.yaml", "name: a")]);
    let two = unit.charm("two", &[("metadata.yaml", "name: b")]);
    unit.upgrade(&one, 0);
    unit.write("state/db", "whole");
    let new = stage(&two.0, &unit.dir(), two.1, 1).unwrap();
    // As if killed after half of a file and something that has been deleted since.
    fs::create_dir(new.join("state")).unwrap();
    fs::write(new.join("state/db"), "who").unwrap();
    fs::write(new.join("state/gone"), "").unwrap();
    fs::create_dir_all(new.join("other/deep")).unwrap();
    unit.upgrade(&two, 1);
    assert_eq!(unit.read("state/db").unwrap(), "whole");
    assert_eq!(unit.read("state/gone"), None);
    assert!(!unit.dir().join("charm/other").exists());
}

/// As if the machine had lost its power after a charm was unpacked, and this was left of it.
fn lose_power(tree: &Path, digest: Digest) {
    fs::write(tree.join(MARKER), mark(digest, "another-boot")).unwrap();
}

#[test]
fn a_charm_is_unpacked_again_unless_it_was_on_the_disk_when_the_power_failed() {
    let unit = Unit::new();
    let one = unit.charm("one", &[("metadata.yaml", "name: a"), ("src/a.py", "1"), ("b", "2")]);
    assert!(!is_whole(&unit.dir()));
    unit.upgrade(&one, 0);
    assert!(is_whole(&unit.dir()));
    unit.write(".unit-state.db", "kept");

    lose_power(&unit.dir().join(CHARM), one.1);
    unit.write("src/a.py", "");
    fs::remove_file(unit.dir().join("charm/b")).unwrap();
    assert!(!is_whole(&unit.dir()));
    assert_eq!(current(&unit.dir()).unwrap(), None);
    assert_eq!(remains(&unit.dir()).unwrap(), Some(one.1));
    let again = stage(&one.0, &unit.dir(), one.1, 0).unwrap();
    let files = manifest(&unit.dir(), one.1).unwrap();
    carry_over(&unit.dir().join(CHARM), &files, &again, &files).unwrap();
    switch(&unit.dir(), one.1).unwrap();
    assert!(is_whole(&unit.dir()));
    assert_eq!(remains(&unit.dir()).unwrap(), None);
    let read = ["src/a.py", "b", ".unit-state.db"].map(|path| unit.read(path).unwrap());
    assert_eq!(read, ["1", "2", "kept"]);
    assert_eq!(names(&unit.dir().join(CHARMS)).unwrap(), [format!("{}.manifest", one.1)]);

    for _ in 0..2 {
        make_durable(&unit.dir()).unwrap();
    }
    let marker = unit.dir().join(CHARM).join(MARKER);
    assert_eq!(fs::read_to_string(marker).unwrap(), format!("{}\n", one.1));
    assert!(is_whole(&unit.dir()));
    assert_eq!(current(&unit.dir()).unwrap(), Some(one.1));
}

#[test]
fn a_staged_charm_that_may_be_half_is_staged_again() {
    let unit = Unit::new();
    let one = unit.charm("one", &[("metadata.yaml", "name: a")]);
    let two = unit.charm("two", &[("metadata.yaml", "name: a"), ("content", "2")]);
    unit.upgrade(&one, 0);
    let staged = stage(&two.0, &unit.dir(), two.1, 1).unwrap();
    lose_power(&staged, two.1);
    fs::write(staged.join("content"), "").unwrap();
    unit.upgrade(&two, 1);
    assert_eq!(unit.read("content").unwrap(), "2");
}

fn any_tree() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[ab](/[ab]){0,2}", 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Whatever the shapes: the new charm's files are exactly its own, and the charm-made rest is the old one's.
    #[test]
    fn shipped_files_always_win(old in any_tree(), new in any_tree(), made in any_tree()) {
        let unit = Unit::new();
        let build = |name: &str, paths: &[String]| {
            let mut files = vec![("metadata.yaml".to_owned(), name.to_owned())];
            for path in paths {
                let clash = files.iter().any(|(other, _): &(String, String)| {
                    other == path || other.starts_with(&format!("{path}/")) || path.starts_with(&format!("{other}/"))
                });
                if !clash {
                    files.push((path.clone(), name.to_owned()));
                }
            }
            let borrowed: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
            (unit.charm(name, &borrowed), files)
        };
        let (one, _) = build("one", &old);
        let (two, shipped) = build("two", &new);
        unit.upgrade(&one, 0);
        let mut own = Vec::new();
        for path in &made {
            let target = unit.dir().join("charm").join(path);
            if fs::symlink_metadata(&target).is_err() && fs::create_dir_all(target.parent().unwrap()).is_ok() {
                fs::write(&target, "made").unwrap();
                own.push(path.clone());
            }
        }
        unit.upgrade(&two, 1);
        for (path, content) in &shipped {
            let found = unit.read(path);
            prop_assert_eq!(found.as_ref(), Some(content), "{}", path);
        }
        for path in &own {
            let below = |inner: &str, outer: &str| inner.starts_with(&format!("{outer}/"));
            let free = !shipped.iter().any(|(other, _)| other == path || below(other, path) || below(path, other));
            prop_assert_eq!(unit.read(path).as_deref() == Some("made"), free, "{}", path);
        }
    }
}
