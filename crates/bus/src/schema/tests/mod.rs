//! Schemas of Rust types beside those Python Lightbus writes for its own, and what is checked with them.

mod compare;
mod files;
mod forms;
mod validate;
mod vectors;
