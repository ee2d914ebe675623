//! Many at once.

use crate::scratch::{Random, Scratch};
use coop::fs::{self, File, OpenOptions};
use coop::op;
use std::io;

#[coop::test(schedules = 3)]
fn a_thousand_tasks_read_slices_of_one_file() -> io::Result<()> {
    const SLICE: usize = 777;
    let scratch = Scratch::new();
    let random = Random::new(1);
    let bytes = random.bytes(1000 * SLICE);
    let path = scratch.file("file", &bytes);
    let file = File::open(&path)?;
    let mut slices = vec![[0; SLICE]; 1000];
    coop::scope(|s| -> io::Result<()> {
        for (n, slice) in slices.iter_mut().enumerate() {
            let file = &file;
            s.try_spawn(move || file.read_exact_at(slice, (n * SLICE) as u64));
        }
        Ok(())
    })?;
    assert!(slices.concat() == bytes);
    // The same in flight, from one task.
    let mut slices = vec![[0; SLICE]; 1000];
    coop::scope(|s| -> io::Result<()> {
        let start = |(n, slice)| s.start(op::read_exact_at(&file, slice, (n * SLICE) as u64));
        let reading: Vec<_> = slices.iter_mut().map(|slice| &mut slice[..]).enumerate().map(start).collect();
        reading.into_iter().try_for_each(|reading| reading.wait().map(drop))
    })?;
    assert!(slices.concat() == bytes);
    Ok(())
}

#[coop::test]
fn writers_of_one_file_do_not_disturb_each_other() -> io::Result<()> {
    let scratch = Scratch::new();
    let random = Random::new(2);
    let bytes = random.bytes(200 * 5000);
    let path = scratch.join("file");
    let file = OpenOptions::new().write(true).create(true).open(&path)?;
    coop::scope(|s| -> io::Result<()> {
        for (n, piece) in bytes.chunks(5000).enumerate() {
            let file = &file;
            s.try_spawn(move || file.write_all_at(piece, (n * 5000) as u64));
        }
        Ok(())
    })?;
    assert!(std::fs::read(&path)? == bytes);
    Ok(())
}

#[coop::test]
fn files_are_made_read_and_removed_by_many_tasks() -> io::Result<()> {
    let scratch = Scratch::new();
    coop::scope(|s| -> io::Result<()> {
        for n in 0..200 {
            let path = scratch.join(n.to_string());
            s.try_spawn(move || {
                fs::write(&path, n.to_string().repeat(100))?;
                assert_eq!(fs::read_to_string(&path)?, n.to_string().repeat(100));
                fs::rename(&path, path.with_extension("renamed"))?;
                fs::remove_file(path.with_extension("renamed"))
            });
        }
        Ok(())
    })?;
    assert_eq!(fs::read_dir(scratch.path())?.count(), 0);
    Ok(())
}

#[test]
fn a_file_goes_to_another_threads_cooperator() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "hello");
    let file = coop::run(|| File::open(&path)).unwrap();
    let text = std::thread::spawn(|| coop::run(move || io::read_to_string(file))).join().unwrap();
    assert_eq!(text.unwrap(), "hello");
}
