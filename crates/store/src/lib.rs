//! One SQL on SQLite and PostgreSQL: connections, transactions, group commit, migrations, outbox, wake-ups.
