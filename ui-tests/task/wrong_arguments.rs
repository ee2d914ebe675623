// `spawn` takes the function's own arguments.
#[coop::task]
fn add(a: u32, b: u32) -> u32 {
    a + b
}

fn main() {
    coop::run(|| add::spawn(1).join()).unwrap();
}
