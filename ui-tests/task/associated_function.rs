// A task is a free function, not one of a type.
struct Server;

impl Server {
    #[coop::task]
    fn start(port: u16) -> Self {
        let _ = port;
        Server
    }
}

fn main() {}
