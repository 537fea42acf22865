//! Natural order: `a/2` before `a/10`.

use std::cmp::Ordering;

/// The entries of a map by name, in natural order.
pub(crate) fn sorted<'a, T>(
    entries: impl IntoIterator<Item = (&'a String, &'a T)>,
) -> Vec<(&'a str, &'a T)> {
    let mut entries: Vec<(&str, &T)> =
        entries.into_iter().map(|(name, value)| (name.as_str(), value)).collect();
    entries.sort_by(|(a, _), (b, _)| natural(a, b));
    entries
}

/// Compares texts, runs of digits by their value.
pub(crate) fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        match (a.is_empty(), b.is_empty()) {
            (true, true) => return Ordering::Equal,
            (true, false) => return Ordering::Less,
            (false, true) => return Ordering::Greater,
            (false, false) => {}
        }
        let (first, rest_a) = piece(a);
        let (second, rest_b) = piece(b);
        let order = match (number(first), number(second)) {
            (Some(x), Some(y)) => x.cmp(&y).then_with(|| first.len().cmp(&second.len())),
            _ => first.cmp(second),
        };
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
}

/// Splits a run of digits, or of anything else, from the start.
fn piece(text: &str) -> (&str, &str) {
    let digits = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(text.len());
    text.split_at(end)
}

fn number(piece: &str) -> Option<u128> {
    piece.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_as_numbers() {
        let mut names = vec!["a/10", "b/0", "a/2", "a", "a-b/0", "0/lxd/10", "0/lxd/2", "10", "9"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["0/lxd/2", "0/lxd/10", "9", "10", "a", "a-b/0", "a/2", "a/10", "b/0"]);
    }
}
