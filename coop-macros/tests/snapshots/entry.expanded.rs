#[automatically_derived]
unsafe impl ::coop::__private::EmbeddedEntry for Waiter {
    const LINK_OFFSET: ::core::primitive::usize = ::core::mem::offset_of!(Self, link);
}
#[automatically_derived]
impl ::core::ops::Drop for Waiter {
    fn drop(&mut self) {
        <Self as ::coop::__private::EmbeddedEntry>::leave(&self.link)
    }
}
#[automatically_derived]
impl ::core::marker::Unpin for Waiter
where
    for<'__never> ::core::marker::PhantomPinned: ::core::marker::Unpin,
{}
