//! What hook tools make happen at once, for the runs of one unit.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tutti_model::agent::{Context, ContextResource};

use crate::artifacts::Artifacts;
use crate::error::chain;
use crate::hook_tool::{Effect, EffectSink, HookContext, HookServer, Outcome, Run};
use crate::reports::Reports;
use crate::resources;

/// A run that hook tools can call: from [`OpenRun::begin`] to [`OpenRun::end`].
pub(crate) struct OpenRun<'a> {
    server: &'a HookServer,
    id: String,
}

impl<'a> OpenRun<'a> {
    /// From now on tools that name this context id are answered.
    pub(crate) fn begin(
        server: &'a HookServer,
        id: &str,
        run: Run,
        context: Context,
        surroundings: Surroundings,
    ) -> Self {
        let effects = Effects { resources: context.resources.clone(), surroundings };
        server.begin(id, HookContext::new(run, context), Arc::new(effects));
        Self { server, id: id.into() }
    }

    /// Ends the run. Returns what the charm has asked for.
    pub(crate) async fn end(self) -> Outcome {
        self.server.end(&self.id).await.unwrap_or_default()
    }
}

/// What effects act on.
#[derive(Debug)]
pub(crate) struct Surroundings {
    pub(crate) reports: Reports,
    /// The cache of resources.
    pub(crate) artifacts: Artifacts,
    /// The unit's directory.
    pub(crate) directory: PathBuf,
}

/// Performs the effects of one run.
#[derive(Debug)]
struct Effects {
    resources: std::collections::BTreeMap<String, ContextResource>,
    surroundings: Surroundings,
}

impl EffectSink for Effects {
    fn perform(&self, effect: Effect) -> BoxFuture<'_, Result<Option<PathBuf>, String>> {
        async move {
            match effect {
                Effect::Report(report) => {
                    self.surroundings.reports.send(report).await;
                    Ok(None)
                }
                Effect::FetchResource { name } => self.resource(&name).await.map(Some),
                Effect::Reboot { .. } => {
                    Err("this machine runs other units too, so charms do not restart it".into())
                }
            }
        }
        .boxed()
    }
}

impl Effects {
    /// The resource's file in the unit's directory, brought up to date.
    async fn resource(&self, name: &str) -> Result<PathBuf, String> {
        let Surroundings { artifacts, directory, .. } = &self.surroundings;
        let resource = self.resources.get(name).cloned().unwrap_or_default();
        if resource.digest.is_empty() {
            return Err(format!("nothing was uploaded for resource {name:?}"));
        }
        let cached = artifacts.fetch(&resource.digest).await.map_err(|error| chain(&error))?;
        let (directory, name) = (directory.clone(), name.to_owned());
        let placed = tokio::task::spawn_blocking(move || {
            resources::place(&directory, &name, &resource, &cached)
        });
        let placed = placed.await.map_err(|error| error.to_string())?;
        placed.map_err(|error| chain(&error))
    }
}
