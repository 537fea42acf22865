//! What a task says about itself: its version, how it is retried, how long it may take, and the resources it adds.

mod resources;
mod versions;
mod waits;

/// Who reads on after the first example has seen all of it.
#[test]
fn the_first_example_fits_a_screen() {
    let readme = include_str!("../../../README.md");
    let example = readme.split("```rust\n").nth(1).unwrap().split("```").next().unwrap();
    assert!(example.contains("fn main()") && example.lines().count() <= 30, "{example}");
}
