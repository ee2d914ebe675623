fn serve(port: u16) -> ! {
    run(port)
}
#[doc(hidden)]
#[allow(dead_code, deprecated, non_camel_case_types, clippy::all)]
enum serve {}
#[doc(hidden)]
#[allow(dead_code, deprecated, non_camel_case_types, clippy::all)]
struct __serve_builder {
    options: ::coop::__private::Options,
}
#[allow(dead_code, deprecated, non_camel_case_types, clippy::all)]
impl serve {
    fn __description() -> &'static ::coop::__private::Description {
        static DESCRIPTION: ::coop::__private::Description = ::coop::__private::Description::new(
            "serve",
            ::core::module_path!(),
            ::core::file!(),
            ::core::line!(),
            ::core::option::Option::None,
        );
        &DESCRIPTION
    }
    /// Spawns the task as a child of the current one.
    #[track_caller]
    fn spawn(port: u16) -> ::coop::__private::JoinHandle<::core::convert::Infallible> {
        ::coop::__private::spawn(
            serve::__description(),
            ::coop::__private::Options::new(),
            move || -> ::core::convert::Infallible { serve(port) },
        )
    }
    /// Spawns the task as a child of `scope`.
    #[track_caller]
    fn spawn_in<'__scope, '__env>(
        __scope: &'__scope ::coop::__private::Scope<'__scope, '__env>,
        port: u16,
    ) -> ::coop::__private::ScopedJoinHandle<'__scope, ::core::convert::Infallible> {
        ::coop::__private::spawn_in(
            __scope,
            serve::__description(),
            ::coop::__private::Options::new(),
            move || -> ::core::convert::Infallible { serve(port) },
        )
    }
    /// Spawns the task on another thread's Cooperator. One that has finished gives the arguments back.
    #[track_caller]
    fn submit(
        __remote: &::coop::__private::Remote,
        port: u16,
    ) -> ::core::result::Result<
        ::coop::__private::RemoteJoinHandle<::core::convert::Infallible>,
        (u16,),
    >
    where
        for<'__checked_at_the_call> u16: ::core::marker::Send,
        for<'__checked_at_the_call> ::core::convert::Infallible: ::core::marker::Send,
    {
        ::coop::__private::submit(
            __remote,
            serve::__description(),
            ::coop::__private::Options::new(),
            (port,),
            |(port,)| serve(port),
        )
    }
    /// Spawns it with a name, a stack or as a daemon of its own.
    fn builder() -> __serve_builder {
        __serve_builder {
            options: ::coop::__private::Options::new(),
        }
    }
}
#[allow(dead_code, deprecated, non_camel_case_types, clippy::all)]
impl __serve_builder {
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
    fn spawn(
        self,
        port: u16,
    ) -> ::coop::__private::JoinHandle<::core::convert::Infallible> {
        ::coop::__private::spawn(
            serve::__description(),
            self.options,
            move || -> ::core::convert::Infallible { serve(port) },
        )
    }
    /// Spawns the task as a child of `scope`.
    #[track_caller]
    fn spawn_in<'__scope, '__env>(
        self,
        __scope: &'__scope ::coop::__private::Scope<'__scope, '__env>,
        port: u16,
    ) -> ::coop::__private::ScopedJoinHandle<'__scope, ::core::convert::Infallible> {
        ::coop::__private::spawn_in(
            __scope,
            serve::__description(),
            self.options,
            move || -> ::core::convert::Infallible { serve(port) },
        )
    }
    /// Spawns the task on another thread's Cooperator. One that has finished gives the arguments back.
    #[track_caller]
    fn submit(
        self,
        __remote: &::coop::__private::Remote,
        port: u16,
    ) -> ::core::result::Result<
        ::coop::__private::RemoteJoinHandle<::core::convert::Infallible>,
        (u16,),
    >
    where
        for<'__checked_at_the_call> u16: ::core::marker::Send,
        for<'__checked_at_the_call> ::core::convert::Infallible: ::core::marker::Send,
    {
        ::coop::__private::submit(
            __remote,
            serve::__description(),
            self.options,
            (port,),
            |(port,)| serve(port),
        )
    }
}
