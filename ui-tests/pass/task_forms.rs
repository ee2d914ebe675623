//! A task is a function and a type of one name: one `use` imports both, renamed or by a glob.
mod inner {
    #[coop::task(stack = "64k", name = "worker")]
    pub fn work(n: u32) -> u32 {
        if n == 0 { 0 } else { n + work(n - 1) }
    }

    #[coop::task]
    pub fn largest<T: Ord + Clone + 'static>(values: Vec<T>) -> Option<T> {
        values.iter().max().cloned()
    }
}

use inner::work as labour;
use inner::*;

mod echo {}

#[coop::task(as = echo_task)]
fn echo(text: String) -> String {
    text
}

#[coop::main]
fn main() -> Result<(), coop::JoinError> {
    #[coop::task]
    fn local((a, b): (u32, u32), mut c: u32) -> u32 {
        c += 1;
        a + b + c
    }

    assert_eq!(work(3), 6);
    assert_eq!(labour::spawn(4).join()?, 10);
    assert_eq!(largest::spawn(vec![1, 3, 2]).join()?, Some(3));
    assert_eq!(largest::spawn::<u8>(vec![]).join()?, None);
    assert_eq!(echo_task::spawn(echo("hi".to_owned())).join()?, "hi");
    assert_eq!(local::spawn((1, 2), 3).join()?, 7);
    assert_eq!(coop::wait_all(|s| work::spawn_in(s, 2).join())?, 3);
    assert_eq!(work::builder().name("other").stack(128 << 10).daemon().spawn(1).join()?, 1);
    Ok(())
}
