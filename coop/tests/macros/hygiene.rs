//! Expansions mean what they say whatever the names around them mean.

/// Every name that an expansion might be suspected of using, with another meaning.
#[allow(dead_code, unused_imports, non_camel_case_types, non_upper_case_globals)]
mod other_meanings {
    pub struct Ok;
    pub struct Err;
    pub struct Some;
    pub struct None;
    pub struct Option;
    pub struct Result;
    pub struct String;
    pub struct Vec;
    pub struct Box;
    pub struct bool;
    pub struct str;
    pub struct usize;
    pub trait Send {}
    pub trait Sized {}
    pub trait Drop {}
    pub trait Unpin {}
    pub trait From {}
    pub trait Into {}
    pub trait Fn {}
    pub trait FnOnce {}
    pub fn drop() {}
    pub fn panic() {}
    pub mod core {}
    pub mod std {}
    pub mod coop {}
    pub mod alloc {}

    #[allow(unused_macros)]
    macro_rules! wrong {
        ($($any:tt)*) => {
            ::core::compile_error!("a macro of the user's is no macro of the expansion's")
        };
    }
    pub(crate) use wrong as panic;
    pub(crate) use wrong as unreachable;
    pub(crate) use wrong as concat;
    pub(crate) use wrong as module_path;
    pub(crate) use wrong as file;
    pub(crate) use wrong as line;
    pub(crate) use wrong as vec;
    pub(crate) use wrong as matches;
    pub(crate) use wrong as todo;
}

/// All of them shadowed, all macros used.
#[allow(unused_imports)]
mod shadowed {
    use super::other_meanings::*;
    // What is imported by a glob yields to the prelude's macros in some places, so the macros by name.
    use super::other_meanings::{concat, file, line, matches, module_path, panic, unreachable, vec};

    #[::coop::task(name = "shadowed", stack = "128k", warn(blocking))]
    pub fn add<T: ::core::convert::Into<u32> + 'static>((a, _): (T, u8), b: impl ::core::convert::Into<u32>) -> u32 {
        a.into() + b.into()
    }

    #[::coop::task]
    pub fn never() -> ! {
        ::std::panic!("never")
    }

    pub fn all() -> ::core::result::Result<[u32; 6], ::std::boxed::Box<dyn ::std::error::Error>> {
        let mut task = add::spawn((1_u16, 2), 3_u8);
        let (__out, __output, __value, __guard_0, __never, __killed, __cause, __scope) = (1, 2, 3, true, 4, 5, 6, 7);
        let names = __out + __output + __value + __never + __killed + __cause + __scope;
        let selected = ::coop::select! {
            ::core::result::Result::Ok(n) = &mut task if __guard_0 else { 0 } => n,
            ::core::result::Result::Ok(n) = ::coop::op::receive(&::coop::chan::bounded(1).1) => n,
            _ = ::coop::op::after(::std::time::Duration::MAX) => 1000,
            else => 10,
            complete => 20,
        }?;
        let plain =
            ::coop::select! { _ = ::coop::op::after(::std::time::Duration::MAX) => 50, killed(_) => 40, default => 30 };
        let doors = (::coop::Coordinator::held(), ::coop::Coordinator::new());
        let coordinated = ::coop::coordinate!(&doors.0, &doors.1)?.index();
        let timed = ::coop::coordinate!(&doors.0, timeout = ::std::time::Duration::ZERO)?.is_none();
        let (joined, _) = ::coop::join!(add((1_u8, 1), 1_u8), ())?;
        let never = never::spawn().join().is_err();
        ::core::result::Result::Ok([
            selected,
            plain,
            u32::try_from(coordinated)?,
            u32::from(timed),
            joined,
            names + u32::from(never),
        ])
    }

    #[derive(::coop::EmbeddedEntry)]
    pub struct Entry<T> {
        pub value: T,
        #[embedded]
        pub link: ::coop::list::Link,
    }

    /// The function under the attribute is the user's, and its body sees the user's names.
    #[::coop::test(seed = 1, schedules = 2)]
    fn a_test() {
        let _: (Ok, Some, Result) = (Ok, Some, Result);
    }
}

/// Nothing is in scope that is not asked for.
mod without_a_prelude {
    #![no_implicit_prelude]

    #[::coop::task]
    pub fn add(a: u32, b: u32) -> u32 {
        a + b
    }

    #[::coop::task]
    pub fn sum<I: ::std::iter::IntoIterator<Item = u32>>(terms: I) -> ::std::option::Option<u32> {
        ::std::iter::Iterator::reduce(::std::iter::IntoIterator::into_iter(terms), |a, b| a + b)
    }

    #[derive(::coop::EmbeddedEntry)]
    pub struct Entry {
        #[embedded]
        link: ::coop::list::Link,
    }

    pub fn all() -> ::std::result::Result<(u32, usize, (u32, u32)), ::coop::Killed> {
        let mut task = add::spawn(1, 2);
        let selected = ::coop::select! {
            biased;
            _ = ::coop::op::after(::std::time::Duration::MAX), if false => 0,
            n = &mut task => match n {
                ::std::result::Result::Ok(n) => n,
                ::std::result::Result::Err(_) => return ::std::result::Result::Ok((0, 0, (0, 0))),
            },
        }?;
        let door = ::coop::Coordinator::new();
        let index = ::coop::coordinate!(&door)?.index();
        ::std::result::Result::Ok((selected, index, ::coop::join!(add(1, 1), add(2, 2))?))
    }

    #[::coop::test]
    fn a_test() {
        let entry = Entry { link: ::coop::list::Link::new() };
        ::std::assert!(!entry.link.is_linked());
        ::std::assert!(::std::matches!(
            sum::spawn([1, 2]).join(),
            ::std::result::Result::Ok(::std::option::Option::Some(3))
        ));
    }
}

#[coop::test]
fn where_every_name_has_another_meaning() {
    assert_eq!(shadowed::all().unwrap(), [4, 30, 1, 1, 2, 29]);
    let list = std::pin::pin!(coop::list::EmbeddedList::new());
    let entry = std::pin::pin!(shadowed::Entry { value: 1, link: coop::list::Link::new() });
    list.as_ref().push_back(entry.as_ref());
    assert_eq!(list.front(|entry| entry.value), Some(1));
}

#[coop::test]
fn where_no_name_has_any_meaning() {
    assert_eq!(without_a_prelude::all(), Ok((3, 0, (2, 4))));
}

/// Variables of an expansion and of its user are strangers, also where one `select!` stands in another.
#[coop::test]
fn variables_do_not_meet() -> Result<(), coop::Killed> {
    use coop::op;
    use std::time::Duration;

    let __out = "mine";
    let __value = coop::select! {
        () = op::after(Duration::ZERO) => coop::select! {
            __output = op::after(Duration::ZERO) => (__out, __output),
        }?,
    }?;
    assert_eq!(__value, ("mine", ()));
    Ok(())
}
