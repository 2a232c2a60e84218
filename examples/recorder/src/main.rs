//! p2pgate-recorder
fn main() {}
