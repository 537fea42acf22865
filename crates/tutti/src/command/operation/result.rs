//! Tasks of operations as Juju prints them, and what they make of the exit code.

use serde_json::{Map, Value, json};
use tutti_model::api::{OperationInfo, OperationTask};

use crate::arguments::OutputArguments;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Format};
use crate::personality::Personality;

/// Whether a task in this state will not change any more.
pub(super) fn is_final(status: &str) -> bool {
    matches!(status, "completed" | "failed" | "cancelled" | "aborted" | "error")
}

/// Whether a task did what it was to do.
pub(super) fn is_success(task: &OperationTask) -> bool {
    task.status == "completed" && return_code(task) == 0
}

/// `testdb/0` → `unit-testdb-0`, `3` → `machine-3`.
pub(super) fn receiver_tag(receiver: &str) -> String {
    match receiver.split_once('/') {
        Some((application, number)) => format!("unit-{application}-{number}"),
        None => format!("machine-{receiver}"),
    }
}

/// `testdb/0` → `unit testdb/0`, `3` → `machine 3`.
pub(super) fn receiver_sentence(receiver: &str) -> String {
    let noun = if receiver.contains('/') { "unit" } else { "machine" };
    format!("{noun} {receiver}")
}

/// The return code; a task whose process could not be started at all has none but failed.
fn return_code(task: &OperationTask) -> i64 {
    let code = &task.results["return-code"];
    code.as_i64().or_else(|| code.as_str()?.parse().ok()).unwrap_or(0)
}

/// One task as `run --format json` prints it.
pub(super) fn task_document(task: &OperationTask) -> Value {
    let mut value = json!({"id": task.id, "status": task.status});
    let mut put = |key: &str, what: Value| value[key] = what;
    if !task.message.is_empty() {
        put("message", json!(task.message));
    }
    if is_final(&task.status) {
        put("results", results(task));
    }
    if !task.log.is_empty() {
        put("log", json!(task.log));
    }
    let times =
        [("completed", &task.completed), ("enqueued", &task.enqueued), ("started", &task.started)];
    let times = times.into_iter().filter(|(_, time)| !time.is_empty());
    let times: Map<String, Value> =
        times.map(|(name, time)| (name.to_owned(), json!(time))).collect();
    put("timing", Value::Object(times));
    let noun = if task.receiver.contains('/') { "unit" } else { "machine" };
    put(noun, json!(task.receiver));
    value
}

/// The results with a return code, without empty output, dotted keys as nested maps.
fn results(task: &OperationTask) -> Value {
    let mut nested = Map::new();
    if let Value::Object(flat) = &task.results {
        for (key, value) in flat {
            let is_output = key == "stdout" || key == "stderr";
            if !(is_output && value.as_str() == Some("")) {
                insert(&mut nested, key, value.clone());
            }
        }
    }
    if matches!(task.status.as_str(), "completed" | "failed") {
        nested.insert("return-code".into(), json!(return_code(task)));
    }
    Value::Object(nested)
}

/// Inserts `a.b` as `{"a": {"b": …}}`; a key that is in the way of a map is replaced by it.
fn insert(map: &mut Map<String, Value>, key: &str, value: Value) {
    match key.split_once('.') {
        Some((first, rest)) if !first.is_empty() && !rest.is_empty() => {
            let entry = map.entry(first).or_insert_with(|| json!({}));
            if !entry.is_object() {
                *entry = json!({});
            }
            if let Value::Object(inner) = entry {
                insert(inner, rest, value);
            }
        }
        _ => {
            map.insert(key.to_owned(), value);
        }
    }
}

/// One operation as `show-operation` prints it.
pub(super) fn operation_document(operation: &OperationInfo) -> Value {
    let tasks = operation.tasks.iter().map(|task| {
        let mut value = task_document(task);
        value["host"] = json!(task.receiver);
        (task.id.clone(), value)
    });
    let mut value = json!({
        "summary": operation.summary,
        "status": operation.status,
        "timing": {"enqueued": operation.enqueued, "completed": operation.completed},
        "tasks": tasks.collect::<Map<String, Value>>(),
    });
    if let Some(task) = operation.tasks.first() {
        value["action"] = json!({"name": task.name});
    }
    if !operation.refused.is_empty() {
        value["fail"] = json!(operation.refused.join("; "));
    }
    if let Some(flow) = &operation.flow {
        value["flow"] = json!(flow);
    }
    value
}

/// Prints finished tasks: documents by receiver, or for people what the tasks wrote.
pub(super) fn print(arguments: &OutputArguments, tasks: &[&OperationTask]) -> Outcome {
    let documents = tasks.iter().map(|task| (task.receiver.clone(), task_document(task)));
    let value: Map<String, Value> = documents.collect();
    if arguments.form(Format::Tabular) == Format::Tabular {
        let several = tasks.len() > 1;
        let mut text = String::new();
        for task in tasks {
            text.push_str(&plain(task, &value[&task.receiver], several)?);
        }
        return arguments.write(&text);
    }
    arguments.print(Format::Json, &value, String::new)
}

/// What a task wrote, as if it had run here: its stderr goes to stderr at once.
fn plain(task: &OperationTask, document: &Value, several: bool) -> Outcome<String> {
    let mut text = String::new();
    if task.status == "failed" || !task.message.is_empty() {
        output::tell(&format!("Action id {} {}: {}", task.id, task.status, task.message));
    }
    let results = document["results"].as_object().cloned().unwrap_or_default();
    if let Some(stderr) = results.get("stderr").and_then(Value::as_str) {
        output::tell(stderr.trim_end_matches('\n'));
    }
    if let Some(stdout) = results.get("stdout").and_then(Value::as_str) {
        text.push_str(stdout);
        if !stdout.ends_with('\n') {
            text.push('\n');
        }
    }
    let set: Map<String, Value> = results
        .into_iter()
        .filter(|(key, _)| !["stdout", "stderr", "return-code"].contains(&key.as_str()))
        .collect();
    if !set.is_empty() {
        text.push_str(&tutti_charm::yaml::to_string(&set)?);
    }
    if several {
        let body = text.lines().map(|line| format!("  {line}\n")).collect::<String>();
        text = format!("{}:\n{body}", task.receiver);
    }
    Ok(text)
}

/// Whether a task ended without having run to its end: it was cancelled, aborted, or stopped before it had a return code.
fn was_stopped(task: &OperationTask) -> bool {
    match task.status.as_str() {
        "cancelled" | "aborted" | "error" => true,
        "failed" => task.results["return-code"].is_null(),
        _ => false,
    }
}

/// How a task ended, for a sentence about it.
fn ending(task: &OperationTask) -> String {
    match return_code(task) {
        0 if task.message.is_empty() => task.status.clone(),
        0 => format!("{}: {}", task.status, task.message),
        code => format!("with return code {code}"),
    }
}

/// The outcome of the command: a failure if any task returned another code than 0, or was stopped.
pub(super) fn verdict(personality: Personality, tasks: &[&OperationTask]) -> Outcome {
    let has_failed = |task: &&&OperationTask| return_code(task) != 0 || was_stopped(task);
    let failed: Vec<&&OperationTask> = tasks.iter().filter(has_failed).collect();
    if failed.is_empty() {
        return Ok(());
    }
    let noun = if failed.len() == 1 { "task" } else { "tasks" };
    let lines: String =
        failed.iter().map(|task| format!(" - id {:?} {}\n", task.id, ending(task))).collect();
    let program = personality.name();
    Err(Failure::new(format!(
        "the following {noun} failed:\n{lines}\nuse '{program} show-task' to inspect the failure"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(status: &str, results: Value) -> OperationTask {
        OperationTask {
            id: "2".into(),
            receiver: "testdb/0".into(),
            status: status.into(),
            results,
            ..OperationTask::default()
        }
    }

    #[test]
    fn documents_look_like_jujus() {
        let mut one = task(
            "completed",
            json!({"return-code": 0, "db.name": "x", "stdout": "hello\n", "stderr": ""}),
        );
        one.enqueued = "2026-08-11 10:00:10 +0000 UTC".into();
        one.log = vec!["2026-08-11 10:00:11 +0000 UTC step one".into()];
        assert_eq!(
            task_document(&one),
            json!({
                "id": "2", "status": "completed", "unit": "testdb/0",
                "results": {"return-code": 0, "db": {"name": "x"}, "stdout": "hello\n"},
                "log": ["2026-08-11 10:00:11 +0000 UTC step one"],
                "timing": {"enqueued": "2026-08-11 10:00:10 +0000 UTC"}
            })
        );
    }

    #[test]
    fn a_return_code_is_always_there_in_the_end() {
        for results in [json!({}), Value::Null, json!({"return-code": "0"})] {
            assert_eq!(task_document(&task("failed", results))["results"]["return-code"], 0);
        }
        assert!(task_document(&task("running", json!({}))).get("results").is_none());
    }

    #[test]
    fn return_codes_make_a_failure_and_so_does_being_stopped() {
        let good = task("completed", json!({"return-code": 0}));
        let said_no = task("failed", json!({"return-code": 0}));
        let broke = task("failed", json!({"return-code": 1}));
        let other = task("completed", json!({"return-code": 3}));
        assert!(verdict(Personality::Juju, &[&good, &said_no]).is_ok());
        let message = |tasks: &[&OperationTask]| {
            verdict(Personality::Juju, tasks).unwrap_err().message().unwrap()
        };
        assert_eq!(
            message(&[&good, &broke]),
            "the following task failed:\n - id \"2\" with return code 1\n\n\
             use 'juju show-task' to inspect the failure"
        );
        assert!(message(&[&broke, &other]).starts_with("the following tasks failed:"));
        for status in ["aborted", "cancelled", "failed"] {
            let message_said = if status == "failed" { "timed out" } else { "" };
            let stopped = OperationTask { message: message_said.into(), ..task(status, json!({})) };
            let said = message(&[&good, &stopped]);
            let expected = format!(" - id \"2\" {}\n", ending(&stopped));
            assert!(said.contains(&expected), "{said}");
        }
    }

    #[test]
    fn receivers_have_two_names() {
        assert_eq!(receiver_tag("a-b/0"), "unit-a-b-0");
        assert_eq!(receiver_sentence("a-b/0"), "unit a-b/0");
        assert_eq!(receiver_tag("3"), "machine-3");
    }
}
