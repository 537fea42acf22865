//! The agent: its session, and one loop per unit of its machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tutti_client::Address;
use tutti_model::agent::{Session, UnitChange};

use crate::artifacts::Artifacts;
use crate::controller::Controller;
use crate::error::{Error, Result, chain, file};
use crate::timing::Timing;
use crate::unit_directory::{UnitDirectory, create_tools};
use crate::{leftover, unit};

/// How many processes of charms run at once on a machine, by default, per processor.
const HOOKS_PER_PROCESSOR: usize = 4;

/// What an agent is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the controller is. It need not run yet.
    pub controller: Address,
    /// The agent's files. Created when missing.
    pub data: PathBuf,
    /// The machine whose units it runs.
    pub machine: String,
    /// The binary that is every hook tool, by the name it is called with.
    pub hook_tool: PathBuf,
    /// How many processes of charms may run at once; further hooks wait their turn. Units
    /// otherwise run independently of each other.
    pub hooks_at_once: usize,
    /// How long to wait for what.
    pub timing: Timing,
}

impl Options {
    /// The usual options.
    #[must_use]
    pub fn new(controller: Address, data: PathBuf, machine: &str, hook_tool: PathBuf) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            controller,
            data,
            machine: machine.into(),
            hook_tool,
            hooks_at_once: (HOOKS_PER_PROCESSOR * processors).max(8),
            timing: Timing::default(),
        }
    }
}

/// Runs the units of one machine.
#[derive(Debug)]
pub struct Agent;

/// A running agent. Dropping it stops the agent at once, as if it had been killed.
#[derive(Debug)]
pub struct Handle {
    stop: CancellationToken,
    kill: CancellationToken,
    grace: Duration,
    task: JoinHandle<Result<()>>,
}

/// What all units of an agent share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) controller: Controller,
    pub(crate) charms: Artifacts,
    pub(crate) resources: Artifacts,
    /// Absolute path.
    pub(crate) data: PathBuf,
    pub(crate) timing: Timing,
    /// The right to run a process.
    pub(crate) hooks: Semaphore,
    /// The right to force files to the disk.
    pub(crate) saving: Semaphore,
    /// Nothing new is begun.
    pub(crate) stop: CancellationToken,
    /// What still runs is killed.
    pub(crate) kill: CancellationToken,
    pub(crate) boot_id: String,
    /// Home directory for charms.
    pub(crate) home: String,
    fenced: AtomicBool,
}

impl Agent {
    /// Starts an agent on the present runtime. It goes on until it is stopped, or a newer agent
    /// takes over its machine. A controller that is away is waited for.
    ///
    /// # Errors
    /// The data directory cannot be used, or is that of another machine's agent.
    pub fn start(mut options: Options) -> Result<Handle> {
        fs::create_dir_all(&options.data).map_err(file("create", &options.data))?;
        options.data =
            options.data.canonicalize().map_err(file("find the path of", &options.data))?;
        claim(&options.data, &options.machine)?;
        create_tools(&options.data, &options.hook_tool)?;
        let (stop, kill) = (CancellationToken::new(), CancellationToken::new());
        let grace = options.timing.stop_grace;
        let task = tokio::spawn(run(options, stop.clone(), kill.clone()));
        Ok(Handle { stop, kill, grace, task })
    }
}

impl Handle {
    /// Stops the agent. Running hooks may end within [`Timing::stop_grace`]; those that do not are
    /// killed and run again when the agent comes back.
    ///
    /// # Errors
    /// What had ended the agent before.
    pub async fn stop(mut self) -> Result<()> {
        self.stop.cancel();
        let ended = match tokio::time::timeout(self.grace, &mut self.task).await {
            Ok(ended) => ended,
            Err(_) => {
                self.kill.cancel();
                (&mut self.task).await
            }
        };
        ended.unwrap_or(Ok(()))
    }

    /// Waits until the agent ends, which it does not by itself unless it cannot go on.
    ///
    /// # Errors
    /// [`Error::Fenced`], or what the controller refuses.
    pub async fn ended(&mut self) -> Result<()> {
        (&mut self.task).await.unwrap_or(Ok(()))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop.cancel();
        self.kill.cancel();
        self.task.abort();
    }
}

impl Shared {
    /// A newer agent serves the machine: whatever runs here must end at once.
    pub(crate) fn fenced(&self) {
        self.fenced.store(true, Ordering::Relaxed);
        self.kill();
    }

    fn kill(&self) {
        self.stop.cancel();
        self.kill.cancel();
    }
}

async fn run(options: Options, stop: CancellationToken, kill: CancellationToken) -> Result<()> {
    let Options { controller, data, machine, timing, .. } = options;
    let opened = tokio::select! {
        opened = Controller::open(&controller, &machine, &timing, &kill) => opened,
        () = stop.cancelled() => Err(Error::Stopping),
    };
    let (controller, session) = match opened {
        Err(Error::Stopping) => return Ok(()),
        opened => opened?,
    };
    claim_for(&data, &session.controller)?;
    let shared = Arc::new(Shared {
        charms: Artifacts::new(data.join("cache/charms"), ".charm", controller.clone()),
        resources: Artifacts::new(data.join("cache/resources"), "", controller.clone()),
        controller,
        timing,
        hooks: Semaphore::new(options.hooks_at_once.max(1)),
        saving: Semaphore::new(1),
        stop,
        kill,
        boot_id: leftover::boot_id(),
        home: home(),
        data,
        fenced: AtomicBool::new(false),
    });
    sweep(&shared.data, &session);
    shared.charms.forget_old();
    shared.resources.forget_old();
    let mut units =
        Units { shared: Arc::clone(&shared), known: BTreeMap::new(), loops: JoinSet::new() };
    let ended = units.follow(session).await;
    match ended {
        Err(Error::Fenced) => shared.fenced(),
        Err(_) => shared.kill(),
        Ok(()) => {}
    }
    while units.loops.join_next().await.is_some() {}
    if let Err(error) = &ended {
        tracing::error!(error = chain(error), "the agent has ended");
    }
    match ended {
        _ if shared.fenced.load(Ordering::Relaxed) => Err(Error::Fenced),
        Err(Error::Stopping) => Ok(()),
        ended => ended,
    }
}

/// The loops of the machine's units.
struct Units {
    shared: Arc<Shared>,
    known: BTreeMap<String, Known>,
    /// Each ends with its unit's id.
    loops: JoinSet<String>,
}

struct Known {
    wake: watch::Sender<i64>,
    gone: CancellationToken,
}

impl Units {
    /// Follows the controller's changes until the agent stops.
    async fn follow(&mut self, session: Session) -> Result<()> {
        let Session { units, mut after, .. } = session;
        for change in units {
            self.changed(change);
        }
        let shared = Arc::clone(&self.shared);
        loop {
            tokio::select! {
                () = shared.stop.cancelled() => return Ok(()),
                Some(ended) = self.loops.join_next() => self.ended(ended),
                changes = shared.controller.changes(after) => {
                    let changes = changes?;
                    after = changes.after;
                    for change in changes.units {
                        self.changed(change);
                    }
                }
            }
        }
    }

    fn changed(&mut self, change: UnitChange) {
        if let Some(known) = self.known.get(&change.id) {
            if change.gone {
                known.gone.cancel();
            }
            known.wake.send_replace(change.generation);
            return;
        }
        if change.gone {
            return;
        }
        tracing::info!(unit = change.name, model = change.model, "running a unit");
        let (wake, woken) = watch::channel(change.generation);
        let gone = CancellationToken::new();
        self.known.insert(change.id.clone(), Known { wake, gone: gone.clone() });
        self.loops.spawn(supervise(Arc::clone(&self.shared), change, woken, gone));
    }

    fn ended(&mut self, ended: std::result::Result<String, tokio::task::JoinError>) {
        if let Ok(id) = ended {
            self.known.remove(&id);
        }
    }
}

/// Runs a unit's loop as a task of its own, so that a panic in it ends no other. Returns the unit's
/// id when the loop has ended for good.
async fn supervise(
    shared: Arc<Shared>,
    change: UnitChange,
    wake: watch::Receiver<i64>,
    gone: CancellationToken,
) -> String {
    let mut failures = 0;
    loop {
        let running = unit::run(Arc::clone(&shared), change.clone(), wake.clone(), gone.clone());
        match AbortOnDropHandle::new(tokio::spawn(running)).await {
            Err(error) if error.is_panic() => {
                tracing::error!(unit = change.name, %error, "a unit's loop broke; starting it again");
            }
            _ => return change.id,
        }
        failures += 1;
        tokio::time::sleep(shared.controller.back_off(failures)).await;
    }
}

/// Makes sure that what is in a directory are the units of this machine: all others would be taken
/// for vanished ones.
fn claim(data: &Path, machine: &str) -> Result<()> {
    match owner(data, ".machine", machine)? {
        Some(machine) => Err(Error::OtherMachine { path: data.into(), machine }),
        None => Ok(()),
    }
}

/// As [`claim`], for the controller.
fn claim_for(data: &Path, controller: &str) -> Result<()> {
    match owner(data, ".controller", controller)? {
        Some(controller) => Err(Error::OtherController { path: data.into(), controller }),
        None => Ok(()),
    }
}

/// Who a directory belongs to by this mark, if not to `claimant`; what belongs to nobody is theirs.
fn owner(data: &Path, mark: &str, claimant: &str) -> Result<Option<String>> {
    let agents = data.join("agents");
    let path = agents.join(mark);
    match fs::read_to_string(&path) {
        // Whoever wrote nothing died doing it.
        Ok(owner) if !owner.is_empty() => return Ok((owner != claimant).then_some(owner)),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(file("read", &path)(error));
        }
        Ok(_) | Err(_) => {}
    }
    fs::create_dir_all(&agents).map_err(file("create", &agents))?;
    fs::write(&path, claimant).map_err(file("write", &path))?;
    Ok(None)
}

/// Removes the directories of units that went while no agent was there.
fn sweep(data: &Path, session: &Session) {
    let wanted: BTreeSet<PathBuf> = session
        .units
        .iter()
        .filter(|unit| !unit.gone)
        .map(|unit| UnitDirectory::new(data, &unit.model_uuid, &unit.name).path().to_owned())
        .collect();
    for model in names(&data.join("models")) {
        for name in names(&data.join("models").join(&model).join("agents")) {
            let Some((application, number)) =
                name.strip_prefix("unit-").and_then(|unit| unit.rsplit_once('-'))
            else {
                continue;
            };
            let directory = UnitDirectory::new(data, &model, &format!("{application}/{number}"));
            if wanted.contains(directory.path()) {
                continue;
            }
            tracing::info!(path = %directory.path().display(), "removing what a unit left");
            let removed = leftover::kill(directory.path()).and_then(|_| directory.remove());
            if let Err(error) = removed {
                tracing::warn!(error = chain(&error), "a unit's directory stays");
            }
        }
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

/// `/root` for root, else the agent's own.
fn home() -> String {
    if rustix::process::geteuid().is_root() {
        return "/root".into();
    }
    std::env::var("HOME").unwrap_or_else(|_| "/".into())
}
