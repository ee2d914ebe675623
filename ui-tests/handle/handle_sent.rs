// An operation in flight is its thread's.
use coop::{io::Handle, op};

fn send<T: Send>(_: T) {}

fn main() {
    coop::run(|| coop::wait_all(|s| {
        let timer: Handle<_> = s.start(op::after(std::time::Duration::ZERO));
        send(timer);
    }));
}
