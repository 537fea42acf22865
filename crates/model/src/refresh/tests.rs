use std::collections::BTreeMap;

use serde_json::json;
use tutti_charm::charm::Charm;
use tutti_charm::config::{ConfigSchema, Settings};
use tutti_charm::manifest::Manifest;
use tutti_charm::metadata::Metadata;

use super::*;
use crate::agent::{Hook, HookStep, Journal, Operation};
use crate::api::{Life, ModelKind, Refresh, RefreshPlan, ResourceUpload};
use crate::relation::Existing;

/// An application with everything that can stand in the way, moved between two charms.
struct Case {
    old: Charm,
    new: Charm,
    from: (&'static str, i64, &'static str),
    to: (&'static str, i64, &'static str),
    kind: ModelKind,
    life: Life,
    base: &'static str,
    settings: Settings,
    relations: Vec<Existing>,
    storage: BTreeMap<String, u32>,
    resources: BTreeMap<String, String>,
    units: Vec<UnitState>,
    files: Option<[BTreeMap<String, String>; 2]>,
    request: Refresh,
}

fn charm(yaml: &str, options: &str) -> Charm {
    let metadata = format!("name: web\nsummary: s\ndescription: d\n{yaml}");
    let config = format!("options: {{{options}}}");
    Charm {
        metadata: Metadata::from_yaml("metadata.yaml", &metadata).unwrap().0,
        config: ConfigSchema::from_yaml("config.yaml", &config).unwrap(),
        has_dispatch: true,
        ..Charm::default()
    }
}

fn bases(text: &str) -> Manifest {
    let bases: Vec<_> = (text.split(' '))
        .map(|base| base.split_once('@').unwrap())
        .map(|(name, channel)| format!("{{name: {name}, channel: '{channel}'}}"))
        .collect();
    Manifest::from_yaml("manifest.yaml", &format!("bases: [{}]", bases.join(","))).unwrap()
}

fn case(old: &str, new: &str) -> Case {
    Case {
        old: charm(old, ""),
        new: charm(new, ""),
        from: ("local:web-1", 1, "one"),
        to: ("local:web-2", 2, "two"),
        kind: ModelKind::Iaas,
        life: Life::Alive,
        base: "ubuntu@24.04",
        settings: Settings::new(),
        relations: Vec::new(),
        storage: BTreeMap::new(),
        resources: BTreeMap::new(),
        units: Vec::new(),
        files: None,
        request: Refresh::default(),
    }
}

impl Case {
    fn plan(&self) -> RefreshPlan {
        let charmed = |(url, revision, digest), charm, index: usize| Charmed {
            url,
            revision,
            digest,
            charm,
            files: self.files.as_ref().map(|files| &files[index]),
        };
        let current = Current {
            application: "web",
            life: self.life,
            kind: self.kind,
            charm: charmed(self.from, &self.old, 0),
            base: self.base,
            settings: &self.settings,
            trust: false,
            relations: &self.relations,
            storage: &self.storage,
            resources: &self.resources,
            units: &self.units,
        };
        let target = Target {
            charm: charmed(self.to, &self.new, 1),
            architecture: "amd64",
            request: &self.request,
        };
        plan(&current, &target)
    }

    fn refusals(&self) -> Vec<String> {
        self.plan().refusals
    }
}

fn related(key: &str) -> Existing {
    let ends = (key.split(' '))
        .map(|end| end.split_once(':').unwrap())
        .map(|(application, endpoint)| (application.to_owned(), endpoint.to_owned()))
        .collect();
    Existing { key: key.into(), ends }
}

#[test]
fn a_newer_revision_goes_ahead() {
    let plan = case("", "").plan();
    assert_eq!(refused(&plan), None);
    assert!(!plan.up_to_date);
    assert_eq!((plan.from.as_str(), plan.to.as_str()), ("local:web-1", "local:web-2"));
}

#[test]
fn what_changes() {
    let mut case = case(
        "requires:\n  db: {interface: sql}\n  cache: {interface: redis}\nstorage:\n  old: {type: \
         filesystem, multiple: {range: 0-1}}\n",
        "requires:\n  db: {interface: sql, limit: 1}\nprovides:\n  site: {interface: \
         http}\nstorage:\n  data: {type: filesystem}\n",
    );
    case.old.config = charm("", "a: {type: int}, b: {type: string}").config;
    case.new.config = charm("", "a: {type: string}, c: {type: int}").config;
    case.settings = [("a".to_owned(), json!(1)), ("b".to_owned(), json!("x"))].into();
    let files = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(path, digest)| ((*path).into(), (*digest).into())).collect()
    };
    case.files = Some([
        files(&[("a", "1"), ("b", "1"), ("c", "1")]),
        files(&[("b", "1"), ("c", "2"), ("d", "1")]),
    ]);
    let plan = case.plan();
    assert_eq!(plan.refusals, Vec::<String>::new());
    assert_eq!(
        [&plan.files_added, &plan.files_changed, &plan.files_removed],
        [&["d"], &["c"], &["a"]]
    );
    assert_eq!(
        (plan.config_added, plan.config_dropped),
        (vec!["c".into()], vec!["a".into(), "b".into()])
    );
    assert_eq!(
        [plan.endpoints_added, plan.endpoints_changed, plan.endpoints_removed],
        [["site"], ["db"], ["cache"]]
    );
    assert_eq!([plan.storage_added, plan.storage_removed], [["data"], ["old"]]);
}

#[test]
fn the_charm_must_be_the_same_and_newer() {
    let mut case = case("", "");
    case.to = ("local:web-1", 1, "one");
    assert!(case.refusals().is_empty() && case.plan().up_to_date);
    case.to = ("local:web-0", 0, "zero");
    assert!(case.refusals()[0].starts_with("revision 0 is not newer than revision 1"));
    case.request.switch = true;
    assert!(case.refusals().is_empty());
    case.request.switch = false;
    case.new.metadata.name = "other".into();
    assert_eq!(refused(&case.plan()).unwrap(), "cannot refresh \"web\" to \"other\"");
    case.request.switch = true;
    assert!(case.refusals().is_empty());
    case.request.switch = false;
    case.new.metadata.name = "web".into();
    (case.from.0, case.to.0) = ("ch:amd64/web-1", "ch:amd64/web-0");
    assert!(case.refusals().is_empty(), "catalogue charms may go back");
}

#[test]
fn nothing_is_ever_silently_nothing() {
    let mut case = case("", "resources:\n  blob: {type: file, filename: b}\n");
    case.new.config = charm("", "a: {type: int}").config;
    case.to = case.from;
    case.units = vec![UnitState {
        name: "web/0".into(),
        charm: "local:web-1".into(),
        installed: true,
        ..UnitState::default()
    }];
    case.settings = [("a".to_owned(), json!(1))].into();
    case.request.config = [("a".to_owned(), "1".to_owned())].into();
    case.request.trust = Some(false);
    case.request.base = "ubuntu@24.04/stable".into();
    case.resources = [("blob".to_owned(), "x".to_owned())].into();
    let blob = |digest: &str| ResourceUpload { digest: digest.into(), ..Default::default() };
    case.request.resources = [("blob".to_owned(), blob("x"))].into();
    let plan = case.plan();
    assert!(plan.up_to_date && plan.units.is_empty(), "{plan:?}");

    case.request.config = [("a".to_owned(), "2".to_owned())].into();
    case.request.trust = Some(true);
    let plan = case.plan();
    assert!(!plan.up_to_date && plan.units.is_empty());
    assert_eq!(plan.also, ["config a", "trust"]);

    case.request.resources = [("blob".to_owned(), blob("y"))].into();
    let plan = case.plan();
    assert_eq!(plan.resources_changed, ["blob"]);
    assert_eq!(plan.units["web/0"], "upgrades now");
}

#[test]
fn every_reason_at_once() {
    let mut case = case(
        "provides:\n  site: {interface: http}\nstorage:\n  data: {type: filesystem}\n  logs: {type: \
         filesystem, multiple: {range: 0-2}}\n",
        "subordinate: true\nrequires:\n  host: {interface: juju-info, scope: container}\nassumes: \
         [juju >= 9]\nupgrades-from: '>=5'\n",
    );
    case.old.manifest = bases("ubuntu@24.04");
    case.new.manifest = bases("ubuntu@22.04");
    case.storage = [("logs".to_owned(), 1)].into();
    case.relations = vec![related("x:y web:site")];
    case.request.config = [("nothing".to_owned(), "1".to_owned())].into();
    case.request.resources = [("blob".to_owned(), ResourceUpload::default())].into();
    case.life = Life::Dead;
    let expected = [
        "cannot change an application's subordinacy",
        "base \"ubuntu@24.04\" not supported by charm, supported bases are: ubuntu@22.04",
        "charm assumes juju >= 9, but this model has juju 3.6.9",
        "charm takes over from versions >=5, and the present one does not say its version",
        "would break relation \"x:y web:site\"",
        "required storage \"data\" removed",
        "in-use storage \"logs\" removed",
        "unknown option \"nothing\"",
        "charm has no resource \"blob\"",
        "application is dead",
    ];
    let plan = case.plan();
    assert_eq!(plan.refusals, expected);
    assert_eq!(
        refused(&plan).unwrap(),
        format!(
            "cannot upgrade application \"web\" to charm \"local:web-2\": {}",
            expected.join("; ")
        )
    );
    case.request.force = true;
    case.request.force_base = true;
    assert_eq!(case.refusals().len(), expected.len() - 3);
}

#[test]
fn a_dying_application_may_be_repaired() {
    let mut case = case("", "");
    case.life = Life::Dying;
    assert!(case.refusals().is_empty());
}

#[test]
fn bases_may_be_forced_but_not_the_system() {
    let mut case = case("", "");
    case.old.manifest = bases("ubuntu@24.04");
    case.new.manifest = bases("ubuntu@22.04 ubuntu@24.04");
    assert!(case.refusals().is_empty());
    case.request.base = "ubuntu@20.04".into();
    assert_eq!(case.refusals().len(), 1);
    case.request.force_base = true;
    assert!(case.refusals().is_empty());
    case.request.base = "debian@12".into();
    assert_eq!(case.refusals(), ["OS \"debian\" not supported by charm"]);
    case.new.manifest = Manifest::default();
    assert_eq!(case.refusals(), ["OS \"debian\" is not the application's \"ubuntu\""]);
}

#[test]
fn a_default_that_no_charm_declared_gives_way() {
    let mut case = case("", "");
    case.new.manifest = bases("debian@12");
    let plan = case.plan();
    assert_eq!((plan.refusals, plan.base.as_str()), (Vec::new(), "debian@12"));
    case.new.manifest = bases("ubuntu@22.04 ubuntu@24.04");
    assert_eq!(case.plan().base, "ubuntu@24.04");
    case.base = "ubuntu@20.04";
    assert_eq!(case.refusals().len(), 1, "somebody asked for it");
    case.base = "ubuntu@24.04";
    case.old.manifest = bases("ubuntu@24.04");
    case.new.manifest = bases("debian@12");
    assert_eq!(case.refusals(), ["OS \"ubuntu\" not supported by charm"]);
}

#[test]
fn relations_in_use() {
    let old = "provides:\n  site: {interface: http}\nrequires:\n  db: {interface: sql}\npeers:\n  c: \
               {interface: c}\n";
    let relations = [
        related("x:y web:site"),
        related("web:db pg:db"),
        related("web:db my:db"),
        related("web:c"),
        related("mon:host web:juju-info"),
    ];
    let check = |new: &str, force: bool| {
        let mut case = case(old, new);
        case.relations = relations.to_vec();
        case.request.force = force;
        case.refusals()
    };
    let kept = "provides:\n  site: {interface: http}\nrequires:\n  db: {interface: sql}\n";
    assert!(check(kept, false).is_empty(), "peers may go");
    let renamed = kept.replace("http", "https");
    assert_eq!(check(&renamed, true), ["would break relation \"x:y web:site\""]);
    let limited = kept.replace("sql}", "sql, limit: 1}");
    assert_eq!(
        check(&limited, false),
        ["new charm version imposes a maximum relation limit of 1 for web:db which cannot be \
          satisfied by the number of already established relations (2)"]
    );
    assert!(check(&limited, true).is_empty());
}

#[test]
fn storage_in_use() {
    let storage = |text: &str| format!("storage:\n  data: {{{text}}}\n");
    let check = |old: &str, new: &str| case(&storage(old), &storage(new)).refusals();
    let plain = "type: filesystem";
    assert!(check(plain, plain).is_empty());
    assert_eq!(
        check(plain, "type: filesystem, shared: true, read-only: true, location: /srv"),
        [
            "existing storage \"data\" shared changed from \"false\" to \"true\"",
            "existing storage \"data\" read-only changed from \"false\" to \"true\"",
            "existing storage \"data\" location changed from \"\" to \"/srv\"",
        ]
    );
    assert_eq!(
        check(plain, "type: block"),
        ["existing storage \"data\" type changed from \"filesystem\" to \"block\""]
    );
    assert_eq!(
        check(
            "type: filesystem, multiple: {range: 1-}",
            "type: filesystem, multiple: {range: 2-3}"
        ),
        [
            "existing storage \"data\" range contracted: min increased from 1 to 2",
            "existing storage \"data\" range contracted: max decreased from <unbounded> to 3",
        ]
    );
    assert_eq!(
        check(
            "type: filesystem, location: /srv",
            "type: filesystem, location: /srv, multiple: {range: 1-2}"
        ),
        ["existing storage \"data\" with location changed from single to multiple"]
    );
    let mut kubernetes = case(&storage(plain), "");
    kubernetes.kind = ModelKind::Caas;
    assert_eq!(
        kubernetes.refusals(),
        ["storage cannot change on a Kubernetes-like model", "required storage \"data\" removed"]
    );
}

#[test]
fn upgrades_from() {
    let mut case = case("", "upgrades-from: '>=5,<8'\n");
    for (version, refusal) in [
        ("5.1", None),
        ("8", Some("charm takes over from versions >=5,<8, not from 8")),
        (
            "spring",
            Some(
                "charm takes over from versions >=5,<8, and the present one does not say its version",
            ),
        ),
    ] {
        case.old.version = Some(version.into());
        assert_eq!(case.refusals().first().map(String::as_str), refusal, "{version}");
    }
}

#[test]
fn what_each_unit_will_do() {
    let journal = |installed, charm: &str, failed: Option<Hook>| Journal {
        installed,
        charm: Some(crate::agent::CharmReference { url: charm.into(), ..Default::default() }),
        operation: failed.map_or(Operation::Continue, |hook| Operation::RunHook {
            hook,
            step: HookStep::Failed,
        }),
        ..Journal::default()
    };
    let unit = |number: u32, life, lost, journal: &Journal| {
        UnitState::new(&format!("web/{number}"), life, lost, journal)
    };
    let failed = journal(true, "local:web-1", Some(Hook::ConfigChanged));
    let install = journal(false, "local:web-1", Some(Hook::Install));
    let mut task = journal(true, "local:web-1", None);
    task.operation = Operation::RunAction { task: 1 };
    task.failed = Some(Hook::Start);
    let mut case = case("", "");
    case.units = vec![
        unit(0, Life::Alive, false, &journal(true, "local:web-1", None)),
        unit(1, Life::Alive, false, &Journal::default()),
        unit(2, Life::Alive, false, &failed),
        unit(3, Life::Alive, false, &install),
        unit(4, Life::Dying, false, &failed),
        unit(5, Life::Alive, true, &journal(true, "local:web-1", None)),
        unit(6, Life::Alive, false, &journal(true, "local:web-2", None)),
        unit(7, Life::Alive, false, &task),
    ];
    let verdicts = |case: &Case| case.plan().units.into_values().collect::<Vec<_>>();
    assert_eq!(
        verdicts(&case),
        [
            "upgrades now",
            "takes the new charm when it installs",
            "in error: upgrades when resolved",
            "failed to install: takes the new charm when it tries again",
            "is being removed: stays as it is",
            "agent lost: upgrades when it is back",
            "runs it already",
            "in error: upgrades when resolved",
        ]
    );
    case.request.force_units = true;
    let forced = verdicts(&case);
    assert_eq!(forced[2], "in error: upgrades now, then returns to config-changed");
    assert_eq!(forced[3], "failed to install: installs the new charm now");
    assert_eq!(forced[7], "in error: upgrades now, then returns to start");
    case.life = Life::Dead;
    assert!(verdicts(&case).iter().all(|verdict| verdict == "stays as it is"), "it is refused");
}
