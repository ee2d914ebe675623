//! What the rows ask of the system: clocks of threads, descriptors, memory, cores.

use std::io;
use std::time::Duration;

/// The clock that runs while one thread does: what other processes take of the core is not on it.
#[derive(Clone, Copy)]
pub struct CpuClock(libc::clockid_t);

impl CpuClock {
    /// Of all threads of this process.
    pub const OF_PROCESS: CpuClock = CpuClock(libc::CLOCK_PROCESS_CPUTIME_ID);

    /// The calling thread's. Other threads may read it while this one lives.
    pub fn of_this_thread() -> Self {
        let mut clock = 0;
        // SAFETY: the calling thread exists; there is room for one clock id.
        let error = unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &mut clock) };
        assert_eq!(error, 0, "pthread_getcpuclockid: {}", io::Error::from_raw_os_error(error));
        CpuClock(clock)
    }

    /// How long the thread has run.
    pub fn now(self) -> Duration {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: there is room for one timespec.
        let result = unsafe { libc::clock_gettime(self.0, &mut time) };
        assert_eq!(result, 0, "the thread of a clock has ended: {}", io::Error::last_os_error());
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }
}

/// How long all threads of the process have run, those of the kernel that work for it included.
pub fn process_cpu() -> Duration {
    CpuClock(libc::CLOCK_PROCESS_CPUTIME_ID).now()
}

/// Where the threads of a row run.
#[derive(Clone, Copy)]
pub enum Core {
    /// What is measured.
    Measured,
    /// What keeps it busy: a client.
    Other,
}

/// Binds the calling thread to a core of its own, where there are two.
pub fn pin(core: Core) {
    // SAFETY: an all-zero set is valid; the calls read and write it for its size. Core numbers come from the set itself.
    unsafe {
        let size = size_of::<libc::cpu_set_t>();
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        // The process's first thread is bound too: the kernel's idea of what is allowed is asked of the parent's default.
        let allowed: Vec<usize> = allowed_cores();
        let [.., other, measured] = allowed[..] else { return };
        let chosen = match core {
            Core::Measured => measured,
            Core::Other => other,
        };
        libc::CPU_SET(chosen, &mut set);
        libc::sched_setaffinity(0, size, &set);
    }
}

/// The cores this process was started with.
fn allowed_cores() -> Vec<usize> {
    static ALLOWED: std::sync::OnceLock<Vec<usize>> = std::sync::OnceLock::new();
    let allowed = ALLOWED.get_or_init(|| {
        // SAFETY: an all-zero set is valid; the call writes at most its size.
        unsafe {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) != 0 {
                return Vec::new();
            }
            (0..libc::CPU_SETSIZE as usize).filter(|core| libc::CPU_ISSET(*core, &set)).collect()
        }
    });
    allowed.clone()
}

/// Sees that `wanted` descriptors can be open. Gives how many can.
pub fn raise_descriptors(wanted: u64) -> u64 {
    // SAFETY: the calls read or write one rlimit.
    unsafe {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        if limit.rlim_cur >= wanted {
            return limit.rlim_cur;
        }
        // Raising the hard limit is root's; everybody may go up to it.
        let raised = libc::rlimit { rlim_cur: wanted, rlim_max: limit.rlim_max.max(wanted) };
        if libc::setrlimit(libc::RLIMIT_NOFILE, &raised) == 0 {
            return wanted;
        }
        let raised = libc::rlimit { rlim_cur: limit.rlim_max.min(wanted), rlim_max: limit.rlim_max };
        libc::setrlimit(libc::RLIMIT_NOFILE, &raised);
        raised.rlim_cur
    }
}

/// Gives the calling thread a descriptor table of its own, a copy of the process's, whose limit counts anew.
pub fn unshare_descriptors() -> io::Result<()> {
    // SAFETY: the thread goes on with copies of all descriptors, so what it owns stays valid in it.
    if unsafe { libc::unshare(libc::CLONE_FILES) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Descriptors open now.
pub fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("/proc is mounted").count()
}

/// What a process holds of memory, as the kernel counts it.
#[derive(Clone, Copy)]
pub struct Memory {
    /// `VmRSS`, in bytes.
    pub resident: f64,
    /// `VmPTE`, in bytes: page tables, which are not part of the resident figure.
    pub page_tables: f64,
    /// Lines of `/proc/self/maps`.
    pub mappings: f64,
}

impl Memory {
    /// Of this process, now.
    pub fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").expect("/proc is mounted");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the kernel has the field");
            line.trim().trim_end_matches(" kB").trim().parse::<f64>().expect("a number of KiB") * 1024.0
        };
        let maps = std::fs::read_to_string("/proc/self/maps").expect("/proc is mounted");
        Memory { resident: field("VmRSS:"), page_tables: field("VmPTE:"), mappings: maps.lines().count() as f64 }
    }
}
