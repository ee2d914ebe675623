// A task is a free function: a method is spawned as a closure.
struct Server;

impl Server {
    #[coop::task]
    fn serve(&self) {}
}

fn main() {}
