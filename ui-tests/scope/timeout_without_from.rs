// The error under a `timeout` can say that the time was up.
use std::time::Duration;

struct Failure;

fn main() {
    let _ = coop::run(|| coop::timeout(Duration::ZERO, || Err::<(), Failure>(Failure)));
}
