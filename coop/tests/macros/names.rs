//! What the macros name is what the runtime provides: the list in `coop-macros`, held there against what its expansions
//! contain, is held here against `coop::__private`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The names between the brackets of `NAMES` in `coop-macros/src/names.rs`.
fn listed() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../coop-macros/src/names.rs");
    let text = fs::read_to_string(path).unwrap();
    let list = text.split_once("pub const NAMES: &[&str] = &[").unwrap().1.split_once("];").unwrap().0;
    let names = list.lines().map(str::trim).filter(|line| !line.starts_with("//") && !line.is_empty());
    names.map(|line| line.trim_matches(['"', ',']).to_owned()).collect()
}

/// Each of them is there: as a type, a trait or a function. A name that is not makes this file fail to compile, and one that
/// is missing here, or too much, the test below.
macro_rules! provided {
    ($($name:ident)*) => {
        #[allow(unused_imports)]
        mod by_name {
            pub use coop::__private::{$($name),*};
        }

        fn provided() -> BTreeSet<String> {
            [$(stringify!($name)),*].map(str::to_owned).into()
        }
    };
}

provided! {
    Acquired CalledOperand Cons Coordination Description EmbeddedEntry JoinHandle Killed MainOptions Nil Operand Options Out Remote RemoteJoinHandle
    Scope ScopedJoinHandle SelectMode Selected TestOptions all_arms_disabled coordinate join main select spawn spawn_in
    submit test
}

#[test]
fn each_name_in_the_list_of_the_macros_is_provided() {
    let listed = listed();
    assert!(listed.len() > 20, "the list was read: {listed:?}");
    assert_eq!(listed, provided());
}

/// The types that a user meets in the signature of what a macro has written are the public ones.
#[test]
fn the_types_in_generated_signatures_have_public_names() {
    fn same<T>(_: Option<T>, _: Option<T>) {}
    same::<coop::JoinHandle<u8>>(None, None::<by_name::JoinHandle<u8>>);
    same::<coop::ScopedJoinHandle<'static, u8>>(None, None::<by_name::ScopedJoinHandle<'static, u8>>);
    same::<coop::RemoteJoinHandle<u8>>(None, None::<by_name::RemoteJoinHandle<u8>>);
    same::<coop::Remote>(None, None::<by_name::Remote>);
    same::<coop::Killed>(None, None::<by_name::Killed>);
    same::<coop::Acquired<'static>>(None, None::<by_name::Acquired<'static>>);
    same::<&coop::Scope<'static, 'static>>(None, None::<&by_name::Scope<'static, 'static>>);
}
