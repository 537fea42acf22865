//! What a task says about itself: its version, how it is retried, how long it may take, and the resources it adds.

mod resources;
mod versions;
mod waits;
