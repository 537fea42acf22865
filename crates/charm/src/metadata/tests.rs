use super::*;
use crate::Error;

fn read(text: &str) -> Metadata {
    let (metadata, warnings) = Metadata::from_yaml("metadata.yaml", text).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    metadata
}

fn problems(text: &str) -> Vec<String> {
    match Metadata::from_yaml("metadata.yaml", text) {
        Err(Error::Invalid { problems, .. }) => problems,
        other => panic!("{other:?}"),
    }
}

const FULL: &str = r#"
name: my-charm
display-name: My Charm
summary: does it
description: |
  at length
maintainers: [me]
provides:
  web: http
  metrics:
    interface: prometheus
    limit: 1
    optional: true
requires:
  host: {interface: juju-info, scope: container}
peers:
  cluster: {interface: my-peers}
storage:
  data: {type: filesystem, location: /srv/data, minimum-size: 1.5G, description: d}
  disks: {type: block, multiple: {range: 0-2}}
  logs: {type: filesystem, multiple: {range: 1}, read-only: true, shared: true, minimum-size: 100}
resources:
  blob: {type: file, filename: blob.bin, description: bytes}
  image: {type: oci-image, upstream-source: example/image:1}
containers:
  workload:
    resource: image
    mounts: [{storage: data, location: /data}]
    uid: 584792
    gid: 584792
payloads:
  monitor: {type: docker}
extra-bindings:
  public:
assumes: [juju >= 3.1]
min-juju-version: 2.9.0
charm-user: non-root
upgrades-from: ">=5,<8"
"#;

#[test]
fn bus_events_are_an_api_and_an_event() {
    let text = "name: a\nx-tutti: {bus: {listen: [my.auth.came_in, shop.*]}}\n";
    let event = |api: &str, event: &str| BusEvent { api: api.into(), event: event.into() };
    assert_eq!(read(text).bus_events, [event("my.auth", "came_in"), event("shop", "*")]);
    assert!(read("name: a\nx-tutti:\n").bus_events.is_empty());
    let wrong = problems("name: a\nx-tutti: {bus: {listen: [came_in, '*.x', 'a..b', 'a b.c']}}\n");
    assert_eq!(wrong.len(), 4, "{wrong:?}");
    assert!(wrong[0].starts_with("x-tutti: ") && wrong[0].contains("auth.user_registered"));
    assert!(Metadata::from_yaml("metadata.yaml", "name: a\nx-tutti: {bus: {lisen: []}}").is_err());
}

#[test]
fn everything_is_read() {
    let metadata = read(FULL);
    assert_eq!(metadata.name, "my-charm");
    assert_eq!(metadata.description, "at length\n");
    let web = &metadata.provides["web"];
    assert_eq!((web.interface.as_str(), web.role, web.limit), ("http", Role::Provider, None));
    assert_eq!(metadata.provides["metrics"].limit, Some(1));
    assert!(metadata.provides["metrics"].optional);
    assert_eq!(metadata.requires["host"].scope, Scope::Container);
    assert_eq!(metadata.peers["cluster"].role, Role::Peer);
    assert_eq!(metadata.storage["data"].minimum_size, Some(1536));
    assert_eq!(metadata.storage["data"].multiple, Multiple { min: 1, max: Some(1) });
    assert_eq!(metadata.storage["disks"].multiple, Multiple { min: 0, max: Some(2) });
    assert_eq!(metadata.storage["disks"].kind, StorageKind::Block);
    assert!(metadata.storage["logs"].read_only && metadata.storage["logs"].shared);
    assert_eq!(metadata.resources["blob"].filename.as_deref(), Some("blob.bin"));
    assert_eq!(metadata.resources["image"].kind, ResourceKind::OciImage);
    assert_eq!(metadata.containers["workload"].mounts[0].storage, "data");
    assert_eq!(metadata.containers["workload"].uid, Some(584_792));
    assert_eq!(metadata.payloads["monitor"].kind, "docker");
    assert_eq!(metadata.extra_bindings, ["public"]);
    assert_eq!(metadata.charm_user, CharmUser::NonRoot);
    assert_eq!(metadata.upgrades_from.as_ref().unwrap().to_string(), ">=5,<8");
    assert!(metadata.is_kubernetes() && !metadata.pod_spec);
}

#[test]
fn json_reads_back_and_grows() {
    let metadata = read(FULL);
    let json = serde_json::to_value(&metadata).unwrap();
    assert_eq!(serde_json::from_value::<Metadata>(json.clone()).unwrap(), metadata);
    assert_eq!(json["provides"]["web"]["role"], "provider");
    assert_eq!(json["resources"]["image"]["kind"], "oci-image");
    let sparse: Metadata = serde_json::from_str(r#"{"name": "old", "later": 1}"#).unwrap();
    assert_eq!(sparse, Metadata { name: "old".into(), ..Metadata::default() });
}

#[test]
fn empty_sections_are_fine() {
    let metadata =
        read("name: a\nprovides:\nrequires: {}\npeers:\nstorage:\ncontainers:\n  c:\nsummary:\n");
    assert!(metadata.provides.is_empty());
    assert_eq!(metadata.containers["c"], Container::default());
}

#[test]
fn implicit_endpoint() {
    let metadata = read("name: a\nrequires: {db: pgsql}\n");
    let names: Vec<&str> = metadata.endpoints().map(|(name, _)| name).collect();
    assert_eq!(names, ["db", "juju-info"]);
    assert_eq!(metadata.endpoint("juju-info").unwrap().role, Role::Provider);
    assert!(metadata.endpoint("nothing").is_none());
    let subordinate = read(
        "name: s\nsubordinate: true\nrequires: {juju-info: {interface: juju-info, scope: container}}\n",
    );
    let theirs = subordinate.endpoint("juju-info").unwrap();
    assert_eq!(theirs.role, Role::Requirer);
    assert!(theirs.matches(metadata.endpoint("juju-info").unwrap()));
    assert!(!theirs.matches(theirs));
}

#[test]
fn unknown_keys_only_warn() {
    let (_, warnings) = Metadata::from_yaml("metadata.yaml", "name: a\nfrobnicate: [1]\n").unwrap();
    assert_eq!(warnings, [r#"metadata.yaml: key "frobnicate" is not known and has no effect"#]);
}

#[test]
fn all_problems_together() {
    let found = problems(
        "name: Bad_Name\nsubordinate: true\nprovides: {juju-x: a, twice: b}\nrequires: {twice: c}\n\
         storage: {Data: {type: block, minimum-size: big, multiple: {range: 3-1}}}\n\
         resources: {f: {type: file}, g: {type: file, filename: ../g}}\n\
         containers: {c: {resource: none, mounts: [{storage: gone}]}}\nmin-juju-version: soon\n",
    );
    let expected = [
        "invalid charm name \"Bad_Name\"",
        "storage: invalid storage name \"Data\"",
        "range \"3-1\"",
        "size \"big\"",
        "resource \"f\": a file needs",
        "filename \"../g\"",
        "min-juju-version: \"soon\"",
        "\"juju-x\": names starting with",
        "endpoint \"twice\" is declared twice",
        "a subordinate charm needs",
        "mounts storage \"gone\"",
        "uses resource \"none\"",
    ];
    for text in expected {
        assert!(found.iter().any(|problem| problem.contains(text)), "{text} in {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn wrong_types_have_a_place() {
    for (text, line) in [
        ("name: a\nprovides: [x]\n", 2),
        ("name: a\nprovides:\n  db: {interface: 1, limit: many}\n", 3),
        ("name: a\nprovides:\n  db: [x]\n", 3),
        ("name: a\nsubordinate: maybe\n", 2),
        ("summary: no name\n", 1),
    ] {
        match Metadata::from_yaml("metadata.yaml", text) {
            Err(Error::Yaml { source, .. }) => assert_eq!(source.line, line, "{text} {source}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn old_kubernetes_charms_are_recognised() {
    assert!(read("name: a\nseries: [kubernetes]\n").pod_spec);
    assert!(read("name: a\ndeployment: {type: stateful}\n").pod_spec);
    assert!(!read("name: a\nseries: [20.04, jammy]\n").pod_spec);
}
