// An arm has a `=` between its pattern and its operation.
fn next(jobs: &coop::chan::Receiver<u32>) {
    let _ = coop::select! {
        job coop::op::receive(jobs) => println!("{job:?}"),
    };
}

fn main() {}
