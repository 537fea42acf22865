//! Ids as people write them: the beginning, or the end that lists show.

use tutti_client::{Client, encode};
use tutti_model::api::{FlowPage, TaskPage};

use crate::failure::{Failure, Outcome};

/// Characters of a whole id.
const WHOLE: usize = 36;

/// The fewest characters that stand for an id.
const SHORTEST: usize = 6;

/// What lists show of an id: its last group, which no two flows are likely to share.
pub(super) fn short(id: &str) -> &str {
    id.rsplit('-').next().unwrap_or(id)
}

/// The id of the one flow whose id begins or ends so.
pub(super) async fn flow_id(client: &Client, part: &str) -> Outcome<String> {
    check("flow", part)?;
    if part.len() == WHOLE {
        return Ok(part.to_owned());
    }
    let path = format!("/v1/flows?limit=10&id={}", encode(part));
    let page: FlowPage = client.get(&path).await?;
    the_one("flow", part, page.flows.into_iter().map(|flow| flow.id).collect())
}

/// The id of the one task whose id begins or ends so.
pub(crate) async fn task_id(client: &Client, part: &str) -> Outcome<String> {
    check("task", part)?;
    if part.len() == WHOLE {
        return Ok(part.to_owned());
    }
    let path = format!("/v1/tasks?limit=10&id={}", encode(part));
    let page: TaskPage = client.get(&path).await?;
    the_one("task", part, page.tasks.into_iter().map(|task| task.id).collect())
}

/// Refuses what can be no id. Above all nothing: of a script whose variable is empty, which must not
/// mean the only flow there is.
fn check(what: &str, part: &str) -> Outcome {
    let is_part = part.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    if is_part && (SHORTEST..=WHOLE).contains(&part.len()) {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{part:?} is no id of a {what}: write one, or at least {SHORTEST} characters of its beginning or end"
    )))
}

fn the_one(what: &str, part: &str, mut found: Vec<String>) -> Outcome<String> {
    match (found.pop(), found.len()) {
        (Some(id), 0) => Ok(id),
        (Some(id), _) => {
            found.push(id);
            let found = found.join("\n  ");
            Err(Failure::new(format!("which {what} is {part:?}? There are\n  {found}")))
        }
        (None, _) => Err(Failure::new(format!("no {what}'s id begins or ends with {part:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_no_id_is_refused() {
        for part in ["0123ab", "0123AB-", "01890000-0000-7000-8000-0123456789ab"] {
            assert!(check("flow", part).is_ok(), "{part}");
        }
        let long = "0".repeat(37);
        for part in ["", "abc", "../..a", "deploy", "zzzzzzzz-0000-7000-8000-0123456789ab", &long] {
            let refused = check("task", part).unwrap_err().message().unwrap();
            assert!(refused.starts_with(&format!("{part:?} is no id of a task: ")), "{refused}");
        }
    }

    #[test]
    fn a_part_stands_for_one_id_only() {
        assert_eq!(the_one("flow", "a", vec!["abc".into()]).unwrap(), "abc");
        let none = the_one("flow", "a", Vec::new()).unwrap_err().message().unwrap();
        assert_eq!(none, "no flow's id begins or ends with \"a\"");
        let two = the_one("task", "a", vec!["ab".into(), "ac".into()]).unwrap_err();
        assert_eq!(two.message().unwrap(), "which task is \"a\"? There are\n  ab\n  ac");
    }

    #[test]
    fn lists_show_the_last_group() {
        assert_eq!(short("01890000-0000-7000-8000-0123456789ab"), "0123456789ab");
    }
}
