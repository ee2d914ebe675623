// Arguments may be of any type, but what is spawned owns them.
#[coop::task]
fn show<T: std::fmt::Debug>(value: T) {
    println!("{value:?}");
}

fn main() {
    let name = String::from("coop");
    show::spawn(name.as_str());
}
