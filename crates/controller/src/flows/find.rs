//! Flows and tasks by a part of their id: its beginning, or the end that lists show.

use tutti_flow::query;
use tutti_store::Tx;
use uuid::Uuid;

use crate::Error;

/// The fewest characters that stand for an id.
const SHORTEST: usize = 6;

/// The ids of flows that begin or end so, the newest of them.
pub(super) fn flows(tx: &mut Tx<'_>, part: &str, limit: u32) -> Result<Vec<Uuid>, Error> {
    Ok(query::flows_like(tx, &checked(part)?, limit)?)
}

/// The ids of tasks that begin or end so, the newest of them.
pub(super) fn tasks(tx: &mut Tx<'_>, part: &str, limit: u32) -> Result<Vec<Uuid>, Error> {
    Ok(query::tasks_like(tx, &checked(part)?, limit)?)
}

/// The part, if it can be one of an id.
fn checked(part: &str) -> Result<String, Error> {
    let part = part.to_lowercase();
    let is_part = part.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    if is_part && part.len() >= SHORTEST {
        return Ok(part);
    }
    Err(Error::Invalid(format!(
        "id: \"{part}\" is no id: write one, or at least {SHORTEST} characters of its beginning or end"
    )))
}

#[cfg(test)]
mod tests {
    #[test]
    fn parts_of_ids_are_told_from_other_words() {
        assert_eq!(super::checked("0192AB-c").unwrap(), "0192ab-c");
        for word in ["", "0192a", "deploy", "0192a%_", "%%%%%%"] {
            assert!(super::checked(word).is_err(), "{word}");
        }
    }
}
