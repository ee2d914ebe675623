::core::compile_error! {
    "`#[derive(EmbeddedEntry)]` stands on a struct, not on an enum\nhelp: put it into a struct, beside the link; or into the ready-made one: `coop::list::Entry::new(value)`"
}
#[automatically_derived]
unsafe impl<T: Clone> ::coop::__private::EmbeddedEntry for Waiter<T> {
    const LINK_OFFSET: ::core::primitive::usize = ::core::unreachable!();
}
