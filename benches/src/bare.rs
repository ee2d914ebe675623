//! The least there is to compare with: flows without a runtime. A switch that is inlined, stacks cut from one guarded mapping,
//! and nothing that decides who runs: whoever switches says to whom.

use std::arch::asm;
use std::io;
use std::ptr;

/// Where a flow that does not run goes on: its stack pointer, under which lies what `switch` has pushed.
pub type Parked = *mut usize;

/// Parks the running flow in `from`, and goes on with `to`, which is given `argument`: as its entry's if it starts, else as what
/// this returns to it. So who runs next need not be looked up in memory that the flow before has just written.
///
/// # Safety
/// `to` was parked by this function or made by `prepare`, on this thread, and runs nowhere else. What the running flow refers
/// to stays until it is resumed.
#[inline(always)]
pub unsafe fn switch(from: *mut Parked, to: Parked, argument: usize) -> usize {
    let given;
    // SAFETY: every register that a flow may rely on is either saved on its own stack (rbx and rbp, which asm cannot name) or
    // declared as changed; the caller vouches for `to`.
    unsafe {
        asm!(
            "lea rax, [rip + 2f]",
            "push rbx",
            "push rbp",
            "push rax",
            "mov [rcx], rsp",
            "mov rsp, rdx",
            "pop rax",
            "jmp rax",
            "2:",
            "pop rbp",
            "pop rbx",
            inlateout("rcx") from => _,
            inlateout("rdx") to => _,
            inlateout("rdi") argument => given,
            out("r12") _, out("r13") _, out("r14") _, out("r15") _,
            clobber_abi("sysv64"),
        )
    }
    given
}

/// A flow that will begin in `entry`.
///
/// # Safety
/// Nobody else uses the stack below `top`, which is aligned to 16.
#[inline(always)]
pub unsafe fn prepare(top: *mut u8, entry: extern "C" fn(usize) -> !) -> Parked {
    // SAFETY: two words below the top, which is the caller's to give. The entry finds its stack as if it had been called.
    unsafe {
        let words = top.cast::<usize>();
        words.sub(1).write(0);
        words.sub(2).write(entry as usize);
        words.sub(2)
    }
}

/// Stacks of one size in one mapping, each with a guard below it: what coop's tasks have.
pub struct Stacks {
    base: *mut u8,
    count: usize,
    size: usize,
}

const GUARD: usize = 4096;
const MADV_GUARD_INSTALL: libc::c_int = 102;

impl Stacks {
    /// So many stacks of `size` bytes, untouched. Guards are put up when a stack is asked for.
    pub fn new(count: usize, size: usize) -> Self {
        let len = count * (size + GUARD);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a fresh mapping where the kernel likes.
        let base = unsafe { libc::mmap(ptr::null_mut(), len, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
        assert_ne!(base, libc::MAP_FAILED, "{}", io::Error::last_os_error());
        // SAFETY: the mapping is ours. A huge page for each stack would be what nobody wants.
        unsafe { libc::madvise(base, len, libc::MADV_NOHUGEPAGE) };
        Stacks { base: base.cast(), count, size }
    }

    /// The top of a stack, its guard up. Tops are shifted by cache lines: at the same place in every page a store to one would
    /// look like the load from the next, and a thousand would share 32 sets of the second-level cache.
    pub fn guarded(&self, index: usize) -> *mut u8 {
        assert!(index < self.count);
        // SAFETY: both are within the mapping; the guard's page is nobody's.
        unsafe {
            let bottom = self.base.add(index * (self.size + GUARD));
            let result = libc::madvise(bottom.cast(), GUARD, MADV_GUARD_INSTALL);
            // Before Linux 6.13, at the price of a mapping.
            if result != 0 {
                assert_eq!(libc::mprotect(bottom.cast(), GUARD, libc::PROT_NONE), 0, "{}", io::Error::last_os_error());
            }
            bottom.add(GUARD + self.size - (index + index / 32) % 16 * 128)
        }
    }
}

impl Drop for Stacks {
    fn drop(&mut self) {
        // SAFETY: the mapping is this object's; whoever uses a stack has ended, or is never resumed and owns nothing.
        unsafe { libc::munmap(self.base.cast(), self.count * (self.size + GUARD)) };
    }
}
