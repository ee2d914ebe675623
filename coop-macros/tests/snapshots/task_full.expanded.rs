#[cfg(unix)]
#[deprecated]
#[expect(private_interfaces, reason = "the items are ours")]
pub fn work<T: Clone, const N: usize>(
    mut items: [T; N],
    (low, high): (u32, u32),
    visit: impl Fn(&T) -> bool,
) -> Vec<T>
where
    T: Debug,
{
    items.sort();
    work::<T, 0>([], (low, high), visit)
}
#[cfg(unix)]
#[deprecated]
#[doc(hidden)]
#[allow(private_interfaces, reason = "the items are ours")]
#[allow(dead_code, deprecated, non_camel_case_types, clippy::all)]
pub enum work_task {}
#[cfg(unix)]
#[doc(hidden)]
#[allow(private_interfaces, reason = "the items are ours")]
#[allow(dead_code, deprecated, non_camel_case_types, clippy::all)]
pub struct __work_task_builder {
    options: my::coop::__private::Options,
}
#[cfg(unix)]
#[allow(private_interfaces, reason = "the items are ours")]
#[allow(dead_code, deprecated, non_camel_case_types, clippy::all)]
impl work_task {
    fn __description() -> &'static my::coop::__private::Description {
        static DESCRIPTION: my::coop::__private::Description = my::coop::__private::Description::new(
            "worker",
            ::core::module_path!(),
            ::core::file!(),
            ::core::line!(),
            ::core::option::Option::Some(65536usize),
        );
        &DESCRIPTION
    }
    /// Spawns the task as a child of the current one.
    #[track_caller]
    pub fn spawn<T: Clone, const N: usize>(
        items: [T; N],
        __argument_1: (u32, u32),
        visit: impl Fn(&T) -> bool + 'static,
    ) -> my::coop::__private::JoinHandle<Vec<T>>
    where
        T: Debug,
        T: 'static,
    {
        my::coop::__private::spawn(
            work_task::__description(),
            my::coop::__private::Options::new(),
            move || work::<T, N>(items, __argument_1, visit),
        )
    }
    /// Spawns the task as a child of `scope`.
    #[track_caller]
    pub fn spawn_in<'__scope, '__env, T: Clone, const N: usize>(
        __scope: &'__scope my::coop::__private::Scope<'__scope, '__env>,
        items: [T; N],
        __argument_1: (u32, u32),
        visit: impl Fn(&T) -> bool + '__scope,
    ) -> my::coop::__private::ScopedJoinHandle<'__scope, Vec<T>>
    where
        T: Debug,
        T: '__scope,
    {
        my::coop::__private::spawn_in(
            __scope,
            work_task::__description(),
            my::coop::__private::Options::new(),
            move || work::<T, N>(items, __argument_1, visit),
        )
    }
    /// Spawns the task on another thread's Cooperator. One that has finished gives the arguments back.
    #[track_caller]
    pub fn submit<T: Clone, const N: usize, __Argument0: Fn(&T) -> bool + 'static>(
        __remote: &my::coop::__private::Remote,
        items: [T; N],
        __argument_1: (u32, u32),
        visit: __Argument0,
    ) -> ::core::result::Result<
        my::coop::__private::RemoteJoinHandle<Vec<T>>,
        ([T; N], (u32, u32), __Argument0),
    >
    where
        T: Debug,
        T: 'static,
        for<'__checked_at_the_call> [T; N]: ::core::marker::Send,
        for<'__checked_at_the_call> (u32, u32): ::core::marker::Send,
        for<'__checked_at_the_call> __Argument0: ::core::marker::Send,
        for<'__checked_at_the_call> Vec<T>: ::core::marker::Send,
    {
        my::coop::__private::submit(
            __remote,
            work_task::__description(),
            my::coop::__private::Options::new(),
            (items, __argument_1, visit),
            |(items, __argument_1, visit)| work::<T, N>(items, __argument_1, visit),
        )
    }
    /// Spawns it with a name, a stack or as a daemon of its own.
    pub fn builder() -> __work_task_builder {
        __work_task_builder {
            options: my::coop::__private::Options::new(),
        }
    }
}
#[cfg(unix)]
#[allow(private_interfaces, reason = "the items are ours")]
#[allow(dead_code, deprecated, non_camel_case_types, clippy::all)]
impl __work_task_builder {
    /// What dumps and reports call the task.
    pub fn name(self, name: &'static ::core::primitive::str) -> Self {
        Self {
            options: self.options.name(name),
        }
    }
    /// The size of its stack in bytes.
    pub fn stack(self, bytes: ::core::primitive::usize) -> Self {
        Self {
            options: self.options.stack(bytes),
        }
    }
    /// Kills the task, rather than awaiting it, when its parent returns.
    pub fn daemon(self) -> Self {
        Self {
            options: self.options.daemon(),
        }
    }
    /// Spawns the task as a child of the current one.
    #[track_caller]
    pub fn spawn<T: Clone, const N: usize>(
        self,
        items: [T; N],
        __argument_1: (u32, u32),
        visit: impl Fn(&T) -> bool + 'static,
    ) -> my::coop::__private::JoinHandle<Vec<T>>
    where
        T: Debug,
        T: 'static,
    {
        my::coop::__private::spawn(
            work_task::__description(),
            self.options,
            move || work::<T, N>(items, __argument_1, visit),
        )
    }
    /// Spawns the task as a child of `scope`.
    #[track_caller]
    pub fn spawn_in<'__scope, '__env, T: Clone, const N: usize>(
        self,
        __scope: &'__scope my::coop::__private::Scope<'__scope, '__env>,
        items: [T; N],
        __argument_1: (u32, u32),
        visit: impl Fn(&T) -> bool + '__scope,
    ) -> my::coop::__private::ScopedJoinHandle<'__scope, Vec<T>>
    where
        T: Debug,
        T: '__scope,
    {
        my::coop::__private::spawn_in(
            __scope,
            work_task::__description(),
            self.options,
            move || work::<T, N>(items, __argument_1, visit),
        )
    }
    /// Spawns the task on another thread's Cooperator. One that has finished gives the arguments back.
    #[track_caller]
    pub fn submit<T: Clone, const N: usize, __Argument0: Fn(&T) -> bool + 'static>(
        self,
        __remote: &my::coop::__private::Remote,
        items: [T; N],
        __argument_1: (u32, u32),
        visit: __Argument0,
    ) -> ::core::result::Result<
        my::coop::__private::RemoteJoinHandle<Vec<T>>,
        ([T; N], (u32, u32), __Argument0),
    >
    where
        T: Debug,
        T: 'static,
        for<'__checked_at_the_call> [T; N]: ::core::marker::Send,
        for<'__checked_at_the_call> (u32, u32): ::core::marker::Send,
        for<'__checked_at_the_call> __Argument0: ::core::marker::Send,
        for<'__checked_at_the_call> Vec<T>: ::core::marker::Send,
    {
        my::coop::__private::submit(
            __remote,
            work_task::__description(),
            self.options,
            (items, __argument_1, visit),
            |(items, __argument_1, visit)| work::<T, N>(items, __argument_1, visit),
        )
    }
}
