//! The controller's migrations, and every statement it runs.

use tutti_store::Migration;

/// Migrations of the model's tables, in order.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        owner: "controller",
        number: 1,
        name: "model",
        sql: include_str!("schema/0001-model.sql"),
    },
    Migration {
        owner: "controller",
        number: 2,
        name: "task messages",
        sql: include_str!("schema/0002-task-messages.sql"),
    },
    Migration {
        owner: "controller",
        number: 3,
        name: "idempotency",
        sql: include_str!("schema/0003-idempotency.sql"),
    },
    Migration {
        owner: "controller",
        number: 4,
        name: "convergence",
        sql: include_str!("schema/0004-convergence.sql"),
    },
    Migration {
        owner: "controller",
        number: 5,
        name: "bus",
        sql: include_str!("schema/0005-bus.sql"),
    },
    Migration {
        owner: "controller",
        number: 6,
        name: "notices",
        sql: include_str!("schema/0006-notices.sql"),
    },
];

/// Every statement of this crate by name, for a test that prepares them on both engines.
pub const STATEMENTS: &[&[(&str, &str)]] = &[
    crate::agents::STATEMENTS,
    crate::applications::sql::STATEMENTS,
    crate::bus::STATEMENTS,
    crate::bus::listeners::STATEMENTS,
    crate::controller::STATEMENTS,
    crate::deferred::STATEMENTS,
    crate::idempotency::STATEMENTS,
    crate::leadership::STATEMENTS,
    crate::logs::STATEMENTS,
    crate::machines::sql::STATEMENTS,
    crate::models::sql::STATEMENTS,
    crate::notices::STATEMENTS,
    crate::operations::STATEMENTS,
    crate::relations::STATEMENTS,
    crate::secrets::STATEMENTS,
    crate::sequence::STATEMENTS,
    crate::status::STATEMENTS,
    crate::storage::STATEMENTS,
    crate::units::sql::STATEMENTS,
];
