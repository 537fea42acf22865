//! A worker over HTTP, in full: it claims a task, says every third of the lease that it is alive, and what came of it.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tutti_client::{Client, Error};
use tutti_model::api::{ClaimBeat, ClaimInfo, ClaimRequest, ClaimResult, ClaimStanding};

/// Wait before the controller is asked again after it did not answer.
const PAUSE: Duration = Duration::from_millis(250);

/// A worker of one kind of task.
pub(crate) struct Worker {
    pub(crate) client: Client,
    pub(crate) name: String,
    pub(crate) request: ClaimRequest,
}

impl Worker {
    /// Takes one task after the other, for ever. A handler whose token is cancelled shall stop soon.
    pub(crate) async fn serve<F: Future<Output = ClaimResult>>(
        &self,
        handle: impl Fn(ClaimInfo, CancellationToken) -> F,
    ) {
        let path = format!("/v1/workers/{}/claims", self.name);
        loop {
            let claims: Vec<ClaimInfo> = match self.client.post(&path, &self.request).await {
                Ok(claims) => claims,
                Err(error) => {
                    eprintln!("{}: {error}", self.name);
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            for claim in claims {
                let (id, cancelled) = (claim.id.clone(), CancellationToken::new());
                tokio::select! {
                    result = handle(claim, cancelled.clone()) => self.finish(&id, &result).await,
                    () = self.keep(&id, &cancelled) => eprintln!("{}: claim {id} lost", self.name),
                }
            }
        }
    }

    /// Keeps a claim; returns when it is lost.
    async fn keep(&self, id: &str, cancelled: &CancellationToken) {
        let path = format!("/v1/claims/{id}");
        let lease_ms = self.request.lease_ms;
        let beat = ClaimBeat { lease_ms: Some(lease_ms), ..ClaimBeat::default() };
        loop {
            tokio::time::sleep(Duration::from_millis(lease_ms / 3)).await;
            match self.client.post::<_, ClaimStanding>(&path, &beat).await {
                Ok(standing) if standing.cancelled => cancelled.cancel(),
                Ok(_) => {}
                Err(Error::Problem(problem)) if problem.code == "claim-lost" => return,
                Err(error) => eprintln!("{}: {error}", self.name),
            }
        }
    }

    /// Says what came of a claim, as often as it takes.
    async fn finish(&self, id: &str, result: &ClaimResult) {
        let path = format!("/v1/claims/{id}/result");
        loop {
            match self.client.post::<_, ()>(&path, result).await {
                Ok(()) => return,
                // Another worker has it, or the answer to an earlier call was lost.
                Err(Error::Problem(problem)) => return eprintln!("{}: {problem}", self.name),
                Err(error) => {
                    eprintln!("{}: {error}", self.name);
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}
