//! Texts of `status`: ports, and the order of names.

use std::cmp::Ordering;

use crate::agent::OpenPort;

/// Open ports as `status` shows them: `8080/tcp`, `9000-9010/udp`, `icmp`; each once, sorted.
#[must_use]
pub fn open_ports(ports: &[OpenPort]) -> Vec<String> {
    let mut ranges: Vec<_> =
        ports.iter().map(|port| (port.protocol.as_str(), port.from, port.to)).collect();
    ranges.sort_unstable();
    ranges.dedup();
    (ranges.into_iter())
        .map(|(protocol, from, to)| match protocol {
            "icmp" => protocol.to_owned(),
            _ if from == to => format!("{from}/{protocol}"),
            _ => format!("{from}-{to}/{protocol}"),
        })
        .collect()
}

/// The order in which people expect names: numbers count as numbers, so `a/2` comes before `a/10`.
#[must_use]
pub fn natural_order(left: &str, right: &str) -> Ordering {
    let (mut left_rest, mut right_rest) = (left.as_bytes(), right.as_bytes());
    while let (Some(one), Some(other)) = (left_rest.first(), right_rest.first()) {
        let order = if one.is_ascii_digit() && other.is_ascii_digit() {
            compare_numbers(number(&mut left_rest), number(&mut right_rest))
        } else {
            left_rest = &left_rest[1..];
            right_rest = &right_rest[1..];
            one.cmp(other)
        };
        if order.is_ne() {
            return order;
        }
    }
    left_rest.len().cmp(&right_rest.len()).then_with(|| left.cmp(right))
}

/// Splits off leading digits, without leading zeros.
fn number<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, after) = rest.split_at(length);
    *rest = after;
    let zeros = digits.iter().take_while(|byte| **byte == b'0').count();
    &digits[zeros..]
}

fn compare_numbers(left: &[u8], right: &[u8]) -> Ordering {
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}
