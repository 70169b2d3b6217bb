//! The `machine` program.

fn main() {}
