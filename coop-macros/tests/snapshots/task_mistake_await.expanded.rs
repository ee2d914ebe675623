::core::compile_error! {
    "`.await` in a task: coop runs ordinary functions, not futures\nhelp: call coop's blocking function instead: it waits by itself, and other tasks run meanwhile"
}
#[allow(unused_variables, dead_code)]
fn fetch(name: String) -> u8 {
    #[allow(unused_variables, dead_code)]
    async fn __awaiting(name: String) -> u8 {
        get(name).await
    }
    ::core::unreachable!()
}
#[doc(hidden)]
#[allow(dead_code, deprecated, non_camel_case_types, clippy::all)]
enum fetch {}
#[doc(hidden)]
#[allow(dead_code, deprecated, non_camel_case_types, clippy::all)]
struct __fetch_builder {
    options: ::coop::__private::Options,
}
#[allow(dead_code, deprecated, non_camel_case_types, clippy::all)]
impl fetch {
    fn __description() -> &'static ::coop::__private::Description {
        static DESCRIPTION: ::coop::__private::Description = ::coop::__private::Description::new(
            "fetch",
            ::core::module_path!(),
            ::core::file!(),
            ::core::line!(),
            ::core::option::Option::None,
        );
        &DESCRIPTION
    }
    /// Spawns the task as a child of the current one.
    #[track_caller]
    fn spawn(name: String) -> ::coop::__private::JoinHandle<u8> {
        ::core::unreachable!()
    }
    /// Spawns the task as a child of `scope`.
    #[track_caller]
    fn spawn_in<'__scope, '__env>(
        __scope: &'__scope ::coop::__private::Scope<'__scope, '__env>,
        name: String,
    ) -> ::coop::__private::ScopedJoinHandle<'__scope, u8> {
        ::core::unreachable!()
    }
    /// Spawns the task on another thread's Cooperator. One that has finished gives the arguments back.
    #[track_caller]
    fn submit(
        __remote: &::coop::__private::Remote,
        name: String,
    ) -> ::core::result::Result<::coop::__private::RemoteJoinHandle<u8>, (String,)>
    where
        for<'__checked_at_the_call> String: ::core::marker::Send,
        for<'__checked_at_the_call> u8: ::core::marker::Send,
    {
        ::core::unreachable!()
    }
    /// Spawns it with a name, a stack or as a daemon of its own.
    fn builder() -> __fetch_builder {
        __fetch_builder {
            options: ::coop::__private::Options::new(),
        }
    }
}
#[allow(dead_code, deprecated, non_camel_case_types, clippy::all)]
impl __fetch_builder {
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
    fn spawn(self, name: String) -> ::coop::__private::JoinHandle<u8> {
        ::core::unreachable!()
    }
    /// Spawns the task as a child of `scope`.
    #[track_caller]
    fn spawn_in<'__scope, '__env>(
        self,
        __scope: &'__scope ::coop::__private::Scope<'__scope, '__env>,
        name: String,
    ) -> ::coop::__private::ScopedJoinHandle<'__scope, u8> {
        ::core::unreachable!()
    }
    /// Spawns the task on another thread's Cooperator. One that has finished gives the arguments back.
    #[track_caller]
    fn submit(
        self,
        __remote: &::coop::__private::Remote,
        name: String,
    ) -> ::core::result::Result<::coop::__private::RemoteJoinHandle<u8>, (String,)>
    where
        for<'__checked_at_the_call> String: ::core::marker::Send,
        for<'__checked_at_the_call> u8: ::core::marker::Send,
    {
        ::core::unreachable!()
    }
}
