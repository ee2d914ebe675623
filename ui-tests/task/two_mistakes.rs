// All mistakes of one task are reported together.
#[coop::task(stack = "4k", nane = "x")]
fn greet(name: &str) {
    println!("{name}");
}

fn main() {}
