// A Coordinator is for the tasks of one thread.
fn send<T: Send>(_: T) {}

fn main() {
    send(coop::Coordinator::new());
}
