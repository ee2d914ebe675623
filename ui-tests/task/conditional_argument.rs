// An argument under a `cfg` would give the task two signatures.
#[coop::task]
fn serve(#[cfg(unix)] path: String) {
    drop(path);
}

fn main() {}
