#[automatically_derived]
unsafe impl<'a, T: Clone, const N: usize> my::coop::__private::EmbeddedEntry
for Waiter<'a, T, N>
where
    T: Debug,
{
    const LINK_OFFSET: ::core::primitive::usize = ::core::mem::offset_of!(Self, 1);
}
#[automatically_derived]
impl<'a, T: Clone, const N: usize> ::core::ops::Drop for Waiter<'a, T, N>
where
    T: Debug,
{
    fn drop(&mut self) {
        <Self as my::coop::__private::EmbeddedEntry>::leave(&self.1)
    }
}
#[automatically_derived]
impl<'a, T: Clone, const N: usize> ::core::marker::Unpin for Waiter<'a, T, N>
where
    T: Debug,
    for<'__never> ::core::marker::PhantomPinned: ::core::marker::Unpin,
{}
