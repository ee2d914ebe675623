use proc_macro2::TokenStream;
use quote::quote;

use super::expand;
use crate::snapshots::{assert_items, messages, mistakes};

fn wrong(options: TokenStream, item: TokenStream) -> Vec<String> {
    mistakes(&expand(options, item))
}

/// Asserts that a function is fine as a task.
fn right(options: TokenStream, item: TokenStream) {
    let expansion = expand(options, item);
    assert_eq!(messages(&expansion), [""; 0]);
    syn::parse2::<syn::File>(expansion).expect("the expansion parses");
}

// ---- expansions

#[test]
fn a_plain_task() {
    let item = quote! {
        /// Echoes.
        pub(crate) fn session(conn: TcpStream, limit: Duration) -> io::Result<()> {
            conn.echo(limit)
        }
    };
    assert_items("task", expand(quote!(), item));
}

#[test]
fn a_task_with_everything() {
    let options = quote!(name = "worker", stack = "64k", as = work_task, crate = my::coop);
    let item = quote! {
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
    };
    assert_items("task_full", expand(options, item));
}

#[test]
fn a_task_that_blocks_is_warned_of() {
    assert_items(
        "task_blocking",
        expand(
            quote!(),
            quote!(
                fn nap() {
                    std::thread::sleep(SECOND);
                }
            ),
        ),
    );
}

#[test]
fn results_without_a_name() {
    assert_items(
        "task_impl",
        expand(
            quote!(),
            quote!(
                fn numbers() -> impl Iterator<Item = u8> {
                    0..3
                }
            ),
        ),
    );
    assert_items(
        "task_never",
        expand(
            quote!(),
            quote!(
                fn serve(port: u16) -> ! {
                    run(port)
                }
            ),
        ),
    );
}

#[test]
fn after_a_mistake_everything_is_still_there() {
    let item = quote!(
        fn greet(name: &str) -> &str {
            name.trim()
        }
    );
    assert_items("task_mistake", expand(quote!(), item));
    let item = quote!(
        fn fetch(name: String) -> u8 {
            get(name).await
        }
    );
    assert_items("task_mistake_await", expand(quote!(), item));
    let item = quote!(
        fn read(&self, name: String) -> u8 {
            self.get(name)
        }
    );
    assert_items("task_mistake_method", expand(quote!(), item));
}

#[test]
fn a_body_that_does_not_parse_is_left_alone() {
    let item = quote!(fn f() { let x = self::; a. });
    let expansion = expand(quote!(), item);
    assert!(mistakes(&expansion).is_empty());
    assert!(expansion.to_string().contains("let x = self :: ; a ."));
}

// ---- the function

#[test]
fn qualifiers_are_reported() {
    assert_eq!(
        wrong(
            quote!(),
            quote!(
                const async unsafe extern "C" fn f() {}
            )
        ),
        [
            "`#[coop::task]` on an `async fn`: coop runs ordinary functions",
            "`#[coop::task]` on a `const fn`: it could not wait for anything",
            "`#[coop::task]` on an `extern` function",
            "`#[coop::task]` on an `unsafe fn`: spawning it would be a safe call",
        ]
    );
    assert_eq!(
        wrong(
            quote!(),
            quote!(
                unsafe extern "C" fn f(x: u8, ...) {}
            )
        )
        .last()
        .map(String::as_str),
        Some("`#[coop::task]` on a function with variable arguments")
    );
}

#[test]
fn only_free_functions_are_tasks() {
    for receiver in [quote!(self), quote!(&self), quote!(&mut self), quote!(self: Rc<Self>)] {
        assert_eq!(
            wrong(quote!(), quote!(fn f(#receiver) {})),
            ["`#[coop::task]` on a method: a task is a free function"]
        );
    }
    assert_eq!(
        wrong(
            quote!(),
            quote!(
                fn new() -> Self {
                    Self
                }
            )
        ),
        ["`#[coop::task]` on an associated function: a task is a free function"]
    );
    assert_eq!(
        wrong(
            quote!(),
            quote!(
                fn f();
            )
        ),
        ["`#[coop::task]` on a function without a body, as in a trait"]
    );
}

#[test]
fn other_items_are_named() {
    for (item, kind) in [
        (
            quote!(
                struct A;
            ),
            "a struct",
        ),
        (quote!(impl A { fn f() {} }), "an impl block"),
        (
            quote!(
                mod a {
                    fn f() {}
                }
            ),
            "a module",
        ),
        (
            quote!(
                const A: u8 = 1;
            ),
            "a constant",
        ),
        (
            quote!(
                trait A {}
            ),
            "a trait",
        ),
    ] {
        let expansion = expand(quote!(), item.clone());
        assert_eq!(mistakes(&expansion), [format!("`#[coop::task]` stands on a function, not on {kind}")]);
        assert!(expansion.to_string().ends_with(&item.to_string()), "the item stays");
    }
}

#[test]
fn borrowed_arguments_are_reported() {
    let item = quote!(
        fn f(a: &str, b: Option<&mut [u8]>, c: Ref<'_, u8>, d: Box<dyn Read + 'a>, e: &'static [&str]) {}
    );
    let expected = ["a", "b", "c", "d", "e"]
        .map(|name| format!("the task `f` borrows its argument `{name}`, which it may outlive"));
    assert_eq!(wrong(quote!(), item), expected);
}

#[test]
fn what_is_borrowed_at_a_call_is_not_borrowed_by_the_task() {
    right(
        quote!(),
        quote!(
            fn f(a: &'static str, b: fn(&str) -> &str, c: Box<dyn Fn(&str)>, d: impl FnOnce(&mut u8)) {}
        ),
    );
    right(
        quote!(),
        quote!(
            fn f(a: impl for<'a> Handler<&'a str>, b: Cow<'static, str>) {}
        ),
    );
}

#[test]
fn an_argument_under_a_condition_is_reported() {
    assert_eq!(
        wrong(
            quote!(),
            quote!(
                fn f(#[cfg(unix)] a: u8) {}
            )
        ),
        ["`#[coop::task]` on a function with a `#[cfg]` argument"]
    );
}

// ---- the body

#[test]
fn awaits_and_bare_loops_are_reported() {
    assert_eq!(
        wrong(
            quote!(),
            quote!(
                fn f() {
                    a.await;
                    let b = async { c.await };
                    if d {
                        e.await
                    }
                    loop {}
                }
            )
        ),
        [
            "`.await` in a task: coop runs ordinary functions, not futures",
            "`.await` in a task: coop runs ordinary functions, not futures",
            "`loop {}` never waits: every other task of this thread stops for ever",
        ]
    );
    assert_eq!(
        wrong(
            quote!(),
            quote!(
                async fn f() {
                    a.await
                }
            )
        )
        .len(),
        1
    );
}

#[test]
fn blocking_calls_have_a_level() {
    let item = quote!(
        fn f() {
            std::thread::sleep(a);
            ::std::fs::read(b);
            thread::park();
            std::net::TcpStream::connect(c);
            std::process::Command::new(d).output();
            // Not known to block, or known not to be std's:
            fs::read(b);
            std::iter::empty();
            let e = || std::thread::sleep(a);
        }
    );
    let warnings = |expansion: TokenStream| expansion.to_string().matches("const blocking_call").count();
    assert_eq!(warnings(expand(quote!(), item.clone())), 5);
    assert_eq!(warnings(expand(quote!(warn(blocking)), item.clone())), 5);
    assert_eq!(warnings(expand(quote!(allow(blocking)), item.clone())), 0);
    let denied = wrong(quote!(deny(blocking)), item);
    assert_eq!(denied.len(), 5);
    assert_eq!(denied[0], "`std::thread::sleep` blocks the thread, and with it every task of it");
}

// ---- options

#[test]
fn stacks_are_sizes() {
    let stack = |options: TokenStream| {
        expand(
            options,
            quote!(
                fn f() {}
            ),
        )
        .to_string()
    };
    assert!(stack(quote!(stack = "64k")).contains("65536usize"));
    assert!(stack(quote!(stack = "1m")).contains("1048576usize"));
    assert!(stack(quote!(stack = 32768)).contains("32768usize"));
    let too_small = ["a stack of 32767 bytes is below the minimum of 32k: a panic alone needs most of that"];
    assert_eq!(
        wrong(
            quote!(stack = 32767),
            quote!(
                fn f() {}
            )
        ),
        too_small
    );
    for value in [quote!("64kb"), quote!(64k), quote!(-1), quote!(true), quote!("")] {
        assert_eq!(
            wrong(
                quote!(stack = #value),
                quote!(
                    fn f() {}
                )
            ),
            ["`stack` does not take this value"]
        );
    }
}

#[test]
fn unknown_options_get_a_guess() {
    let help = |options: TokenStream| {
        messages(&expand(
            options,
            quote!(
                fn f() {}
            ),
        ))
        .join("\n")
    };
    assert_eq!(help(quote!(stak = 1)), "`#[coop::task]` has no option `stak`\nhelp: did you mean `stack`?");
    assert_eq!(
        help(quote!(priority = 1)),
        "`#[coop::task]` has no option `priority`\n\
         help: the options are `name`, `stack`, `as`, `crate`, `allow`, `warn` and `deny`"
    );
    assert_eq!(help(quote!(allow(blokcing))), "there is no lint `blokcing`\nhelp: did you mean `blocking`?");
}

#[test]
fn mistakes_in_options_are_reported_together() {
    let options = quote!(name, name = "b", as = 5, 7, deny, allow(blocking), warn(blocking), crate = "x");
    assert_eq!(
        wrong(
            options,
            quote!(
                fn f() {}
            )
        ),
        [
            "`name` is given twice",
            "this is no option of `#[coop::task]`",
            "`name` does not take this value",
            "`as` does not take this value",
            "`deny` does not take this value",
            "two levels are given for the lint `blocking`",
            "`crate` does not take this value",
        ]
    );
    assert_eq!(
        wrong(
            quote!(name = ""),
            quote!(
                fn f() {}
            )
        ),
        ["a task's name is empty"]
    );
}
