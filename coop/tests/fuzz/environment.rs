//! Values of the variables that a Cooperator reads when it starts.

use crate::child::child;
use crate::generate;
use coop::Builder;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// One line `VARIABLE=value` is an input.
fn start(input: &[u8]) -> &'static str {
    let Some(at) = input.iter().position(|byte| *byte == b'=') else { return "no variable" };
    let (name, value) = (&input[..at], &input[at + 1..]);
    let known = ["COOP_DRIVER", "COOP_HARDENED", "COOP_TASKRUN"];
    let Some(name) = known.into_iter().find(|known| known.as_bytes() == name) else { return "no variable" };
    if value.contains(&0) {
        // The system has no such values.
        return "no value";
    }
    // SAFETY: this process is the test's own, and no other thread of it reads the environment.
    unsafe { std::env::set_var(name, OsStr::from_bytes(value)) };
    let started = Builder::new().run(|| coop::spawn(|| 6 * 7).join().unwrap());
    // SAFETY: as above.
    unsafe { std::env::remove_var(name) };
    let is_known = match name {
        "COOP_DRIVER" => ["", "uring", "epoll"].map(str::as_bytes).contains(&value),
        "COOP_HARDENED" => ["", "0", "1"].map(str::as_bytes).contains(&value),
        // For tests of the runtime itself: anything else is the default.
        _ => true,
    };
    match started {
        Ok(answer) => {
            assert!(is_known && answer == 42, "{name} means something it does not");
            "a Cooperator starts"
        }
        Err(error) => {
            assert!(!is_known, "{error}");
            // The text can be printed, whatever the value was, and names what to change.
            let text = error.to_string();
            assert!(text.contains(name) && error.cure().contains(name), "{text}");
            assert_eq!(error.os_error().kind(), std::io::ErrorKind::InvalidInput);
            "an error that names the variable"
        }
    }
}

#[test]
fn a_value_of_the_environment_starts_a_cooperator_or_is_an_error_that_names_it() {
    child!([("COOP_DRIVER", ""), ("COOP_HARDENED", ""), ("COOP_TASKRUN", "")], || {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus/environment");
        let words: [&[u8]; 9] =
            [b"uring", b"epoll", b"1", b"0", b"COOP_DRIVER=", b"COOP_HARDENED=", b"=", b" ", b"\xff"];
        let kinds = generate::hunt(&corpus, &words, 2_000, start);
        let all = ["a Cooperator starts", "an error that names the variable", "no value", "no variable"];
        assert_eq!(kinds.keys().copied().collect::<Vec<_>>(), all, "{kinds:?}");
    })
    .succeeded();
}
