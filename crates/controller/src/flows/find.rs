//! Flows and tasks by a part of their id: its beginning, or the end that lists show.

use tutti_store::Tx;
use uuid::Uuid;

use super::sql;
use crate::Error;

/// The fewest characters that stand for an id.
const SHORTEST: usize = 6;

/// The ids of flows that begin or end so, the newest of them.
pub(super) fn flows(tx: &mut Tx<'_>, part: &str, limit: u32) -> Result<Vec<Uuid>, Error> {
    let (begins, ends) = patterns(part)?;
    Ok(tx.all(sql::FLOWS_LIKE, (begins, ends, limit))?)
}

/// The ids of tasks that begin or end so, the newest of them.
pub(super) fn tasks(tx: &mut Tx<'_>, part: &str, limit: u32) -> Result<Vec<Uuid>, Error> {
    let (begins, ends) = patterns(part)?;
    Ok(tx.all(sql::TASKS_LIKE, (begins, ends, limit))?)
}

/// What an id that begins or ends so is like.
fn patterns(part: &str) -> Result<(String, String), Error> {
    let part = part.to_lowercase();
    let is_part = part.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    if !is_part || part.len() < SHORTEST {
        return Err(Error::Invalid(format!(
            "id: \"{part}\" is no id: write one, or at least {SHORTEST} characters of its beginning or end"
        )));
    }
    Ok((format!("{part}%"), format!("%{part}")))
}

#[cfg(test)]
mod tests {
    #[test]
    fn parts_of_ids_are_told_from_other_words() {
        let (begins, ends) = super::patterns("0192AB-c").unwrap();
        assert_eq!((begins.as_str(), ends.as_str()), ("0192ab-c%", "%0192ab-c"));
        for word in ["", "0192a", "deploy", "0192a%_", "%%%%%%"] {
            assert!(super::patterns(word).is_err(), "{word}");
        }
    }
}
