//! What a stack overflow says before the process dies.
//!
//! A task that runs into its guard faults. The handler runs on an alternate stack, finds the running task's guard around the
//! fault address, and prints the task, its stack's size, and how to raise it, with `write(2)` only: no lock, no allocation.
//! Then it aborts. Other faults go to the handler that was there before: Rust's own, for the thread's own stack.
//!
//! How an address is told to be in a guard is up to the layers above, which know tasks: [`set_describer`].

use crate::sys;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicPtr, Ordering};

/// What the handler prints of the task that overflowed.
pub(crate) struct Overflow {
    pub(crate) task: u64,
    pub(crate) name: &'static str,
    pub(crate) size: usize,
}

/// Called in a signal handler: says whose guard `address` is in.
pub(crate) type Describer = fn(address: usize) -> Option<Overflow>;

static DESCRIBER: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

struct Previous(std::cell::UnsafeCell<[MaybeUninit<libc::sigaction>; 2]>);

// SAFETY: written once, under `Once`, before the handler that reads it is installed.
unsafe impl Sync for Previous {}

static PREVIOUS: Previous = Previous(std::cell::UnsafeCell::new([MaybeUninit::uninit(); 2]));

const SIGNALS: [libc::c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// Tells the handler how to find out whose guard an address is in.
pub(crate) fn set_describer(describer: Describer) {
    DESCRIBER.store(describer as *mut (), Ordering::Release);
}

/// Has the calling thread report overflows: installs the process's handler, once, and sees that the thread has an alternate
/// stack. Threads that Rust started have one; the returned guard removes one that was added.
pub(crate) fn watch_thread() -> AlternateStack {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        for (index, signal) in SIGNALS.into_iter().enumerate() {
            // SAFETY: a zeroed sigaction is valid; the handler is async-signal-safe; `PREVIOUS` is written before the handler
            // can run, and only here.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = handler as *const () as usize;
                action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
                let previous = (&mut *PREVIOUS.0.get())[index].as_mut_ptr();
                libc::sigaction(signal, ptr::null(), previous);
                libc::sigaction(signal, &action, ptr::null_mut());
            }
        }
    });
    AlternateStack::ensure()
}

/// An alternate signal stack that was added for a Cooperator; removed when dropped.
pub(crate) struct AlternateStack(Option<Box<[u8]>>);

impl AlternateStack {
    const SIZE: usize = 64 * 1024;

    fn ensure() -> Self {
        // SAFETY: asks for the current alternate stack, and sets one of our own only if there is none. The memory stays until
        // `drop` has removed it.
        unsafe {
            let mut current: libc::stack_t = std::mem::zeroed();
            if libc::sigaltstack(ptr::null(), &mut current) == 0 && current.ss_flags & libc::SS_DISABLE == 0 {
                return AlternateStack(None);
            }
            let mut memory = vec![0u8; Self::SIZE].into_boxed_slice();
            let stack = libc::stack_t { ss_sp: memory.as_mut_ptr().cast(), ss_flags: 0, ss_size: Self::SIZE };
            libc::sigaltstack(&stack, ptr::null_mut());
            AlternateStack(Some(memory))
        }
    }
}

impl Drop for AlternateStack {
    fn drop(&mut self) {
        if self.0.is_some() {
            // SAFETY: disables the stack that `ensure` set for this thread, before its memory goes.
            unsafe {
                let stack = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
                libc::sigaltstack(&stack, ptr::null_mut());
            }
        }
    }
}

unsafe extern "C" fn handler(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid siginfo. A code above zero says that the kernel itself raised the fault, so that there
    // is an address.
    let address = unsafe { if (*info).si_code > 0 { Some((*info).si_addr().addr()) } else { None } };
    let describer = DESCRIBER.load(Ordering::Acquire);
    if let Some(address) = address
        && !describer.is_null()
    {
        // SAFETY: only `set_describer` writes it.
        let describer = unsafe { std::mem::transmute::<*mut (), Describer>(describer) };
        if let Some(overflow) = describer(address) {
            report(&overflow);
            // SAFETY: abort is async-signal-safe.
            unsafe { libc::abort() };
        }
    }
    // SAFETY: `PREVIOUS` was written before this handler was installed; a previous handler is called as the kernel would.
    unsafe {
        let index = usize::from(signal != SIGNALS[0]);
        let previous = (&*PREVIOUS.0.get())[index].assume_init_ref();
        match previous.sa_sigaction {
            libc::SIG_DFL | libc::SIG_IGN => {
                // The fault happens again when the handler returns, and then kills the process as it would have.
                libc::sigaction(signal, previous, ptr::null_mut());
            }
            function if previous.sa_flags & libc::SA_SIGINFO != 0 => {
                let function: unsafe extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
                    std::mem::transmute(function);
                function(signal, info, context);
            }
            function => {
                let function: unsafe extern "C" fn(libc::c_int) = std::mem::transmute(function);
                function(signal);
            }
        }
    }
}

fn report(overflow: &Overflow) {
    let mut message = Message { bytes: [0; 512], len: 0 };
    message.text("\ncoop: task #");
    message.number(overflow.task);
    message.text(" '");
    message.text(overflow.name);
    message.text("' has overflowed its stack of ");
    message.number(overflow.size as u64 / 1024);
    message.text(" KiB\ncoop: raise it with #[coop::task(stack = \"");
    // What to write is the figure of a release build, doubled.
    message.number(overflow.size as u64 / 1024 * 2 / (super::scaled(1) as u64));
    message.text("k\")], TaskBuilder::stack or Builder::stack");
    if cfg!(debug_assertions) {
        message.text(" (debug builds give four times that)");
    }
    message.text("\n");
    sys::write_stderr(&message.bytes[..message.len]);
}

struct Message {
    bytes: [u8; 512],
    len: usize,
}

impl Message {
    fn text(&mut self, text: &str) {
        let room = self.bytes.len() - self.len;
        let text = &text.as_bytes()[..text.len().min(room)];
        self.bytes[self.len..self.len + text.len()].copy_from_slice(text);
        self.len += text.len();
    }

    fn number(&mut self, mut number: u64) {
        let mut digits = [0u8; 20];
        let mut start = digits.len();
        loop {
            start -= 1;
            digits[start] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        // Digits are ASCII.
        self.text(std::str::from_utf8(&digits[start..]).unwrap_or("?"));
    }
}
