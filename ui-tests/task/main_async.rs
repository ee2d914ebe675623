// `main` is an ordinary function, too.
#[coop::main]
async fn main() {}
