// Nobody could say what the parameters of `main` are.
#[coop::main]
fn main<T: Default>() {
    drop(T::default());
}
