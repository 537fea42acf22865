//! The rules of a unit, tested against a small simulated controller.

mod errors;
mod flows;
mod properties;
mod removal;
mod simulation;
mod upgrades;
