// Spawning is a safe call, so a task is a safe function.
#[coop::task]
unsafe fn poke(address: usize) {
    unsafe { *(address as *mut u8) = 0 }
}

fn main() {}
