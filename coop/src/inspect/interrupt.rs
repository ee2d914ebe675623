//! A thread interrupted by a signal, to wake its loop or to see what its task does.
//!
//! ```text
//!   watchdog's thread                         Cooperator's thread
//!   ─────────────────                         ───────────────────
//!   WANTED: who, in which turn
//!   tgkill ─────────────────────────────────▶ handler, on the alternate stack:
//!                                               is it still that turn?
//!                                               registers, stack and the task's name into CAPTURE
//!   waits for DONE ◀────────────────────────  DONE; back to what it did
//!   moves the copy's pointers into the copy,
//!   walks it, names the functions
//! ```
//!
//! An unwinder is no thing for a signal handler: it takes the loader's locks, and to name functions it allocates, either of which
//! the interrupted code may be in the midst of. So the handler only copies, by plain moves, from its own thread's stack into
//! memory that was mapped before; it calls nothing, and nobody is held up. The copy is walked on the watchdog's thread, whose
//! locks are its own.
//!
//! In the copy each word that points into the stack is moved by the distance of the copy, so that saved frame pointers lead from
//! frame to frame within it. Words that point into code stay; all others are made to point to a page of zeros. So an unwinder that is
//! led astray, by code whose tables are not exact at each instruction, finds zeros and ends, whatever it takes for a pointer.

use crate::scheduler::Scheduler;
use crate::sys;
use crate::task::{Description, Task};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::panic::Location;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The signal that is sent; 0 before the first.
static SIGNAL: AtomicI32 = AtomicI32::new(0);

/// Interrupts a thread of this process, which is not to notice: calls that a signal ends with EINTR aside.
pub(crate) fn poke(thread: libc::pid_t) {
    let signal = signal();
    if signal != 0 {
        // SAFETY: the signal has a handler; a thread that is gone gives an error.
        unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, signal) };
    }
}

/// A real-time signal that nobody else has a use for, from now on with our handler. 0: there is none.
fn signal() -> libc::c_int {
    static CHOOSING: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let known = SIGNAL.load(Ordering::Acquire);
    if known != 0 {
        return known;
    }
    let _choosing = CHOOSING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let known = SIGNAL.load(Ordering::Acquire);
    if known != 0 {
        return known;
    }
    for signal in (libc::SIGRTMIN()..=libc::SIGRTMAX()).rev() {
        // SAFETY: a zeroed sigaction is valid; the handler is async-signal-safe. One that somebody has set meanwhile is put back.
        unsafe {
            let mut current: libc::sigaction = std::mem::zeroed();
            if libc::sigaction(signal, ptr::null(), &mut current) != 0 || current.sa_sigaction != libc::SIG_DFL {
                continue;
            }
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
            if libc::sigaction(signal, &action, &mut current) != 0 {
                continue;
            }
            if current.sa_sigaction != libc::SIG_DFL {
                libc::sigaction(signal, &current, ptr::null_mut());
                continue;
            }
        }
        SIGNAL.store(signal, Ordering::Release);
        return signal;
    }
    0
}

/// How much of a stack is copied, from its low end, where the innermost frames are.
const MOST: usize = 1 << 20;

/// Zeros on either side of the copy, for reads that go astray.
const MARGIN: usize = 1 << 20;

/// Below the stack pointer: leaf functions keep things there.
const RED_ZONE: usize = 128;

/// Nobody wants anything.
const IDLE: u32 = 0;
/// A thread was interrupted, and its handler has not looked.
const WANTED: u32 = 1;
/// Its handler writes.
const WRITING: u32 = 2;
/// There is a result.
const DONE: u32 = 3;
/// It is another turn already.
const GONE: u32 = 4;

/// One at a time: only the thread that watches has a use for it.
struct Capture {
    state: AtomicU32,
    scheduler: AtomicPtr<Scheduler>,
    running: AtomicUsize,
    begun: AtomicU64,
    /// `MARGIN`, the copy, `MARGIN`.
    memory: AtomicPtr<u8>,
    found: UnsafeCell<MaybeUninit<Found>>,
}

// SAFETY: `found` is written between WANTED and DONE by the one handler that took it to WRITING, and read after DONE by the one thread
// that set it to WANTED.
unsafe impl Sync for Capture {}

static CAPTURE: Capture = Capture {
    state: AtomicU32::new(IDLE),
    scheduler: AtomicPtr::new(ptr::null_mut()),
    running: AtomicUsize::new(0),
    begun: AtomicU64::new(0),
    memory: AtomicPtr::new(ptr::null_mut()),
    found: UnsafeCell::new(MaybeUninit::uninit()),
};

/// What a handler writes down. No more than words: names are the program's, and stay.
#[derive(Clone, Copy)]
struct Found {
    registers: Registers,
    /// Where the copy was taken from, and how much: nothing if the thread was not on the task's stack.
    from: usize,
    len: usize,
    top: usize,
    size: usize,
    id: u64,
    name: &'static str,
    description: &'static Description,
    spawned_at: &'static Location<'static>,
}

/// Those that a caller's frame may need. The unwind expressions of `bridge` know the layout.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Registers {
    rip: usize,
    rsp: usize,
    rbx: usize,
    rbp: usize,
    r12: usize,
    r13: usize,
    r14: usize,
    r15: usize,
}

/// A task that was interrupted.
pub(crate) struct Interrupted {
    pub(crate) id: u64,
    pub(crate) name: &'static str,
    pub(crate) description: &'static Description,
    pub(crate) spawned_at: &'static Location<'static>,
    /// Bytes of its stack that were in use; and its size.
    pub(crate) stack: (usize, usize),
    /// Its frames, innermost first. `None` where it could not be told, as when it ran on another stack than its own.
    pub(crate) backtrace: Option<String>,
}

/// Why there is nothing to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missed {
    /// It is another turn already.
    Over,
    /// The thread does not take the signal: it has blocked it, or hangs in the kernel.
    Deaf,
}

/// Interrupts a thread in this turn of its scheduler ([`Pulse::turn`](crate::scheduler::Pulse::turn)), to see what it does. For one
/// thread of the process; not for one that has tasks.
pub(crate) fn interrupt(
    thread: libc::pid_t,
    scheduler: *const Scheduler,
    turn: (usize, u64),
) -> Result<Interrupted, Missed> {
    const PATIENCE: Duration = Duration::from_millis(250);
    if CAPTURE.memory.load(Ordering::Relaxed).is_null() {
        let Ok(memory) = sys::reserve(MOST + 2 * MARGIN) else { return Err(Missed::Deaf) };
        CAPTURE.memory.store(memory, Ordering::Relaxed);
    }
    CAPTURE.scheduler.store(scheduler.cast_mut(), Ordering::Relaxed);
    CAPTURE.running.store(turn.0, Ordering::Relaxed);
    CAPTURE.begun.store(turn.1, Ordering::Relaxed);
    CAPTURE.state.store(WANTED, Ordering::Release);
    poke(thread);
    let began = Instant::now();
    let outcome = loop {
        match CAPTURE.state.load(Ordering::Acquire) {
            WANTED if began.elapsed() > PATIENCE => {
                let withdrawn = CAPTURE.state.compare_exchange(WANTED, IDLE, Ordering::AcqRel, Ordering::Acquire);
                if withdrawn.is_ok() {
                    return Err(Missed::Deaf);
                }
            }
            WANTED | WRITING => std::thread::sleep(Duration::from_micros(200)),
            state => break state,
        }
    };
    CAPTURE.state.store(IDLE, Ordering::Release);
    if outcome != DONE {
        return Err(Missed::Over);
    }
    // SAFETY: DONE says that the handler has written it, and nobody writes before the next WANTED.
    let found = unsafe { (*CAPTURE.found.get()).assume_init() };
    let backtrace = (found.len != 0).then(|| walk(&found)).flatten();
    // What was copied is zeros again for the next.
    // SAFETY: the memory is ours, and the copy has been read.
    unsafe { sys::discard(CAPTURE.memory.load(Ordering::Relaxed), MOST + 2 * MARGIN) };
    Ok(Interrupted {
        id: found.id,
        name: found.name,
        description: found.description,
        spawned_at: found.spawned_at,
        stack: (found.top.saturating_sub(found.registers.rsp).min(found.size), found.size),
        backtrace,
    })
}

unsafe extern "C" fn handler(_: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    if CAPTURE.state.load(Ordering::Relaxed) != WANTED {
        return;
    }
    // On the thread that is wanted nobody else can take it; on another the turn does not fit.
    let scheduler = Scheduler::current();
    if !ptr::eq(scheduler, CAPTURE.scheduler.load(Ordering::Relaxed)) || scheduler.is_null() {
        return;
    }
    if CAPTURE.state.compare_exchange(WANTED, WRITING, Ordering::AcqRel, Ordering::Relaxed).is_err() {
        return;
    }
    let wanted = (CAPTURE.running.load(Ordering::Relaxed), CAPTURE.begun.load(Ordering::Relaxed));
    // SAFETY: it is this thread's, so it is there.
    let is_same = unsafe { (*scheduler).pulse().turn() } == Some(wanted);
    if is_same {
        // SAFETY: `context` is what the kernel has passed to the handler; the same turn, so the task runs, below this handler.
        unsafe { look((*scheduler).running(), context.cast()) };
    }
    CAPTURE.state.store(if is_same { DONE } else { GONE }, Ordering::Release);
}

/// Writes down what the handler's thread was doing.
///
/// # Safety
/// `fiber` is what the handler has interrupted, and `context` what it was given; the state is WRITING.
unsafe fn look(fiber: *const crate::fiber::Fiber, context: *const libc::ucontext_t) {
    // SAFETY: the caller's promise: the task runs, so its record is there, and so is its stack.
    unsafe {
        let task = Task::of(fiber);
        let registers = registers(&*context);
        let (top, size) = task.stack.as_ref().map_or((0, 0), |stack| (stack.top().addr(), stack.size()));
        let bottom = top - size;
        let from = registers.rsp.saturating_sub(RED_ZONE).max(bottom) & !15;
        let is_on_it = (bottom..top).contains(&registers.rsp);
        let len = if is_on_it { (top - from).min(MOST) } else { 0 };
        let memory = CAPTURE.memory.load(Ordering::Relaxed);
        copy(ptr::with_exposed_provenance(from), copy_of(memory, from), len);
        (*CAPTURE.found.get()).write(Found {
            registers,
            from,
            len,
            top,
            size,
            id: task.id.0,
            name: task.name,
            description: task.description,
            spawned_at: task.spawned_at,
        });
    }
}

/// Where the copy of `from` stands: at the same place within a page.
fn copy_of(memory: *mut u8, from: usize) -> *mut u8 {
    memory.wrapping_add(MARGIN - 4096 + from % 4096)
}

/// Copies words. By hand: a sanitizer's `memcpy` would look at what it copies.
///
/// # Safety
/// Both are mapped, aligned to 8, and do not overlap; `len` is a multiple of 8.
unsafe fn copy(from: *const u64, to: *mut u8, len: usize) {
    let to: *mut u64 = to.cast();
    for word in 0..len / 8 {
        // SAFETY: the caller's promise. Volatile, so that it stays a loop of moves.
        unsafe { to.add(word).write_volatile(from.add(word).read_volatile()) };
    }
}

#[cfg(target_arch = "x86_64")]
fn registers(context: &libc::ucontext_t) -> Registers {
    let register = |index: libc::c_int| context.uc_mcontext.gregs[index as usize] as usize;
    Registers {
        rip: register(libc::REG_RIP),
        rsp: register(libc::REG_RSP),
        rbx: register(libc::REG_RBX),
        rbp: register(libc::REG_RBP),
        r12: register(libc::REG_R12),
        r13: register(libc::REG_R13),
        r14: register(libc::REG_R14),
        r15: register(libc::REG_R15),
    }
}

/// Elsewhere nothing is copied, and so nothing walked.
#[cfg(not(target_arch = "x86_64"))]
fn registers(_: &libc::ucontext_t) -> Registers {
    Registers::default()
}

/// The backtrace of the copy.
#[cfg(target_arch = "x86_64")]
fn walk(found: &Found) -> Option<String> {
    let memory = CAPTURE.memory.load(Ordering::Relaxed);
    let copy = copy_of(memory, found.from);
    let distance = copy.addr().wrapping_sub(found.from);
    let code = code();
    let zeros = memory.addr() + 4096;
    let settle = |word: usize| match word {
        word if (found.from..found.top).contains(&word) => word.wrapping_add(distance),
        word if code.iter().any(|range| range.contains(&word)) => word,
        _ => zeros,
    };
    for index in 0..found.len / 8 {
        // SAFETY: within the copy, which is this thread's now.
        unsafe {
            let place = copy.cast::<usize>().add(index);
            place.write(settle(place.read()));
        }
    }
    let mut registers = found.registers;
    registers.rsp = registers.rsp.wrapping_add(distance);
    for register in [
        &mut registers.rbx,
        &mut registers.rbp,
        &mut registers.r12,
        &mut registers.r13,
        &mut registers.r14,
        &mut registers.r15,
    ] {
        *register = settle(*register);
    }
    let mut trace = String::new();
    // SAFETY: the registers lead into the copy, which is not changed meanwhile, or to zeros, at which the walk ends.
    unsafe { with_backtrace_of(&registers, || trace = std::backtrace::Backtrace::force_capture().to_string()) };
    Some(trace)
}

#[cfg(not(target_arch = "x86_64"))]
fn walk(_: &Found) -> Option<String> {
    None
}

/// The addresses of all code that is loaded.
fn code() -> Vec<std::ops::Range<usize>> {
    unsafe extern "C" fn add(info: *mut libc::dl_phdr_info, _: usize, all: *mut libc::c_void) -> libc::c_int {
        // SAFETY: the loader passes an entry with its headers, and what it was given.
        unsafe {
            let all = &mut *all.cast::<Vec<std::ops::Range<usize>>>();
            for index in 0..(*info).dlpi_phnum as usize {
                let header = &*(*info).dlpi_phdr.add(index);
                if header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_X != 0 {
                    let start = ((*info).dlpi_addr + header.p_vaddr) as usize;
                    all.push(start..start + header.p_memsz as usize);
                }
            }
        }
        0
    }
    let mut all: Vec<std::ops::Range<usize>> = Vec::new();
    // SAFETY: the callback only adds to the vector, which is borrowed for the call.
    unsafe { libc::dl_iterate_phdr(Some(add), (&raw mut all).cast()) };
    all
}

/// Calls `f` in such a way that a backtrace taken inside it goes on where the registers are. As
/// [`switch::with_backtrace_of`](crate::switch::with_backtrace_of), for a flow that was stopped at any instruction, not at a switch: all registers
/// that a frame may have saved count, and the instruction pointer is that of the next instruction, not of one behind a call.
///
/// # Safety
/// The registers lead along frames that are not changed meanwhile.
#[cfg(target_arch = "x86_64")]
unsafe fn with_backtrace_of<F: FnMut()>(registers: &Registers, mut f: F) {
    extern "C" fn call<F: FnMut()>(f: *mut ()) {
        // SAFETY: the closure that is held on the caller's frame until `bridge` returns.
        unsafe { (*f.cast::<F>())() }
    }
    // SAFETY: the caller's promise; `call::<F>` fits `f`.
    unsafe { bridge(registers, call::<F>, (&raw mut f).cast()) }
}

/// A frame whose unwind rules say "I am a signal handler's, and the registers of what I have interrupted are where rbx points".
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
unsafe extern "C" fn bridge(registers: *const Registers, f: extern "C" fn(*mut ()), argument: *mut ()) {
    std::arch::naked_asm!(
        ".cfi_startproc",
        ".cfi_signal_frame",
        "push rbx",
        ".cfi_adjust_cfa_offset 8",
        "mov rbx, rdi",
        ".cfi_remember_state",
        ".cfi_escape 0x0f, 3, 0x73, 8, 0x06",
        ".cfi_escape 0x10, 16, 2, 0x73, 0",
        ".cfi_escape 0x10, 3, 2, 0x73, 16",
        ".cfi_escape 0x10, 6, 2, 0x73, 24",
        ".cfi_escape 0x10, 12, 2, 0x73, 32",
        ".cfi_escape 0x10, 13, 2, 0x73, 40",
        ".cfi_escape 0x10, 14, 2, 0x73, 48",
        ".cfi_escape 0x10, 15, 2, 0x73, 56",
        "mov rdi, rdx",
        "call rsi",
        ".cfi_restore_state",
        "pop rbx",
        ".cfi_adjust_cfa_offset -8",
        "ret",
        ".cfi_endproc",
    )
}
