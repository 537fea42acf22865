//! The environment of a charm's process: exactly what is listed here, and nothing of the agent's
//! own, so that a charm behaves alike wherever the agent was started from.

use std::path::Path;

use tutti_model::agent::{Context, Hook, ModelIdentity};

/// Announced as `JUJU_VERSION`: opens every feature `ops` knows how to use.
pub const JUJU_VERSION: &str = "3.6.9";

/// Where programs are found, after the unit's hook tools.
const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin";

/// What a process of a charm is run for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    /// A hook.
    Hook(Hook),
    /// A task: an action, or a command (named `juju-exec`).
    Task {
        /// Number in the model.
        task: i64,
        /// Name of the action.
        name: String,
    },
}

/// Name under which commands run.
pub(crate) const EXEC: &str = "juju-exec";

impl Event {
    /// The name in logs: of the hook or of the action.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Hook(hook) => hook.name(),
            Self::Task { name, .. } => name.clone(),
        }
    }

    /// `hooks/<name>` or `actions/<name>`: what `dispatch` goes by; empty for commands.
    pub(crate) fn dispatch_path(&self) -> String {
        match self {
            Self::Hook(hook) => format!("hooks/{}", hook.name()),
            Self::Task { name, .. } if name == EXEC => String::new(),
            Self::Task { name, .. } => format!("actions/{name}"),
        }
    }
}

/// What the environment is made of besides the [`Event`] and its [`Context`].
#[derive(Clone, Debug)]
pub(crate) struct Place<'a> {
    /// The unit's name.
    pub(crate) unit: &'a str,
    /// Its model.
    pub(crate) model: &'a ModelIdentity,
    /// Number of its machine; none on Kubernetes-like models.
    pub(crate) machine: Option<&'a str>,
    /// Its principal, if it is a subordinate.
    pub(crate) principal: Option<&'a str>,
    /// Absolute path of the charm directory.
    pub(crate) charm: &'a Path,
    /// Absolute path of the directory with the hook tools.
    pub(crate) tools: &'a Path,
    /// The socket the hook tools call.
    pub(crate) socket: &'a str,
    /// Names this run at that socket.
    pub(crate) context_id: &'a str,
    /// Home directory of the user the agent runs as.
    pub(crate) home: &'a str,
}

/// Variables by name; each once.
pub(crate) type Environment = Vec<(String, String)>;

/// The whole environment of one run.
pub(crate) fn environment(place: &Place<'_>, event: &Event, context: &Context) -> Environment {
    let mut variables = Variables::default();
    variables.place(place);
    variables.context(context);
    match event {
        Event::Hook(hook) => variables.hook(hook, context),
        Event::Task { task, name } => {
            variables.set("JUJU_HOOK_NAME", "");
            variables.set("JUJU_ACTION_NAME", name);
            variables.set("JUJU_ACTION_UUID", &task.to_string());
            variables.set("JUJU_ACTION_TAG", &format!("action-{task}"));
        }
    }
    variables.set("JUJU_DISPATCH_PATH", &event.dispatch_path());
    variables.0
}

/// A new name for a run: `<unit>-<hook>-<32 hexadecimal digits>`. It is what a hook tool proves its
/// right with, so it cannot be guessed.
pub(crate) fn context_id(unit: &str, event: &Event) -> String {
    let name = match event {
        Event::Hook(hook) => hook.name(),
        Event::Task { .. } => "run-action".into(),
    };
    format!("{unit}-{name}-{}", uuid::Uuid::new_v4().simple())
}

#[derive(Default)]
struct Variables(Environment);

impl Variables {
    fn set(&mut self, name: &str, value: &str) {
        self.0.push((name.into(), value.into()));
    }

    /// What is the same for all runs of a unit.
    fn place(&mut self, place: &Place<'_>) {
        let charm = place.charm.to_string_lossy();
        let path = format!("{}:{SYSTEM_PATH}", place.tools.display());
        for (name, value) in [
            ("PATH", path.as_str()),
            ("HOME", place.home),
            ("LANG", "C.UTF-8"),
            ("TERM", "tmux-256color"),
            ("DEBIAN_FRONTEND", "noninteractive"),
            ("APT_LISTCHANGES_FRONTEND", "none"),
            ("CHARM_DIR", &charm),
            ("JUJU_CHARM_DIR", &charm),
            ("JUJU_CONTEXT_ID", place.context_id),
            ("JUJU_AGENT_SOCKET_ADDRESS", place.socket),
            ("JUJU_AGENT_SOCKET_NETWORK", "unix"),
            ("JUJU_UNIT_NAME", place.unit),
            ("JUJU_MODEL_NAME", &place.model.name),
            ("JUJU_MODEL_UUID", &place.model.uuid),
            ("JUJU_VERSION", JUJU_VERSION),
            ("JUJU_MACHINE_ID", place.machine.unwrap_or_default()),
            ("JUJU_PRINCIPAL_UNIT", place.principal.unwrap_or_default()),
            ("JUJU_AVAILABILITY_ZONE", ""),
            ("CLOUD_API_VERSION", ""),
            ("JUJU_SLA", "unsupported"),
        ] {
            self.set(name, value);
        }
    }

    /// What follows from the model as it is now.
    fn context(&mut self, context: &Context) {
        self.set("JUJU_API_ADDRESSES", &context.api_addresses.join(" "));
        for (name, proxy) in [
            ("JUJU_CHARM_HTTP_PROXY", "http"),
            ("JUJU_CHARM_HTTPS_PROXY", "https"),
            ("JUJU_CHARM_FTP_PROXY", "ftp"),
            ("JUJU_CHARM_NO_PROXY", "no"),
        ] {
            self.set(name, context.proxies.get(proxy).map_or("", String::as_str));
        }
        if !context.bus.is_empty() {
            self.set("TUTTI_BUS_URL", &context.bus);
        }
    }

    fn hook(&mut self, hook: &Hook, context: &Context) {
        self.set("JUJU_HOOK_NAME", &hook.name());
        if let Some(relation) = hook.relation() {
            self.set("JUJU_RELATION", &relation.endpoint);
            let id = format!("{}:{}", relation.endpoint, relation.relation);
            self.set("JUJU_RELATION_ID", &id);
            self.set("JUJU_REMOTE_APP", &relation.remote_application);
            self.set("JUJU_REMOTE_UNIT", relation.remote_unit.as_deref().unwrap_or_default());
        }
        match hook {
            Hook::RelationDeparted(departed) => {
                let unit = departed.departing_unit.as_deref();
                self.set("JUJU_DEPARTING_UNIT", unit.unwrap_or_default());
            }
            Hook::StorageAttached(storage) | Hook::StorageDetaching(storage) => {
                let instance = context.storage.get(&storage.storage).cloned().unwrap_or_default();
                self.set("JUJU_STORAGE_ID", &storage.storage);
                self.set("JUJU_STORAGE_LOCATION", &instance.location);
                self.set("JUJU_STORAGE_KIND", &instance.kind);
            }
            Hook::SecretChanged(secret)
            | Hook::SecretRotate(secret)
            | Hook::SecretExpired(secret)
            | Hook::SecretRemove(secret) => {
                self.set("JUJU_SECRET_ID", &format!("secret:{}", secret.secret));
                self.set("JUJU_SECRET_LABEL", &secret.label);
                if matches!(hook, Hook::SecretExpired(_) | Hook::SecretRemove(_)) {
                    self.set("JUJU_SECRET_REVISION", &secret.revision.to_string());
                }
            }
            // The names of Pebble's notices, which `ops` knows; the data is ours.
            Hook::Notice(_) => {
                let notice = context.notice.clone().unwrap_or_default();
                self.set("JUJU_NOTICE_ID", &notice.id);
                self.set("JUJU_NOTICE_TYPE", &notice.kind);
                self.set("JUJU_NOTICE_KEY", &notice.key);
                self.set("TUTTI_NOTICE_DATA", &notice.data);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use tutti_model::agent::{
        ContextNotice, ContextStorage, NoticeHook, RelationHook, SecretHook, StorageHook,
    };

    use super::*;

    /// Set for every run, also when empty.
    const ALWAYS: &str = "APT_LISTCHANGES_FRONTEND CHARM_DIR CLOUD_API_VERSION DEBIAN_FRONTEND HOME \
        JUJU_AGENT_SOCKET_ADDRESS JUJU_AGENT_SOCKET_NETWORK JUJU_API_ADDRESSES \
        JUJU_AVAILABILITY_ZONE JUJU_CHARM_DIR JUJU_CHARM_FTP_PROXY JUJU_CHARM_HTTPS_PROXY \
        JUJU_CHARM_HTTP_PROXY JUJU_CHARM_NO_PROXY JUJU_CONTEXT_ID JUJU_DISPATCH_PATH JUJU_HOOK_NAME \
        JUJU_MACHINE_ID JUJU_MODEL_NAME JUJU_MODEL_UUID JUJU_PRINCIPAL_UNIT JUJU_SLA JUJU_UNIT_NAME \
        JUJU_VERSION LANG PATH TERM TUTTI_BUS_URL";

    fn run(event: &Event) -> BTreeMap<String, String> {
        let model = ModelIdentity { uuid: "u-u".into(), name: "m".into(), ..Default::default() };
        let place = Place {
            unit: "db/0",
            model: &model,
            machine: Some("0"),
            principal: None,
            charm: Path::new("/d/charm"),
            tools: Path::new("/d/tools"),
            socket: "/d/socket",
            context_id: "id",
            home: "/root",
        };
        let context = Context {
            api_addresses: vec!["a:1".into(), "b:2".into()],
            proxies: [("no".to_owned(), "x".to_owned())].into(),
            storage: [(
                "data/1".to_owned(),
                ContextStorage { kind: "filesystem".into(), location: "/s".into() },
            )]
            .into(),
            notice: Some(ContextNotice {
                id: "i".into(),
                kind: "bus".into(),
                key: "auth.came_in".into(),
                data: "{}".into(),
            }),
            bus: "unix:///d/bus.sock".into(),
            ..Context::default()
        };
        let variables = environment(&place, event, &context);
        let map: BTreeMap<_, _> = variables.iter().cloned().collect();
        assert_eq!(map.len(), variables.len(), "a variable is set twice");
        map
    }

    /// Runs the hook, checks that the names are the common ones and `more`, returns `more`'s values.
    fn values(hook: Hook, more: &[&str]) -> Vec<String> {
        let variables = run(&Event::Hook(hook));
        let expected: BTreeSet<&str> =
            ALWAYS.split_whitespace().chain(more.iter().copied()).collect();
        assert_eq!(variables.keys().map(String::as_str).collect::<BTreeSet<_>>(), expected);
        more.iter().map(|name| variables[*name].clone()).collect()
    }

    #[test]
    fn plain_hooks_have_the_common_variables() {
        assert!(values(Hook::Install, &[]).is_empty());
        let variables = run(&Event::Hook(Hook::ConfigChanged));
        for (name, value) in [
            ("JUJU_DISPATCH_PATH", "hooks/config-changed"),
            ("JUJU_HOOK_NAME", "config-changed"),
            ("JUJU_API_ADDRESSES", "a:1 b:2"),
            ("JUJU_CHARM_NO_PROXY", "x"),
            ("JUJU_CHARM_FTP_PROXY", ""),
            ("JUJU_PRINCIPAL_UNIT", ""),
            ("JUJU_MACHINE_ID", "0"),
        ] {
            assert_eq!(variables[name], value, "{name}");
        }
        assert!(variables["PATH"].starts_with("/d/tools:/usr/local/sbin:"));
    }

    #[test]
    fn relation_hooks_name_the_relation() {
        let relation = RelationHook {
            relation: 3,
            endpoint: "db".into(),
            remote_application: "wp".into(),
            remote_unit: Some("wp/1".into()),
            departing_unit: Some("db/0".into()),
            change_version: 1,
        };
        let names = ["JUJU_RELATION", "JUJU_RELATION_ID", "JUJU_REMOTE_APP", "JUJU_REMOTE_UNIT"];
        let joined = values(Hook::RelationJoined(relation.clone()), &names);
        assert_eq!(joined, ["db", "db:3", "wp", "wp/1"]);
        let broken = RelationHook { remote_unit: None, ..relation.clone() };
        assert_eq!(values(Hook::RelationBroken(broken), &names), ["db", "db:3", "wp", ""]);
        let mut departed = names.to_vec();
        departed.push("JUJU_DEPARTING_UNIT");
        assert_eq!(values(Hook::RelationDeparted(relation), &departed)[4], "db/0");
    }

    #[test]
    fn storage_and_secret_hooks_name_their_subject() {
        let names = ["JUJU_STORAGE_ID", "JUJU_STORAGE_LOCATION", "JUJU_STORAGE_KIND"];
        let storage = Hook::StorageAttached(StorageHook { storage: "data/1".into() });
        assert_eq!(values(storage, &names), ["data/1", "/s", "filesystem"]);
        let secret = SecretHook { secret: "abc".into(), label: String::new(), revision: 4 };
        let names = ["JUJU_SECRET_ID", "JUJU_SECRET_LABEL"];
        assert_eq!(values(Hook::SecretRotate(secret.clone()), &names), ["secret:abc", ""]);
        let names = ["JUJU_SECRET_ID", "JUJU_SECRET_LABEL", "JUJU_SECRET_REVISION"];
        assert_eq!(values(Hook::SecretExpired(secret), &names), ["secret:abc", "", "4"]);
    }

    #[test]
    fn a_notice_comes_with_what_it_says() {
        let names = ["JUJU_NOTICE_ID", "JUJU_NOTICE_TYPE", "JUJU_NOTICE_KEY", "TUTTI_NOTICE_DATA"];
        let said = values(Hook::Notice(NoticeHook { notice: 3 }), &names);
        assert_eq!(said, ["i", "bus", "auth.came_in", "{}"]);
        assert_eq!(
            run(&Event::Hook(Hook::Notice(NoticeHook { notice: 3 })))["JUJU_HOOK_NAME"],
            "bus-notice"
        );
    }

    #[test]
    fn tasks_name_the_action_and_no_hook() {
        let action = run(&Event::Task { task: 7, name: "backup".into() });
        assert_eq!(action["JUJU_HOOK_NAME"], "");
        assert_eq!(action["JUJU_DISPATCH_PATH"], "actions/backup");
        assert_eq!(action["JUJU_ACTION_NAME"], "backup");
        assert_eq!(action["JUJU_ACTION_UUID"], "7");
        assert_eq!(action["JUJU_ACTION_TAG"], "action-7");
        let exec = run(&Event::Task { task: 8, name: EXEC.into() });
        assert_eq!(exec["JUJU_DISPATCH_PATH"], "");
    }

    #[test]
    fn context_ids_differ() {
        let event = Event::Hook(Hook::Start);
        let id = context_id("db/0", &event);
        assert!(id.starts_with("db/0-start-") && id.len() == "db/0-start-".len() + 32, "{id}");
        assert_ne!(id, context_id("db/0", &event));
    }
}
