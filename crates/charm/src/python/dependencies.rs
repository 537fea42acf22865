//! Installing a charm's dependencies, once for each distinct set of them.
//!
//! `<cache>/python/<key>/venv` holds what an installer put there, with bytecode compiled. An entry is made under
//! another name and renamed when it is whole, so a failed or killed installation never leaves half of one. A second
//! charm, or the same one packed again, takes the files by hard links.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::interpreter::{Interpreter, Tools};
use super::project::{self, Lock, Sources};
use super::{Problem, Progress};
use crate::digest::{Digest, Hasher};
use crate::error::{Error, Result, io};

const LOCK_SCRIPT: &str = include_str!("lock.py");

/// Grows when the way of installing changes, so that older entries are not taken.
const FORMAT: u32 = 1;

/// The file in a cache entry whose time says when it was last used.
const USED: &str = "used";

/// Last lines of an installer's output that are shown when it fails.
const OUTPUT_LINES_MAX: usize = 25;

/// What the files say is to be installed, as one digest: two trees with the same answer get the same entry.
pub(super) fn digest(directory: &Path, sources: &Sources) -> Result<Digest> {
    let mut hasher = Hasher::new();
    let mut add = |name: &str, content: &str| {
        hasher.update(format!("{name} {}\n", content.len()).as_bytes());
        hasher.update(content.as_bytes());
    };
    add("exact", if sources.exact { "yes" } else { "no" });
    add("packages", &sources.packages.join("\n"));
    for name in requirement_files(directory, &sources.files)? {
        add(&name, &project::text(directory, &name)?.unwrap_or_default());
    }
    if let Some(Lock { file, extras, groups }) = &sources.lock {
        add("extras", &extras.join(","));
        add("groups", &groups.join(","));
        for name in [file, "pyproject.toml"] {
            add(name, &project::text(directory, name)?.unwrap_or_default());
        }
    }
    Ok(hasher.finish())
}

/// Requirement files and those that they name by `-r` and `-c`, in order of first sight.
fn requirement_files(directory: &Path, files: &[String]) -> Result<Vec<String>> {
    let mut pending: Vec<String> = files.iter().rev().cloned().collect();
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    while let Some(name) = pending.pop() {
        if !seen.insert(name.clone()) {
            continue;
        }
        let text = project::text(directory, &name)?.unwrap_or_default();
        for line in text.lines().map(str::trim) {
            let options = ["-r", "--requirement", "-c", "--constraint"];
            let included = options.iter().find_map(|option| line.strip_prefix(option));
            if let Some(included) = included {
                let included = included.trim_start_matches([' ', '=']).trim();
                let folder = Path::new(&name).parent().unwrap_or_else(|| Path::new(""));
                pending.push(folder.join(included).to_string_lossy().into_owned());
            }
        }
        found.push(name);
    }
    Ok(found)
}

/// Whether dependencies come from this machine's directories, whose content no lock file tells.
fn is_local(directory: &Path, sources: &Sources) -> Result<bool> {
    let mut lines = sources.packages.clone();
    for name in requirement_files(directory, &sources.files)? {
        let text = project::text(directory, &name)?.unwrap_or_default();
        lines.extend(text.lines().map(|line| line.trim().to_owned()));
    }
    let mut local = lines.iter().any(|line| {
        line.starts_with(['.', '/'])
            || line.starts_with("-e")
            || line.starts_with("--editable")
            || line.contains("file:")
    });
    if let Some(lock) = &sources.lock {
        let text = project::text(directory, lock.file)?.unwrap_or_default();
        let outside = |line: &str| {
            let keys = [
                "directory = \"",
                "editable = \"",
                "path = \"",
                "type = \"directory\"",
                "type = \"file\"",
            ];
            keys.iter().any(|key| line.contains(key)) && !line.contains("editable = \".\"")
        };
        local |= text.lines().any(outside);
    }
    Ok(local)
}

/// Dependencies that are ready to be put into a charm.
pub(super) struct Installed {
    /// The directory to link from.
    pub(super) venv: PathBuf,
    /// Whether they were there already.
    pub(super) cached: bool,
}

/// What an installation works with.
pub(super) struct Installation<'a> {
    pub(super) tools: &'a Tools,
    pub(super) interpreter: &'a Interpreter,
    pub(super) directory: &'a Path,
    pub(super) sources: &'a Sources,
}

impl Installation<'_> {
    /// The name of the cache entry: the content of all inputs and the interpreter's ABI.
    pub(super) fn key(&self, inputs: Digest) -> Digest {
        Digest::of(format!("{FORMAT} {inputs} {}", self.interpreter.abi).as_bytes())
    }

    /// Takes the dependencies from the cache, or installs them into it.
    pub(super) fn ensure(
        &self,
        cache_dir: &Path,
        key: Digest,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Installed> {
        let entries = cache_dir.join("python");
        fs::create_dir_all(&entries).map_err(io("create", &entries))?;
        let entry = entries.join(key.to_string());
        let local = is_local(self.directory, self.sources)?;
        if entry.is_dir() && !local {
            progress(Progress::Cached);
            mark_used(&entry)?;
            return Ok(Installed { venv: entry.join("venv"), cached: true });
        }
        let temporary = tempfile::Builder::new()
            .prefix(".installing-")
            .tempdir_in(&entries)
            .map_err(io("create a directory in", &entries))?;
        let requirements = self.requirements(temporary.path())?;
        let venv = temporary.path().join("venv");
        fs::create_dir(&venv).map_err(io("create", &venv))?;
        self.install(temporary.path(), &requirements, progress)?;
        progress(Progress::Compiling);
        self.tidy(temporary.path())?;
        mark_used(temporary.path())?;
        if local && entry.is_dir() {
            let outdated = temporary.path().join("outdated");
            fs::rename(&entry, &outdated).map_err(io("rename", &entry))?;
            fs::remove_dir_all(&outdated).map_err(io("remove", &outdated))?;
        }
        let made = temporary.path().to_owned();
        match fs::rename(&made, &entry) {
            // The directory has another name now and must not be removed under the old one.
            Ok(()) => drop(temporary.keep()),
            // Somebody else was quicker with the same.
            Err(_) if entry.is_dir() => {}
            Err(error) => return Err(io("rename", &made)(error)),
        }
        Ok(Installed { venv: entry.join("venv"), cached: false })
    }

    fn failed(&self, source: Problem) -> Error {
        Error::Prepare { directory: self.directory.to_owned(), source }
    }

    /// Writes down what is to be installed, as one requirements file.
    fn requirements(&self, temporary: &Path) -> Result<PathBuf> {
        let path = temporary.join("requirements.txt");
        let text = match &self.sources.lock {
            Some(lock) => self.locked(lock)?,
            None => {
                let root = fs::canonicalize(self.directory).map_err(io("read", self.directory))?;
                let files = self.sources.files.iter();
                let files = files.map(|name| format!("-r {}\n", root.join(name).display()));
                files.chain(self.sources.packages.iter().map(|one| format!("{one}\n"))).collect()
            }
        };
        fs::write(&path, text).map_err(io("write", &path))?;
        Ok(path)
    }

    /// What a lock file pins. `uv` reads its own; otherwise a script does, run by the charm's interpreter.
    fn locked(&self, lock: &Lock) -> Result<String> {
        let uv = self.uv().filter(|_| lock.file == "uv.lock");
        let mut command = match uv {
            Some(mut command) => {
                command.args([
                    "export",
                    "--frozen",
                    "--no-dev",
                    "--no-emit-project",
                    "--no-editable",
                ]);
                command.args([
                    "--quiet",
                    "--no-header",
                    "--format",
                    "requirements-txt",
                    "--python",
                ]);
                command.arg(&self.interpreter.path);
                for (option, names) in [("--extra", &lock.extras), ("--group", &lock.groups)] {
                    for name in names {
                        command.args([option, name.as_str()]);
                    }
                }
                command
            }
            None => {
                let mut command = self.tools.command(&self.interpreter.path);
                command.args(["-I", "-c", LOCK_SCRIPT]).arg(".").arg(lock.file);
                command.arg(lock.extras.join(",")).arg(lock.groups.join(","));
                command
            }
        };
        let output = self.run(&mut command)?;
        if !output.status.success() {
            let output = tail(&output);
            return Err(self.failed(Problem::Lock { file: lock.file, output }));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// `uv` as a program, or as a module of the charm's interpreter.
    fn uv(&self) -> Option<Command> {
        if let Some(program) = self.tools.find("uv") {
            return Some(self.tools.command(program));
        }
        let mut command = self.tools.command(&self.interpreter.path);
        command.args(["-m", "uv", "--version"]);
        let works = command.output().is_ok_and(|output| output.status.success());
        works.then(|| {
            let mut command = self.tools.command(&self.interpreter.path);
            command.args(["-m", "uv"]);
            command
        })
    }

    /// `pip` of the charm's interpreter, or of an environment made for it.
    fn pip(&self, temporary: &Path) -> Result<Command> {
        let as_module = |python: &Path| {
            let mut command = self.tools.command(python);
            command.args(["-m", "pip"]);
            command
        };
        let works = |mut command: Command| {
            command.arg("--version").output().is_ok_and(|output| output.status.success())
        };
        if works(as_module(&self.interpreter.path)) {
            return Ok(as_module(&self.interpreter.path));
        }
        let environment = temporary.join("environment");
        let mut make = self.tools.command(&self.interpreter.path);
        make.args(["-m", "venv"]).arg(&environment);
        let made = self.run(&mut make)?;
        let python = environment.join("bin/python");
        if made.status.success() && works(as_module(&python)) {
            return Ok(as_module(&python));
        }
        Err(self.failed(Problem::NoInstaller { interpreter: self.interpreter.path.clone() }))
    }

    fn install(
        &self,
        temporary: &Path,
        requirements: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<()> {
        let (installer, mut command) = match self.uv() {
            Some(mut command) => {
                command.args(["pip", "install", "--quiet", "--python"]).arg(&self.interpreter.path);
                ("uv", command)
            }
            None => {
                let mut command = self.pip(temporary)?;
                command.args(["install", "--quiet", "--no-compile", "--no-input"]);
                command.args(["--disable-pip-version-check", "--no-warn-script-location"]);
                ("pip", command)
            }
        };
        progress(Progress::Installing { installer });
        if self.sources.exact {
            command.arg("--no-deps");
        }
        command.arg("--target").arg(temporary.join("venv")).arg("--requirement").arg(requirements);
        let output = self.run(&mut command)?;
        if output.status.success() {
            return Ok(());
        }
        Err(self.failed(Problem::Install { installer, output: tail(&output) }))
    }

    /// Removes what would only work where it was installed, and compiles the rest for good: bytecode that is never
    /// compared with its source stays valid wherever the charm is unpacked, and is the same every time.
    fn tidy(&self, temporary: &Path) -> Result<()> {
        let venv = temporary.join("venv");
        for name in ["bin", ".lock"] {
            let path = venv.join(name);
            match fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_dir() => {
                    fs::remove_dir_all(&path).map_err(io("remove", &path))?;
                }
                Ok(_) => fs::remove_file(&path).map_err(io("remove", &path))?,
                Err(_) => {}
            }
        }
        compile(self.tools, self.interpreter, temporary, &["venv"], "unchecked-hash", 0)
    }

    fn run(&self, command: &mut Command) -> Result<Output> {
        command.current_dir(self.directory);
        command.output().map_err(|source| {
            let program = PathBuf::from(command.get_program());
            self.failed(Problem::Start { program, source })
        })
    }
}

fn mark_used(entry: &Path) -> Result<()> {
    let path = entry.join(USED);
    fs::write(&path, "").map_err(io("write", &path))
}

/// Compiles the Python files below some paths of a directory, which are also their names in tracebacks. Files that
/// are not for this Python are left alone, which is why failures to compile are none of ours. `jobs` is the number of
/// processes, 0 for one on each core.
pub(super) fn compile(
    tools: &Tools,
    interpreter: &Interpreter,
    directory: &Path,
    paths: &[&str],
    invalidation: &str,
    jobs: u32,
) -> Result<()> {
    if paths.is_empty() {
        return Ok(());
    }
    let mut command = tools.command(&interpreter.path);
    command.current_dir(directory);
    command.args(["-I", "-m", "compileall", "-q", "-q", "--invalidation-mode", invalidation]);
    command.arg("-j").arg(jobs.to_string()).args(paths);
    command.output().map(drop).map_err(|source| {
        let program = interpreter.path.clone();
        let source = Problem::Start { program, source };
        Error::Prepare { directory: directory.to_owned(), source }
    })
}

/// Removes all cache entries but the `keep` used last, and what killed installations left. Charms prepared from them
/// are not touched.
pub(super) fn prune(cache_dir: &Path, keep: usize) -> Result<()> {
    let entries = cache_dir.join("python");
    let mut found = Vec::new();
    let children = match fs::read_dir(&entries) {
        Ok(children) => children,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io("read", &entries)(error)),
    };
    for child in children {
        let path = child.map_err(io("read", &entries))?.path();
        let used = fs::metadata(path.join(USED)).and_then(|metadata| metadata.modified()).ok();
        found.push((used, path));
    }
    found.sort();
    for (_, path) in found.iter().rev().skip(keep) {
        fs::remove_dir_all(path).map_err(io("remove", path))?;
    }
    Ok(())
}

fn tail(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(OUTPUT_LINES_MAX)..].join("\n")
}
