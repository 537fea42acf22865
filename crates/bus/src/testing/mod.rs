//! Help for tests of programs on a bus.

mod stub;

pub use stub::Stub;
