//! Expansions name nothing that a user may have given another meaning.
#![allow(dead_code, non_camel_case_types)]
#![deny(warnings)]

mod shadows {
    pub struct Ok;
    pub struct Err;
    pub struct Some;
    pub struct None;
    pub struct Option;
    pub struct Result;
    pub struct bool;
    pub mod std {}
    pub mod core {}
}

mod user {
    #![allow(unused_imports)]
    use super::shadows::*;

    #[coop::task]
    pub fn one() -> u32 {
        1
    }

    pub fn first() -> u32 {
        let mut task = one::spawn();
        let __out = 40;
        let answer = coop::select! {
            value = &mut task => match value { ::core::result::Result::Ok(value) => value + __out, _ => 0 },
            killed(_) => 0,
        };
        answer + 1
    }

    pub fn free() -> usize {
        let door = coop::Coordinator::new();
        match coop::coordinate!(&door) {
            ::core::result::Result::Ok(acquired) => acquired.index(),
            ::core::result::Result::Err(_) => 9,
        }
    }
}

fn main() {
    coop::run(|| assert_eq!((user::first(), user::free()), (42, 0)));
}
