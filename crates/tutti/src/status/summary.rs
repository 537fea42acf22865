//! `status --format summary`: how many of what, and which ports.

use std::collections::{BTreeMap, BTreeSet};

use tutti_model::api::Status;

use super::order::{natural, sorted};
use super::word;
use crate::output::table::{Cell, Table};

/// Counts machines, units and applications by their state.
pub(crate) fn draw(status: &Status) -> String {
    let mut ports: Vec<&str> = super::units(status)
        .flat_map(|(_, unit)| unit.open_ports.iter().map(String::as_str))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    ports.sort_by(|a, b| natural(a, b));
    let mut text = format!("Utilizing ports:  {}\n", ports.join(", "));
    let machines = status.machines.values().map(|machine| word(&machine.juju_status));
    section(&mut text, "Machines", &counts(machines));
    let units = super::units(status).map(|(_, unit)| word(&unit.workload_status));
    section(&mut text, "Units", &counts(units));
    let mut table = Table::with(vec!["# Applications:", ""]);
    for (name, application) in sorted(&status.applications) {
        let all = application.units.len();
        let active = application.units.values();
        let active = active.filter(|unit| unit.workload_status.current == "active").count();
        let exposed = if application.exposed { "exposed" } else { "" };
        table.row([name.into(), format!("{active}/{all}").into(), exposed.into()]);
    }
    text.push('\n');
    text.push_str(&table.render());
    text
}

fn counts<'a>(words: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for word in words {
        *counts.entry(word).or_insert(0) += 1;
    }
    counts
}

fn section(text: &mut String, name: &str, counts: &BTreeMap<&str, usize>) {
    let all: usize = counts.values().sum();
    let heading = format!("# {name}:");
    let all = format!("({all})");
    let mut table = Table::with(vec![&heading, &all]).right(1);
    for (word, count) in counts {
        table.row([Cell::status(word), count.to_string().into()]);
    }
    text.push('\n');
    text.push_str(&table.render());
}

#[cfg(test)]
mod tests {
    use super::super::fixtures;

    #[test]
    fn everything_is_counted() {
        let text = super::draw(&fixtures::status("subordinates"));
        assert_eq!(
            anstream::adapter::strip_str(&text).to_string(),
            "Utilizing ports:  5666/tcp, icmp

# Machines:  (2)
started        2

# Units:  (4)
active      2
blocked     2

# Applications:
nrpe             0/0
ubun2            1/1
ubuntu           1/1
"
        );
    }
}
