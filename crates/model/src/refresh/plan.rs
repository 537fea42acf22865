//! The plan as a whole.

use std::collections::BTreeMap;

use tutti_charm::assumes::Offer;
use tutti_charm::charm::Charm;
use tutti_charm::checks;
use tutti_charm::config::{Settings, parse_value, retain};

use super::UnitState;
use crate::api::{Life, ModelKind, Refresh, RefreshPlan};
use crate::application::DEFAULT_BASE;
use crate::relation::Existing;

/// A charm and where it comes from.
#[derive(Clone, Copy, Debug)]
pub struct Charmed<'a> {
    /// `local:NAME-REVISION`, or the URL of a catalogue charm.
    pub url: &'a str,
    /// The revision.
    pub revision: i64,
    /// SHA-256 of the archive.
    pub digest: &'a str,
    /// What the charm declares.
    pub charm: &'a Charm,
    /// Its files, path → digest; none if they are not known.
    pub files: Option<&'a BTreeMap<String, String>>,
}

/// The application as it is.
#[derive(Clone, Copy, Debug)]
pub struct Current<'a> {
    /// Its name.
    pub application: &'a str,
    /// Its life.
    pub life: Life,
    /// Kind of its model.
    pub kind: ModelKind,
    /// Its charm.
    pub charm: Charmed<'a>,
    /// Its base, `ubuntu@24.04`, or empty.
    pub base: &'a str,
    /// Its settings; defaults are not among them.
    pub settings: &'a Settings,
    /// Its trust flag.
    pub trust: bool,
    /// Its relations, peers among them.
    pub relations: &'a [Existing],
    /// How many instances of each storage its units have.
    pub storage: &'a BTreeMap<String, u32>,
    /// Digest of each of its resources that was uploaded.
    pub resources: &'a BTreeMap<String, String>,
    /// Its units, in order.
    pub units: &'a [UnitState],
}

/// Where it is to go.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The charm.
    pub charm: Charmed<'a>,
    /// Architecture of the machines, in Debian's words.
    pub architecture: &'a str,
    /// What was asked for.
    pub request: &'a Refresh,
}

/// Plans a refresh.
#[must_use]
pub fn plan(current: &Current<'_>, target: &Target<'_>) -> RefreshPlan {
    let (old, new) = (&current.charm, &target.charm);
    let base = base_after(current, target);
    let mut plan = RefreshPlan {
        application: current.application.to_owned(),
        from: old.url.to_owned(),
        to: new.url.to_owned(),
        refusals: refusals(current, target, &base),
        base,
        ..RefreshPlan::default()
    };
    compare_files(&mut plan, old, new);
    compare_config(&mut plan, current, new.charm);
    super::relations::compare(&mut plan, old.charm, new.charm);
    super::storage::compare(&mut plan, old.charm, new.charm);
    also(&mut plan, current, target);
    let charm_changes = old.url != new.url || old.digest != new.digest;
    let acts = charm_changes || !plan.resources_changed.is_empty();
    plan.up_to_date = !acts && plan.also.is_empty();
    let refused = !plan.refusals.is_empty();
    for unit in current.units.iter().filter(|_| acts) {
        let verdict = match refused {
            true => "stays as it is".to_owned(),
            false => unit.verdict(new.url, charm_changes, target.request),
        };
        plan.units.insert(unit.name.clone(), verdict);
    }
    plan
}

/// The sentence that refuses a plan, with every reason; none if it may go ahead.
#[must_use]
pub fn refused(plan: &RefreshPlan) -> Option<String> {
    match plan.refusals.as_slice() {
        [] => None,
        [only] if only.starts_with("cannot refresh ") => Some(only.clone()),
        reasons => Some(format!(
            "cannot upgrade application {:?} to charm {:?}: {}",
            plan.application,
            plan.to,
            reasons.join("; ")
        )),
    }
}

fn refusals(current: &Current<'_>, target: &Target<'_>, wanted_base: &str) -> Vec<String> {
    let (old, new, request) = (current.charm.charm, target.charm.charm, target.request);
    let mut reasons = Vec::new();
    reasons.extend(identity(current, target));
    if old.metadata.subordinate != new.metadata.subordinate {
        reasons.push("cannot change an application's subordinacy".into());
    }
    reasons.extend(base(current, target, wanted_base));
    let refusals = checks::can_run_here(new, target.architecture);
    reasons.extend(refusals.into_iter().map(|refusal| refusal.message));
    if !request.force {
        let offer = Offer::of_model(current.kind == ModelKind::Caas);
        let unmet = checks::assumptions(new, &offer);
        reasons.extend(unmet.into_iter().map(|refusal| refusal.message));
        reasons.extend(upgrades_from(old, new));
    }
    reasons.extend(super::relations::refusals(current, new, request.force));
    reasons.extend(super::storage::refusals(current, new, request));
    let config =
        request.config.iter().filter_map(|(key, text)| parse_value(&new.config, key, text).err());
    reasons.extend(config.map(|error| error.to_string()));
    let unknown =
        request.resources.keys().filter(|name| !new.metadata.resources.contains_key(*name));
    reasons.extend(unknown.map(|name| format!("charm has no resource {name:?}")));
    if current.life == Life::Dead {
        reasons.push("application is dead".into());
    }
    reasons
}

/// Which charm may follow which.
fn identity(current: &Current<'_>, target: &Target<'_>) -> Option<String> {
    let (old, new) = (&current.charm, &target.charm);
    let (from, to) = (old.charm.name(), new.charm.name());
    if from != to {
        return (!target.request.switch).then(|| format!("cannot refresh {from:?} to {to:?}"));
    }
    let local = old.url.starts_with("local:") && new.url.starts_with("local:");
    let same = old.url == new.url && old.digest == new.digest;
    (local && !target.request.switch && !same && new.revision <= old.revision).then(|| {
        format!(
            "revision {} is not newer than revision {}: local charms only go forward, upload it \
             again to give it a newer one",
            new.revision, old.revision
        )
    })
}

/// The base it will have: the one asked for, else its own. A default that no charm ever declared is
/// nothing to hold on to, so a charm that declares its bases gets its first one then.
fn base_after(current: &Current<'_>, target: &Target<'_>) -> String {
    let asked = target.request.base.as_str();
    if !asked.is_empty() {
        return asked.strip_suffix("/stable").unwrap_or(asked).to_owned();
    }
    let bases = &target.charm.charm.manifest.bases;
    let undeclared = current.base == DEFAULT_BASE && current.charm.charm.manifest.bases.is_empty();
    match bases.first() {
        Some(first) if undeclared && bases.iter().all(|base| base.to_string() != current.base) => {
            first.to_string()
        }
        _ => current.base.to_owned(),
    }
}

fn base(current: &Current<'_>, target: &Target<'_>, wanted: &str) -> Option<String> {
    if target.request.base.is_empty() && wanted != current.base {
        return None;
    }
    let bases = &target.charm.charm.manifest.bases;
    let (system, _) = wanted.split_once('@')?;
    let (now, _) = current.base.split_once('@').unwrap_or((system, ""));
    if bases.is_empty() {
        return (now != system).then(|| format!("OS {system:?} is not the application's {now:?}"));
    }
    if now != system || bases.iter().all(|base| base.name != system) {
        return Some(format!("OS {system:?} not supported by charm"));
    }
    let supported: Vec<_> = bases.iter().map(ToString::to_string).collect();
    (!target.request.force_base && !supported.iter().any(|base| base == wanted)).then(|| {
        format!(
            "base {wanted:?} not supported by charm, supported bases are: {}",
            supported.join(", ")
        )
    })
}

/// What the new charm says it can take over from.
fn upgrades_from(old: &Charm, new: &Charm) -> Option<String> {
    let requirement = new.metadata.upgrades_from.as_ref()?;
    let version = old.version.as_deref().map(str::parse).and_then(Result::ok);
    match version {
        Some(version) if requirement.admits(&version) => None,
        Some(version) => {
            Some(format!("charm takes over from versions {requirement}, not from {version}"))
        }
        None => Some(format!(
            "charm takes over from versions {requirement}, and the present one does not say its version"
        )),
    }
}

fn compare_files(plan: &mut RefreshPlan, old: &Charmed<'_>, new: &Charmed<'_>) {
    let (Some(before), Some(after)) = (old.files, new.files) else { return };
    let paths = |of: &BTreeMap<String, String>, pick: &dyn Fn(&str, &str) -> bool| {
        of.iter()
            .filter(|(path, digest)| pick(path, digest))
            .map(|(path, _)| path.clone())
            .collect()
    };
    plan.files_added = paths(after, &|path, _| !before.contains_key(path));
    plan.files_removed = paths(before, &|path, _| !after.contains_key(path));
    plan.files_changed =
        paths(after, &|path, digest| before.get(path).is_some_and(|old| old != digest));
}

fn compare_config(plan: &mut RefreshPlan, current: &Current<'_>, new: &Charm) {
    let old = &current.charm.charm.config.options;
    plan.config_added =
        new.config.options.keys().filter(|key| !old.contains_key(*key)).cloned().collect();
    let (_, dropped) = retain(&new.config, current.settings);
    plan.config_dropped = dropped.into_iter().map(|dropped| dropped.key).collect();
}

/// Parts of the request that change something whether or not the charm does.
fn also(plan: &mut RefreshPlan, current: &Current<'_>, target: &Target<'_>) {
    let (request, new) = (target.request, target.charm.charm);
    let differs = |key: &str, text: &str| {
        let value = parse_value(&new.config, key, text).ok();
        value.is_some() && value.as_ref() != current.settings.get(key)
    };
    let config = request.config.iter().filter(|(key, text)| differs(key, text));
    plan.also.extend(config.map(|(key, _)| format!("config {key}")));
    plan.also.extend(request.storage.keys().map(|name| format!("storage {name}")));
    if request.trust.is_some_and(|trust| trust != current.trust) {
        plan.also.push("trust".into());
    }
    if plan.base != current.base {
        plan.also.push("base".into());
    }
    let other = |name: &String, upload: &crate::api::ResourceUpload| {
        !upload.text.is_empty() || current.resources.get(name) != Some(&upload.digest)
    };
    plan.resources_changed = (request.resources.iter())
        .filter(|(name, upload)| other(name, upload))
        .map(|(name, _)| name.clone())
        .collect();
}
