//! The limit: loops that do nothing but read, written by hand.

use super::{BLOCK, Blocks, Clocks, Job, Page, look, open};
use io_uring::types::Fd;
use io_uring::{IoUring, opcode};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

/// `pread`, one after the other.
pub fn pread(job: Job) -> io::Result<Vec<f64>> {
    let (file, blocks, mut page) = (open(job.is_direct)?, Blocks::new(job.n), Page::boxed());
    let clocks = Clocks::start();
    while let Some(block) = blocks.next() {
        let n = file.read_at(&mut page.0, block * BLOCK as u64)?;
        look(block, n, &page.0);
    }
    Ok(clocks.per(job.n))
}

/// io_uring, as many reads under way as the job has depth; what completes together is submitted together, with the wait.
pub fn ring(job: Job) -> io::Result<Vec<f64>> {
    let (file, blocks) = (open(job.is_direct)?, Blocks::new(job.n));
    let mut ring: IoUring = IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(64)?;
    ring.submitter().register_ring_fd()?;
    let mut pages: Vec<Box<Page>> = (0..job.depth).map(|_| Page::boxed()).collect();
    let mut reading = vec![0; job.depth];
    let mut free: Vec<usize> = (0..job.depth).collect();
    let mut flying = 0;
    let clocks = Clocks::start();
    loop {
        while let Some(place) = free.pop() {
            let Some(block) = blocks.next() else { break };
            reading[place] = block;
            let entry = opcode::Read::new(Fd(file.as_raw_fd()), pages[place].0.as_mut_ptr(), BLOCK as u32);
            let entry = entry.offset(block * BLOCK as u64).build().user_data(place as u64);
            // SAFETY: a page is not touched, and the file not closed, before the completion.
            unsafe { ring.submission().push(&entry) }.map_err(io::Error::other)?;
            flying += 1;
        }
        if flying == 0 {
            return Ok(clocks.per(job.n));
        }
        ring.submit_and_wait(1)?;
        for completion in ring.completion() {
            let place = completion.user_data() as usize;
            if completion.result() < 0 {
                return Err(io::Error::from_raw_os_error(-completion.result()));
            }
            look(reading[place], completion.result() as usize, &pages[place].0);
            free.push(place);
            flying -= 1;
        }
    }
}
