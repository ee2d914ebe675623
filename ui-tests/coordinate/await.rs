// Coordinators are not awaited.
use coop::Coordinator;

async fn find() -> Coordinator {
    Coordinator::new()
}

fn main() {
    let _ = coop::coordinate!(&find().await);
}
