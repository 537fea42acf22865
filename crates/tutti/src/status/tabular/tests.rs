//! Tabular status of known documents.

use tutti_model::api::{RelationInfo, StatusInfo, StatusUnit, StorageInfo};

use super::super::fixtures;
use super::*;

fn drawn(name: &str, extra: &Extra) -> String {
    anstream::adapter::strip_str(&draw(&fixtures::status(name), extra)).to_string()
}

#[test]
fn every_document_is_read_and_drawn() {
    for name in fixtures::NAMES {
        let text = drawn(name, &Extra::default());
        assert!(text.starts_with("Model  "), "{name}: {text}");
        assert!(text.lines().all(|line| line == line.trim_end()), "{name}: {text}");
    }
}

#[test]
fn kubernetes_models_show_addresses() {
    assert_eq!(
        drawn("snappass", &Extra::default()),
        "\
Model  Controller          Cloud/Region        Version  SLA          Timestamp
tt     microk8s-localhost  microk8s/localhost  3.6.1    unsupported  12:04:55+13:00

App            Version  Status  Scale  Charm          Channel        Rev  Address         Exposed  Message
snappass-test           active      1  snappass-test  latest/stable    9  10.152.183.248  no       snappass started

Unit              Workload  Agent  Address       Ports  Message
snappass-test/0*  active    idle   10.1.164.138         snappass started
"
    );
}

#[test]
fn machine_models_show_machines_and_subordinates() {
    assert_eq!(
        drawn("subordinates", &Extra::default()),
        "\
Model  Controller  Cloud/Region         Version  SLA          Timestamp
t      lxd         localhost/localhost  3.6.4    unsupported  12:11:53+12:00

App     Version  Status   Scale  Charm   Channel        Rev  Exposed  Message
nrpe             blocked      2  nrpe    latest/stable  165  no       Nagios server not configured or related
ubun2   24.04    active       1  ubuntu  latest/stable   26  no
ubuntu  24.04    active       1  ubuntu  latest/stable   26  no

Unit       Workload  Agent  Machine  Public address  Ports          Message
ubun2/0*   active    idle   2        10.103.56.129
  nrpe/2   blocked   idle            10.103.56.129   icmp 5666/tcp  Nagios server not configured or related
ubuntu/1*  active    idle   1        10.103.56.99
  nrpe/1*  blocked   idle            10.103.56.99    icmp 5666/tcp  Nagios server not configured or related

Machine  State    Address        Inst id        Base          AZ  Message
1        started  10.103.56.99   juju-663cb8-1  ubuntu@24.04      Running
2        started  10.103.56.129  juju-663cb8-2  ubuntu@24.04      Running
"
    );
}

#[test]
fn an_empty_model_has_only_its_header() {
    let text = drawn("minimal", &Extra::default());
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(is_empty(&fixtures::status("minimal")));
}

#[test]
fn entities_that_could_not_be_read_say_so() {
    let text = drawn("status_errors", &Extra::default());
    assert!(text.contains("app status error!"), "{text}");
}

#[test]
fn relations_and_storage_come_on_demand() {
    let relation = |provider: &str, requirer: &str, kind: &str, status: &str| RelationInfo {
        provider: provider.into(),
        requirer: requirer.into(),
        interface: "i".into(),
        kind: kind.into(),
        status: status.into(),
        ..RelationInfo::default()
    };
    let extra = Extra {
        relations: Some(vec![
            relation("webapp:peers", "webapp:peers", "peer", "joined"),
            relation("database:db", "webapp:db", "regular", "joining"),
            relation("hidden:db", "webapp:db", "regular", "joined"),
        ]),
        storage: Some(vec![StorageInfo {
            id: "data/0".into(),
            kind: "filesystem".into(),
            unit: "database/0".into(),
            size_mib: 1536,
            status: "attached".into(),
            location: "/data".into(),
            ..StorageInfo::default()
        }]),
    };
    let text = drawn("database_webapp", &extra);
    let tail: Vec<&str> = text.split("\n\n").skip(3).collect();
    assert_eq!(
        tail.join("\n\n"),
        "\
Integration provider  Requirer      Interface  Type     Message
database:db           webapp:db     i          regular  joining
webapp:peers          webapp:peers  i          peer

Storage Unit  Storage ID  Type        Mountpoint  Size     Status    Message
database/0    data/0      filesystem  /data       1.5 GiB  attached
"
    );
}

#[test]
fn messages_tell_what_runs_and_are_cut() {
    let unit = |agent: &str, agent_message: &str, text: &str| StatusUnit {
        juju_status: StatusInfo {
            current: agent.into(),
            message: agent_message.into(),
            ..StatusInfo::default()
        },
        workload_status: StatusInfo { message: text.into(), ..StatusInfo::default() },
        ..StatusUnit::default()
    };
    for (agent, agent_message, text, shown) in [
        ("executing", "running config-changed hook", "ready", "(config-changed) ready"),
        ("executing", "running db-relation-changed hook for a/0", "", "(db-relation-changed)"),
        ("executing", "running action backup", "x", "(backup) x"),
        ("executing", "", "x", "x"),
        ("idle", "running config-changed hook", "x", "x"),
    ] {
        assert_eq!(unit_message(&unit(agent, agent_message, text)), shown);
    }
    assert_eq!(message(&"x".repeat(200)), format!("{}...", "x".repeat(117)));
    assert_eq!(message("a\nb"), "a b");
}

#[test]
fn scale_shows_what_runs_of_what_is_wanted() {
    let mut status = fixtures::status("snappass");
    let application = status.applications.get_mut("snappass-test").unwrap();
    application.scale = 3;
    let text = draw(&status, &Extra::default());
    assert!(text.contains("1/3"), "{text}");
}

#[test]
fn ports_of_a_protocol_stand_together() {
    let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    assert_eq!(ports(&owned(&["443/tcp", "80/tcp", "53/udp", "icmp"])), "icmp 80,443/tcp 53/udp");
    assert_eq!(ports(&[]), "");
}
