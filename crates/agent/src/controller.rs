//! The agent's calls to its controller.

use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio_util::sync::CancellationToken;
use tutti_client::{Address, Client, encode};
use tutti_model::agent::{
    Report, Session, SessionRequest, Snapshot, Step, StepAnswer, UnitChanges,
};

use crate::environment::JUJU_VERSION;
use crate::error::chain;
use crate::timing::{Timing, back_off, random};
use crate::{Error, Result};

/// A problem's code when a newer agent serves the machine.
const STALE_SESSION: &str = "stale-session";

/// A problem's code when the unit's records are gone, and its directory can go too.
const UNIT_NOT_FOUND: &str = "unit-not-found";

/// A problem's code when the controller knows nothing of something else, or has no such path.
const NOT_FOUND: &str = "not-found";

/// The controller as one agent sees it. Clones share connections.
#[derive(Clone, Debug)]
pub(crate) struct Controller {
    client: Client,
    machine: String,
    timing: Timing,
    /// Ends every wait for a controller that is away.
    stop: CancellationToken,
    session: i64,
}

/// How a step was answered.
#[derive(Debug)]
pub(crate) enum Stepped {
    /// It is done.
    Done(Box<StepAnswer>),
    /// The journal had moved on: the unit as it is now.
    Conflict(Box<Snapshot>),
}

impl Controller {
    /// Opens a session, waiting for the controller as long as it takes.
    ///
    /// # Errors
    /// The controller refuses; the agent stops.
    pub(crate) async fn open(
        address: &Address,
        machine: &str,
        timing: &Timing,
        stop: &CancellationToken,
    ) -> Result<(Self, Session)> {
        let mut controller = Self {
            client: Client::new(address),
            machine: machine.into(),
            timing: timing.clone(),
            stop: stop.clone(),
            session: 0,
        };
        let request = SessionRequest {
            hostname: hostname(),
            version: JUJU_VERSION.into(),
            architecture: architecture().into(),
            pid: std::process::id(),
        };
        let path = format!("/v1/agents/{}/sessions", encode(machine));
        let client = &controller.client;
        let session: Session = controller.patiently(|| client.post(&path, &request)).await?;
        controller.session = session.session;
        Ok((controller, session))
    }

    /// The same, with another end of every wait.
    pub(crate) fn until(&self, stop: CancellationToken) -> Self {
        Self { stop, ..self.clone() }
    }

    /// Which units have something new since `after`; waits for it.
    ///
    /// # Errors
    /// As for every call: [`Error::Fenced`], [`Error::Stopping`], [`Error::Call`].
    pub(crate) async fn changes(&self, after: i64) -> Result<UnitChanges> {
        let wait = self.timing.poll.as_millis();
        let path = self.path(&format!("changes?after={after}&wait_ms={wait}&"));
        self.patiently(|| self.client.get(&path)).await
    }

    /// One unit.
    ///
    /// # Errors
    /// As [`Controller::changes`]; [`Error::Gone`].
    pub(crate) async fn snapshot(&self, unit: &str) -> Result<Snapshot> {
        let path = self.path(&format!("units/{unit}?"));
        self.patiently(|| self.client.get(&path)).await
    }

    /// Begins or commits an operation of a unit.
    ///
    /// # Errors
    /// As [`Controller::changes`]; [`Error::Gone`]; [`Error::Refused`].
    pub(crate) async fn step(&self, unit: &str, step: &Step) -> Result<Stepped> {
        let path = self.path(&format!("units/{unit}/steps?"));
        let answer = self.patiently(|| self.client.post(&path, step)).await;
        match answer {
            Ok(answer) => Ok(Stepped::Done(answer)),
            Err(Error::Call(tutti_client::Error::Problem(problem))) => {
                if problem.status == 409
                    && let Ok(snapshot) = serde_json::from_slice(&problem.body)
                {
                    return Ok(Stepped::Conflict(snapshot));
                }
                Err(Error::Refused { reason: problem.to_string() })
            }
            Err(error) => Err(error),
        }
    }

    /// Sends reports.
    ///
    /// # Errors
    /// As [`Controller::changes`]; [`Error::Gone`].
    pub(crate) async fn report(&self, unit: &str, reports: &[Report]) -> Result<()> {
        let path = self.path(&format!("units/{unit}/reports?"));
        self.patiently(|| self.client.post(&path, reports)).await
    }

    /// Downloads an artifact.
    ///
    /// # Errors
    /// [`Error::Call`]; not repeated, since some bytes may have been written.
    pub(crate) async fn artifact<W: AsyncWrite + Unpin>(
        &self,
        digest: &str,
        writer: &mut W,
    ) -> Result<u64> {
        Ok(self.client.get_bytes_to(&format!("/v1/artifacts/{digest}"), writer).await?)
    }

    /// A path of this agent; `rest` ends with `?` or `&`.
    fn path(&self, rest: &str) -> String {
        format!("/v1/agents/{}/{rest}session={}", encode(&self.machine), self.session)
    }

    /// Calls until the controller answers.
    async fn patiently<T, F>(&self, call: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = tutti_client::Result<T>>,
    {
        let mut failures = 0;
        loop {
            let answer = tokio::select! {
                biased;
                answer = call() => answer,
                () = self.stop.cancelled() => return Err(Error::Stopping),
            };
            let error = match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            match error.problem() {
                None if error.is_connection() => {}
                Some(problem) if problem.status >= 500 || problem.status == 429 => {}
                Some(problem) if problem.code == STALE_SESSION => return Err(Error::Fenced),
                Some(problem) if problem.code == UNIT_NOT_FOUND => return Err(Error::Gone),
                // Somebody else answers at the address, such as a proxy whose controller is away.
                Some(problem) if problem.status == 404 && problem.code != NOT_FOUND => {}
                _ => return Err(error.into()),
            }
            failures += 1;
            self.wait(failures, &error).await?;
        }
    }

    /// Waits before the next try of a call.
    async fn wait(&self, failures: u32, error: &tutti_client::Error) -> Result<()> {
        let wait = self.back_off(failures);
        if failures.is_power_of_two() {
            let error = chain(error);
            tracing::warn!(error, failures, "a call to the controller failed; trying again");
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => Ok(()),
            () = self.stop.cancelled() => Err(Error::Stopping),
        }
    }

    /// How long to wait after so many failures of a call.
    pub(crate) fn back_off(&self, failures: u32) -> Duration {
        let Timing { reconnect_first, reconnect_longest, .. } = self.timing;
        back_off(reconnect_first, reconnect_longest, failures, random())
    }
}

fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The architecture by the name Juju has for it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64el",
        other => other,
    }
}
