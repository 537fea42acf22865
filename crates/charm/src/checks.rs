//! Whether a charm can run here: every reason against it at once, before anything is deployed.
//!
//! [`can_run_here`] answers reasons that are certain; a deployment refuses if there is one. [`hints`] answers what
//! usually goes wrong later and is worth telling a person, such as a charm that installs snaps. What a charm assumes
//! of a model is asked by [`assumptions`], whether its compiled Python modules fit an interpreter by [`fits_python`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::assumes::{self, JUJU_VERSION, Offer};
use crate::charm::Charm;
use crate::metadata::ResourceKind;
use crate::version::Version;

/// A reason why a charm cannot run here, in one sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What kind of reason.
    pub reason: Reason,
    /// The reason, and what to do about it where something can be done.
    pub message: String,
}

/// Kinds of [`Refusal`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// Made for machines of another architecture.
    Architecture,
    /// Speaks the pod interface that Kubernetes charms had before workload containers.
    PodSpec,
    /// A source tree that has to be packed first.
    Unprepared,
    /// Neither `dispatch` nor a hook.
    NothingToRun,
    /// A layered charm that was not built.
    Reactive,
    /// Compiled for another Python.
    Python,
    /// Made for another operating system.
    System,
    /// Expects something of the model that it does not have.
    Assumption,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Every reason why a charm cannot run on a machine of this architecture (in Debian's words, `amd64`; see
/// [`host_architecture`](crate::manifest::host_architecture)). Empty: nothing speaks against it.
pub fn can_run_here(charm: &Charm, architecture: &str) -> Vec<Refusal> {
    let traits = &charm.traits;
    let mut refusals = Vec::new();
    let mut refuse = |reason, message: String| refusals.push(Refusal { reason, message });
    if !charm.manifest.runs_on(architecture) {
        let mut made_for: Vec<&str> = charm
            .manifest
            .bases
            .iter()
            .flat_map(|base| &base.architectures)
            .map(String::as_str)
            .collect();
        made_for.sort_unstable();
        made_for.dedup();
        let made_for = made_for.join(", ");
        refuse(
            Reason::Architecture,
            format!("charm is made for {made_for}, this machine is {architecture}"),
        );
    }
    if charm.metadata.pod_spec {
        let message =
            "charm sets pod specs, which no longer exist; take a version with workload containers";
        refuse(Reason::PodSpec, message.to_owned());
    }
    if charm.metadata.series.iter().any(|series| series.starts_with("win")) {
        refuse(Reason::System, "charm is made for Windows".to_owned());
    }
    let startable = charm.has_dispatch || !charm.hooks.is_empty();
    if traits.reactive && !traits.wheelhouse {
        let message =
            "charm is the source of a layered (reactive) charm; build it with `charm build` first";
        refuse(Reason::Reactive, message.to_owned());
    } else if traits.unprepared {
        let message = "charm is a source tree: its metadata is in charmcraft.yaml; pack it first";
        refuse(Reason::Unprepared, message.to_owned());
    } else if traits.python && !startable {
        let message = "charm is a source tree: src/charm.py is there but nothing that starts it; pack it first";
        refuse(Reason::Unprepared, message.to_owned());
    } else if !startable {
        refuse(
            Reason::NothingToRun,
            "charm has neither `dispatch` nor anything in `hooks/`".to_owned(),
        );
    }
    refusals
}

/// Every assumption of a charm that a model does not meet, the oldest Juju it runs with included.
pub fn assumptions(charm: &Charm, offer: &Offer) -> Vec<Refusal> {
    let announced: Version = JUJU_VERSION.parse().expect("the announced version is a version");
    let too_old = charm.metadata.min_juju_version.iter().filter(|oldest| announced < **oldest).map(
        |oldest| format!("charm needs Juju {oldest} or later, this model has juju {announced}"),
    );
    let unmet = assumes::unmet(&charm.metadata.assumes, offer);
    let refusal = |message| Refusal { reason: Reason::Assumption, message };
    too_old.chain(unmet).map(refusal).collect()
}

/// Whether the charm's compiled dependencies fit a Python interpreter of this version.
pub fn fits_python(charm: &Charm, interpreter: &Version) -> Option<Refusal> {
    let installed = charm.traits.python_version.as_ref()?;
    let same = (0..2).all(|position| installed.number(position) == interpreter.number(position));
    (!same).then(|| Refusal {
        reason: Reason::Python,
        message: format!(
            "charm's dependencies are installed for Python {installed}, this machine has {interpreter}; \
             install python{installed} or pack the charm again here"
        ),
    })
}

/// What is worth telling before a charm is deployed, in sentences for people.
pub fn hints(charm: &Charm) -> Vec<String> {
    let mut hints = Vec::new();
    let is_snap = |filename: &str| filename.ends_with(".snap");
    let snap_resource = charm.metadata.resources.iter().find(|(_, resource)| {
        resource.kind == ResourceKind::File && resource.filename.as_deref().is_some_and(is_snap)
    });
    if let Some((name, _)) = snap_resource {
        hints.push(format!("resource {name:?} is a snap: the machine needs snapd"));
    } else if charm.traits.snap_library {
        hints.push(
            "charm comes with the library that installs snaps: the machine may need snapd"
                .to_owned(),
        );
    }
    if charm.traits.systemd_library {
        hints.push("charm drives systemd: its units need a systemd, or something that answers in its place".to_owned());
    }
    if charm.traits.lxd_profile {
        hints.push("charm has an LXD profile, which has no effect here".to_owned());
    }
    if charm.traits.reactive && charm.traits.wheelhouse {
        hints.push(
            "charm is layered (reactive): its first hook installs packages by itself".to_owned(),
        );
    }
    hints
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Base, Manifest};
    use crate::metadata::Metadata;

    fn charm(metadata: &str) -> Charm {
        let (metadata, _) = Metadata::from_yaml("metadata.yaml", metadata).unwrap();
        Charm { metadata, has_dispatch: true, ..Charm::default() }
    }

    fn reasons(charm: &Charm) -> Vec<Reason> {
        can_run_here(charm, "amd64").into_iter().map(|refusal| refusal.reason).collect()
    }

    #[test]
    fn all_reasons_at_once() {
        let mut charm = charm("name: a\nseries: [kubernetes]\n");
        assert_eq!(reasons(&charm), [Reason::PodSpec]);
        let base = |architectures: &[&str]| Base {
            name: "ubuntu".into(),
            channel: "24.04".into(),
            architectures: architectures.iter().map(|one| (*one).to_owned()).collect(),
        };
        charm.manifest =
            Manifest { bases: vec![base(&["s390x", "arm64"]), base(&["arm64"])], packed_by: None };
        charm.has_dispatch = false;
        assert_eq!(reasons(&charm), [Reason::Architecture, Reason::PodSpec, Reason::NothingToRun]);
        let message = &can_run_here(&charm, "amd64")[0].message;
        assert_eq!(message, "charm is made for arm64, s390x, this machine is amd64");
        charm.manifest.bases.push(base(&["all"]));
        charm.traits.reactive = true;
        assert_eq!(reasons(&charm), [Reason::PodSpec, Reason::Reactive]);
        charm.traits.wheelhouse = true;
        charm.hooks = vec!["install".into()];
        assert_eq!(reasons(&charm), [Reason::PodSpec]);
    }

    #[test]
    fn source_trees_are_told_apart() {
        let mut charm = charm("name: a\n");
        assert_eq!(reasons(&charm), []);
        charm.has_dispatch = false;
        charm.traits.python = true;
        assert_eq!(reasons(&charm), [Reason::Unprepared]);
        charm.hooks = vec!["install".into()];
        assert_eq!(reasons(&charm), []);
        charm.traits.unprepared = true;
        assert_eq!(reasons(&charm), [Reason::Unprepared]);
    }

    #[test]
    fn assumptions_and_python() {
        let mut charm = charm("name: a\nmin-juju-version: 4.0\nassumes: [k8s-api, juju < 3.0]\n");
        let messages: Vec<String> = assumptions(&charm, &Offer::of_model(false))
            .into_iter()
            .map(|refusal| refusal.message)
            .collect();
        assert_eq!(messages.len(), 3, "{messages:?}");
        assert_eq!(fits_python(&charm, &Version::new(&[3, 11, 7])), None);
        charm.traits.python_version = Some(Version::new(&[3, 12]));
        assert!(fits_python(&charm, &Version::new(&[3, 11, 7])).is_some());
        assert_eq!(fits_python(&charm, &Version::new(&[3, 12, 1])), None);
    }

    #[test]
    fn snaps_and_systemd_are_hints() {
        let mut charm = charm("name: a\nresources: {it: {type: file, filename: it.snap}}\n");
        charm.traits.systemd_library = true;
        charm.traits.lxd_profile = true;
        assert_eq!(hints(&charm).len(), 3, "{:?}", hints(&charm));
        assert_eq!(reasons(&charm), []);
    }
}
