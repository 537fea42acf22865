//! What needs more than a function call: real interpreters and installers, processes that are killed.
//!
//! Tests that download from PyPI run when `TUTTI_TEST_PYPI` is set; those that need `uv` when it is on `PATH`.

#[cfg(test)]
mod deploy;
#[cfg(test)]
mod python;
