// What may be half done when another arm wins is no arm by value.
use coop::{net::UnixStream, op};

fn send(conn: &UnixStream) {
    let _ = coop::select! {
        sent = op::send_all(conn, b"hello") => println!("{sent:?}"),
        _ = op::after(std::time::Duration::from_secs(1)) => println!("late"),
    };
}

fn main() {}
