// A kill is not ignored.
#![deny(unused_must_use)]

fn main() {
    coop::run(|| {
        coop::sleep(std::time::Duration::ZERO);
    });
}
