::core::compile_error! {
    "the task `greet` borrows its argument `name`, which it may outlive\nhelp: own it (`String`, `Vec<T>`, `Rc<T>`), or borrow in a scope: `scope.spawn(|| greet(…))`"
}
fn greet(name: &str) -> &str {
    name.trim()
}
#[doc(hidden)]
#[allow(dead_code, deprecated, non_camel_case_types, clippy::all)]
enum greet {}
#[doc(hidden)]
#[allow(dead_code, deprecated, non_camel_case_types, clippy::all)]
struct __greet_builder {
    options: ::coop::__private::Options,
}
#[allow(dead_code, deprecated, non_camel_case_types, clippy::all)]
impl greet {
    fn __description() -> &'static ::coop::__private::Description {
        static DESCRIPTION: ::coop::__private::Description = ::coop::__private::Description::new(
            "greet",
            ::core::module_path!(),
            ::core::file!(),
            ::core::line!(),
            ::core::option::Option::None,
        );
        &DESCRIPTION
    }
    /// Spawns the task as a child of the current one.
    #[track_caller]
    fn spawn(
        name: impl ::core::marker::Sized,
    ) -> ::coop::__private::JoinHandle<&'static str> {
        ::core::unreachable!()
    }
    /// Spawns the task as a child of `scope`.
    #[track_caller]
    fn spawn_in<'__scope, '__env>(
        __scope: &'__scope ::coop::__private::Scope<'__scope, '__env>,
        name: impl ::core::marker::Sized,
    ) -> ::coop::__private::ScopedJoinHandle<'__scope, &'static str> {
        ::core::unreachable!()
    }
    /// Spawns the task on another thread's Cooperator. One that has finished gives the arguments back.
    #[track_caller]
    fn submit<__Argument0: ::core::marker::Sized>(
        __remote: &::coop::__private::Remote,
        name: __Argument0,
    ) -> ::core::result::Result<
        ::coop::__private::RemoteJoinHandle<&'static str>,
        (__Argument0,),
    >
    where
        for<'__checked_at_the_call> __Argument0: ::core::marker::Send,
        for<'__checked_at_the_call> &'static str: ::core::marker::Send,
    {
        ::core::unreachable!()
    }
    /// Spawns it with a name, a stack or as a daemon of its own.
    fn builder() -> __greet_builder {
        __greet_builder {
            options: ::coop::__private::Options::new(),
        }
    }
}
#[allow(dead_code, deprecated, non_camel_case_types, clippy::all)]
impl __greet_builder {
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
        name: impl ::core::marker::Sized,
    ) -> ::coop::__private::JoinHandle<&'static str> {
        ::core::unreachable!()
    }
    /// Spawns the task as a child of `scope`.
    #[track_caller]
    fn spawn_in<'__scope, '__env>(
        self,
        __scope: &'__scope ::coop::__private::Scope<'__scope, '__env>,
        name: impl ::core::marker::Sized,
    ) -> ::coop::__private::ScopedJoinHandle<'__scope, &'static str> {
        ::core::unreachable!()
    }
    /// Spawns the task on another thread's Cooperator. One that has finished gives the arguments back.
    #[track_caller]
    fn submit<__Argument0: ::core::marker::Sized>(
        self,
        __remote: &::coop::__private::Remote,
        name: __Argument0,
    ) -> ::core::result::Result<
        ::coop::__private::RemoteJoinHandle<&'static str>,
        (__Argument0,),
    >
    where
        for<'__checked_at_the_call> __Argument0: ::core::marker::Send,
        for<'__checked_at_the_call> &'static str: ::core::marker::Send,
    {
        ::core::unreachable!()
    }
}
