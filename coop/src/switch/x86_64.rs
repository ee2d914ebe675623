//! The switch on x86_64, System V.

use std::arch::{asm, naked_asm};

/// Where a flow of control that is not running goes on. The unwind expressions of [`bridge`] know this layout.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) rip: usize,
    pub(crate) rsp: usize,
    rbx: usize,
    rbp: usize,
    #[cfg(asan)]
    pub(super) bounds: super::asan::Bounds,
    #[cfg(tsan)]
    pub(super) flow: super::tsan::Flow,
}

impl Context {
    /// A context that must be written by a [`switch`] away, or by [`prepare`], before anything switches to it.
    pub(crate) const fn unset() -> Self {
        Context {
            rip: 0,
            rsp: 0,
            rbx: 0,
            rbp: 0,
            #[cfg(asan)]
            bounds: super::asan::Bounds::UNKNOWN,
            #[cfg(tsan)]
            flow: super::tsan::Flow::UNKNOWN,
        }
    }
}

/// A context that, when switched to, calls `entry(argument)` on the stack that ends at `top`.
///
/// # Safety
/// `top` is 16-byte aligned and the high end of writable memory deep enough for `entry`, which never returns.
#[inline]
pub(crate) unsafe fn prepare(top: *mut u8, entry: unsafe extern "C" fn(*mut ()) -> !, argument: *mut ()) -> Context {
    debug_assert!(top.addr().is_multiple_of(16));
    // The trampoline finds its argument in rbx and the function in rbp, the two registers a switch restores.
    let trampoline: unsafe extern "C" fn() -> ! = trampoline;
    Context {
        rip: trampoline as usize,
        rsp: top as usize,
        rbx: argument as usize,
        rbp: entry as *const () as usize,
        #[cfg(asan)]
        bounds: super::asan::Bounds::UNKNOWN,
        #[cfg(tsan)]
        flow: super::tsan::Flow::UNKNOWN,
    }
}

/// Saves the running flow into `from` and goes on with `to`. Returns when something switches to `from`.
///
/// # Safety
/// * `to` was written by [`prepare`] or by a switch, and has not been gone on with since.
/// * Both flows belong to the calling thread: thread-local addresses that the compiler has cached stay true.
/// * The stack that `to` runs on stays mapped, and is used by nobody else, until it is switched away from.
#[inline(always)]
pub(crate) unsafe fn switch(from: *mut Context, to: *const Context) {
    // SAFETY: every register that the other flow may change is an output here, but rbx and rbp, which the block restores
    // itself, and rsp, which has the same value at `2:` as at the start. Without `nostack` the compiler keeps nothing
    // below rsp. Memory is not declared untouched, so it holds no value of shared memory over the block.
    unsafe {
        asm!(
            "lea rax, [rip + 2f]",
            "mov [rdi], rax",
            "mov [rdi + 8], rsp",
            "mov [rdi + 16], rbx",
            "mov [rdi + 24], rbp",
            "mov rsp, [rsi + 8]",
            "mov rbx, [rsi + 16]",
            "mov rbp, [rsi + 24]",
            "jmp qword ptr [rsi]",
            "2:",
            inout("rdi") from => _,
            inout("rsi") to => _,
            out("r12") _, out("r13") _, out("r14") _, out("r15") _,
            clobber_abi("sysv64"),
        );
    }
}

/// The first frame of every stack. `.cfi_undefined rip` tells unwinders that there is no caller.
#[unsafe(naked)]
unsafe extern "C" fn trampoline() -> ! {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_undefined rip",
        "mov rdi, rbx",
        "mov rax, rbp",
        "xor ebp, ebp",
        "call rax",
        "ud2",
        ".cfi_endproc",
    )
}

/// Calls `f` in such a way that a backtrace taken inside it continues into the flow parked at `context`.
///
/// `f` runs on the caller's stack and touches none of the parked one. It must not unwind: `extern "C"` closures abort.
///
/// # Safety
/// `context` was written by [`switch`] or [`prepare`] on this thread, and its flow does not run meanwhile.
pub(crate) unsafe fn with_backtrace_of<F: FnMut()>(context: *const Context, mut f: F) {
    extern "C" fn call<F: FnMut()>(f: *mut ()) {
        // SAFETY: `f` is the closure that `with_backtrace_of` holds on its frame until `bridge` returns.
        unsafe { (*f.cast::<F>())() }
    }
    // SAFETY: the caller's promise for `context`; `call::<F>` matches the type of `f`.
    unsafe { bridge(context, call::<F>, (&raw mut f).cast()) }
}

/// A frame whose unwind rules say "my caller's registers are in the `Context` that rbx points to".
///
/// As DWARF: CFA = \*(rbx + 8) (the parked rsp); rip at rbx + 0, rbx at rbx + 16, rbp at rbx + 24.
#[unsafe(naked)]
unsafe extern "C" fn bridge(context: *const Context, f: extern "C" fn(*mut ()), argument: *mut ()) {
    naked_asm!(
        ".cfi_startproc",
        "push rbx",
        ".cfi_adjust_cfa_offset 8",
        "mov rbx, rdi",
        ".cfi_remember_state",
        ".cfi_escape 0x0f, 3, 0x73, 8, 0x06",
        ".cfi_escape 0x10, 16, 2, 0x73, 0",
        ".cfi_escape 0x10, 3, 2, 0x73, 16",
        ".cfi_escape 0x10, 6, 2, 0x73, 24",
        "mov rdi, rdx",
        "call rsi",
        ".cfi_restore_state",
        "pop rbx",
        ".cfi_adjust_cfa_offset -8",
        "ret",
        ".cfi_endproc",
    )
}
