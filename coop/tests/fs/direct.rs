//! Past the page cache.

use crate::scratch::Scratch;
use coop::fs::{AlignedBuf, File, Misaligned, Misalignment, OpenOptions};
use coop::{io::Partial, op};
use std::io::{self, ErrorKind, Read, Seek, Write};

/// A file opened for direct I/O, where the temporary directory's file system has that.
fn open(scratch: &Scratch) -> io::Result<Option<File>> {
    match OpenOptions::new().read(true).write(true).create(true).direct(true).open(scratch.join("file")) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "no direct I/O in the temporary directory");
            eprintln!("skipped: no direct I/O in the temporary directory");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[coop::test]
fn aligned_transfers_reach_the_disk_and_come_back() -> io::Result<()> {
    let scratch = Scratch::new();
    let Some(file) = open(&scratch)? else { return Ok(()) };
    let block = file.direct_alignment()?.offset;
    let mut out = AlignedBuf::for_file(&file, 16 * block - 1)?;
    assert_eq!(out.len(), 16 * block);
    for (n, byte) in out.iter_mut().enumerate() {
        *byte = (n / 7) as u8;
    }
    file.write_all_at(&out, 0)?;
    assert_eq!(std::fs::read(scratch.join("file"))?, *out);
    let mut back = AlignedBuf::for_file(&file, 16 * block)?;
    let (head, tail) = back.split_at_mut(8 * block);
    coop::scope(|s| -> io::Result<()> {
        let (head, tail) =
            (s.start(op::read_at(&file, head, 0)), s.start(op::read_exact_at(&file, tail, 8 * block as u64)));
        assert_eq!((head.wait()?.n(), tail.wait()?.n()), (8 * block, 8 * block));
        Ok(())
    })?;
    assert_eq!(*back, *out);
    // The end of a file need not be aligned, only what is asked for.
    file.set_len(block as u64 + 5)?;
    assert_eq!((&file).read(&mut back)?, block + 5);
    assert_eq!((&file).read(&mut back)?, 0);
    (&file).rewind()?;
    assert_eq!((&file).write(&out[..block])?, block);
    Ok(())
}

#[coop::test]
fn a_misaligned_transfer_is_refused_with_the_alignment() -> io::Result<()> {
    let scratch = Scratch::new();
    let Some(file) = open(&scratch)? else { return Ok(()) };
    let alignment = file.direct_alignment()?;
    let mut buf = AlignedBuf::for_file(&file, 4 * alignment.offset)?;
    file.write_all_at(&buf, 0)?;
    let Err(error) = file.read_at(&mut buf[..1], 1) else {
        eprintln!("skipped: this file system takes any alignment");
        return Ok(());
    };
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let expected = |what, needed| Some(Misaligned { what, needed });
    let found = |error: io::Error| Misaligned::of(&error).copied();
    assert_eq!(found(error), expected(Misalignment::Offset(1), alignment.offset));
    let error = file.read_at(&mut buf[..100], 0).unwrap_err();
    assert!(error.to_string().contains(&format!("no multiple of {}", alignment.offset)), "{error}");
    assert_eq!(found(error), expected(Misalignment::Length(100), alignment.offset));
    let error = file.write_all_at(&buf[..100], alignment.offset as u64).unwrap_err();
    assert_eq!(Partial::of(&error).unwrap().done, 0);
    assert_eq!(found(error), expected(Misalignment::Length(100), alignment.offset));
    // A shorter step than the memory needs, of a length that is right.
    let odd = buf.as_ptr().addr() + 1;
    // Some devices take memory of any alignment, whatever they say.
    if let Err(error) = file.read_at(&mut buf[1..1 + alignment.offset], 0) {
        assert_eq!(found(error), expected(Misalignment::Memory(odd), alignment.memory));
    }
    // At the cursor, and in flight.
    (&file).seek(io::SeekFrom::Start(3))?;
    let error = (&file).read(&mut buf[..alignment.offset]).unwrap_err();
    assert_eq!(found(error), expected(Misalignment::Offset(3), alignment.offset));
    let error = coop::scope(|s| s.start(op::write_at(&file, &buf[..7], 0)).wait().map(drop)).unwrap_err();
    assert_eq!(found(error), expected(Misalignment::Length(7), alignment.offset));
    let error = (&file).write_vectored(&[io::IoSlice::new(&buf[..9])]).unwrap_err();
    assert_eq!(found(error), expected(Misalignment::Offset(3), alignment.offset));
    Ok(())
}

#[coop::test]
fn a_file_in_memory_says_whether_it_can() -> io::Result<()> {
    let Some(scratch) = Scratch::in_memory() else { return Ok(()) };
    // Since Linux 6.6 it takes the flag and any alignment; before, it refuses the opening.
    match OpenOptions::new().write(true).create(true).direct(true).open(scratch.join("file")) {
        Ok(file) => {
            let buf = AlignedBuf::for_file(&file, 10_000)?;
            file.write_all_at(&buf, 0)?;
            assert_eq!(std::fs::metadata(scratch.join("file"))?.len(), buf.len() as u64);
        }
        Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EINVAL)),
    }
    Ok(())
}
