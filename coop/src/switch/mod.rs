//! The stack switch: how one flow of control becomes another.
//!
//! ```text
//!   Context (32 bytes)                      a parked flow's stack
//!   ┌──────┬─────────────────────────┐      ┌──────────────────────────────┐ high
//!   │ rip  │ where to go on          │      │ entry trampoline             │  .cfi_undefined rip: backtraces end here
//!   │ rsp  │ ───────────────────────────┐   │ task's main                  │
//!   │ rbx  │ LLVM's two reserved     │  │   │ … the user's frames …        │
//!   │ rbp  │ registers               │  └─▶ │ the frame that inlined switch│  everything else it needs it has spilled itself
//!   └──────┴─────────────────────────┘      └──────────────────────────────┘ low
//! ```
//!
//! The switch is inline assembly that names every register as clobbered except rbx and rbp, which LLVM does not let us
//! name: the compiler saves exactly what it needs at each switch site, and nothing where nothing is live. The four words go
//! to a `Context`, not to the stack: the stack pointer is the same before and after, so unwind tables stay exact at the
//! resume point without any directive. Resumption is an indirect `jmp`: a `ret` to another stack misses the return
//! predictor every time (20 ns a round trip against 3).
//!
//! MXCSR and the x87 control word are not saved: code that changes them across a wait changes them for the thread, as a
//! callback that does so would.

#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::{Context, with_backtrace_of};
#[cfg(all(target_arch = "x86_64", not(any(asan, tsan))))]
pub(crate) use x86_64::{prepare, switch};

#[cfg(asan)]
pub(crate) mod asan;
#[cfg(asan)]
pub(crate) use asan::{prepare, switch};

#[cfg(tsan)]
pub(crate) mod tsan;
#[cfg(tsan)]
pub(crate) use tsan::{prepare, switch};

#[cfg(not(target_arch = "x86_64"))]
compile_error!("coop's stack switch is written for x86_64 only so far");

#[cfg(test)]
mod tests;
