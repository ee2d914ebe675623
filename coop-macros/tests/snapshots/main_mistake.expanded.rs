::core::compile_error! {
    "`#[coop::main]` on an `async fn`: coop runs ordinary functions\nhelp: remove `async`, and every `.await` in the body: coop's calls wait by themselves"
}
fn main() -> u8 {
    #[allow(dead_code, unused_variables)]
    async fn __kept() -> u8 {
        f().await
    }
    ::core::unreachable!()
}
