//! Tutti: deploys, connects, upgrades and removes the services of a small team.

fn main() {}
