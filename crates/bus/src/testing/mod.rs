//! Help for tests of programs on a bus.
//!
//! A [`Stub`] stands for an API that others serve; a [`Recorder`] knows what the program called and fired. The bus itself
//! can be one of this process alone ([`Bus::offline`](crate::Bus::offline)).

mod recorder;
mod stub;

pub use recorder::{Recorder, Sent};
pub use stub::Stub;
