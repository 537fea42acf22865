use std::collections::BTreeMap;

use serde_json::json;
use tutti_charm::charm::Charm;
use tutti_charm::config::ConfigSchema;
use tutti_charm::manifest::Manifest;
use tutti_charm::metadata::Metadata;

use super::*;
use crate::api::{Constraints, Deploy, Life, ModelKind, ResourceUpload};

fn text(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn charm(yaml: &str) -> Charm {
    let metadata = format!("name: web\nsummary: s\ndescription: d\n{yaml}");
    let manifest = "bases: [{name: ubuntu, channel: '22.04', architectures: [amd64]}]";
    Charm {
        metadata: Metadata::from_yaml("metadata.yaml", &metadata).unwrap().0,
        config: ConfigSchema::from_yaml("config.yaml", "options: {port: {type: int}}").unwrap(),
        manifest: Manifest::from_yaml("manifest.yaml", manifest).unwrap(),
        has_dispatch: true,
        ..Charm::default()
    }
}

fn deployment<'a>(request: &'a Deploy, charm: &'a Charm) -> Deployment<'a> {
    Deployment {
        request,
        charm,
        kind: ModelKind::Iaas,
        architecture: "amd64",
        default_base: "",
        taken: false,
    }
}

const STORAGE: &str = "storage:\n  data: {type: filesystem, minimum-size: 2G}\n  logs: {type: \
                       filesystem, multiple: {range: 0-3}}\n  disk: {type: block, multiple: {range: \
                       0-}}\n";

#[test]
fn a_plain_deployment() {
    let charm = charm(STORAGE);
    let plan = check_deploy(&deployment(&Deploy::default(), &charm)).unwrap();
    assert_eq!(
        (plan.application.as_str(), plan.units, plan.base.as_str()),
        ("web", 1, "ubuntu@22.04")
    );
    let chosen = |name| (plan.storage[name].count, plan.storage[name].size_mib);
    assert_eq!([chosen("data"), chosen("logs"), chosen("disk")], [(1, 2048), (0, 1024), (0, 1024)]);
    assert_eq!(plan.storage["data"].pool, "rootfs");
    assert_eq!(plan.bindings, text(&[("", "alpha"), ("juju-info", "alpha")]));
}

#[test]
fn a_deployment_with_everything() {
    let charm = charm(STORAGE);
    let request = Deploy {
        application: "site".into(),
        units: Some(3),
        config: text(&[("port", "80")]),
        constraints: text(&[("mem", "1G")]),
        storage: text(&[("logs", "2,tmpfs")]),
        to: vec!["0".into(), "new".into()],
        bindings: text(&[("", "alpha")]),
        base: "ubuntu@22.04/stable".into(),
        ..Deploy::default()
    };
    let plan = check_deploy(&deployment(&request, &charm)).unwrap();
    assert_eq!((plan.application.as_str(), plan.units), ("site", 3));
    assert_eq!(plan.config["port"], json!(80));
    assert_eq!(plan.constraints.0["mem"], json!(1024));
    assert_eq!((plan.storage["logs"].pool.as_str(), plan.storage["logs"].count), ("tmpfs", 2));
    assert_eq!(plan.placements, [Placement::Machine(0), Placement::New]);
    assert_eq!(plan.base, "ubuntu@22.04");
}

#[test]
fn every_reason_at_once() {
    let charm = charm(&format!("assumes: [juju >= 9, k8s-api]\n{STORAGE}"));
    let request = Deploy {
        config: text(&[("port", "x"), ("prot", "80")]),
        constraints: text(&[("memory", "1G")]),
        storage: text(&[("data", "ebs,2,1G"), ("cache", "1G"), ("logs", "9"), ("disk", "1")]),
        to: vec!["lxd:1".into()],
        bindings: text(&[("nothing", "beta")]),
        base: "ubuntu@20.04".into(),
        resources: [("blob".to_owned(), ResourceUpload::default())].into(),
        ..Deploy::default()
    };
    let mut deployment = deployment(&request, &charm);
    deployment.taken = true;
    deployment.architecture = "riscv64";
    let reasons = check_deploy(&deployment).unwrap_err();
    let expected = [
        "cannot add application \"web\": application already exists",
        "charm is made for amd64, this machine is riscv64",
        "charm assumes juju >= 9, but this model has juju 3.6.9",
        "charm assumes k8s-api, but this model does not offer it",
        "option \"port\" expected int, got \"x\"",
        "unknown option \"prot\"",
        "unknown constraint \"memory\"",
        "charm \"web\" has no store called \"cache\"",
        "charm \"web\" store \"data\": pool \"ebs\" not found, there are rootfs and tmpfs",
        "charm \"web\" store \"data\": at most 1 instances supported, 2 specified",
        "charm \"web\" store \"data\": minimum storage size is 2048M, 1024M specified",
        "charm \"web\" store \"disk\": block devices are not supported, only filesystems",
        "charm \"web\" store \"logs\": at most 3 instances supported, 9 specified",
        "placement \"lxd:1\" is not supported: there are no containers, name a machine or leave --to \
         out",
        "cannot bind endpoint \"nothing\": endpoint not found",
        "space \"beta\" not found, there is only \"alpha\"",
        "base \"ubuntu@20.04\" not supported by charm, supported bases are: ubuntu@22.04",
        "charm has no resource \"blob\"",
    ];
    assert_eq!(reasons, expected);
    let forced = Deploy { force: true, ..request.clone() };
    let left = check_deploy(&Deployment { request: &forced, ..deployment }).unwrap_err();
    assert_eq!(left.len(), expected.len() - 3, "assumptions and the base are skipped");
}

#[test]
fn subordinates_have_no_units_of_their_own() {
    let charm =
        charm("subordinate: true\nrequires:\n  host: {interface: juju-info, scope: container}\n");
    assert_eq!(check_deploy(&deployment(&Deploy::default(), &charm)).unwrap().units, 0);
    let request = Deploy { units: Some(2), application: "A b".into(), ..Deploy::default() };
    let reasons = check_deploy(&deployment(&request, &charm)).unwrap_err();
    assert!(reasons[0].starts_with("invalid application name \"A b\""));
    assert_eq!(reasons[1], "cannot use --num-units or --to with subordinate application");
}

#[test]
fn the_base_is_the_models_if_the_charm_supports_it() {
    let mut charm = charm("");
    let request = Deploy::default();
    let base = |charm: &Charm, default_base| {
        let deployment = Deployment { default_base, ..deployment(&request, charm) };
        check_deploy(&deployment).unwrap().base
    };
    assert_eq!(base(&charm, "ubuntu@22.04/stable"), "ubuntu@22.04");
    assert_eq!(base(&charm, "ubuntu@20.04"), "ubuntu@22.04");
    charm.manifest = Manifest::default();
    assert_eq!(base(&charm, "ubuntu@20.04"), "ubuntu@20.04");
    assert_eq!(base(&charm, ""), DEFAULT_BASE);
    let odd = Deploy { base: "jammy".into(), ..Deploy::default() };
    let reasons = check_deploy(&deployment(&odd, &charm)).unwrap_err();
    assert_eq!(reasons, ["base \"jammy\" is not written as name@channel"]);
}

#[test]
fn constraints() {
    let given = text(&[
        ("arch", "amd64"),
        ("cpu-cores", "4"),
        ("mem", "1G"),
        ("root-disk", "1638.4"),
        ("allocate-public-ip", "false"),
        ("tags", "a,b"),
        ("zones", ""),
    ]);
    let parsed = parse_constraints(&given).unwrap();
    assert_eq!(
        serde_json::to_value(&parsed).unwrap(),
        json!({"arch": "amd64", "cores": 4, "mem": 1024, "root-disk": 1639,
               "allocate-public-ip": false, "tags": ["a", "b"]})
    );
    assert_eq!(
        constraints_text(&parsed),
        "arch=amd64 cores=4 mem=1024M root-disk=1639M tags=a,b allocate-public-ip=false"
    );
    let own = parse_constraints(&text(&[("mem", "2048")])).unwrap();
    let merged = merged_constraints(&parsed, &own);
    assert_eq!((&merged.0["mem"], &merged.0["cores"]), (&json!(2048), &json!(4)));
    assert_eq!(parse_constraints(&BTreeMap::new()).unwrap(), Constraints::default());
}

#[test]
fn constraints_that_cannot_be_read() {
    let refusal = |key, value| parse_constraints(&text(&[(key, value)])).unwrap_err().to_string();
    assert_eq!(refusal("memory", "1G"), "unknown constraint \"memory\"");
    let size = "a non-negative number with optional M/G/T/P suffix";
    for wrong in ["1K", "-1", "G", "1GB", "1e9", "inf", "NaN", "1.2.3", "99999999P", "é"] {
        assert_eq!(
            refusal("mem", wrong),
            format!("bad \"mem\" constraint: {wrong:?} is not {size}")
        );
    }
    assert_eq!(
        refusal("cores", "two"),
        "bad \"cores\" constraint: \"two\" is not a non-negative integer"
    );
    assert!(refusal("allocate-public-ip", "maybe").contains("true or false"));
}

#[test]
fn storage_directives() {
    let read = |text: &str| text.parse::<Directive>().ok();
    let directive = |pool: Option<&str>, count, size_mib| {
        Some(Directive { pool: pool.map(str::to_owned), count, size_mib })
    };
    for (text, expected) in [
        ("rootfs,2,1G", directive(Some("rootfs"), Some(2), Some(1024))),
        ("1G,rootfs,2", directive(Some("rootfs"), Some(2), Some(1024))),
        ("3", directive(None, Some(3), None)),
        ("1.5GiB", directive(None, None, Some(1536))),
        ("512MB, tmpfs", directive(Some("tmpfs"), None, Some(512))),
        ("", directive(None, None, None)),
        ("1G,2G", None),
        ("1,2", None),
        ("a,b", None),
        ("-1", None),
        ("1.5", None),
        ("99999999999", None),
        ("é", None),
        ("1é", None),
    ] {
        assert_eq!(read(text), expected, "{text:?}");
    }
}

#[test]
fn placements() {
    let place = |text| Placement::parse(text, ModelKind::Iaas).map_err(|error| error.to_string());
    assert_eq!(place("3"), Ok(Placement::Machine(3)));
    assert_eq!(place("new"), Ok(Placement::New));
    for container in ["lxd", "lxd:3", "3/lxd/1", "kvm:0"] {
        assert!(place(container).unwrap_err().contains("there are no containers"), "{container}");
    }
    assert!(place("zone=x").unwrap_err().contains("there are no zones"));
    assert_eq!(place("here").unwrap_err(), "bad placement: \"here\" is not a machine number");
    assert!(
        Placement::parse("0", ModelKind::Caas).unwrap_err().to_string().contains("no machines")
    );
}

#[test]
fn unit_numbers() {
    assert_eq!(first_unit_number(ModelKind::Iaas, 3), 3);
    assert_eq!(first_unit_number(ModelKind::Caas, 3), 0);
    let units = [(0, Life::Alive), (10, Life::Dying), (2, Life::Alive), (9, Life::Alive)];
    assert_eq!(units_to_remove(&units, 2), [3, 2]);
    assert_eq!(units_to_remove(&units, 9), [3, 2, 0]);
}
