//! The right ways next to the wrong ones of `refused.rs`: all of them compile, so that what is refused there is refused for what
//! it does. Not a module: `escapes::mod` gives it to the compiler.

use coop::list::{EmbeddedList, Entry};
use coop::net::UnixStream;
use coop::{Operation, Scope, ScopedJoinHandle, op};
use std::pin::{Pin, pin};
use std::time::Duration;

fn a_child_borrows_from_around_the_scope() -> usize {
    let mut outside = String::new();
    coop::wait_all(|s| {
        s.spawn(|| outside.push('x'));
    });
    outside.len()
}

fn a_child_fails_with_a_reference_from_around_the_scope(outside: &str) -> Result<(), &str> {
    coop::scope(|s| {
        s.try_spawn(move || Err::<(), &str>(outside));
        Ok(())
    })
}

fn a_childs_value_is_returned() -> Result<i32, coop::JoinError> {
    coop::wait_all(|s| s.spawn(|| 1).join())
}

fn a_child_spawns_a_sibling() {
    coop::wait_all(|s| {
        s.spawn(|| {
            s.spawn(|| 1);
        });
    });
}

fn a_handle_goes_to_a_child() {
    coop::wait_all(|s| {
        let late = s.start(op::after(Duration::ZERO));
        s.spawn(move || late.wait());
    });
}

fn a_buffer_comes_back_with_its_result(conn: &UnixStream, buffer: &mut [u8]) -> std::io::Result<usize> {
    let received = coop::wait_all(|s| s.start(op::recv(conn, buffer)).wait())?;
    let n = received.n();
    received.into_buf()[0] = 1;
    Ok(n)
}

fn a_buffer_is_free_after_the_scope(conn: &UnixStream) -> u8 {
    let mut buffer = [0; 8];
    coop::wait_all(|s| std::mem::forget(s.start(op::recv(conn, &mut buffer))));
    buffer[0]
}

fn a_buffer_is_free_after_its_operation_was_dropped(conn: &UnixStream) -> u8 {
    let mut buffer = [0; 8];
    drop(op::recv(conn, &mut buffer));
    buffer[0]
}

fn a_scoped_handle_shrinks<'short, 'long: 'short>(handle: ScopedJoinHandle<'long, u8>) -> ScopedJoinHandle<'short, u8> {
    handle
}

fn an_entry_shrinks<'a>(list: Pin<&EmbeddedList<Entry<&'a str>>>, entry: Pin<&Entry<&'static str>>) {
    list.push_back(entry);
}

fn entries_of_a_list_borrow_what_outlives_it() {
    let text = String::from("stays");
    let list = pin!(EmbeddedList::new());
    let entry = pin!(Entry::new(&*text));
    list.as_ref().push_back(entry.as_ref());
}

fn a_scope_is_passed_down<'s>(s: &'s Scope<'s, '_>) -> ScopedJoinHandle<'s, ()> {
    s.spawn(|| s.kill())
}

fn a_connection_goes_to_another_thread(conn: UnixStream) {
    std::thread::spawn(move || coop::run(|| conn.recv(&mut [0; 8])));
}

fn an_operation_in_flight_is_an_arm(conn: &UnixStream) -> std::io::Result<()> {
    coop::scope(|s| {
        let mut sending = s.start(op::send_all(conn, b"all"));
        coop::select! { sent = &mut sending => sent.map(drop) }?
    })
}

fn main() {}
