//! What has to be done so that a model has what a bundle wants: a plain function on values.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use tutti_model::api::{ApplicationInfo, Deploy, RelationInfo};

use super::file::{Application, Bundle};
use crate::arguments::value;
use crate::failure::{Failure, Outcome};

/// What a model has.
#[derive(Debug, Default)]
pub(super) struct Present {
    pub(super) applications: Vec<ApplicationInfo>,
    pub(super) relations: Vec<RelationInfo>,
    /// Options in force by application.
    pub(super) options: BTreeMap<String, BTreeMap<String, String>>,
}

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Deploy {
        name: String,
        /// Absolute path or catalogue name.
        charm: String,
        request: Box<Deploy>,
        /// `name=file`.
        resources: Vec<String>,
    },
    AddUnits {
        name: String,
        count: u32,
        to: Vec<String>,
    },
    Configure {
        name: String,
        options: BTreeMap<String, String>,
    },
    Constrain {
        name: String,
        constraints: BTreeMap<String, String>,
    },
    Expose {
        name: String,
    },
    Trust {
        name: String,
    },
    Integrate {
        sides: [String; 2],
    },
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deploy { name, charm, request, .. } => {
                let units = request.units.unwrap_or(1);
                write!(formatter, "deploy application {name} from {charm} with {units} unit(s)")
            }
            Self::AddUnits { name, count, .. } => {
                write!(formatter, "add {count} unit(s) to {name}")
            }
            Self::Configure { name, options } => {
                let keys: Vec<&str> = options.keys().map(String::as_str).collect();
                write!(formatter, "set options of {name}: {}", keys.join(", "))
            }
            Self::Constrain { name, .. } => write!(formatter, "set constraints of {name}"),
            Self::Expose { name } => write!(formatter, "expose {name}"),
            Self::Trust { name } => write!(formatter, "trust {name}"),
            Self::Integrate { sides: [a, b] } => write!(formatter, "integrate {a} and {b}"),
        }
    }
}

/// The steps from what is there to what is wanted. `trust` is the caller's leave to trust
/// applications that ask for it.
pub(super) fn plan(bundle: &Bundle, present: &Present, trust: bool) -> Outcome<Vec<Step>> {
    let asking = bundle.applications.iter().filter(|(_, application)| application.trust);
    let asking: Vec<&str> = asking.map(|(name, _)| name.as_str()).collect();
    if !trust && !asking.is_empty() {
        return Err(Failure::new(format!(
            "the bundle wants these applications to be trusted: {}; say --trust to allow it",
            asking.join(", ")
        )));
    }
    let mut steps = Vec::new();
    for (name, wanted) in &bundle.applications {
        match present.applications.iter().find(|application| &application.name == name) {
            None => steps.push(deploy(name, wanted, &bundle.default_base)?),
            Some(now) => change(name, wanted, now, present, &mut steps)?,
        }
        let exposed = present.applications.iter().any(|it| &it.name == name && it.exposed);
        if wanted.expose && !exposed {
            steps.push(Step::Expose { name: name.clone() });
        }
    }
    relate(bundle, present, &mut steps)?;
    Ok(steps)
}

fn deploy(name: &str, wanted: &Application, default_base: &str) -> Outcome<Step> {
    if wanted.charm.is_empty() {
        return Err(Failure::new(format!("application {name:?} of the bundle names no charm")));
    }
    let base = if wanted.base.is_empty() { default_base } else { &wanted.base };
    let request = Deploy {
        application: name.to_owned(),
        units: wanted.num_units,
        config: options(wanted),
        constraints: constraints(wanted)?,
        storage: wanted.storage.clone(),
        to: wanted.to.words(),
        bindings: wanted.bindings.clone(),
        base: base.to_owned(),
        channel: wanted.channel.clone(),
        revision: wanted.revision,
        trust: wanted.trust,
        ..Deploy::default()
    };
    let resources = wanted.resources.iter();
    let resources =
        resources.map(|(name, source)| format!("{name}={}", value::text(source.clone())));
    Ok(Step::Deploy {
        name: name.to_owned(),
        charm: wanted.charm.clone(),
        request: Box::new(request),
        resources: resources.collect(),
    })
}

fn change(
    name: &str,
    wanted: &Application,
    now: &ApplicationInfo,
    present: &Present,
    steps: &mut Vec<Step>,
) -> Outcome {
    let name = name.to_owned();
    if wanted.trust && !now.trust {
        steps.push(Step::Trust { name: name.clone() });
    }
    let mut options = options(wanted);
    let in_force = present.options.get(&name);
    options.retain(|key, text| in_force.and_then(|options| options.get(key)) != Some(&*text));
    if !options.is_empty() {
        steps.push(Step::Configure { name: name.clone(), options });
    }
    let constraints = constraints(wanted)?;
    if !constraints.is_empty() {
        steps.push(Step::Constrain { name: name.clone(), constraints });
    }
    let count = wanted.num_units.unwrap_or(now.scale).saturating_sub(now.scale);
    if count > 0 {
        let to = wanted.to.words().into_iter().skip(now.scale as usize).collect();
        steps.push(Step::AddUnits { name, count, to });
    }
    Ok(())
}

fn options(wanted: &Application) -> BTreeMap<String, String> {
    let options = wanted.options.iter();
    options.map(|(key, option)| (key.clone(), value::text(option.clone()))).collect()
}

fn constraints(wanted: &Application) -> Outcome<BTreeMap<String, String>> {
    value::pairs(wanted.constraints.split_whitespace(), "constraint")
}

/// Adds the relations that are wanted and not there.
fn relate(bundle: &Bundle, present: &Present, steps: &mut Vec<Step>) -> Outcome {
    let known: BTreeSet<&str> = bundle.applications.keys().map(String::as_str).collect();
    for relation in &bundle.relations {
        for a in relation.0.names() {
            for b in relation.1.names() {
                for side in [a, b] {
                    let application = side.split(':').next().unwrap_or_default();
                    let there = present.applications.iter().any(|it| it.name == application);
                    if !known.contains(application) && !there {
                        return Err(Failure::new(format!(
                            "the bundle relates {a} and {b}, but has no application {application:?}"
                        )));
                    }
                }
                if !present.relations.iter().any(|relation| is_same(relation, a, b)) {
                    steps.push(Step::Integrate { sides: [a.clone(), b.clone()] });
                }
            }
        }
    }
    Ok(())
}

/// Whether a relation joins the two sides; a side without an endpoint stands for any.
fn is_same(relation: &RelationInfo, a: &str, b: &str) -> bool {
    let fits = |side: &str, name: &str| {
        side == name || (!name.contains(':') && side.split(':').next() == Some(name))
    };
    let (p, r) = (&relation.provider, &relation.requirer);
    fits(p, a) && fits(r, b) || fits(p, b) && fits(r, a)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn bundle() -> Bundle {
        serde_json::from_value(json!({
            "default-base": "ubuntu@24.04",
            "applications": {
                "db": {"charm": "/db.charm", "num_units": 2, "options": {"size": 1}, "expose": true},
                "web": {"charm": "web", "constraints": "mem=1G"},
            },
            "relations": [["web:db", "db:sql"], ["web", ["db:log"]]],
        }))
        .unwrap()
    }

    fn lines(steps: &[Step]) -> Vec<String> {
        steps.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_empty_model_gets_everything() {
        let steps = plan(&bundle(), &Present::default(), false).unwrap();
        assert_eq!(
            lines(&steps),
            [
                "deploy application db from /db.charm with 2 unit(s)",
                "expose db",
                "deploy application web from web with 1 unit(s)",
                "integrate web:db and db:sql",
                "integrate web and db:log",
            ]
        );
        let Step::Deploy { request, .. } = &steps[0] else { panic!() };
        assert_eq!((request.base.as_str(), request.config["size"].as_str()), ("ubuntu@24.04", "1"));
    }

    #[test]
    fn a_second_deployment_only_adds_what_is_missing() {
        let application = |name: &str, scale| ApplicationInfo {
            name: name.into(),
            scale,
            exposed: true,
            ..ApplicationInfo::default()
        };
        let relation = |provider: &str, requirer: &str| RelationInfo {
            provider: provider.into(),
            requirer: requirer.into(),
            ..RelationInfo::default()
        };
        let mut present = Present {
            applications: vec![application("db", 1), application("web", 5)],
            relations: vec![relation("db:sql", "web:db")],
            options: [("db".into(), [("size".into(), "2".into())].into())].into(),
        };
        assert_eq!(
            lines(&plan(&bundle(), &present, false).unwrap()),
            [
                "set options of db: size",
                "add 1 unit(s) to db",
                "set constraints of web",
                "integrate web and db:log",
            ]
        );
        present.options = [("db".into(), [("size".into(), "1".into())].into())].into();
        assert!(
            !lines(&plan(&bundle(), &present, false).unwrap())
                .contains(&"set options of db: size".into())
        );
    }

    #[test]
    fn trust_needs_leave_and_relations_need_both_sides() {
        let mut trusting = bundle();
        trusting.applications.get_mut("db").unwrap().trust = true;
        let refused = plan(&trusting, &Present::default(), false).unwrap_err();
        assert!(refused.message().unwrap().contains("--trust"));
        assert!(plan(&trusting, &Present::default(), true).is_ok());
        let mut lone = bundle();
        lone.applications.remove("web");
        assert!(plan(&lone, &Present::default(), false).is_err());
    }
}
