fn nap() {
    std::thread::sleep(SECOND);
}
const _: () = {
    #[deprecated(
        note = "`std::thread::sleep` blocks the thread, and with it every task of it\nhelp: use `coop::sleep`, or say `#[coop::task(allow(blocking))]`"
    )]
    #[allow(non_upper_case_globals)]
    const blocking_call: () = ();
    blocking_call
};
#[doc(hidden)]
#[allow(dead_code, deprecated, non_camel_case_types, clippy::all)]
enum nap {}
#[doc(hidden)]
#[allow(dead_code, deprecated, non_camel_case_types, clippy::all)]
struct __nap_builder {
    options: ::coop::__private::Options,
}
#[allow(dead_code, deprecated, non_camel_case_types, clippy::all)]
impl nap {
    fn __description() -> &'static ::coop::__private::Description {
        static DESCRIPTION: ::coop::__private::Description = ::coop::__private::Description::new(
            "nap",
            ::core::module_path!(),
            ::core::file!(),
            ::core::line!(),
            ::core::option::Option::None,
        );
        &DESCRIPTION
    }
    /// Spawns the task as a child of the current one.
    #[track_caller]
    fn spawn() -> ::coop::__private::JoinHandle<()> {
        ::coop::__private::spawn(
            nap::__description(),
            ::coop::__private::Options::new(),
            move || nap(),
        )
    }
    /// Spawns the task as a child of `scope`.
    #[track_caller]
    fn spawn_in<'__scope, '__env>(
        __scope: &'__scope ::coop::__private::Scope<'__scope, '__env>,
    ) -> ::coop::__private::ScopedJoinHandle<'__scope, ()> {
        ::coop::__private::spawn_in(
            __scope,
            nap::__description(),
            ::coop::__private::Options::new(),
            move || nap(),
        )
    }
    /// Spawns the task on another thread's Cooperator. One that has finished gives the arguments back.
    #[track_caller]
    fn submit(
        __remote: &::coop::__private::Remote,
    ) -> ::core::result::Result<::coop::__private::RemoteJoinHandle<()>, ()>
    where
        for<'__checked_at_the_call> (): ::core::marker::Send,
    {
        ::coop::__private::submit(
            __remote,
            nap::__description(),
            ::coop::__private::Options::new(),
            (),
            |()| nap(),
        )
    }
    /// Spawns it with a name, a stack or as a daemon of its own.
    fn builder() -> __nap_builder {
        __nap_builder {
            options: ::coop::__private::Options::new(),
        }
    }
}
#[allow(dead_code, deprecated, non_camel_case_types, clippy::all)]
impl __nap_builder {
    /// What dumps and reports call the task.
    fn name(self, name: &'static ::core::primitive::str) -> Self {
        Self {
            options: self.options.name(name),
        }
    }
    /// The size of its stack in bytes.
    fn stack(self, bytes: ::core::primitive::usize) -> Self {
        Self {
            options: self.options.stack(bytes),
        }
    }
    /// Kills the task, rather than awaiting it, when its parent returns.
    fn daemon(self) -> Self {
        Self {
            options: self.options.daemon(),
        }
    }
    /// Spawns the task as a child of the current one.
    #[track_caller]
    fn spawn(self) -> ::coop::__private::JoinHandle<()> {
        ::coop::__private::spawn(nap::__description(), self.options, move || nap())
    }
    /// Spawns the task as a child of `scope`.
    #[track_caller]
    fn spawn_in<'__scope, '__env>(
        self,
        __scope: &'__scope ::coop::__private::Scope<'__scope, '__env>,
    ) -> ::coop::__private::ScopedJoinHandle<'__scope, ()> {
        ::coop::__private::spawn_in(
            __scope,
            nap::__description(),
            self.options,
            move || nap(),
        )
    }
    /// Spawns the task on another thread's Cooperator. One that has finished gives the arguments back.
    #[track_caller]
    fn submit(
        self,
        __remote: &::coop::__private::Remote,
    ) -> ::core::result::Result<::coop::__private::RemoteJoinHandle<()>, ()>
    where
        for<'__checked_at_the_call> (): ::core::marker::Send,
    {
        ::coop::__private::submit(
            __remote,
            nap::__description(),
            self.options,
            (),
            |()| nap(),
        )
    }
}
