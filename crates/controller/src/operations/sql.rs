//! The tables `operation`, `operation_task` and `operation_message`.

use serde_json::Value;
use tutti_store::Json;

/// Columns of [`Task`].
macro_rules! columns {
    () => {
        "model, number, operation, unit, receiver, name, work, parallel, parameters, command, \
         timeout_ms, status, message, results, log, enqueued, started, completed"
    };
}

tutti_store::row! {
    /// One operation.
    #[derive(Clone, Debug)]
    pub(super) struct Operation {
        pub(super) number: i64,
        pub(super) summary: String,
        pub(super) refused: Json<Vec<String>>,
        pub(super) flow: Option<String>,
        pub(super) enqueued: i64,
    }

    /// One task.
    #[derive(Clone, Debug)]
    pub(super) struct Task {
        pub(super) model: String,
        pub(super) number: i64,
        pub(super) operation: i64,
        /// Id of the unit; none for a machine.
        pub(super) unit: Option<String>,
        /// Name of the unit, or the machine's number.
        pub(super) receiver: String,
        pub(super) name: String,
        /// `action` or `exec`.
        pub(super) work: String,
        pub(super) parallel: bool,
        pub(super) parameters: Json<Value>,
        pub(super) command: String,
        pub(super) timeout_ms: u64,
        pub(super) status: String,
        pub(super) message: String,
        pub(super) results: Json<Value>,
        /// Messages from before they had a table.
        pub(super) log: Json<Vec<String>>,
        pub(super) enqueued: i64,
        pub(super) started: Option<i64>,
        pub(super) completed: Option<i64>,
    }

    /// What a task said.
    pub(super) struct Message {
        pub(super) task: i64,
        pub(super) text: String,
    }
}

tutti_store::sql! {
    pub(super) NUMBERS =
        "UPDATE model SET next_task = next_task + $2 WHERE id = $1 RETURNING next_task";
    pub(super) INSERT = "INSERT INTO operation (model, number, summary, refused, flow, enqueued) \
        VALUES ($1, $2, $3, $4, $5, $6)";
    pub(super) FIND = "SELECT number, summary, refused, flow, enqueued FROM operation \
        WHERE model = $1 AND number = $2";
    pub(super) NEWEST = "SELECT number, summary, refused, flow, enqueued FROM operation \
        WHERE model = $1 ORDER BY number DESC LIMIT $2";
    pub(super) INSERT_TASK = "INSERT INTO operation_task (model, number, operation, unit, \
        receiver, name, work, parallel, parameters, command, timeout_ms, status, message, \
        results, log, enqueued) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'pending', \
        '', '{}', '[]', $12)";
    pub(super) TASK =
        concat!("SELECT ", columns!(), " FROM operation_task WHERE model = $1 AND number = $2");
    pub(super) TASKS_OF = concat!("SELECT ", columns!(), " FROM operation_task \
        WHERE model = $1 AND operation = $2 ORDER BY number");
    pub(super) UNFINISHED_OF_FLOW = concat!("SELECT ", columns!(), " FROM operation_task \
        WHERE model = $1 AND status IN ('pending', 'running') AND operation IN ( \
        SELECT number FROM operation WHERE model = $1 AND flow = $2) ORDER BY number");
    pub(super) TASKS_FROM = concat!("SELECT ", columns!(), " FROM operation_task \
        WHERE model = $1 AND operation >= $2 ORDER BY number");
    pub(super) OF_UNIT =
        concat!("SELECT ", columns!(), " FROM operation_task WHERE unit = $1 AND number = $2");
    pub(super) WAITING_FOR = concat!("SELECT ", columns!(), " FROM operation_task \
        WHERE unit = $1 AND status IN ('pending', 'aborting') ORDER BY number");
    pub(super) UNFINISHED_OF_UNIT = concat!("SELECT ", columns!(), " FROM operation_task \
        WHERE unit = $1 AND status IN ('pending', 'running', 'aborting') ORDER BY number");
    pub(super) SET_STATUS = "UPDATE operation_task SET status = $3, started = $4 \
        WHERE model = $1 AND number = $2";
    pub(super) END = "UPDATE operation_task SET status = $3, message = $4, results = $5, \
        completed = $6 WHERE model = $1 AND number = $2";
    pub(super) LAST_POSITION = "SELECT COALESCE(MAX(position), 0) FROM operation_message \
        WHERE model = $1 AND task = $2";
    pub(super) ADD_MESSAGE = "INSERT INTO operation_message (model, task, position, text) \
        VALUES ($1, $2, $3, $4)";
    pub(super) MESSAGES_OF_TASK = "SELECT task, text FROM operation_message \
        WHERE model = $1 AND task = $2 ORDER BY position";
    pub(super) MESSAGES_OF = "SELECT m.task, m.text FROM operation_message m \
        JOIN operation_task t ON t.model = m.model AND t.number = m.task \
        WHERE t.model = $1 AND t.operation = $2 ORDER BY m.task, m.position";
    pub(super) MESSAGES_FROM = "SELECT m.task, m.text FROM operation_message m \
        JOIN operation_task t ON t.model = m.model AND t.number = m.task \
        WHERE t.model = $1 AND t.operation >= $2 ORDER BY m.task, m.position";
    pub(super) REMOVE_MESSAGES = "DELETE FROM operation_message WHERE model = $1";
    pub(super) REMOVE_TASKS = "DELETE FROM operation_task WHERE model = $1";
    pub(super) REMOVE_OPERATIONS = "DELETE FROM operation WHERE model = $1";
    pub(super) FORGET = "DELETE FROM operation WHERE enqueued < $1 AND NOT EXISTS ( \
        SELECT 1 FROM operation_task t WHERE t.model = operation.model \
        AND t.operation = operation.number AND (t.completed IS NULL OR t.completed >= $1))";
    pub(super) FORGET_TASKS = "DELETE FROM operation_task WHERE NOT EXISTS ( \
        SELECT 1 FROM operation o \
        WHERE o.model = operation_task.model AND o.number = operation_task.operation)";
    pub(super) FORGET_MESSAGES = "DELETE FROM operation_message WHERE NOT EXISTS ( \
        SELECT 1 FROM operation_task t \
        WHERE t.model = operation_message.model AND t.number = operation_message.task)";
    pub(super) LEADER_OF = "SELECT u.name FROM application a JOIN unit u ON u.id = a.leader \
        WHERE a.model = $1 AND a.name = $2";
}
