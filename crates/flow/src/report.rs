//! What an attempt says while it runs: how far it is, what its next attempt is to know, and lines for people. Only the attempt that is
//! under way is heard, whoever makes it.

use serde_json::Value;
use tutti_store::{Json, Tx, sql};
use uuid::Uuid;

use crate::{Error, Result, TaskContext, claim};

/// Bytes of JSON that an attempt may report to its next one.
pub(crate) const REPORT_MAX: usize = 64 << 10;

/// Lines kept of a task, and bytes of each.
pub(crate) const LINES_MAX: i64 = 1_000;
pub(crate) const LINE_MAX: usize = 4 << 10;

/// What stands at the end of a line that was too long.
const CUT: &str = "…";

sql! {
    /// Whether an attempt, of this direction, of this number and under this epoch, is under way.
    pub(crate) UNDER_WAY = "SELECT EXISTS (SELECT 1 FROM flow_task AS task JOIN flow ON flow.id = task.flow
        WHERE task.flow = $1 AND task.number = $2 AND flow.epoch = $3
        AND CASE WHEN $4 THEN task.state = 'reverting' AND task.revert_attempt = $5
            ELSE task.state = 'running' AND task.attempt = $5 END)";

    pub(crate) PROGRESS = "UPDATE flow_task SET progress = $3 WHERE flow = $1 AND number = $2";

    pub(crate) REPORT = "UPDATE flow_task SET reported = $3 WHERE flow = $1 AND number = $2";

    pub(crate) REPORTED = "SELECT reported FROM flow_task WHERE flow = $1 AND number = $2";

    pub(crate) LINE = "INSERT INTO flow_log (flow, number, id, at, line) VALUES ($1, $2, $3, $4, $5)";

    /// Forgets all but the newest lines of a task.
    pub(crate) TRIM = "DELETE FROM flow_log WHERE flow = $1 AND number = $2 AND id <= (SELECT kept.id FROM flow_log AS kept
        WHERE kept.flow = $1 AND kept.number = $2 ORDER BY kept.id DESC LIMIT 1 OFFSET $3)";
}

/// What there is to say.
#[derive(Clone, Debug)]
pub(crate) enum Said {
    Progress(f64),
    Report(Value),
    Line(String),
}

/// Writes down what is said of a task.
pub(crate) fn say(tx: &mut Tx<'_>, (flow, number): (Uuid, usize), said: &Said) -> Result<()> {
    match said {
        Said::Progress(fraction) => {
            tx.exec(PROGRESS, (flow, number, fraction.clamp(0.0, 1.0)))?;
        }
        Said::Report(report) => {
            let report = report.to_string();
            if report.len() > REPORT_MAX {
                return Err(Error::TooLong { bytes: report.len(), max: REPORT_MAX });
            }
            tx.exec(REPORT, (flow, number, report))?;
        }
        Said::Line(line) => {
            let now = tx.now()?;
            tx.exec(LINE, (flow, number, Uuid::now_v7(), now, cut(line)))?;
            tx.exec(TRIM, (flow, number, LINES_MAX))?;
        }
    }
    Ok(())
}

/// Writes down what an attempt says, if it is the one under way.
pub(crate) fn say_in(tx: &mut Tx<'_>, context: &TaskContext, said: &Said) -> Result<()> {
    if let Some(claim) = context.claim {
        return claim::say(tx, claim, said);
    }
    let TaskContext { flow, number, epoch, reverting, attempt, .. } = *context;
    if !tx.one::<bool>(UNDER_WAY, (flow, number, epoch, reverting, attempt))? {
        return Err(Error::NotUnderWay { task: context.task, attempt });
    }
    say(tx, (flow, number), said)
}

/// What was last reported of a task.
pub(crate) fn reported(tx: &mut Tx<'_>, flow: Uuid, number: usize) -> Result<Option<Value>> {
    let reported: Option<Option<Json<Value>>> = tx.maybe(REPORTED, (flow, number))?;
    Ok(reported.flatten().map(|Json(report)| report))
}

/// A line as it is kept.
fn cut(line: &str) -> String {
    let line = crate::policy::storable(line);
    if line.len() <= LINE_MAX {
        return line;
    }
    let end = line.floor_char_boundary(LINE_MAX - CUT.len());
    format!("{}{CUT}", &line[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_cut_between_letters() {
        assert_eq!(cut("short"), "short");
        let letters = "ä".repeat(LINE_MAX);
        let kept = cut(&letters);
        assert!(kept.len() <= LINE_MAX && kept.len() > LINE_MAX - 3 - CUT.len(), "{}", kept.len());
        assert!(kept.ends_with("ä…"));
        assert_eq!(cut(&"a".repeat(LINE_MAX)).len(), LINE_MAX);
    }
}
