//! `status --format short`: a line per unit.

use std::fmt::Write as _;

use tutti_model::api::{Status, StatusUnit};

use super::order::sorted;
use super::word;

/// `- mysql/0: 10.0.0.1 (agent:idle, workload:active) 3306/tcp`, subordinates indented.
pub(crate) fn draw(status: &Status) -> String {
    let mut text = String::from("\n");
    for (_, application) in sorted(&status.applications) {
        for (name, unit) in sorted(&application.units) {
            line(&mut text, name, unit, "");
            for (name, subordinate) in sorted(&unit.subordinates) {
                line(&mut text, name, subordinate, "  ");
            }
        }
    }
    text
}

fn line(text: &mut String, name: &str, unit: &StatusUnit, indent: &str) {
    let address = if unit.public_address.is_empty() { &unit.address } else { &unit.public_address };
    let star = if unit.leader { "*" } else { "" };
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "{indent}- {name}{star}: {address} (agent:{}, workload:{})",
        word(&unit.juju_status),
        word(&unit.workload_status)
    );
    if !unit.open_ports.is_empty() {
        let _ = write!(text, " {}", unit.open_ports.join(", "));
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::super::fixtures;

    #[test]
    fn units_have_a_line_each() {
        assert_eq!(
            super::draw(&fixtures::status("subordinates")),
            "
- ubun2/0*: 10.103.56.129 (agent:idle, workload:active)
  - nrpe/2: 10.103.56.129 (agent:idle, workload:blocked) icmp, 5666/tcp
- ubuntu/1*: 10.103.56.99 (agent:idle, workload:active)
  - nrpe/1*: 10.103.56.99 (agent:idle, workload:blocked) icmp, 5666/tcp
"
        );
        assert_eq!(super::draw(&fixtures::status("minimal")), "\n");
    }
}
