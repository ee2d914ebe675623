// The children of a `scope` fail with the scope's own error.
fn main() {
    let _ = coop::run(|| {
        coop::scope(|s| -> Result<(), String> {
            s.try_spawn(|| Err::<(), i32>(1));
            Ok(())
        })
    });
}
