//! One run of a charm, seen from its tools.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value};
use tutti_charm::hook_tool::{Call, ToolError, UnitAddress};
use tutti_model::agent::{Changes, Context, ContextStatus, OpenPort, RelationId, Report};

use super::actions::ActionResults;
use super::{Run, secrets};

/// Most bytes of relation settings and state one run may write. Juju has no such limit for relations, but a
/// run's changes are one transaction, and this is far above what charms need.
pub(super) const RUN_BYTES_MAX: usize = 16 << 20;
/// Longest single value of them, in bytes.
pub(super) const VALUE_BYTES_MAX: usize = 4 << 20;

/// What a call may depend on besides the context: so that answers are a function of their inputs.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The time.
    pub now: Timestamp,
    /// Bytes nobody can guess, new for every call: the id of a new secret.
    pub random: [u8; 12],
}

/// The answer to a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// What the tool prints (none: nothing), or why not. If there is an effect, this is only true once the
    /// effect has succeeded; a resource's path is the effect's.
    pub result: Result<Option<Value>, ToolError>,
    /// To be done before the tool is answered.
    pub effect: Option<Effect>,
}

/// What a call makes happen at once, whatever becomes of the run.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// To be told to the controller.
    Report(Report),
    /// The file of this resource has to be there; its path is the tool's answer.
    FetchResource {
        /// Resource name.
        name: String,
    },
    /// The machine is to be restarted.
    Reboot {
        /// End the run now and run the hook again afterwards, instead of waiting for its end.
        now: bool,
    },
}

/// What a run left behind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// What to apply if the charm succeeded. Settings that are what they were are left out.
    pub changes: Changes,
    /// What `action-set` collected.
    pub results: Map<String, Value>,
    /// The message of `action-fail`.
    pub failure: Option<String>,
    /// `status-set` was called for the unit.
    pub status_set: bool,
    /// `juju-reboot` was called: with or without `--now`. Whether it was granted, the sink knows.
    pub reboot: Option<bool>,
}

/// Answers the tools of one run.
#[derive(Clone, Debug)]
pub struct HookContext {
    pub(super) run: Run,
    /// What was true when the run began. Only what has immediate effect is changed in it.
    pub(super) context: Context,
    /// Settings written so far, by relation and whether they are the application's.
    pub(super) settings: BTreeMap<(RelationId, bool), BTreeMap<String, String>>,
    /// Ports as they will be.
    pub(super) ports: BTreeSet<OpenPort>,
    /// State, storage and secrets changed so far.
    pub(super) changes: Changes,
    /// Secrets removed whole by this run, new ones among them.
    pub(super) secrets_gone: BTreeSet<String>,
    pub(super) action: ActionResults,
    pub(super) status_set: bool,
    pub(super) reboot: Option<bool>,
}

impl HookContext {
    /// A run that has not called anything yet.
    #[must_use]
    pub fn new(run: Run, context: Context) -> Self {
        Self {
            run,
            ports: context.ports.iter().cloned().collect(),
            context,
            settings: BTreeMap::new(),
            changes: Changes::default(),
            secrets_gone: BTreeSet::new(),
            action: ActionResults::default(),
            status_set: false,
            reboot: None,
        }
    }

    /// Answers one call.
    #[expect(clippy::too_many_lines, reason = "a table: one row per tool")]
    pub fn call(&mut self, call: Call, moment: Moment) -> Reply {
        if self.run.restricted && !matches!(call, Call::JujuLog { .. }) {
            return refused(ToolError::running("not implemented for restricted context"));
        }
        match call {
            Call::RelationIds { endpoint } => answer(self.relation_ids(endpoint)),
            Call::RelationList { relation, application } => {
                answer(self.relation_list(relation.as_ref(), application))
            }
            Call::RelationModelGet { relation } => {
                answer(self.relation_model_get(relation.as_ref()))
            }
            Call::RelationGet { relation, application, key, member } => {
                answer(self.relation_get(relation.as_ref(), application, key, member))
            }
            Call::RelationSet { relation, application, settings } => {
                done(self.relation_set(relation.as_ref(), application, settings))
            }

            Call::ConfigGet { key, all } => answer(Ok(self.config_get(key, all))),
            Call::IsLeader => answer(Ok(self.context.leader.into())),
            Call::LeaderGet { key } => answer(Ok(self.leader_get(key))),
            Call::LeaderSet { settings } => self.leader_set(settings),
            Call::GoalState => answer(Ok(self.goal_state())),
            Call::CredentialGet => answer(self.credential_get()),
            Call::ResourceGet { name } => self.resource_get(name),
            Call::UnitGet { address: UnitAddress::Private | UnitAddress::Public } => {
                answer(Ok(self.context.address.as_str().into()))
            }
            Call::NetworkGet { binding, relation, parts } => {
                answer(self.network_get(&binding, relation.as_ref(), &parts))
            }
            Call::JujuReboot { now } => self.juju_reboot(now),
            Call::PayloadRegister { class, .. }
            | Call::PayloadUnregister { class, .. }
            | Call::PayloadStatusSet { class, .. } => done(self.check_payload(&class)),
            Call::AddMetric { .. } => {
                refused(ToolError::running("cannot record metric: metrics disabled"))
            }

            Call::JujuLog { level, message } => self.juju_log(level, &message, moment.now),
            Call::StatusGet { application, detail } => answer(self.status_get(application, detail)),
            Call::StatusSet { application, status, message } => {
                self.status_set(application, ContextStatus { status, message })
            }
            Call::ApplicationVersionSet { version } => {
                after(Effect::Report(Report::WorkloadVersion { version }))
            }

            Call::OpenPort { ports, endpoints } => done(self.open_port(&ports, &endpoints)),
            Call::ClosePort { ports, endpoints } => done(self.close_port(&ports, &endpoints)),
            Call::OpenedPorts { endpoints } => answer(Ok(self.opened_ports(endpoints))),

            Call::StorageAdd { counts } => done(self.storage_add(counts)),
            Call::StorageGet { storage, attribute } => {
                answer(self.storage_get(storage, attribute.as_deref()))
            }
            Call::StorageList { name } => answer(Ok(self.storage_list(name.as_deref()))),

            Call::StateGet { key, strict } => answer(self.state_get(key, strict)),
            Call::StateSet { values } => done(self.state_set(values)),
            Call::StateDelete { key } => done(self.state_delete(key)),

            Call::SecretAdd { application, draft } => {
                answer(self.secret_add(application, draft, moment))
            }
            Call::SecretSet { id, draft } => done(self.secret_set(&id, draft, moment)),
            Call::SecretGet { id, label, key, base64, reading } => {
                let content = self.secret_get(id, label, reading);
                answer(content.and_then(|content| secrets::value(&content, key, base64)))
            }
            Call::SecretInfoGet { id, label } => answer(self.secret_info_get(id, label)),
            Call::SecretIds => answer(Ok(self.secret_ids())),
            Call::SecretRemove { id, revision } => done(self.secret_remove(id, revision)),
            Call::SecretGrant { id, relation, unit } => {
                done(self.secret_grant(id, relation.as_ref(), unit))
            }
            Call::SecretRevoke { id, relation, application, unit } => {
                done(self.secret_revoke(id, relation.as_ref(), application, unit))
            }

            Call::ActionGet { path } => answer(self.action_get(&path)),
            Call::ActionSet { results } => done(self.action_set(results)),
            Call::ActionFail { message } => done(self.action_fail(message)),
            Call::ActionLog { message } => self.action_log(message),
        }
    }

    /// Ends the run and hands over what it did.
    #[must_use]
    pub fn finish(mut self) -> Outcome {
        self.finish_relations();
        self.finish_ports();
        Outcome {
            changes: self.changes,
            results: self.action.results,
            failure: self.action.failure,
            status_set: self.status_set,
            reboot: self.reboot,
        }
    }

    /// Refuses to let the run write more than fits into its one transaction: `values` in addition to what
    /// is already there.
    pub(super) fn check_size(&self, values: &BTreeMap<String, String>) -> Result<(), ToolError> {
        if let Some((key, value)) = values.iter().find(|(_, value)| value.len() > VALUE_BYTES_MAX) {
            return Err(ToolError::running(format!(
                "the value of {key:?} has {} bytes; one value may have {VALUE_BYTES_MAX}",
                value.len()
            )));
        }
        let size = |(key, value): (&String, &String)| key.len() + value.len();
        let settings = self.settings.values().flatten().map(size).sum::<usize>();
        let state = self.changes.state.iter();
        let state = state.map(|(key, value)| key.len() + value.as_ref().map_or(0, String::len));
        let total = settings + state.sum::<usize>() + values.iter().map(size).sum::<usize>();
        if total > RUN_BYTES_MAX {
            return Err(ToolError::running(format!(
                "this run has written {total} bytes of settings and state; it may write {RUN_BYTES_MAX}"
            )));
        }
        Ok(())
    }
}

/// A reply that prints a value.
pub(super) fn answer(result: Result<Value, ToolError>) -> Reply {
    Reply { result: result.map(Some), effect: None }
}

/// A reply that prints nothing.
pub(super) fn done(result: Result<(), ToolError>) -> Reply {
    Reply { result: result.map(|()| None), effect: None }
}

/// A reply that prints nothing after an effect.
pub(super) fn after(effect: Effect) -> Reply {
    Reply { result: Ok(None), effect: Some(effect) }
}

/// A refusal.
pub(super) fn refused(error: ToolError) -> Reply {
    Reply { result: Err(error), effect: None }
}

/// Juju's words for what only the leader may do.
pub(super) fn not_the_leader() -> ToolError {
    ToolError::running("this unit is not the leader")
}
