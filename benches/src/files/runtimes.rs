//! The runtimes: as many tasks as reads under way, each reading block after block into a page of its own.

use super::{BLOCK, Blocks, Clocks, Job, Page, flags, look, open, path};
use crate::peers;
use std::io;
use std::os::unix::fs::FileExt;
use std::rc::Rc;

pub fn coop(job: Job) -> io::Result<Vec<f64>> {
    coop::run(|| {
        let file = coop::fs::OpenOptions::new().read(true).direct(job.is_direct).open(path())?;
        let blocks = Blocks::new(job.n);
        let (file, blocks) = (&file, &blocks);
        let clocks = Clocks::start();
        coop::scope(|s| -> io::Result<()> {
            for _ in 0..job.depth {
                s.try_spawn(|| -> io::Result<()> {
                    let mut page = Page::boxed();
                    while let Some(block) = blocks.next() {
                        let n = file.read_at(&mut page.0, block * BLOCK as u64)?;
                        look(block, n, &page.0);
                    }
                    Ok(())
                });
            }
            Ok(())
        })?;
        Ok(clocks.per(job.n))
    })
}

/// What `tokio::fs` does inside, a call on one of the threads for what blocks, without its copy through a buffer: it has no
/// reads at a place.
pub fn tokio(job: Job) -> io::Result<Vec<f64>> {
    peers::tokio::block_on(async move {
        let file = std::sync::Arc::new(open(job.is_direct)?);
        let blocks = Rc::new(Blocks::new(job.n));
        let clocks = Clocks::start();
        let tasks = tokio::task::LocalSet::new();
        for _ in 0..job.depth {
            let (file, blocks) = (file.clone(), blocks.clone());
            tasks.spawn_local(async move {
                let mut page = Page::boxed();
                while let Some(block) = blocks.next() {
                    let file = file.clone();
                    let read = tokio::task::spawn_blocking(move || {
                        let n = file.read_at(&mut page.0, block * BLOCK as u64);
                        (n, page)
                    });
                    let (n, filled) = read.await.expect("no read panics");
                    look(block, n.expect("the file can be read"), &filled.0);
                    page = filled;
                }
            });
        }
        tasks.await;
        Ok(clocks.per(job.n))
    })
}

/// A page that a completion-based runtime takes, and gives back.
struct Owned(Box<Page>);

// SAFETY: the page stays where it is while the box moves; all of it is initialised.
unsafe impl monoio::buf::IoBufMut for Owned {
    fn write_ptr(&mut self) -> *mut u8 {
        self.0.0.as_mut_ptr()
    }

    fn bytes_total(&mut self) -> usize {
        BLOCK
    }

    unsafe fn set_init(&mut self, _: usize) {}
}

impl compio::buf::IoBuf for Owned {
    fn as_init(&self) -> &[u8] {
        // To be filled from the beginning.
        &[]
    }
}

impl compio::buf::SetLen for Owned {
    unsafe fn set_len(&mut self, _: usize) {}
}

impl compio::buf::IoBufMut for Owned {
    fn as_uninit(&mut self) -> &mut [std::mem::MaybeUninit<u8>] {
        let bytes: &mut [u8] = &mut self.0.0;
        // SAFETY: only bytes are ever written to it.
        unsafe { &mut *(bytes as *mut [u8] as *mut [std::mem::MaybeUninit<u8>]) }
    }
}

pub fn monoio(job: Job) -> io::Result<Vec<f64>> {
    peers::monoio::run(async move {
        let file = Rc::new(monoio::fs::File::from_std(open(job.is_direct)?)?);
        let blocks = Rc::new(Blocks::new(job.n));
        let clocks = Clocks::start();
        let tasks: Vec<_> = (0..job.depth)
            .map(|_| {
                let (file, blocks) = (file.clone(), blocks.clone());
                monoio::spawn(async move {
                    let mut page = Owned(Page::boxed());
                    while let Some(block) = blocks.next() {
                        let (n, filled) = file.read_at(page, block * BLOCK as u64).await;
                        look(block, n?, &filled.0.0);
                        page = filled;
                    }
                    io::Result::Ok(())
                })
            })
            .collect();
        for task in tasks {
            task.await?;
        }
        Ok(clocks.per(job.n))
    })
}

pub fn compio(job: Job) -> io::Result<Vec<f64>> {
    use compio::BufResult;
    use compio::io::AsyncReadAt;
    peers::compio::run(async move {
        let file = compio::fs::OpenOptions::new().read(true).custom_flags(flags(job.is_direct)).open(path()).await?;
        let (file, blocks) = (Rc::new(file), Rc::new(Blocks::new(job.n)));
        let clocks = Clocks::start();
        let tasks: Vec<_> = (0..job.depth)
            .map(|_| {
                let (file, blocks) = (file.clone(), blocks.clone());
                compio::runtime::spawn(async move {
                    let mut page = Owned(Page::boxed());
                    while let Some(block) = blocks.next() {
                        let BufResult(n, filled) = file.read_at(page, block * BLOCK as u64).await;
                        look(block, n?, &filled.0.0);
                        page = filled;
                    }
                    io::Result::Ok(())
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no task panics")?;
        }
        Ok(clocks.per(job.n))
    })
}

/// It reads into memory of its own, which it gives.
pub fn glommio(job: Job) -> io::Result<Vec<f64>> {
    use glommio::io::{BufferedFile, DmaFile};
    enum Opened {
        Cached(BufferedFile),
        Direct(DmaFile),
    }
    peers::glommio::run(async move {
        let file = match job.is_direct {
            true => Opened::Direct(DmaFile::open(path()).await?),
            false => Opened::Cached(BufferedFile::open(path()).await?),
        };
        let (file, blocks) = (Rc::new(file), Rc::new(Blocks::new(job.n)));
        let clocks = Clocks::start();
        let tasks: Vec<_> = (0..job.depth)
            .map(|_| {
                let (file, blocks) = (file.clone(), blocks.clone());
                glommio::spawn_local(async move {
                    while let Some(block) = blocks.next() {
                        let at = block * BLOCK as u64;
                        let read = match &*file {
                            Opened::Cached(file) => file.read_at(at, BLOCK).await?,
                            Opened::Direct(file) => file.read_at_aligned(at, BLOCK).await?,
                        };
                        look(block, read.len(), &read);
                    }
                    io::Result::Ok(())
                })
            })
            .collect();
        for task in tasks {
            task.await?;
        }
        let figures = clocks.per(job.n);
        match Rc::into_inner(file).expect("all who read have ended") {
            Opened::Cached(file) => file.close().await?,
            Opened::Direct(file) => file.close().await?,
        }
        Ok(figures)
    })
}
