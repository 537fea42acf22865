//! The controller's migrations.

use tutti_store::Migration;

/// Migrations of the model's tables, in order.
pub const MIGRATIONS: &[Migration] = &[Migration {
    owner: "controller",
    number: 1,
    name: "model",
    sql: include_str!("schema/0001-model.sql"),
}];
