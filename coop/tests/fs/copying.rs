//! Copying a file.

use crate::scratch::Scratch;
use coop::{Killed, fs, io::Partial};
use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

#[coop::test]
fn bytes_and_permissions_are_copied_whatever_the_size() -> io::Result<()> {
    let scratch = Scratch::new();
    let (from, to) = (scratch.join("from"), scratch.join("to"));
    for (len, mode) in [(0, 0o640), (1, 0o444), (100_000, 0o755), (20 << 20, 0o600)] {
        let bytes: Vec<u8> = (0..len).map(|n| (n / 3) as u8).collect();
        let _ = std::fs::remove_file(&from);
        std::fs::write(&from, &bytes)?;
        std::fs::set_permissions(&from, PermissionsExt::from_mode(mode))?;
        assert_eq!(fs::copy(&from, &to)?, len as u64);
        assert!(std::fs::read(&to)? == bytes, "{len} bytes");
        assert_eq!(std::fs::metadata(&to)?.mode() & 0o7777, mode);
        std::fs::remove_file(&to)?;
    }
    Ok(())
}

#[coop::test]
fn what_was_there_is_replaced_through_links_and_across_file_systems() -> io::Result<()> {
    let scratch = Scratch::new();
    let (from, to, link) = (scratch.file("from", "short"), scratch.file("to", "much longer"), scratch.join("link"));
    std::os::unix::fs::symlink("to", &link)?;
    assert_eq!(fs::copy(&from, &link)?, 5);
    assert_eq!(std::fs::read(&to)?, b"short");
    // Files of the kernel's, which say that they are empty.
    let copied = fs::copy("/proc/version", &to)?;
    assert_eq!((std::fs::read(&to)?, copied), (std::fs::read("/proc/version")?, std::fs::metadata(&to)?.len()));
    if let Some(memory) = Scratch::in_memory() {
        let bytes: Vec<u8> = (0..1_000_000).map(|n| (n / 9) as u8).collect();
        let there = memory.join("there");
        std::fs::write(&from, &bytes)?;
        assert_eq!(fs::copy(&from, &there)?, 1_000_000);
        assert_eq!(fs::copy(&there, &to)?, 1_000_000);
        assert!(std::fs::read(&there)? == bytes && std::fs::read(&to)? == bytes);
    }
    // Not a regular file, but one that can be written.
    assert_eq!(fs::copy(&from, "/dev/null")?, std::fs::metadata(&from)?.len());
    Ok(())
}

#[coop::test]
fn what_cannot_be_copied_is_left_as_it_was() -> io::Result<()> {
    let scratch = Scratch::new();
    let file = scratch.file("file", "kept");
    let kind = |from: &std::path::Path, to: &std::path::Path| fs::copy(from, to).unwrap_err().kind();
    assert_eq!(kind(&scratch.join("missing"), &file), ErrorKind::NotFound);
    assert_eq!(kind(scratch.path(), &file), ErrorKind::InvalidInput);
    assert_eq!(kind(&file, scratch.path()), ErrorKind::IsADirectory);
    assert_eq!(kind(&file, &file), ErrorKind::InvalidInput);
    std::fs::hard_link(&file, scratch.join("same"))?;
    assert_eq!(kind(&file, &scratch.join("same")), ErrorKind::InvalidInput);
    assert_eq!(std::fs::read(&file)?, b"kept");
    let error = fs::copy(&file, "/dev/full").unwrap_err();
    assert_eq!((error.kind(), Partial::of(&error).unwrap().done), (ErrorKind::StorageFull, 0));
    Ok(())
}

#[coop::test]
fn a_killed_copy_says_how_far_it_came_and_does_nothing_afterwards() -> io::Result<()> {
    let scratch = Scratch::new();
    let (from, to) = (scratch.join("from"), scratch.join("to"));
    let file = std::fs::File::create(&from)?;
    file.set_len(1 << 36)?;
    let told = Cell::new(None);
    coop::wait_all(|s| {
        let copying = s.spawn(|| told.set(Some(fs::copy(&from, &to))));
        // As soon as it has written something.
        while std::fs::metadata(&to).map_or(0, |metadata| metadata.len()) == 0 {
            coop::yield_now().unwrap();
        }
        copying.kill();
    });
    let error = told.take().unwrap().expect_err("64 gigabytes take longer");
    let done = Partial::of(&error).expect("it says how far").done as u64;
    assert!(Killed::is(&error) && done > 0, "{error}");
    let len = std::fs::metadata(&to)?.len();
    assert_eq!((len, done < 1 << 36), (done, true), "the last stride was waited for");
    coop::sleep(std::time::Duration::from_millis(20))?;
    assert_eq!(std::fs::metadata(&to)?.len(), len);
    Ok(())
}
