// A task's handle stays on its thread.
fn send<T: Send>(_: T) {}

fn main() {
    coop::run(|| send(coop::spawn(|| 1)));
}
