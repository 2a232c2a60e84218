//! p2pgate-broker
fn main() {}
