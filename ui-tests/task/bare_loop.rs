// A loop that never waits stops every other task of the thread.
#[coop::task]
fn idle() {
    loop {}
}

fn main() {}
