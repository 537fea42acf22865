//! Flows and tasks by a part of their id: its beginning, or the end that people are shown.

use tutti_store::{Tx, sql};
use uuid::Uuid;

use crate::Result;

sql! {
    pub(crate) FLOWS_FROM = "SELECT id FROM flow WHERE id >= $1 AND id <= $2 ORDER BY id DESC LIMIT $3";
    pub(crate) FLOWS_ENDING = "SELECT id FROM flow WHERE id LIKE $1 ORDER BY id DESC LIMIT $2";
    pub(crate) TASKS_FROM = "SELECT id FROM flow_task WHERE id >= $1 AND id <= $2 ORDER BY id DESC LIMIT $3";
    pub(crate) TASKS_ENDING = "SELECT id FROM flow_task WHERE id LIKE $1 ORDER BY id DESC LIMIT $2";
}

/// The greatest part of which a beginning and an end can be alike: longer ones differ in where the hyphens are.
const ALIKE_MAX: usize = 8;

/// The newest flows whose id, written in lower case with hyphens, begins or ends like this. A beginning is looked up, an end is
/// looked for among all ids.
///
/// # Errors
/// Storage errors.
pub fn flows_like(tx: &mut Tx<'_>, part: &str, limit: u32) -> Result<Vec<Uuid>> {
    like(tx, part, limit, FLOWS_FROM, FLOWS_ENDING)
}

/// As [`flows_like`], of tasks.
///
/// # Errors
/// Storage errors.
pub fn tasks_like(tx: &mut Tx<'_>, part: &str, limit: u32) -> Result<Vec<Uuid>> {
    like(tx, part, limit, TASKS_FROM, TASKS_ENDING)
}

fn like(
    tx: &mut Tx<'_>,
    part: &str,
    limit: u32,
    from: &'static str,
    ending: &'static str,
) -> Result<Vec<Uuid>> {
    if !part.chars().all(|c| c == '-' || c.is_ascii_digit() || ('a'..='f').contains(&c)) {
        return Ok(Vec::new());
    }
    let range = beginning(part);
    let mut found: Vec<Uuid> = match range {
        Some((least, greatest)) => tx.all(from, (least, greatest, limit))?,
        None => Vec::new(),
    };
    if range.is_none() || part.len() <= ALIKE_MAX {
        found.extend(tx.all::<Uuid>(ending, (format!("%{part}"), limit))?);
        found.sort_unstable_by_key(|id| std::cmp::Reverse(*id));
        found.dedup();
        found.truncate(limit as usize);
    }
    Ok(found)
}

/// The least and the greatest id that begin like this, if any can.
fn beginning(part: &str) -> Option<(Uuid, Uuid)> {
    let filled = |with: Uuid| {
        let with = with.to_string();
        Uuid::try_parse(&format!("{part}{}", with.get(part.len()..)?)).ok()
    };
    Some((filled(Uuid::nil())?, filled(Uuid::max())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_a_range_of_ids() {
        for (part, least, greatest) in [
            (
                "0192ab",
                "0192ab00-0000-0000-0000-000000000000",
                "0192abff-ffff-ffff-ffff-ffffffffffff",
            ),
            (
                "0192abcd-",
                "0192abcd-0000-0000-0000-000000000000",
                "0192abcd-ffff-ffff-ffff-ffffffffffff",
            ),
            (
                "0192abcd-0000-7000-8000-00000000000f",
                "0192abcd-0000-7000-8000-00000000000f",
                "0192abcd-0000-7000-8000-00000000000f",
            ),
        ] {
            let (from, to) = beginning(part).unwrap();
            assert_eq!((from.to_string().as_str(), to.to_string().as_str()), (least, greatest));
        }
        for end in ["0192ab-c", "0192abcdef", "00-0123456789ab", "x", &"0".repeat(40)] {
            assert_eq!(beginning(end), None, "{end}");
        }
    }
}
