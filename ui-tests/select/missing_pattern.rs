// What an operation gives is named, or ignored with `_`.
fn main() {
    let _ = coop::select! {
        coop::op::after(std::time::Duration::ZERO) => println!("now"),
    };
}
