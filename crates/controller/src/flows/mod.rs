//! Flows: how a mutation becomes durable work.
