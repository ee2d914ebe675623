::core::compile_error! {
    "`#[coop::task]` on a method: a task is a free function\nhelp: remove the attribute, and spawn it with `coop::spawn(move || value.read(…))`"
}
fn read(&self, name: String) -> u8 {
    self.get(name)
}
