//! Ports.

use super::super::parse::CommandLine;
use super::super::{Call, Format, PortRange, ToolError};
use super::{Answer, Flag, Tool, switch, text};

const FORM: &str = "<port>[/<protocol>] or <from>-<to>[/<protocol>] or icmp";

const ENDPOINTS: Flag = text(
    &["endpoints"],
    "",
    "A comma-delimited list of application endpoints to target with this operation",
);

pub(super) const TABLE: &[Tool] = &[
    Tool {
        name: "open-port",
        arguments: FORM,
        purpose: "Register a request to open a port or port range.",
        details: "The protocol is tcp if it is not given.",
        flags: &[ENDPOINTS],
        answer: Answer::NothingInAnyFormat,
        build: |line, _| {
            let (ports, endpoints) = request(line)?;
            Ok(Call::OpenPort { ports, endpoints })
        },
    },
    Tool {
        name: "close-port",
        arguments: FORM,
        purpose: "Register a request to close a port or port range.",
        details: "The protocol is tcp if it is not given.",
        flags: &[ENDPOINTS],
        answer: Answer::NothingInAnyFormat,
        build: |line, _| {
            let (ports, endpoints) = request(line)?;
            Ok(Call::ClosePort { ports, endpoints })
        },
    },
    Tool {
        name: "opened-ports",
        arguments: "",
        purpose: "List all ports or port ranges opened by the unit.",
        details: "Includes what this hook has opened and not what it has closed.",
        flags: &[switch(
            &["endpoints"],
            "Display the list of target application endpoints for each port range",
        )],
        answer: Answer::Smart,
        build: opened_ports,
    },
];

fn opened_ports(line: &mut CommandLine<'_>, _: Format) -> Result<Call, ToolError> {
    Ok(Call::OpenedPorts { endpoints: line.on("endpoints") })
}

fn request(line: &mut CommandLine<'_>) -> Result<(PortRange, Vec<String>), ToolError> {
    let ports = range(&line.required("no port or range specified")?)?;
    let endpoints = line.text("endpoints").unwrap_or_default();
    let endpoints = endpoints.split(',').map(str::trim).filter(|name| !name.is_empty());
    Ok((ports, endpoints.map(str::to_owned).collect()))
}

/// `80`, `80/tcp`, `80-90/udp` or `icmp`, in any case.
fn range(given: &str) -> Result<PortRange, ToolError> {
    let given = given.trim().to_ascii_lowercase();
    if given == "icmp" {
        return Ok(PortRange { protocol: given, from: 0, to: 0 });
    }
    let (numbers, protocol) = given.split_once('/').unwrap_or((&given, "tcp"));
    match protocol {
        "tcp" | "udp" => {}
        "icmp" => {
            return Err(ToolError::argument(format!(
                "protocol \"icmp\" doesn't support any ports; got {numbers:?}"
            )));
        }
        _ => {
            return Err(ToolError::argument(format!(
                "invalid protocol {protocol:?}, expected \"tcp\", \"udp\", or \"icmp\""
            )));
        }
    }
    let (from, to) = match numbers.split_once('-') {
        Some((from, to)) => (port(from)?, port(to)?),
        None => {
            let port = port(numbers)?;
            (port, port)
        }
    };
    if from > to {
        return Err(ToolError::argument(format!(
            "invalid port range \"{from}-{to}/{protocol}\": the first port is above the last"
        )));
    }
    Ok(PortRange { protocol: protocol.into(), from, to })
}

fn port(digits: &str) -> Result<u16, ToolError> {
    let number = digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()));
    number
        .filter(|port| *port != 0)
        .ok_or_else(|| ToolError::argument(format!("invalid port {digits:?}")))
}
