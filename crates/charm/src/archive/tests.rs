use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};

use proptest::prelude::*;
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;

/// An entry to write without any of our checks: name, Unix mode with file type, content.
type Raw<'a> = (&'a str, u32, &'a [u8]);

const FILE: u32 = 0o100_644;
const DIRECTORY: u32 = 0o040_755;
const LINK: u32 = 0o120_777;

/// Writes a zip by hand, as no decent library would let us.
fn zip_of(entries: &[Raw<'_>]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, mode, content) in entries {
        let offset = out.len() as u32;
        let mut common = Vec::new();
        common.extend([20, 0, 0, 8, 0, 0, 0, 0, 0x21, 0]);
        common.extend(crc32(content).to_le_bytes());
        common.extend((content.len() as u32).to_le_bytes());
        common.extend((content.len() as u32).to_le_bytes());
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0, 0]);
        out.extend(b"PK\x03\x04");
        out.extend(&common);
        out.extend(name.as_bytes());
        out.extend(*content);
        directory.extend(b"PK\x01\x02\x14\x03");
        directory.extend(&common);
        directory.extend([0; 6]);
        directory.extend((mode << 16).to_le_bytes());
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let start = out.len() as u32;
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend((entries.len() as u16).to_le_bytes());
    out.extend((entries.len() as u16).to_le_bytes());
    out.extend((directory.len() as u32).to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0, 0]);
    out
}

fn crc32(bytes: &[u8]) -> u32 {
    let shift = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), shift))
}

/// A scratch directory with an archive in it.
struct Scratch(TempDir);

impl Scratch {
    fn new() -> Scratch {
        Scratch(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn archive(&self, bytes: &[u8]) -> PathBuf {
        let path = self.path("a.charm");
        fs::write(&path, bytes).unwrap();
        path
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn fault(&self, entries: &[Raw<'_>]) -> Fault {
        match Archive::open(&self.archive(&zip_of(entries))) {
            Err(Error::Archive { source, .. }) => source,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn honest_archives_come_out_whole() {
    let scratch = Scratch::new();
    let archive = scratch.archive(&zip_of(&[
        ("metadata.yaml", FILE, b"name: a\n"),
        ("hooks/", DIRECTORY, b""),
        ("hooks/install", 0o100_644, b"#!/bin/sh\n"),
        ("hooks/start", LINK, b"../dispatch"),
        ("dispatch", 0, b"#!/bin/sh\n"),
        ("src/charm.py", 0o104_755, b"x"),
        ("secret", 0o100_000, b"y"),
    ]));
    let out = scratch.path("out");
    let entries = unpack(&archive, &out).unwrap();
    assert_eq!(entries.len(), 7);
    let mode =
        |name: &str| fs::symlink_metadata(out.join(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode("hooks/install"), 0o755);
    assert_eq!(mode("dispatch"), 0o755);
    assert_eq!(mode("src/charm.py"), 0o755, "no setuid");
    assert_eq!(mode("secret"), 0o644);
    assert_eq!(fs::read_link(out.join("hooks/start")).unwrap(), Path::new("../dispatch"));
    assert_eq!(fs::read(out.join("metadata.yaml")).unwrap(), b"name: a\n");
    let again = unpack(&archive, &out).unwrap_err();
    assert!(matches!(again, Error::Io { doing: "unpack into", .. }), "{again:?}");
    let mut opened = Archive::open(&archive).unwrap();
    assert_eq!(opened.read("metadata.yaml", 100).unwrap().as_deref(), Some(&b"name: a\n"[..]));
    assert_eq!(opened.read("hooks/start", 100).unwrap(), None);
    assert!(opened.read("metadata.yaml", 3).is_err());
    assert!(list(&archive).unwrap().contains("hooks/start"));
}

#[test]
fn of_many_files_all_come_out_and_the_first_damaged_one_is_named() {
    let scratch = Scratch::new();
    // Enough for several threads.
    let files: Vec<(String, Vec<u8>)> = (0..400)
        .map(|number| {
            (format!("d{}/e/f{number}", number % 7), format!("<{number}>").repeat(number).into())
        })
        .collect();
    let raw: Vec<Raw<'_>> =
        files.iter().map(|(name, content)| (name.as_str(), FILE, content.as_slice())).collect();
    let mut bytes = zip_of(&raw);
    unpack(&scratch.archive(&bytes), &scratch.path("whole")).unwrap();
    for (name, content) in &files {
        assert_eq!(&fs::read(scratch.path("whole").join(name)).unwrap(), content, "{name}");
    }
    for damaged in ["<301><301>", "<300><300>", "<399><399>"] {
        let at = bytes.windows(damaged.len()).position(|found| found == damaged.as_bytes());
        bytes[at.unwrap()] ^= 1;
    }
    let archive = scratch.archive(&bytes);
    for attempt in 0..10 {
        let error = unpack(&archive, &scratch.path(&attempt.to_string())).unwrap_err();
        let Error::Archive { source: Fault::Content { entry, .. }, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!(entry, "d6/e/f300");
    }
}

#[test]
fn hostile_archives_are_refused_by_name() {
    let scratch = Scratch::new();
    let cases: &[(&[Raw<'_>], &str)] = &[
        (
            &[("../evil", FILE, b"x")],
            "entry \"../evil\" has an unsafe name: it has the component `..`",
        ),
        (
            &[("/etc/passwd", FILE, b"x")],
            "entry \"/etc/passwd\" has an unsafe name: it is absolute",
        ),
        (&[("a\\..\\b", FILE, b"x")], "backslash"),
        (&[("C:/x", FILE, b"x")], "drive letter"),
        (&[("./a", FILE, b"x")], "component `.`"),
        (&[("a\0b", FILE, b"x")], "control character"),
        (&[("", FILE, b"x")], "it is empty"),
        (&[("a/", FILE, b"x")], "ends like a directory"),
        (
            &[("l", LINK, b"/etc/passwd")],
            "link \"l\" to \"/etc/passwd\" is unsafe: its target is absolute",
        ),
        (&[("a/l", LINK, b"../../x")], "outside the archive"),
        (&[("a/l", LINK, b"..\xff")], "not text"),
        (&[("l", LINK, b"a"), ("l/x", FILE, b"x")], "entry \"l/x\" lies below \"l\""),
        (&[("l/x/y", FILE, b"x"), ("l", LINK, b"a")], "entry \"l/x/y\" lies below \"l\""),
        (&[("f", FILE, b"a"), ("f/x", FILE, b"x")], "lies below \"f\""),
        (&[("d/e/f", LINK, b"../.."), ("x", LINK, b"d/e/f/..")], "`..` after a name"),
        (&[("a", FILE, b"1"), ("a", FILE, b"2")], "entry \"a\" occurs twice"),
        (&[("a", DIRECTORY, b""), ("a", FILE, b"2")], "entry \"a\" occurs twice"),
        (&[("a/", DIRECTORY, b""), ("a", LINK, b"b")], "entry \"a\" occurs twice"),
        (&[("dev", 0o020_666, b"")], "neither a file"),
        (&[("pipe", 0o010_666, b"")], "(mode 10666)"),
        (&[("sock", 0o140_666, b"")], "neither a file"),
    ];
    for (entries, expected) in cases {
        let fault = scratch.fault(entries).to_string();
        assert!(fault.contains(expected), "{expected} in {fault}");
    }
    let long = b"x".repeat(5000);
    assert!(matches!(scratch.fault(&[("l", LINK, &long)]), Fault::FileTooLarge { .. }));
}

#[test]
fn what_is_no_zip_says_so() {
    let scratch = Scratch::new();
    let whole = zip_of(&[("metadata.yaml", FILE, b"name: a\n")]);
    let fault = |bytes: &[u8]| match Archive::open(&scratch.archive(bytes)) {
        Err(Error::Archive { source, .. }) => source,
        other => panic!("{other:?}"),
    };
    assert!(matches!(fault(b""), Fault::NotAZip));
    assert!(matches!(fault(b"#!/bin/sh\necho hello\n"), Fault::NotAZip));
    assert!(matches!(fault(&whole[..whole.len() - 30]), Fault::Truncated));
    assert!(matches!(fault(&whole[..40]), Fault::Truncated));
    let mut flipped = whole;
    flipped[44] ^= 1;
    let archive = scratch.archive(&flipped);
    let error = unpack(&archive, &scratch.path("flipped")).unwrap_err();
    assert!(matches!(error, Error::Archive { source: Fault::Content { .. }, .. }), "{error:?}");
    assert!(matches!(Archive::open(&scratch.path("none")), Err(Error::Io { doing: "open", .. })));
}

#[test]
fn limits_hold() {
    let scratch = Scratch::new();
    let content = b"0123456789";
    let archive = scratch.archive(&zip_of(&[("a", FILE, content), ("b", FILE, content)]));
    let open = |limits| match Archive::open_with(&archive, limits) {
        Ok(_) => "ok".to_owned(),
        Err(Error::Archive { source, .. }) => source.to_string(),
        Err(other) => panic!("{other}"),
    };
    let limits = Limits::default();
    assert_eq!(open(limits), "ok");
    let few = Limits { entries_max: 1, ..limits };
    assert_eq!(open(few), "2 entries are more than the 1 allowed");
    let small = Limits { unpacked_bytes_max: 15, ..limits };
    assert_eq!(open(small), "\"b\" brings the unpacked size above the 15 bytes allowed");
}

#[test]
fn bombs_are_refused_even_if_they_lie_about_their_size() {
    let scratch = Scratch::new();
    let path = scratch.path("a.charm");
    let mut zip = ZipWriter::new(fs::File::create(&path).unwrap());
    let deflated =
        SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    zip.start_file("zeros", deflated).unwrap();
    for _ in 0..40 {
        zip.write_all(&vec![0; 1 << 20]).unwrap();
    }
    zip.finish().unwrap();
    let error = Archive::open(&path).unwrap_err();
    assert!(matches!(error, Error::Archive { source: Fault::Bomb { .. }, .. }), "{error:?}");
    // The declared size stands at a fixed place of the directory's entry; say 1 byte there.
    let mut bytes = fs::read(&path).unwrap();
    let entry = bytes.windows(4).rposition(|four| four == b"PK\x01\x02").unwrap();
    bytes[entry + 24..entry + 28].copy_from_slice(&1u32.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let error = unpack(&path, &scratch.path("out")).unwrap_err();
    assert!(matches!(error, Error::Archive { .. }), "{error:?}");
}

fn source(scratch: &Scratch) -> PathBuf {
    scratch.write("src/metadata.yaml", "name: a\n");
    scratch.write("src/hooks/install", "#!/bin/sh\n");
    scratch.write("src/.git/config", "no");
    scratch.write("src/lib/__pycache__/x.pyc", "no");
    scratch.write("src/a.charm", "no");
    scratch.write("src/notes/keep.txt", "k");
    scratch.write("src/notes/drop.txt", "d");
    scratch.write("src/.jujuignore", "notes/*\n!notes/keep.txt\n");
    let source = scratch.path("src");
    fs::create_dir(source.join("empty")).unwrap();
    symlink("install", source.join("hooks/start")).unwrap();
    fs::set_permissions(source.join("hooks/install"), fs::Permissions::from_mode(0o700)).unwrap();
    source
}

#[test]
fn packing_is_repeatable_and_reads_back() {
    let scratch = Scratch::new();
    let source = source(&scratch);
    let first = pack(&source, &scratch.path("one.charm")).unwrap();
    let paths = list(&first.path).unwrap();
    let expected = [
        "empty",
        "hooks",
        "hooks/install",
        "hooks/start",
        "lib",
        "metadata.yaml",
        "notes",
        "notes/keep.txt",
    ];
    assert_eq!(paths.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    fs::set_permissions(source.join("metadata.yaml"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(source.join("notes/keep.txt"), "k").unwrap();
    let second = pack(&source, &source.join("two.zip")).unwrap();
    assert_eq!(first.digest, second.digest, "times, owners and umask do not matter");
    let third = pack(&source, &source.join("two.zip")).unwrap();
    assert_eq!(first.digest, third.digest, "an archive never contains itself");
    assert_eq!(first.digest, Digest::of_file(&first.path).unwrap());
    let out = scratch.path("out");
    unpack(&first.path, &out).unwrap();
    fs::remove_file(source.join("two.zip")).unwrap();
    let repacked = pack_prepared(&out, &scratch.path("three.charm")).unwrap();
    assert_eq!(first.digest, repacked.digest, "nothing is lost on the way");
}

#[test]
fn trees_that_could_not_be_unpacked_are_not_packed() {
    let scratch = Scratch::new();
    let source = source(&scratch);
    symlink("/etc/passwd", source.join("leak")).unwrap();
    let error = pack(&source, &scratch.path("x.charm")).unwrap_err();
    assert!(matches!(error, Error::Archive { source: Fault::Link { .. }, .. }), "{error:?}");
    assert!(!scratch.path("x.charm").exists());
    assert_eq!(fs::read_dir(scratch.0.path()).unwrap().count(), 1, "no temporary file stays");
}

fn any_name() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("..".to_owned()),
        Just(".".to_owned()),
        Just(String::new()),
        "[ab\\\\]{1,2}"
    ];
    prop::collection::vec(part, 1..4).prop_map(|parts| parts.join("/"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever the names, types and targets: nothing appears or changes outside the target.
    #[test]
    fn nothing_is_written_outside(
        entries in prop::collection::vec(
            (any_name(), prop_oneof![Just(FILE), Just(DIRECTORY), Just(LINK), Just(0)], any_name()),
            1..6,
        ),
    ) {
        let scratch = Scratch::new();
        scratch.write("inner/canary", "alive");
        let raw: Vec<Raw<'_>> = entries
            .iter()
            .map(|(name, mode, content)| (name.as_str(), *mode, content.as_bytes()))
            .collect();
        let archive = scratch.path("inner/x.zip");
        fs::write(&archive, zip_of(&raw)).unwrap();
        let out = scratch.path("inner/out/tree");
        let outcome = unpack(&archive, &out);
        prop_assert_eq!(fs::read(scratch.path("inner/canary")).unwrap(), b"alive");
        let count = |name: &str| fs::read_dir(scratch.path(name)).unwrap().count();
        prop_assert_eq!(count(""), 1);
        prop_assert!(count("inner") <= 3);
        if outcome.is_ok() {
            prop_assert_eq!(count("inner/out"), 1);
            // Through the links that came along, too, nothing outside can be reached.
            let root = fs::canonicalize(&out).unwrap();
            for path in list(&archive).unwrap() {
                if let Ok(real) = fs::canonicalize(out.join(path)) {
                    prop_assert!(real.starts_with(&root), "{real:?}");
                }
            }
        }
    }

    #[test]
    fn damaged_archives_never_panic(at in 0usize..400, with: u8, cut in 0usize..400) {
        let mut bytes = zip_of(&[("metadata.yaml", FILE, b"name: a\n"), ("l", LINK, b"metadata.yaml"), ("d/", DIRECTORY, b"")]);
        let (at, cut) = (at % bytes.len(), cut % bytes.len());
        bytes[at] = with;
        let scratch = Scratch::new();
        let _ = unpack(&scratch.archive(&bytes), &scratch.path("one"));
        let _ = unpack(&scratch.archive(&bytes[..cut]), &scratch.path("two"));
    }
}
