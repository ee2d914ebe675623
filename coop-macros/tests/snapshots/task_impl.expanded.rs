fn numbers() -> impl Iterator<Item = u8> {
    0..3
}
#[doc(hidden)]
#[allow(dead_code, deprecated, non_camel_case_types, clippy::all)]
enum numbers {}
#[doc(hidden)]
#[allow(dead_code, deprecated, non_camel_case_types, clippy::all)]
struct __numbers_builder {
    options: ::coop::__private::Options,
}
#[allow(dead_code, deprecated, non_camel_case_types, clippy::all)]
impl numbers {
    fn __description() -> &'static ::coop::__private::Description {
        static DESCRIPTION: ::coop::__private::Description = ::coop::__private::Description::new(
            "numbers",
            ::core::module_path!(),
            ::core::file!(),
            ::core::line!(),
            ::core::option::Option::None,
        );
        &DESCRIPTION
    }
    /// Spawns the task as a child of the current one.
    #[track_caller]
    fn spawn() -> ::coop::__private::JoinHandle<impl Iterator<Item = u8> + 'static> {
        ::coop::__private::spawn(
            numbers::__description(),
            ::coop::__private::Options::new(),
            move || numbers(),
        )
    }
    /// Spawns the task as a child of `scope`.
    #[track_caller]
    fn spawn_in<'__scope, '__env>(
        __scope: &'__scope ::coop::__private::Scope<'__scope, '__env>,
    ) -> ::coop::__private::ScopedJoinHandle<
        '__scope,
        impl Iterator<Item = u8> + '__scope,
    > {
        ::coop::__private::spawn_in(
            __scope,
            numbers::__description(),
            ::coop::__private::Options::new(),
            move || numbers(),
        )
    }
    /// Spawns it with a name, a stack or as a daemon of its own.
    fn builder() -> __numbers_builder {
        __numbers_builder {
            options: ::coop::__private::Options::new(),
        }
    }
}
#[allow(dead_code, deprecated, non_camel_case_types, clippy::all)]
impl __numbers_builder {
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
    fn spawn(self) -> ::coop::__private::JoinHandle<impl Iterator<Item = u8> + 'static> {
        ::coop::__private::spawn(
            numbers::__description(),
            self.options,
            move || numbers(),
        )
    }
    /// Spawns the task as a child of `scope`.
    #[track_caller]
    fn spawn_in<'__scope, '__env>(
        self,
        __scope: &'__scope ::coop::__private::Scope<'__scope, '__env>,
    ) -> ::coop::__private::ScopedJoinHandle<
        '__scope,
        impl Iterator<Item = u8> + '__scope,
    > {
        ::coop::__private::spawn_in(
            __scope,
            numbers::__description(),
            self.options,
            move || numbers(),
        )
    }
}
