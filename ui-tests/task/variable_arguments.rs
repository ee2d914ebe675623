// A function with variable arguments has no list of what to spawn it with.
#[coop::task]
unsafe extern "C" fn print(_format: *const u8, _rest: ...) {}

fn main() {}
