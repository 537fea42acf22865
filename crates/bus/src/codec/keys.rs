//! The names of keys in Redis. Nothing is prefixed: one database is one bus.

/// What a return path starts with; the rest is the key of the list that wants the result.
pub(crate) const RETURN_PATH_PREFIX: &str = "redis+key://";

/// The set of the names of all APIs that ever had a schema.
pub(crate) const SCHEMAS: &str = "schemas";

/// The list in which calls to an API wait.
pub(crate) fn call_queue(api: &str) -> String {
    format!("{api}:rpc_queue")
}

/// The key that exists as long as the answer to a call is wanted.
pub(crate) fn guard(call_id: &str) -> String {
    format!("rpc_expiry_key:{call_id}")
}

/// The stream of all events of an API, or of one event if they have streams of their own.
pub(crate) fn stream(api: &str, event: &str, per_event: bool) -> String {
    if per_event { format!("{api}.{event}:stream") } else { format!("{api}.*:stream") }
}

/// The consumer group of a listener.
pub(crate) fn group(service: &str, listener: &str) -> String {
    format!("{service}-{listener}")
}

/// The schema of an API, with a time to live.
pub(crate) fn schema(api: &str) -> String {
    format!("schema:{api}")
}

/// The list in which a process receives all its results.
pub(crate) fn results(process: &str) -> String {
    format!("tutti:result:{process}")
}

/// A list into which a process pushes to wake its own reader of calls.
pub(crate) fn wake(process: &str) -> String {
    format!("tutti:wake:{process}")
}

/// The events that a group gave up.
pub(crate) fn dead(group: &str) -> String {
    format!("tutti:dead:{group}")
}

/// Who runs a schedule of a service now.
pub(crate) fn schedule_holder(service: &str, name: &str) -> String {
    format!("tutti:schedule:{service}:{name}:holder")
}

/// The last time at which a schedule of a service was due and run, in milliseconds.
pub(crate) fn schedule_last(service: &str, name: &str) -> String {
    format!("tutti:schedule:{service}:{name}:last")
}

/// Given-up events that one group, and no other, is to get again.
pub(crate) fn replay(group: &str) -> String {
    format!("tutti:replay:{group}")
}

/// The mark that a listener has handled an event, where it asked to see each only once.
pub(crate) fn seen(group: &str, event_id: &str) -> String {
    format!("tutti:seen:{group}:{event_id}")
}
