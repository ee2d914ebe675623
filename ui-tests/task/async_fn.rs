// A task is an ordinary function.
#[coop::task]
async fn greet(name: String) {
    println!("hello {name}");
}

fn main() {}
