//! Status, workload version and log.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tutti_charm::hook_tool::{StatusDetail, ToolError};
use tutti_model::agent::{ContextStatus, LogLine, Report};

use super::context::{after, not_the_leader, refused};
use super::{Effect, HookContext, Reply};

impl HookContext {
    /// Juju puts the relation of the hook before the message.
    pub(super) fn juju_log(&self, level: String, message: &str, now: Timestamp) -> Reply {
        let message = match &self.run.relation {
            Some(relation) => format!("{}:{}: {message}", relation.endpoint, relation.id),
            None => message.to_owned(),
        };
        let line = LogLine {
            time: now.as_microsecond(),
            level,
            logger: format!("unit.{}.juju-log", self.run.unit),
            message,
        };
        after(Effect::Report(Report::Log { lines: vec![line] }))
    }

    pub(super) fn status_get(
        &self,
        application: bool,
        detail: StatusDetail,
    ) -> Result<Value, ToolError> {
        if !application {
            return Ok(shape(&self.context.unit_status, detail));
        }
        if !self.context.leader {
            return Err(not_the_leader());
        }
        let mut status = shape(&self.context.application_status, detail);
        if let Value::Object(fields) = &mut status {
            let units = self.context.unit_statuses.iter();
            let units = units.map(|(unit, status)| (unit.clone(), shape(status, detail)));
            fields.insert("units".into(), Value::Object(units.collect::<Map<_, _>>()));
            status = json!({ "application-status": status });
        }
        Ok(status)
    }

    pub(super) fn status_set(&mut self, application: bool, status: ContextStatus) -> Reply {
        if application {
            if !self.context.leader {
                return refused(not_the_leader());
            }
            self.context.application_status = status.clone();
        } else {
            self.context.unit_status = status.clone();
            self.context.unit_statuses.insert(self.run.unit.clone(), status.clone());
            self.status_set = true;
        }
        after(Effect::Report(Report::Status { application, status }))
    }
}

fn shape(status: &ContextStatus, detail: StatusDetail) -> Value {
    match detail {
        StatusDetail::Word => json!(status.status),
        StatusDetail::Short => json!({ "status": status.status }),
        StatusDetail::Full => {
            json!({ "status": status.status, "message": status.message, "status-data": {} })
        }
    }
}
