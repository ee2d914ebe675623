// A task may outlive what it would borrow from.
#[coop::task]
fn greet(name: &str) {
    println!("hello {name}");
}

fn main() {}
