//! What a task says about itself: its version, how it is retried, how long it may take.

mod versions;
mod waits;
