//! What `status NAME…` keeps: the named applications and units with what belongs to them.

use std::collections::BTreeSet;

use tutti_model::api::{Status, StatusApplication, StatusUnit};

use crate::wildcard::is_like;

/// Keeps what matches any of the patterns: application names, unit names, machine numbers and
/// workload status words; `*` stands for anything, `?` for any character. With a unit come its application, machine and
/// subordinates; with a subordinate its principal.
pub(crate) fn select(status: &mut Status, patterns: &[String]) {
    if patterns.is_empty() {
        return;
    }
    let mut machines = BTreeSet::new();
    let mut applications = BTreeSet::new();
    for (name, application) in &mut status.applications {
        let whole = any(patterns, name);
        let machine_patterns = patterns;
        application.units.retain(|unit_name, unit| {
            let on_machine = !unit.machine.is_empty() && any(machine_patterns, &unit.machine);
            let kept = whole || on_machine || unit_matches(patterns, unit_name, unit);
            let through = unit.subordinates.iter().any(|(sub_name, sub)| {
                let sub_application = sub_name.split('/').next().unwrap_or_default();
                any(patterns, sub_application) || unit_matches(patterns, sub_name, sub)
            });
            if kept || through {
                if !unit.machine.is_empty() {
                    machines.insert(unit.machine.clone());
                }
                for sub_name in unit.subordinates.keys() {
                    let of = sub_name.split('/').next().unwrap_or_default();
                    applications.insert(of.to_owned());
                }
            }
            kept || through
        });
        if whole || !application.units.is_empty() || word_matches(patterns, application) {
            applications.insert(name.clone());
        }
    }
    status.applications.retain(|name, _| applications.contains(name));
    status.machines.retain(|number, _| machines.contains(number) || any(patterns, number));
    let shown: BTreeSet<String> = super::units(status).map(|(name, _)| name.to_owned()).collect();
    status.storage.storage.retain(|_, storage| {
        let attachments = storage.attachments.as_ref();
        attachments.is_some_and(|attached| attached.units.keys().any(|unit| shown.contains(unit)))
    });
}

/// Whether nothing at all is left.
pub(crate) fn is_empty(status: &Status) -> bool {
    status.applications.is_empty() && status.machines.is_empty()
}

fn unit_matches(patterns: &[String], name: &str, unit: &StatusUnit) -> bool {
    any(patterns, name) || any(patterns, &unit.workload_status.current)
}

fn word_matches(patterns: &[String], application: &StatusApplication) -> bool {
    any(patterns, &application.application_status.current)
}

fn any(patterns: &[String], text: &str) -> bool {
    let leader = |pattern: &str| pattern.strip_suffix('*').filter(|it| *it == text).is_some();
    patterns.iter().any(|pattern| is_like(pattern, text) || leader(pattern))
}

#[cfg(test)]
mod tests {
    use super::super::fixtures;
    use super::*;

    fn selected(pattern: &str) -> (Vec<String>, Vec<String>, Vec<String>) {
        let mut status = fixtures::status("subordinates");
        select(&mut status, &[pattern.to_owned()]);
        let units = super::super::units(&status).map(|(name, _)| name.to_owned()).collect();
        (
            status.applications.keys().cloned().collect(),
            units,
            status.machines.keys().cloned().collect(),
        )
    }

    #[test]
    fn a_unit_brings_its_surroundings() {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        for pattern in ["ubuntu", "ubuntu/1", "1"] {
            let (applications, units, machines) = selected(pattern);
            assert_eq!(applications, owned(&["nrpe", "ubuntu"]), "{pattern}");
            assert_eq!(units, owned(&["ubuntu/1", "nrpe/1"]), "{pattern}");
            assert_eq!(machines, owned(&["1"]), "{pattern}");
        }
        assert_eq!(selected("nrpe").0, owned(&["nrpe", "ubun2", "ubuntu"]));
        assert_eq!(selected("nrpe/2").0, owned(&["nrpe", "ubun2"]));
        assert_eq!(selected("ubu*").1.len(), 4);
        assert!(selected("nothing").0.is_empty());
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = "*a".repeat(30) + "b";
        assert!(!any(&[pattern], &"a".repeat(60)));
        assert!(any(&["a*c".to_owned(), "x".to_owned()], "abc"));
    }
}
