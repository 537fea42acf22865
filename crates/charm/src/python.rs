//! Making a Python charm ready to run, without charmcraft and without containers.
//!
//! A source tree says in `charmcraft.yaml` and in lock or requirement files what it needs ([`plan`] reads them and
//! runs nothing). [`prepare`] builds the tree that is packed: the project's files, the declarations that Juju and
//! `ops` read, the dependencies in `venv/`, compiled bytecode, and an executable `dispatch`.
//!
//! * **Dependencies** come from wheels, installed by `uv` if it is there and by `pip` otherwise, for an interpreter of
//!   this machine that meets the project's `requires-python`. Each distinct set is installed once and then linked from
//!   a cache. An unpinned requirement means what it meant when its set was first installed; remove the cache entry to
//!   look again.
//! * **`venv/` is flat**: packages lie directly in it, `dispatch` puts it on `PYTHONPATH`. Nothing in it knows where it
//!   is, so the charm runs wherever it is unpacked.
//! * **`dispatch` finds the interpreter** at the first event and remembers it by a link. If compiled modules need
//!   exactly one version of Python and it is not there, it says so.
//! * **The whole project is copied** but for what `.jujuignore` and the usual list leave out.

mod dependencies;
mod interpreter;
mod project;
mod staging;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::charm::Charm;
use crate::digest::Digest;
use crate::error::{Error, Result, io};
use crate::version::{Malformed, Requirement};

pub use interpreter::{Interpreter, Tools};

/// How charmcraft would build the charm, which decides where its dependencies are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plugin {
    /// `requirements.txt` and the `PYDEPS` of charm libraries.
    Charm,
    /// `uv.lock`.
    Uv,
    /// `poetry.lock`.
    Poetry,
    /// `requirements.txt`, by pip alone.
    Python,
    /// No Python: the charm brings its own hooks.
    Dump,
}

impl Plugin {
    /// The word for it in `charmcraft.yaml`.
    pub fn word(self) -> &'static str {
        match self {
            Plugin::Charm => "charm",
            Plugin::Uv => "uv",
            Plugin::Poetry => "poetry",
            Plugin::Python => "python",
            Plugin::Dump => "dump",
        }
    }

    fn from_word(word: &str) -> Option<Plugin> {
        let all = [Plugin::Charm, Plugin::Uv, Plugin::Poetry, Plugin::Python, Plugin::Dump];
        all.into_iter().find(|plugin| plugin.word() == word)
    }
}

/// Why a charm cannot be prepared, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// `charmcraft.yaml` describes something else.
    #[error("charmcraft.yaml describes a {kind}, not a charm")]
    NotACharm {
        /// Its `type`.
        kind: String,
    },
    /// Extensions write parts of `charmcraft.yaml`.
    #[error(
        "charmcraft.yaml uses the extensions {}; replace it by the output of `charmcraft expand-extensions`",
        names.join(", ")
    )]
    Extensions {
        /// Their names.
        names: Vec<String>,
    },
    /// A plugin that we do not know how to do without charmcraft.
    #[error(
        "plugin {name:?} is not supported (supported: charm, uv, poetry, python, dump, nil); pack with charmcraft"
    )]
    Plugin {
        /// The plugin.
        name: String,
    },
    /// Libraries that are declared but not there.
    #[error(
        "charm libraries listed under charm-libs are missing: {}; run `charmcraft fetch-libs` or copy them there",
        missing.join(", ")
    )]
    CharmLibs {
        /// Their paths in the project.
        missing: Vec<String>,
    },
    /// The script to start is not there.
    #[error(
        "the entry script {path:?} does not exist; add it, or name another with charm-entrypoint"
    )]
    Entry {
        /// Its path in the project.
        path: String,
    },
    /// The project's requirement on Python cannot be read.
    #[error("cannot read the Python version that {file} requires")]
    RequiresPython {
        /// The file.
        file: String,
        /// What is wrong.
        #[source]
        source: Malformed,
    },
    /// No interpreter.
    #[error("there is no python3 on PATH; install it")]
    NoPython,
    /// No interpreter of the right version.
    #[error(
        "{file} requires Python {requirement}, found {found}; install a Python that fits so that `python3.N` is on \
         PATH, or relax the requirement"
    )]
    PythonVersion {
        /// What is required.
        requirement: String,
        /// The file that requires it.
        file: String,
        /// The versions that are here.
        found: String,
    },
    /// Neither uv nor pip.
    #[error("neither uv nor pip is there for {}; install uv, or python3-venv", interpreter.display())]
    NoInstaller {
        /// The interpreter asked.
        interpreter: PathBuf,
    },
    /// The lock file is missing or stale.
    #[error("cannot read what {file} pins:\n{output}")]
    Lock {
        /// The lock file.
        file: &'static str,
        /// What the reader said.
        output: String,
    },
    /// The dependencies could not be installed.
    #[error("{installer} could not install the dependencies:\n{output}")]
    Install {
        /// `uv` or `pip`.
        installer: &'static str,
        /// The end of what it said.
        output: String,
    },
    /// A program could not be started.
    #[error("cannot start {}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
}

/// What preparing a source tree will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// How the charm is built.
    pub plugin: Plugin,
    /// The script that `dispatch` starts; `None` if the charm brings its own hooks.
    pub entry: Option<String>,
    /// The Python the project requires, if it says so.
    pub requires_python: Option<Requirement>,
    /// The files and packages that list the dependencies, for people.
    pub dependencies: Vec<String>,
    /// The content of all that decides which dependencies are installed.
    pub inputs: Digest,
    /// What `charmcraft.yaml` asks for that is not done.
    pub notes: Vec<String>,
}

/// How far [`prepare`] has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The files were read.
    Planned(Plugin),
    /// The dependencies were installed before.
    Cached,
    /// An installer is at work, which may take its time.
    Installing {
        /// `uv` or `pip`.
        installer: &'static str,
    },
    /// Bytecode is compiled.
    Compiling,
    /// The tree is built.
    Building,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Progress::Planned(plugin) => write!(f, "charm is built with plugin {}", plugin.word()),
            Progress::Cached => f.write_str("dependencies are in the cache"),
            Progress::Installing { installer } => {
                write!(f, "installing dependencies with {installer}")
            }
            Progress::Compiling => f.write_str("compiling"),
            Progress::Building => f.write_str("building the charm"),
        }
    }
}

/// A tree that is ready to be packed with [`pack_prepared`](crate::archive::pack_prepared).
#[derive(Debug)]
pub struct Prepared {
    /// Where it is.
    pub directory: PathBuf,
    /// The charm as it now is.
    pub charm: Charm,
    /// What was done.
    pub plan: Plan,
    /// The interpreter the dependencies were installed for; `None` for a charm without Python.
    pub interpreter: Option<Interpreter>,
    /// Whether the dependencies came from the cache.
    pub cached: bool,
}

/// Removes all sets of dependencies from the cache but the `keep` used last. Not while a charm is being prepared.
pub fn prune_cache(cache_dir: &Path, keep: usize) -> Result<()> {
    dependencies::prune(cache_dir, keep)
}

/// Reads what a source tree needs. Runs nothing and changes nothing.
pub fn plan(directory: &Path) -> Result<Plan> {
    planned(directory).map(|(plan, _)| plan)
}

fn planned(directory: &Path) -> Result<(Plan, project::Project)> {
    let project = project::read(directory)?;
    let mut dependencies = project.sources.files.clone();
    dependencies.extend(project.sources.lock.iter().map(|lock| lock.file.to_owned()));
    dependencies.extend(project.sources.packages.iter().cloned());
    let plan = Plan {
        plugin: project.plugin,
        entry: project.entry.clone(),
        requires_python: project
            .requires_python
            .as_ref()
            .map(|(requirement, _)| requirement.clone()),
        dependencies,
        inputs: dependencies::digest(directory, &project.sources)?,
        notes: project.notes.clone(),
    };
    Ok((plan, project))
}

/// Builds the tree to pack from a source tree, with the programs on `PATH`; see [`prepare_with`].
pub fn prepare(
    directory: &Path,
    cache_dir: &Path,
    out_dir: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Prepared> {
    prepare_with(&Tools::from_environment(), directory, cache_dir, out_dir, progress)
}

/// Builds the tree to pack in `out_dir`, which must not exist or be empty; it appears whole or not at all. The source
/// tree is not changed. Dependencies are kept in `cache_dir`, for any number of charms.
pub fn prepare_with(
    tools: &Tools,
    directory: &Path,
    cache_dir: &Path,
    out_dir: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Prepared> {
    let (mut plan, project) = planned(directory)?;
    progress(Progress::Planned(plan.plugin));
    let source = Charm::from_directory(directory)?;
    let interpreter = match plan.plugin {
        Plugin::Dump => None,
        _ => Some(
            Interpreter::find(tools, project.requires_python.as_ref())
                .map_err(|source| Error::Prepare { directory: directory.to_owned(), source })?,
        ),
    };
    let installed = match &interpreter {
        Some(interpreter) if !project.sources.is_empty() => {
            let sources = &project.sources;
            let installation =
                dependencies::Installation { tools, interpreter, directory, sources };
            let key = installation.key(plan.inputs);
            Some(installation.ensure(cache_dir, key, progress)?)
        }
        _ => None,
    };
    progress(Progress::Building);
    let parent = match out_dir.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(io("create", parent))?;
    let temporary = tempfile::Builder::new()
        .prefix(".preparing-")
        .tempdir_in(parent)
        .map_err(io("create a directory in", parent))?;
    let tree = temporary.path().join("tree");
    plan.notes.extend(staging::copy_project(directory, &tree)?);
    let compiled = match &installed {
        Some(installed) => staging::link_tree(&installed.venv, &tree.join("venv"))?,
        None => false,
    };
    staging::write_declarations(&tree, &source, compiled)?;
    staging::make_startable(&tree, plan.entry.as_deref(), interpreter.as_ref(), compiled)?;
    if let Some(interpreter) = &interpreter {
        // Compared with the source when imported, so that a script edited on a unit is taken as it is.
        let paths: Vec<&str> =
            ["src", "lib"].into_iter().filter(|path| tree.join(path).is_dir()).collect();
        dependencies::compile(tools, interpreter, &tree, &paths, "checked-hash", 1)?;
    }
    let charm = Charm::from_directory(&tree)?;
    fs::rename(&tree, out_dir).map_err(io("create", out_dir))?;
    let cached = installed.is_some_and(|installed| installed.cached);
    Ok(Prepared { directory: out_dir.to_owned(), charm, plan, interpreter, cached })
}
