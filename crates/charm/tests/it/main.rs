//! What needs more than a function call: real interpreters and installers, processes that are killed.
//!
//! Tests that download from PyPI run when `TUTTI_TEST_PYPI` is set; those that need `uv` when it is on `PATH`.

mod deploy;
mod python;
