//! The half that acts: runs the units of one machine.
