/// Echoes.
pub(crate) fn session(conn: TcpStream, limit: Duration) -> io::Result<()> {
    conn.echo(limit)
}
#[doc(hidden)]
#[allow(dead_code, deprecated, non_camel_case_types, clippy::all)]
pub(crate) enum session {}
#[doc(hidden)]
#[allow(dead_code, deprecated, non_camel_case_types, clippy::all)]
pub(crate) struct __session_builder {
    options: ::coop::__private::Options,
}
#[allow(dead_code, deprecated, non_camel_case_types, clippy::all)]
impl session {
    fn __description() -> &'static ::coop::__private::Description {
        static DESCRIPTION: ::coop::__private::Description = ::coop::__private::Description::new(
            "session",
            ::core::module_path!(),
            ::core::file!(),
            ::core::line!(),
            ::core::option::Option::None,
        );
        &DESCRIPTION
    }
    /// Spawns the task as a child of the current one.
    #[track_caller]
    pub(crate) fn spawn(
        conn: TcpStream,
        limit: Duration,
    ) -> ::coop::__private::JoinHandle<io::Result<()>> {
        ::coop::__private::spawn(
            session::__description(),
            ::coop::__private::Options::new(),
            move || session(conn, limit),
        )
    }
    /// Spawns the task as a child of `scope`.
    #[track_caller]
    pub(crate) fn spawn_in<'__scope, '__env>(
        __scope: &'__scope ::coop::__private::Scope<'__scope, '__env>,
        conn: TcpStream,
        limit: Duration,
    ) -> ::coop::__private::ScopedJoinHandle<'__scope, io::Result<()>> {
        ::coop::__private::spawn_in(
            __scope,
            session::__description(),
            ::coop::__private::Options::new(),
            move || session(conn, limit),
        )
    }
    /// Spawns the task on another thread's Cooperator. One that has finished gives the arguments back.
    #[track_caller]
    pub(crate) fn submit(
        __remote: &::coop::__private::Remote,
        conn: TcpStream,
        limit: Duration,
    ) -> ::core::result::Result<
        ::coop::__private::RemoteJoinHandle<io::Result<()>>,
        (TcpStream, Duration),
    >
    where
        for<'__checked_at_the_call> TcpStream: ::core::marker::Send,
        for<'__checked_at_the_call> Duration: ::core::marker::Send,
        for<'__checked_at_the_call> io::Result<()>: ::core::marker::Send,
    {
        ::coop::__private::submit(
            __remote,
            session::__description(),
            ::coop::__private::Options::new(),
            (conn, limit),
            |(conn, limit)| session(conn, limit),
        )
    }
    /// Spawns it with a name, a stack or as a daemon of its own.
    pub(crate) fn builder() -> __session_builder {
        __session_builder {
            options: ::coop::__private::Options::new(),
        }
    }
}
#[allow(dead_code, deprecated, non_camel_case_types, clippy::all)]
impl __session_builder {
    /// What dumps and reports call the task.
    pub(crate) fn name(self, name: &'static ::core::primitive::str) -> Self {
        Self {
            options: self.options.name(name),
        }
    }
    /// The size of its stack in bytes.
    pub(crate) fn stack(self, bytes: ::core::primitive::usize) -> Self {
        Self {
            options: self.options.stack(bytes),
        }
    }
    /// Kills the task, rather than awaiting it, when its parent returns.
    pub(crate) fn daemon(self) -> Self {
        Self {
            options: self.options.daemon(),
        }
    }
    /// Spawns the task as a child of the current one.
    #[track_caller]
    pub(crate) fn spawn(
        self,
        conn: TcpStream,
        limit: Duration,
    ) -> ::coop::__private::JoinHandle<io::Result<()>> {
        ::coop::__private::spawn(
            session::__description(),
            self.options,
            move || session(conn, limit),
        )
    }
    /// Spawns the task as a child of `scope`.
    #[track_caller]
    pub(crate) fn spawn_in<'__scope, '__env>(
        self,
        __scope: &'__scope ::coop::__private::Scope<'__scope, '__env>,
        conn: TcpStream,
        limit: Duration,
    ) -> ::coop::__private::ScopedJoinHandle<'__scope, io::Result<()>> {
        ::coop::__private::spawn_in(
            __scope,
            session::__description(),
            self.options,
            move || session(conn, limit),
        )
    }
    /// Spawns the task on another thread's Cooperator. One that has finished gives the arguments back.
    #[track_caller]
    pub(crate) fn submit(
        self,
        __remote: &::coop::__private::Remote,
        conn: TcpStream,
        limit: Duration,
    ) -> ::core::result::Result<
        ::coop::__private::RemoteJoinHandle<io::Result<()>>,
        (TcpStream, Duration),
    >
    where
        for<'__checked_at_the_call> TcpStream: ::core::marker::Send,
        for<'__checked_at_the_call> Duration: ::core::marker::Send,
        for<'__checked_at_the_call> io::Result<()>: ::core::marker::Send,
    {
        ::coop::__private::submit(
            __remote,
            session::__description(),
            self.options,
            (conn, limit),
            |(conn, limit)| session(conn, limit),
        )
    }
}
