//! Whether a charm may be deployed as asked.

use std::collections::BTreeMap;

use tutti_charm::assumes::Offer;
use tutti_charm::charm::Charm;
use tutti_charm::config::{Settings, parse_value};
use tutti_charm::{checks, name};

use super::{Placement, StorageChoice, check_storage, parse_constraints};
use crate::api::{Constraints, Deploy, ModelKind};

/// The base of charms that do not say where they run.
pub const DEFAULT_BASE: &str = "ubuntu@24.04";

/// The only space there is.
const SPACE: &str = "alpha";

/// A deployment as it is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Deployment<'a> {
    /// The request.
    pub request: &'a Deploy,
    /// Its charm.
    pub charm: &'a Charm,
    /// Kind of the model.
    pub kind: ModelKind,
    /// Architecture of the machines, in Debian's words.
    pub architecture: &'a str,
    /// Model config `default-base`, or empty.
    pub default_base: &'a str,
    /// Whether an application of that name exists.
    pub taken: bool,
}

/// What comes of a deployment.
#[derive(Clone, Debug, PartialEq)]
pub struct DeployPlan {
    /// The application's name.
    pub application: String,
    /// Units; 0 for subordinates.
    pub units: u32,
    /// Settings.
    pub config: Settings,
    /// Constraints of the application.
    pub constraints: Constraints,
    /// Storage of each unit, by name.
    pub storage: BTreeMap<String, StorageChoice>,
    /// Where the first units go; the others get machines of their own.
    pub placements: Vec<Placement>,
    /// Endpoint → space; the empty endpoint is the default.
    pub bindings: BTreeMap<String, String>,
    /// Base.
    pub base: String,
}

/// Plans a deployment.
///
/// # Errors
///
/// Every reason against it, each a sentence.
pub fn check_deploy(deployment: &Deployment<'_>) -> Result<DeployPlan, Vec<String>> {
    let Deployment { request, charm, kind, .. } = *deployment;
    let mut reasons = Vec::new();
    let application = named(deployment, &mut reasons);
    reasons.extend(runnable(deployment));
    let units = units(deployment, &mut reasons);
    let mut config = Settings::new();
    for (key, text) in &request.config {
        match parse_value(&charm.config, key, text) {
            Ok(value) => drop(config.insert(key.clone(), value)),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    let constraints = or_reason(parse_constraints(&request.constraints), &mut reasons);
    let (storage, refused) =
        check_storage(charm.name(), &charm.metadata.storage, &request.storage, true);
    reasons.extend(refused);
    let placements: Vec<_> = (request.to.iter())
        .filter_map(|text| or_reason(Placement::parse(text, kind).map(Some), &mut reasons))
        .collect();
    let bindings = bindings(deployment, &mut reasons);
    let base = base(deployment, &mut reasons);
    let unknown =
        request.resources.keys().filter(|name| !charm.metadata.resources.contains_key(*name));
    reasons.extend(unknown.map(|name| format!("charm has no resource {name:?}")));
    if reasons.is_empty() {
        Ok(DeployPlan {
            application,
            units,
            config,
            constraints,
            storage,
            placements,
            bindings,
            base,
        })
    } else {
        Err(reasons)
    }
}

fn or_reason<T: Default>(result: crate::Result<T>, reasons: &mut Vec<String>) -> T {
    result.unwrap_or_else(|error| {
        reasons.push(error.to_string());
        T::default()
    })
}

fn named(deployment: &Deployment<'_>, reasons: &mut Vec<String>) -> String {
    let name = match deployment.request.application.as_str() {
        "" => deployment.charm.name(),
        name => name,
    };
    if let Err(error) = name::application(name) {
        reasons.push(error.to_string());
    } else if deployment.taken {
        reasons.push(format!("cannot add application {name:?}: application already exists"));
    }
    name.to_owned()
}

/// What speaks against the charm itself. `force` skips what it only assumes.
fn runnable(deployment: &Deployment<'_>) -> Vec<String> {
    let mut refusals = checks::can_run_here(deployment.charm, deployment.architecture);
    if !deployment.request.force {
        let offer = Offer::of_model(deployment.kind == ModelKind::Caas);
        refusals.extend(checks::assumptions(deployment.charm, &offer));
    }
    refusals.into_iter().map(|refusal| refusal.message).collect()
}

fn units(deployment: &Deployment<'_>, reasons: &mut Vec<String>) -> u32 {
    let Deployment { request, charm, .. } = deployment;
    if !charm.metadata.subordinate {
        return request.units.unwrap_or(1);
    }
    if request.units.is_some_and(|units| units > 0) || !request.to.is_empty() {
        reasons.push("cannot use --num-units or --to with subordinate application".into());
    }
    if !request.constraints.is_empty() {
        reasons.push("cannot use --constraints with subordinate application".into());
    }
    0
}

fn bindings(deployment: &Deployment<'_>, reasons: &mut Vec<String>) -> BTreeMap<String, String> {
    let metadata = &deployment.charm.metadata;
    let mut names: Vec<String> = vec![String::new()];
    names.extend(metadata.endpoints().map(|(name, _)| name.to_owned()));
    names.extend(metadata.extra_bindings.iter().cloned());
    for (endpoint, space) in &deployment.request.bindings {
        if !names.contains(endpoint) {
            reasons.push(format!("cannot bind endpoint {endpoint:?}: endpoint not found"));
        }
        if space != SPACE {
            reasons.push(format!("space {space:?} not found, there is only {SPACE:?}"));
        }
    }
    names.into_iter().map(|name| (name, SPACE.to_owned())).collect()
}

/// The base asked for, else the model's default if the charm supports it, else the charm's first.
fn base(deployment: &Deployment<'_>, reasons: &mut Vec<String>) -> String {
    let asked = deployment.request.base.as_str();
    let asked = asked.strip_suffix("/stable").unwrap_or(asked);
    let supported: Vec<_> =
        deployment.charm.manifest.bases.iter().map(ToString::to_string).collect();
    let fits = |base: &str| supported.is_empty() || supported.iter().any(|one| one == base);
    if !asked.is_empty() {
        let written = asked
            .split_once('@')
            .is_some_and(|(name, channel)| !(name.is_empty() || channel.is_empty()));
        if !written {
            reasons.push(format!("base {asked:?} is not written as name@channel"));
        } else if !fits(asked) && !deployment.request.force {
            reasons.push(format!(
                "base {asked:?} not supported by charm, supported bases are: {}",
                supported.join(", ")
            ));
        }
        return asked.to_owned();
    }
    let preferred = match deployment.default_base {
        "" => DEFAULT_BASE,
        base => base.strip_suffix("/stable").unwrap_or(base),
    };
    match supported.first() {
        Some(first) if !fits(preferred) => first.clone(),
        _ => preferred.to_owned(),
    }
}
