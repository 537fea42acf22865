//! Durable flows of tasks over named resources, on SQLite and PostgreSQL.
