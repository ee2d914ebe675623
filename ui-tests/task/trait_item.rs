// A task is a free function, not one of a trait.
trait Serve {
    #[coop::task]
    fn serve(port: u16);
}

fn main() {}
