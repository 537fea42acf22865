//! Preparing charms with the interpreters and installers of this machine.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;
use tutti_charm::Error;
use tutti_charm::archive::{pack_prepared, unpack};
use tutti_charm::python::{Plugin, Problem, Progress, Tools, plan, prepare_with, prune_cache};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const CHARMCRAFT: &str = "\
name: tiny
type: charm
title: Tiny
summary: s
description: d
base: ubuntu@24.04
platforms: {amd64: , arm64: }
links: {contact: me, website: https://example.com}
provides: {web: {interface: http, optional: true}}
config: {options: {port: {type: int, default: 80}}}
actions: {ping: {description: pong}}
";

/// Prints what it runs with; needs the package `tinydep` in its dependencies.
const SCRIPT: &str = "\
#!/usr/bin/env python3
import os, sys
import tinydep, tinylib
print(tinydep.VALUE, tinylib.VALUE, os.environ['JUJU_DISPATCH_PATH'], tinydep.__cached__)
";

struct Scratch(TempDir);

impl Scratch {
    fn new() -> Scratch {
        let scratch = Scratch(TempDir::new().unwrap());
        scratch.write(
            "charmcraft.yaml",
            &format!("{CHARMCRAFT}parts: {{charm: {{plugin: charm, source: .}}}}\n"),
        );
        scratch.write("src/charm.py", SCRIPT);
        scratch.write("lib/tinylib.py", "VALUE = 'lib'\n");
        scratch.write("templates/page.html", "hello");
        scratch.write(".git/config", "");
        scratch.write("venv/pyvenv.cfg", "the developer's own");
        scratch.write("requirements.txt", "--no-index\n--find-links wheels\ntinydep==1.0\n");
        scratch.wheel("1.0");
        scratch
    }

    fn charm(&self) -> PathBuf {
        self.path("charm")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.charm().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// The smallest wheel there is.
    fn wheel(&self, version: &str) {
        fs::create_dir_all(self.charm().join("wheels")).unwrap();
        let path = self.charm().join(format!("wheels/tinydep-{version}-py3-none-any.whl"));
        let mut wheel = ZipWriter::new(File::create(path).unwrap());
        let info = format!("tinydep-{version}.dist-info");
        for (name, content) in [
            ("tinydep/__init__.py".to_owned(), format!("VALUE = 'dep {version}'\n")),
            (
                format!("{info}/METADATA"),
                format!("Metadata-Version: 2.1\nName: tinydep\nVersion: {version}\n"),
            ),
            (
                format!("{info}/WHEEL"),
                "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
                    .into(),
            ),
            (
                format!("{info}/RECORD"),
                format!(
                    "tinydep/__init__.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n"
                ),
            ),
        ] {
            wheel.start_file(name, SimpleFileOptions::default()).unwrap();
            wheel.write_all(content.as_bytes()).unwrap();
        }
        wheel.finish().unwrap();
    }

    /// Prepares the charm and answers what was reported, too.
    fn prepare(
        &self,
        tools: &Tools,
        out: &str,
    ) -> Result<(tutti_charm::python::Prepared, Vec<Progress>), Error> {
        let mut reported = Vec::new();
        let mut progress = |step| reported.push(step);
        let prepared = prepare_with(
            tools,
            &self.charm(),
            &self.path("cache"),
            &self.path(out),
            &mut progress,
        )?;
        Ok((prepared, reported))
    }

    fn problem(&self, tools: &Tools) -> Problem {
        match self.prepare(tools, "never") {
            Err(Error::Prepare { source, .. }) => source,
            other => panic!("{other:?}"),
        }
    }

    /// Packs a prepared tree, unpacks it elsewhere and starts it there.
    fn dispatch(&self, prepared: &Path, elsewhere: &str) -> String {
        let archive = self.path("x.charm");
        pack_prepared(prepared, &archive).unwrap();
        let unit = self.path(elsewhere);
        unpack(&archive, &unit).unwrap();
        let output = start(&unit, "hooks/install", &[]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

fn start(unit: &Path, event: &str, env: &[(&str, &str)]) -> Output {
    Command::new(unit.join("dispatch"))
        .current_dir(unit)
        .env("JUJU_DISPATCH_PATH", event)
        .env("JUJU_CHARM_DIR", unit)
        .envs(env.iter().copied())
        .output()
        .unwrap()
}

/// The programs of this machine without uv, unless its Python has that as a module.
fn with_pip(scratch: &Scratch) -> Tools {
    let tools = scratch.path("pip-only");
    fs::create_dir_all(&tools).unwrap();
    let python = find("python3").expect("python3 is on PATH");
    symlink(python, tools.join("python3")).unwrap();
    let mut path = OsString::from(&tools);
    path.push(":/usr/sbin");
    Tools::on_path(path)
}

/// What installs where there is no program uv.
fn installer_beside_python() -> &'static str {
    // Behind a virtual environment, as it is used.
    let base =
        "import subprocess, sys; base = getattr(sys, '_base_executable', None) or sys.executable
sys.exit(subprocess.run([base, '-m', 'uv', '--version']).returncode)";
    let works = Command::new(find("python3").unwrap()).args(["-c", base]).output().unwrap();
    if works.status.success() { "uv" } else { "pip" }
}

fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap();
    let found = std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|path| path.is_file());
    // Behind a launcher, such as pyenv's, that asks where it was started from.
    let ask = |program: &PathBuf| {
        let output = Command::new(program)
            .args(["-c", "import sys; print(sys.executable)"])
            .output()
            .ok()?;
        Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()))
    };
    if name == "python3" { found.as_ref().and_then(ask) } else { found }
}

#[test]
fn a_charm_runs_where_it_was_unpacked() {
    let scratch = Scratch::new();
    let tools = with_pip(&scratch);
    let (prepared, reported) = scratch.prepare(&tools, "one").unwrap();
    let installing = Progress::Installing { installer: installer_beside_python() };
    assert!(reported.contains(&installing), "{reported:?}");
    assert!(!prepared.cached);
    let charm = &prepared.charm;
    assert_eq!(charm.metadata.display_name.as_deref(), Some("Tiny"));
    assert!(charm.metadata.provides["web"].optional);
    assert_eq!(charm.config.options["port"].default, Some(80.into()));
    assert!(charm.actions.contains_key("ping") && charm.has_dispatch && !charm.traits.unprepared);
    assert_eq!(charm.traits.python_version, None, "nothing was compiled for one Python");
    assert_eq!(charm.manifest.bases[0].architectures, ["amd64", "arm64"]);
    for (path, present) in [
        ("templates/page.html", true),
        ("venv/tinydep/__init__.py", true),
        ("venv/pyvenv.cfg", false),
        (".git", false),
        ("manifest.yaml", true),
    ] {
        assert_eq!(prepared.directory.join(path).exists(), present, "{path}");
    }
    let said = scratch.dispatch(&prepared.directory, "elsewhere");
    assert!(said.starts_with("dep 1.0 lib hooks/install "), "{said}");
    assert!(said.contains("/elsewhere/venv/tinydep/__pycache__/"), "{said}");
    // The second start does not look for an interpreter: there is none to be found.
    let again = start(&scratch.path("elsewhere"), "hooks/start", &[("PATH", "/nonexistent")]);
    assert!(again.status.success(), "{again:?}");
}

#[test]
fn the_interpreter_is_remembered() {
    let scratch = Scratch::new();
    let (prepared, _) = scratch.prepare(&with_pip(&scratch), "one").unwrap();
    scratch.dispatch(&prepared.directory, "unit");
    let link = scratch.path("unit/venv/bin/python-for-any");
    assert!(fs::read_link(&link).unwrap().is_absolute());
    fs::remove_file(&link).unwrap();
    symlink("/nonexistent/python", &link).unwrap();
    let output = start(&scratch.path("unit"), "hooks/start", &[]);
    assert!(
        output.status.success(),
        "an interpreter that went away is looked for again: {output:?}"
    );
}

#[test]
fn the_second_time_is_from_the_cache_and_equal() {
    let scratch = Scratch::new();
    let tools = with_pip(&scratch);
    let (one, _) = scratch.prepare(&tools, "one").unwrap();
    let (two, reported) = scratch.prepare(&tools, "two").unwrap();
    assert!(two.cached && reported.contains(&Progress::Cached), "{reported:?}");
    let pack = |from: &Path, to: &str| pack_prepared(from, &scratch.path(to)).unwrap().digest;
    assert_eq!(pack(&one.directory, "1.charm"), pack(&two.directory, "2.charm"));
    scratch.wheel("1.1");
    scratch.write("requirements.txt", "--no-index\n--find-links wheels\ntinydep==1.1\n");
    let (three, _) = scratch.prepare(&tools, "three").unwrap();
    assert!(!three.cached);
    assert!(scratch.dispatch(&three.directory, "unit").starts_with("dep 1.1 "));
    fs::create_dir(scratch.path("cache/python/.installing-x")).unwrap();
    prune_cache(&scratch.path("cache"), 1).unwrap();
    assert_eq!(fs::read_dir(scratch.path("cache/python")).unwrap().count(), 1);
    assert!(scratch.prepare(&tools, "four").unwrap().0.cached, "the set used last was kept");
}

#[test]
fn a_failed_installation_leaves_nothing() {
    let scratch = Scratch::new();
    scratch.write("requirements.txt", "--no-index\n--find-links wheels\ntinydep==9.9\n");
    let tools = with_pip(&scratch);
    let problem = scratch.problem(&tools);
    assert!(
        matches!(&problem, Problem::Install { installer, output }
            if *installer == installer_beside_python() && output.contains("tinydep")),
        "{problem}"
    );
    assert_eq!(fs::read_dir(scratch.path("cache/python")).unwrap().count(), 0);
    assert!(!scratch.path("never").exists());
    scratch.write("requirements.txt", "--no-index\n--find-links wheels\ntinydep==1.0\n");
    assert!(scratch.prepare(&tools, "now").is_ok());
    let occupied = scratch.prepare(&tools, "now").unwrap_err();
    assert!(matches!(occupied, Error::Io { doing: "create", .. }), "{occupied}");
}

#[test]
fn problems_say_what_to_do() {
    let scratch = Scratch::new();
    let tools = with_pip(&scratch);
    scratch.write("pyproject.toml", "[project]\nrequires-python = \">=3.99\"\n");
    let text = scratch.problem(&tools).to_string();
    assert!(text.starts_with("pyproject.toml requires Python >=3.99, found 3."), "{text}");
    assert!(text.contains("install a Python that fits"), "{text}");
    scratch.write("pyproject.toml", "[project]\nrequires-python = \"new\"\n");
    assert!(matches!(scratch.problem(&tools), Problem::RequiresPython { .. }));
    fs::remove_file(scratch.charm().join("pyproject.toml")).unwrap();
    assert!(matches!(scratch.problem(&Tools::on_path("/nonexistent")), Problem::NoPython));
    let cases = [
        (
            "charm-libs: [{lib: tls-certificates.tls, version: \"4.2\"}]\nparts: {charm: {}}\n",
            "lib/charms/tls_certificates/v4/tls.py; run `charmcraft fetch-libs`",
        ),
        ("extensions: [flask-framework]\n", "extensions flask-framework"),
        ("parts: {charm: {plugin: reactive}}\n", "plugin \"reactive\" is not supported"),
        (
            "parts: {charm: {charm-entrypoint: src/main.py}}\n",
            "entry script \"src/main.py\" does not exist",
        ),
        ("parts: {charm: {plugin: uv}}\n", "cannot read what uv.lock pins"),
    ];
    for (keys, expected) in cases {
        scratch.write("charmcraft.yaml", &format!("{CHARMCRAFT}{keys}"));
        let text = scratch.problem(&tools).to_string();
        assert!(text.contains(expected), "{expected} in {text}");
    }
    scratch.write("charmcraft.yaml", "name: x\ntype: bundle\n");
    assert!(matches!(scratch.problem(&tools), Problem::NotACharm { .. }));
}

#[test]
fn plans_are_read_from_files_alone() {
    let scratch = Scratch::new();
    let first = plan(&scratch.charm()).unwrap();
    assert_eq!((first.plugin, first.entry.as_deref()), (Plugin::Charm, Some("src/charm.py")));
    scratch.write("lib/charms/x/v0/y.py", "PYDEPS = ['pydantic<3']\n");
    let second = plan(&scratch.charm()).unwrap();
    assert_eq!(second.dependencies, ["requirements.txt", "pydantic<3"]);
    assert_ne!(first.inputs, second.inputs);
    scratch.write("requirements.txt", "-r more.txt\n");
    scratch.write("more.txt", "a\n");
    let third = plan(&scratch.charm()).unwrap();
    scratch.write("more.txt", "b\n");
    assert_ne!(third.inputs, plan(&scratch.charm()).unwrap().inputs);
    scratch.write(
        "charmcraft.yaml",
        &format!("{CHARMCRAFT}parts:\n  it: {{plugin: dump, organize: {{a: b}}}}\n"),
    );
    let dump = plan(&scratch.charm()).unwrap();
    assert_eq!((dump.plugin, dump.notes.len(), dump.entry), (Plugin::Dump, 1, None));
}

#[test]
fn a_bash_charm_needs_no_python() {
    let scratch = Scratch::new();
    fs::remove_dir_all(scratch.charm()).unwrap();
    scratch.write("metadata.yaml", "name: bash\n");
    scratch.write("hooks/install", "#!/bin/sh\n");
    symlink("../../elsewhere", scratch.charm().join("hooks/out")).unwrap();
    symlink("install", scratch.charm().join("hooks/start")).unwrap();
    let (prepared, _) = scratch.prepare(&Tools::on_path("/nonexistent"), "one").unwrap();
    assert_eq!(prepared.charm.hooks, ["install", "start"]);
    assert_eq!(
        prepared.plan.notes,
        ["link \"hooks/out\" is left out: its target is outside the archive"]
    );
    assert!(prepared.interpreter.is_none() && !prepared.charm.has_dispatch);
}

/// What the lock files of both tools pin, read without the tools.
#[test]
fn lock_files_without_their_tools() {
    let uv = "\
version = 1
requires-python = \">=3.8\"
[[package]]
name = \"tiny\"
version = \"0\"
source = { virtual = \".\" }
dependencies = [
  { name = \"tinydep\", extra = [\"more\"] },
  { name = \"never\", marker = \"sys_platform == 'win32'\" },
]
[package.dev-dependencies]
dev = [{ name = \"never\" }]
[[package]]
name = \"tinydep\"
version = \"1.0\"
source = { registry = \"https://pypi.org/simple\" }
[package.optional-dependencies]
more = [{ name = \"second.Dep\" }]
[[package]]
name = \"second-dep\"
version = \"2.0\"
source = { url = \"https://example.com/second_dep-2.0-py3-none-any.whl\" }
";
    let poetry = "\
[[package]]
name = \"tinydep\"
version = \"1.0\"
[package.dependencies]
second-dep = {version = \"*\", optional = true}
never = {version = \"*\", markers = \"sys_platform == 'win32'\"}
[package.extras]
more = [\"second-dep (>=2)\"]
[[package]]
name = \"second-dep\"
version = \"2.0\"
[package.source]
type = \"url\"
url = \"https://example.com/second_dep-2.0-py3-none-any.whl\"
";
    let pyproject = "[tool.poetry.dependencies]\npython = \"^3.8\"\ntinydep = {version = \"^1\", extras = [\"more\"]}\n\
                     [tool.poetry.group.dev.dependencies]\nnever = \"*\"\n";
    let scratch = Scratch::new();
    for (file, content) in [("uv.lock", uv), ("poetry.lock", poetry), ("pyproject.toml", pyproject)]
    {
        scratch.write(file, content);
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/python/lock.py");
    for lock in ["uv.lock", "poetry.lock"] {
        let output = Command::new(find("python3").unwrap())
            .arg(script)
            .arg(scratch.charm())
            .args([lock, "", ""])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let expected =
            "second-dep @ https://example.com/second_dep-2.0-py3-none-any.whl\ntinydep==1.0\n";
        assert_eq!(said, expected, "{lock}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Tools that answer as an empty model would.
fn fake_hook_tools(directory: &Path) {
    fs::create_dir_all(directory).unwrap();
    let names = [
        "juju-log",
        "status-set",
        "is-leader",
        "relation-ids",
        "config-get",
        "status-get",
        "state-get",
    ];
    for name in names {
        let answer = match name {
            "is-leader" => "echo true",
            "relation-ids" => "echo '[]'",
            "config-get" => "echo '{\"port\": 80}'",
            "status-set" => "echo \"$@\" >> \"$STATUS_LOG\"",
            _ => ":",
        };
        let path = directory.join(name);
        fs::write(&path, format!("#!/bin/sh\n{answer}\n")).unwrap();
        Command::new("chmod").arg("+x").arg(&path).status().unwrap();
    }
}

const OPS_SCRIPT: &str = "\
#!/usr/bin/env python3
import ops

class Tiny(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        framework.observe(self.on.install, self._install)

    def _install(self, event):
        self.unit.status = ops.ActiveStatus('port %d' % self.config['port'])

ops.main(Tiny)
";

/// A real charm on a real `ops`, with whatever installer `tools` has.
fn ops_charm(tools: &Tools, installer: &'static str) {
    let scratch = Scratch::new();
    scratch.write("src/charm.py", OPS_SCRIPT);
    scratch.write("requirements.txt", "ops==2.23.*\n");
    let (prepared, reported) = scratch.prepare(tools, "one").unwrap();
    assert!(reported.contains(&Progress::Installing { installer }), "{reported:?}");
    let archive = scratch.path("tiny.charm");
    pack_prepared(&prepared.directory, &archive).unwrap();
    let unit = scratch.path("unit");
    unpack(&archive, &unit).unwrap();
    let hook_tools = scratch.path("hook-tools");
    fake_hook_tools(&hook_tools);
    let path = format!("{}:{}", hook_tools.display(), std::env::var("PATH").unwrap());
    let log = scratch.path("status.log").display().to_string();
    let env = [
        ("PATH", path.as_str()),
        ("STATUS_LOG", log.as_str()),
        ("JUJU_UNIT_NAME", "tiny/0"),
        ("JUJU_MODEL_NAME", "m"),
        ("JUJU_MODEL_UUID", "b2d7f3b8-0000-4000-8000-000000000000"),
        ("JUJU_VERSION", "3.6.9"),
        ("JUJU_HOOK_NAME", "install"),
    ];
    let output = start(&unit, "hooks/install", &env);
    assert!(output.status.success(), "{output:?}");
    let said = fs::read_to_string(&log).unwrap();
    assert!(said.contains("active") && said.contains("port 80"), "{said}");
    let (again, _) = scratch.prepare(tools, "two").unwrap();
    assert!(again.cached);
}

#[test]
fn a_real_charm_with_pip() {
    if std::env::var_os("TUTTI_TEST_PYPI").is_some() {
        let scratch = Scratch::new();
        ops_charm(&with_pip(&scratch), "pip");
    }
}

#[test]
fn a_real_charm_with_uv() {
    if std::env::var_os("TUTTI_TEST_PYPI").is_some() && find("uv").is_some() {
        ops_charm(&Tools::from_environment(), "uv");
    }
}

/// The lock is made by uv itself, then installed with uv and, from the same file, with pip.
#[test]
fn a_uv_lock_with_both_installers() {
    let Some(uv) = find("uv").filter(|_| std::env::var_os("TUTTI_TEST_PYPI").is_some()) else {
        return;
    };
    let scratch = Scratch::new();
    scratch.write(
        "charmcraft.yaml",
        &format!("{CHARMCRAFT}parts: {{charm: {{plugin: uv, source: .}}}}\n"),
    );
    let pyproject = "[project]\nname = \"tiny\"\nversion = \"0\"\nrequires-python = \">=3.10\"\n\
                     dependencies = [\"ops==2.23.*\"]\n[dependency-groups]\ndev = [\"iniconfig\"]\n";
    scratch.write("pyproject.toml", pyproject);
    scratch.write("src/charm.py", "#!/usr/bin/env python3\nimport ops\nprint(ops.__version__)\n");
    let locked =
        Command::new(uv).args(["lock", "--quiet"]).current_dir(scratch.charm()).status().unwrap();
    assert!(locked.success());
    let (with_uv, reported) = scratch.prepare(&Tools::from_environment(), "uv").unwrap();
    assert!(reported.contains(&Progress::Installing { installer: "uv" }), "{reported:?}");
    assert_eq!(with_uv.plan.plugin, Plugin::Uv);
    assert!(!with_uv.directory.join("venv/iniconfig").exists(), "no development dependencies");
    assert!(scratch.dispatch(&with_uv.directory, "unit-uv").starts_with("2.23."));
    fs::remove_dir_all(scratch.path("cache")).unwrap();
    let (with_pip, reported) = scratch.prepare(&with_pip(&scratch), "pip").unwrap();
    assert!(reported.contains(&Progress::Installing { installer: "pip" }), "{reported:?}");
    assert!(!with_pip.directory.join("venv/iniconfig").exists());
    assert!(scratch.dispatch(&with_pip.directory, "unit-pip").starts_with("2.23."));
}
