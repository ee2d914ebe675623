//! Attempts to get something out of where it belongs. None compiles; `//~` at the end of a line says what is wrong there.
//! Not a module: `escapes::mod` gives it to the compiler.

use coop::list::{EmbeddedList, Entry};
use coop::net::UnixStream;
use coop::sync::Mutex;
use coop::{Coordinator, Handle, Operation, Scope, ScopedJoinHandle, TryScope, op};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;

// A child that borrows what goes before it ends.

fn a_child_borrows_from_the_body() {
    coop::wait_all(|s| {
        let inside = String::new();
        s.spawn(|| inside.len()); //~ E0373
    });
}

fn a_child_holds_a_reference_into_the_body() {
    coop::wait_all(|s| {
        let inside = String::new();
        let reference = &inside; //~ E0597
        s.spawn(move || reference.len());
    });
}

fn a_child_returns_a_reference_into_the_body() {
    coop::wait_all(|s| {
        let inside = String::new();
        let child = s.spawn({
            let reference = &inside; //~ E0597
            move || reference
        });
        drop(child);
    });
}

fn a_child_fails_with_a_reference_into_the_body() {
    let _: Result<(), &str> = coop::scope(|s| {
        let inside = String::new();
        let reference = &*inside; //~ E0597
        s.try_spawn(move || Err::<(), &str>(reference));
        Ok(())
    });
}

fn a_child_borrows_what_another_changes() {
    let mut count = 0;
    coop::wait_all(|s| {
        s.spawn(|| count += 1);
        s.spawn(|| count += 1); //~ E0499
    });
}

fn a_detached_task_borrows() {
    let local = String::new();
    drop(coop::spawn(|| local.len())); //~ E0373
}

fn a_detached_task_takes_a_reference() {
    let local = String::new();
    let reference = &local; //~ E0597
    drop(coop::spawn(move || reference.len()));
}

// Something of a scope that leaves it.

fn a_scoped_handle_is_returned() {
    let _handle = coop::wait_all(|s| s.spawn(|| 1)); //~ plain
}

fn a_scoped_handle_is_put_aside() {
    let mut aside = None;
    coop::wait_all(|s| {
        aside = Some(s.spawn(|| 1)); //~ E0521
    });
}

fn a_scope_is_put_aside() {
    let mut aside: Option<&Scope<'_, '_>> = None;
    coop::wait_all(|s| aside = Some(s)); //~ E0521
}

fn a_scope_is_put_aside_through_the_one_that_derefs_to_it() {
    let mut aside: Option<&Scope<'_, '_>> = None;
    let _: Result<(), ()> = coop::scope(|s: &TryScope<'_, '_, ()>| {
        aside = Some(&**s); //~ E0521
        Ok(())
    });
}

fn a_scope_is_given_to_a_detached_task() {
    coop::wait_all(|s| {
        drop(coop::spawn(move || s.kill())); //~ E0521
    });
}

fn a_scoped_handle_is_given_to_a_detached_task() {
    coop::wait_all(|s| {
        let mut child = s.spawn(|| 1);
        drop(coop::spawn(move || child.join())); //~ E0521
    });
}

fn an_operation_in_flight_is_returned() {
    let _handle = coop::wait_all(|s| s.start(op::after(Duration::ZERO))); //~ plain
}

fn an_operation_in_flight_is_put_aside() {
    let mut aside = None;
    coop::wait_all(|s| {
        aside = Some(s.start(op::after(Duration::ZERO))); //~ E0521
    });
}

fn a_childs_value_brings_an_operation_out() {
    let _value = coop::wait_all(|s| s.spawn(|| s.start(op::after(Duration::ZERO))).join()); //~ plain
}

// Memory and descriptors that the kernel has.

fn a_lent_buffer_is_written(conn: &UnixStream) {
    let mut buffer = [0; 8];
    coop::wait_all(|s| {
        let incoming = s.start(op::recv(conn, &mut buffer));
        buffer[0] = 1; //~ E0506
        drop(incoming);
    });
}

fn a_lent_buffer_is_read_after_its_handle_was_forgotten(conn: &UnixStream) {
    let mut buffer = [0; 8];
    coop::wait_all(|s| {
        std::mem::forget(s.start(op::recv(conn, &mut buffer)));
        println!("{}", buffer[0]); //~ E0502
    });
}

fn a_buffer_is_lent_twice(conn: &UnixStream) {
    let mut buffer = [0; 8];
    coop::wait_all(|s| {
        let first = s.start(op::recv(conn, &mut buffer));
        let second = s.start(op::recv(conn, &mut buffer)); //~ E0499
        drop((first, second));
    });
}

fn two_arms_share_a_buffer(one: &UnixStream, other: &UnixStream) {
    let mut buffer = [0; 8];
    let _ = coop::select! {
        n = op::recv(one, &mut buffer) => n.is_ok(),
        n = op::recv(other, &mut buffer) => n.is_ok(), //~ plain
    };
}

fn a_buffer_of_the_body_is_lent(conn: &UnixStream) {
    coop::wait_all(|s| {
        let mut inside = [0; 8];
        let incoming = s.start(op::recv(conn, &mut inside)); //~ E0597
        std::mem::forget(incoming);
    });
}

fn a_descriptor_is_closed_while_its_operation_flies() {
    let (conn, _peer) = UnixStream::pair().unwrap();
    let mut buffer = [0; 8];
    coop::wait_all(|s| {
        std::mem::forget(s.start(op::recv(&conn, &mut buffer))); //~ E0597
        drop(conn); //~ E0505
    });
}

fn a_descriptor_goes_to_another_thread_while_its_operation_flies() {
    let (conn, _peer) = UnixStream::pair().unwrap();
    let mut buffer = [0; 8];
    coop::wait_all(|s| {
        let incoming = s.start(op::recv(&conn, &mut buffer)); //~ E0597
        std::thread::spawn(move || conn.shutdown(std::net::Shutdown::Both)); //~ E0505
        drop(incoming);
    });
}

fn an_operation_is_waited_for_twice(conn: &UnixStream) {
    let mut buffer = [0; 8];
    let receive = op::recv(conn, &mut buffer);
    let _ = receive.wait();
    let _ = receive.wait(); //~ E0382
}

fn a_handle_is_waited_for_twice() {
    coop::wait_all(|s| {
        let late = s.start(op::after(Duration::ZERO));
        let _ = late.wait();
        let _ = late.wait(); //~ E0382
    });
}

// Guards that outlive what they guard.

fn a_coordinator_goes_before_its_guard() {
    let door = Coordinator::new();
    let inside = door.try_acquire();
    drop(door); //~ E0505
    drop(inside);
}

fn a_mutex_goes_before_its_guard() {
    let mutex = Mutex::new(1);
    let guard = mutex.try_lock();
    drop(mutex); //~ E0505
    drop(guard);
}

fn a_sender_goes_before_its_permit() {
    let (tx, _rx) = coop::chan::bounded::<u8>(1);
    let permit = tx.reserve();
    drop(tx); //~ E0505
    drop(permit);
}

// Lifetimes that are stretched or shrunk.

fn a_mutex_shrinks<'a>(mutex: &'a Mutex<&'static str>) -> &'a Mutex<&'a str> {
    mutex //~ plain
}

fn a_list_shrinks<'a>(list: Pin<&'a EmbeddedList<Entry<&'static str>>>) -> Pin<&'a EmbeddedList<Entry<&'a str>>> {
    list //~ plain
}

fn what_a_scope_may_borrow_shrinks<'s, 'short, 'long: 'short>(s: &'s Scope<'s, 'long>) -> &'s Scope<'s, 'short> {
    s //~ plain
}

fn what_a_scope_may_borrow_grows<'s, 'short: 's, 'long: 'short>(s: &'s Scope<'s, 'short>) -> &'s Scope<'s, 'long> {
    s //~ plain
}

fn a_scope_shrinks<'short, 'long: 'short>(s: &'short Scope<'long, 'long>) -> &'short Scope<'short, 'long> {
    s //~ plain
}

fn a_scoped_handle_grows<'s>(handle: ScopedJoinHandle<'s, u8>) -> ScopedJoinHandle<'static, u8> {
    handle //~ plain
}

fn an_operation_in_flight_grows<'s, O: Operation>(handle: Handle<'s, O>) -> Handle<'static, O> {
    handle //~ plain
}

fn a_leaked_entry_is_smuggled_into_a_longer_list() {
    fn smuggle<'a>(list: Pin<&EmbeddedList<Entry<&'a str>>>, text: &'a str) {
        let entry = Box::pin(Entry::new(text));
        list.push_back(entry.as_ref());
        std::mem::forget(entry);
    }
    let list = pin!(EmbeddedList::new());
    {
        let text = String::from("gone");
        smuggle(list.as_ref(), &text); //~ E0597
    }
    list.front(|text| println!("{}", text.value()));
}

fn a_linked_entry_is_moved() {
    let list = pin!(EmbeddedList::new());
    let entry = pin!(Entry::new(1));
    list.as_ref().push_back(entry.as_ref());
    let _moved = *entry; //~ E0507
}

fn an_entry_is_linked_before_it_is_pinned() {
    let list = pin!(EmbeddedList::new());
    let entry = Entry::new(1);
    list.as_ref().push_back(&entry); //~ E0308
}

// What belongs to one thread.

fn a_join_handle_leaves_its_thread() {
    let mut handle = coop::spawn(|| 1);
    std::thread::spawn(move || handle.join().is_ok()); //~ E0277
}

fn a_scope_leaves_its_thread() {
    coop::wait_all(|s| {
        std::thread::scope(|threads| {
            threads.spawn(|| s.kill()); //~ E0277
        });
    });
}

fn an_operation_in_flight_leaves_its_thread() {
    coop::wait_all(|s| {
        let late = s.start(op::after(Duration::ZERO));
        std::thread::scope(|threads| {
            threads.spawn(move || drop(late)); //~ E0277
        });
    });
}

fn a_coordinator_is_shared_between_threads() {
    let door = Coordinator::new();
    std::thread::scope(|threads| {
        threads.spawn(|| door.release()); //~ E0277
    });
}

fn a_mutex_leaves_its_thread() {
    let mutex = Mutex::new(1);
    std::thread::spawn(move || mutex.into_inner()); //~ E0277
}

fn a_sender_leaves_its_thread() {
    let (tx, _rx) = coop::chan::bounded(1);
    std::thread::spawn(move || tx.try_send(1).is_ok()); //~ E0277
}

fn a_signal_leaves_its_thread(signal: coop::signal::Signal) {
    std::thread::spawn(move || drop(signal)); //~ E0277
}

fn a_list_leaves_its_thread() {
    let list = Box::pin(EmbeddedList::<Entry<u8>>::new());
    std::thread::spawn(move || list.clear()); //~ E0277
}

fn a_job_takes_what_is_not_send(remote: coop::Remote) {
    let local = Rc::new(1);
    let _ = remote.submit(move || drop(local)); //~ E0277
}

fn a_job_returns_what_is_not_send(remote: coop::Remote) {
    let _ = remote.submit(|| Rc::new(1)); //~ E0277
}

// What only this crate makes.

struct Forged;

struct Sealed;

impl coop::net::Connected for Forged {} //~ E0277 E0046

impl coop::net::Stream for Sealed {} //~ E0277

impl coop::net::Sealed for Sealed {} //~ E0603

unsafe impl coop::Arm for Forged {} //~ E0277 E0046

impl Operation for Forged {} //~ E0277 E0046

fn a_scope_is_made() {
    let _ = Scope::new(); //~ E0624
}

fn an_operation_that_can_be_half_done_is_an_arm(conn: &UnixStream) {
    let _ = coop::select! {
        sent = op::send_all(conn, b"all") => sent.is_ok(), //~ E0277
    };
}

fn main() {}
