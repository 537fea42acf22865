//! The built binary from the outside: exit codes, streams, names, and a controller of its own.

mod controller;
mod lines;
mod place;
