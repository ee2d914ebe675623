// With `deny(blocking)` the warning is an error.
#[coop::task(deny(blocking))]
fn load() -> std::io::Result<String> {
    std::fs::read_to_string("config")
}

fn main() {}
