//! Development commands of Tutti.

fn main() {}
