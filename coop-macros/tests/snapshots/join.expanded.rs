fn expression() {
    let _ = ::coop::__private::join((|| first::<A, B>(&x), || { second() }));
}
