//! The kubernaut binary.
fn main() {}
