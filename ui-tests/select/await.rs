// Operations are no futures.
async fn lookup() {}

fn main() {
    let _ = coop::select! {
        _ = lookup().await => println!("found"),
    };
}
