//! The socket hook tools call.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use tutti_charm::hook_tool::{
    Call, MESSAGE_BYTES_MAX, Request, Response, ToolError, decode, encode, reachable_path,
};
use uuid::Uuid;

use super::{Effect, HookContext, Moment, Outcome};

/// Tools of one unit that are answered at once; more of them wait in the socket's queue. Bounds memory
/// together with [`MESSAGE_BYTES_MAX`].
const CONNECTIONS_MAX: usize = 16;

/// How long a tool may take to send its request, and to take the answer.
const EXCHANGE_MAX: Duration = Duration::from_secs(30);

/// Performs what a call makes happen at once.
pub trait EffectSink: Send + Sync {
    /// Performs one effect and returns when it is done. A resource's answer is the path of its file.
    ///
    /// The error is what the charm is told: without `not found` or `permission denied`, which Python charms
    /// take for something else.
    fn perform(&self, effect: Effect) -> BoxFuture<'_, Result<Option<PathBuf>, String>>;
}

/// Answers the hook tools of one unit, for as long as it exists.
///
/// Several runs may be going on at once (a hook and parallel actions); each tool says which one it belongs to.
#[derive(Debug)]
pub struct HookServer {
    path: PathBuf,
    runs: Runs,
    accepting: AbortHandle,
}

type Runs = Arc<Mutex<HashMap<String, Arc<RunningHook>>>>;

/// A run that is going on.
struct RunningHook {
    /// None once the run has ended.
    context: tokio::sync::Mutex<Option<HookContext>>,
    sink: Arc<dyn EffectSink>,
}

impl std::fmt::Debug for RunningHook {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("RunningHook").finish_non_exhaustive()
    }
}

impl HookServer {
    /// Listens at a path, in place of whoever did before. Only the user of this process can connect.
    ///
    /// A missing directory is created for that user alone. Must be called within a tokio runtime.
    pub fn bind(path: &Path) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let (short, _directory) = reachable_path(path)?;
        let listener = UnixListener::bind(short)?;
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        let runs = Runs::default();
        let accepting = tokio::spawn(accept(listener, Arc::clone(&runs))).abort_handle();
        Ok(Self { path: path.to_owned(), runs, accepting })
    }

    /// Where tools call: the value of `JUJU_AGENT_SOCKET_ADDRESS`.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// From now on, tools that name this id (`JUJU_CONTEXT_ID`) are answered from this context.
    pub fn begin(&self, id: &str, context: HookContext, sink: Arc<dyn EffectSink>) {
        let context = tokio::sync::Mutex::new(Some(context));
        lock(&self.runs).insert(id.to_owned(), Arc::new(RunningHook { context, sink }));
    }

    /// Ends a run: waits for the call that is being answered, refuses later ones, and returns what the run did.
    /// None if there is no such run.
    pub async fn end(&self, id: &str) -> Option<Outcome> {
        let run = lock(&self.runs).remove(id)?;
        let context = run.context.lock().await.take()?;
        Some(context.finish())
    }
}

impl Drop for HookServer {
    fn drop(&mut self) {
        self.accepting.abort();
        // Whoever binds next removes what could not be removed now.
        let _ = fs::remove_file(&self.path);
    }
}

fn lock(runs: &Runs) -> MutexGuard<'_, HashMap<String, Arc<RunningHook>>> {
    runs.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: UnixListener, runs: Runs) {
    let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // Ends with this task.
    let mut connections = JoinSet::new();
    while let Ok(permit) = Arc::clone(&free).acquire_owned().await {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let runs = Arc::clone(&runs);
                connections.spawn(async move {
                    let _permit = permit;
                    if let Err(error) = serve(stream, &runs).await {
                        tracing::debug!(%error, "a hook tool has gone away");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a hook tool");
                // No file descriptors left, most likely: some come back.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// One request and its response.
async fn serve(mut stream: UnixStream, runs: &Runs) -> io::Result<()> {
    let response = match timeout(EXCHANGE_MAX, receive(&mut stream)).await {
        Ok(Ok(request)) => answer(request, runs).await,
        Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
            refused(format!("the agent cannot read the call: {error}"))
        }
        Ok(Err(error)) => return Err(error),
        Err(_) => refused("the agent has waited too long for the call".into()),
    };
    let bytes = encode(&response).or_else(|_| {
        encode(&refused(format!("the answer is larger than {} MiB", MESSAGE_BYTES_MAX >> 20)))
    })?;
    timeout(EXCHANGE_MAX, stream.write_all(&bytes)).await?
}

async fn receive(stream: &mut UnixStream) -> io::Result<Request> {
    let length = stream.read_u32().await?;
    if length > MESSAGE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is too large"));
    }
    // Grows with what arrives, not with what is announced.
    let mut bytes = Vec::new();
    stream.take(length.into()).read_to_end(&mut bytes).await?;
    if bytes.len() < length as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    decode(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

async fn answer(request: Request, runs: &Runs) -> Response {
    let run = lock(runs).get(&request.context).map(Arc::clone);
    let Some(run) = run else { return gone(&request.context) };
    let mut context = run.context.lock().await;
    let Some(open) = context.as_mut() else { return gone(&request.context) };
    let wants_resource = matches!(request.call, Call::ResourceGet { .. });
    let reply = open.call(request.call, moment());
    let value = match reply.result {
        Ok(value) => value,
        Err(error) => return Response::Error(error),
    };
    let Some(effect) = reply.effect else { return value.map_or(Response::Done, Response::Value) };
    if wants_resource {
        // Reads nothing of the context and may take minutes: others need not wait.
        drop(context);
    }
    let what = describe(&effect);
    match run.sink.perform(effect).await {
        Ok(Some(path)) => Response::Value(Value::String(path.to_string_lossy().into_owned())),
        Ok(None) => value.map_or(Response::Done, Response::Value),
        Err(trouble) => refused(format!("{what}: {trouble}")),
    }
}

/// What could not be done, in Juju's words where it has some.
fn describe(effect: &Effect) -> &'static str {
    match effect {
        Effect::Report(_) => "cannot tell the controller",
        Effect::FetchResource { .. } => "could not download resource",
        Effect::Reboot { .. } => "cannot reboot",
    }
}

fn moment() -> Moment {
    // Four bytes of time and eight that are random but for two bits.
    let id = Uuid::now_v7().into_bytes();
    let mut random = [0; 12];
    random[..4].copy_from_slice(&id[2..6]);
    random[4..].copy_from_slice(&id[8..]);
    Moment { now: Timestamp::now(), random }
}

fn gone(context: &str) -> Response {
    refused(format!("context is gone: {context:?} has ended or never began"))
}

fn refused(message: String) -> Response {
    Response::Error(ToolError::running(message))
}
