//! Reading and writing, one call after the other.

use crate::scratch::Scratch;
use coop::fs::{self, File, OpenOptions};
use coop::{Operation, op};
use std::io::{self, IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, SystemTime};

#[coop::test]
fn the_cursor_is_shared_by_reading_writing_and_seeking_and_left_alone_by_the_others() -> io::Result<()> {
    let scratch = Scratch::new();
    let path = scratch.join("file");
    let mut file = File::create_new(&path)?;
    assert_eq!(file.write(b"0123456789")?, 10);
    assert_eq!(file.stream_position()?, 10);
    assert_eq!(file.write_at(b"ab", 3)?, 2);
    let mut buf = [0; 4];
    assert_eq!(file.read_at(&mut buf, 2)?, 4);
    assert_eq!((&buf, file.stream_position()?), (b"2ab5", 10));
    assert_eq!(file.read(&mut buf)?, 0, "the cursor is at the end");
    assert_eq!(file.seek(SeekFrom::End(-3))?, 7);
    assert_eq!(file.read(&mut buf)?, 3);
    assert_eq!((&buf[..3], file.stream_position()?), (&b"789"[..], 10));
    assert_eq!(file.seek(SeekFrom::Current(-10))?, 0);
    assert_eq!(file.write(b"xy")?, 2);
    assert_eq!(file.seek(SeekFrom::Start(1))?, 1);
    assert_eq!(file.read(&mut buf)?, 4);
    assert_eq!(&buf, b"y2ab");
    for nowhere in [SeekFrom::Start(u64::MAX), SeekFrom::End(-11), SeekFrom::Current(-6)] {
        assert_eq!(file.seek(nowhere).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
    let clone = file.try_clone()?;
    assert_eq!(io::read_to_string(&clone)?, "56789", "the clone's cursor is the file's");
    assert_eq!(file.stream_position()?, 10);
    assert_eq!(std::fs::read(&path)?, b"xy2ab56789");
    Ok(())
}

#[coop::test]
fn vectored_transfers_fill_and_take_the_pieces_in_order() -> io::Result<()> {
    let scratch = Scratch::new();
    let mut file = File::create_new(scratch.join("file"))?;
    assert_eq!(file.write_vectored(&[IoSlice::new(b"one "), IoSlice::new(b""), IoSlice::new(b"two")])?, 7);
    assert_eq!(file.write_vectored_at(&[IoSlice::new(b"T"), IoSlice::new(b"W")], 4)?, 2);
    file.rewind()?;
    let (mut head, mut rest) = ([0; 5], [0; 10]);
    assert_eq!(file.read_vectored(&mut [IoSliceMut::new(&mut head), IoSliceMut::new(&mut rest)])?, 7);
    assert_eq!((&head, &rest[..2]), (b"one T", &b"Wo"[..]));
    assert_eq!(file.read_vectored_at(&mut [IoSliceMut::new(&mut head)], 2)?, 5);
    assert_eq!(&head, b"e TWo");
    // More pieces than the kernel takes in one call are a short transfer.
    let many = vec![IoSlice::new(b"z"); 3000];
    assert_eq!(file.write_vectored_at(&many, 0)?, 1024);
    assert_eq!(file.read_vectored(&mut [])?, 0);
    Ok(())
}

#[coop::test]
fn appending_goes_to_the_end_whatever_the_cursor_says() -> io::Result<()> {
    let scratch = Scratch::new();
    let path = scratch.file("log", "one\n");
    let mut file = OpenOptions::new().read(true).append(true).open(&path)?;
    file.write_all(b"two\n")?;
    file.rewind()?;
    file.write_all(b"three\n")?;
    assert_eq!(std::fs::read_to_string(&path)?, "one\ntwo\nthree\n");
    Ok(())
}

#[coop::test]
fn length_space_times_and_permissions_are_set() -> io::Result<()> {
    let scratch = Scratch::new();
    let path = scratch.file("file", "0123456789");
    let file = OpenOptions::new().read(true).write(true).open(&path)?;
    file.set_len(4)?;
    assert_eq!(std::fs::read(&path)?, b"0123");
    file.set_len(6)?;
    assert_eq!(std::fs::read(&path)?, b"0123\0\0");
    file.allocate(0, 100_000)?;
    assert_eq!((file.metadata()?.len(), file.metadata()?.blocks() * 512 >= 100_000), (100_000, true));
    file.sync_data()?;
    file.sync_all()?;

    let then = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    file.set_modified(then)?;
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o640))?;
    let (ours, theirs) = (file.metadata()?, std::fs::metadata(&path)?);
    assert_eq!((ours.modified()?, ours.mode() & 0o7777), (then, 0o640));
    use std::os::unix::fs::MetadataExt;
    assert_eq!(ours.modified()?, theirs.modified()?);
    assert_eq!((ours.dev(), ours.ino(), ours.nlink()), (theirs.dev(), theirs.ino(), theirs.nlink()));
    assert_eq!((ours.uid(), ours.gid(), ours.rdev()), (theirs.uid(), theirs.gid(), theirs.rdev()));
    assert_eq!((ours.blksize(), ours.blocks(), ours.mode()), (theirs.blksize(), theirs.blocks(), theirs.mode()));
    assert_eq!(ours.accessed()?, theirs.accessed()?);
    assert_eq!(ours.created().ok(), theirs.created().ok());
    assert_eq!(ours.permissions(), theirs.permissions());
    // Before the epoch, too.
    let before = SystemTime::UNIX_EPOCH - Duration::new(1_000, 250_000_000);
    file.set_modified(before)?;
    assert_eq!((file.metadata()?.modified()?, std::fs::metadata(&path)?.modified()?), (before, before));
    Ok(())
}

#[coop::test]
fn metadata_of_a_file_is_that_of_the_open_one_whatever_has_its_name_now() -> io::Result<()> {
    let scratch = Scratch::new();
    let path = scratch.file("file", "12345");
    let file = File::open(&path)?;
    std::fs::remove_file(&path)?;
    assert_eq!((file.metadata()?.len(), file.metadata()?.nlink()), (5, 0));
    Ok(())
}

#[coop::test]
fn a_file_of_stds_can_be_taken_over_and_given_back() -> io::Result<()> {
    let scratch = Scratch::new();
    let path = scratch.file("file", "hello");
    let mut file = File::from(std::fs::File::open(&path)?);
    let mut head = [0; 2];
    file.read_exact(&mut head)?;
    let mut theirs: std::fs::File = file.into();
    let mut rest = String::new();
    theirs.read_to_string(&mut rest)?;
    assert_eq!((&head, rest.as_str()), (b"he", "llo"));
    let fd: OwnedFd = File::from(theirs).into();
    assert_eq!(File::from(fd).as_fd().try_clone_to_owned().map(File::from)?.metadata()?.len(), 5);
    Ok(())
}

#[coop::test]
fn a_pipe_made_non_blocking_by_somebody_is_waited_for_all_the_same() -> io::Result<()> {
    let scratch = Scratch::new();
    let path = scratch.fifo("fifo");
    let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(&path)?;
    let mut buf = [0; 8];
    let (again, mut later) = (file.try_clone()?, [0; 8]);
    coop::scope(|s| -> io::Result<()> {
        // On the frame, and in flight.
        let mut reading = s.spawn(|| (&file).read(&mut buf));
        coop::sleep(Duration::from_millis(1))?;
        assert_eq!((&again).write(b"first")?, 5);
        assert_eq!(reading.join()??, 5);
        let started = s.start(op::read(&again, &mut later));
        coop::sleep(Duration::from_millis(1))?;
        assert_eq!((&again).write(b"second")?, 6);
        assert_eq!(started.wait()?.bytes(), b"second");
        Ok(())
    })?;
    assert_eq!(&buf[..5], b"first");
    Ok(())
}

#[coop::test]
fn whole_files_are_read_and_written_those_that_lie_about_their_length_too() -> io::Result<()> {
    let scratch = Scratch::new();
    let path = scratch.join("file");
    for len in [0, 1, 4095, 4096, 4097, 1 << 20] {
        let bytes: Vec<u8> = (0..len).map(|n| (n * 7) as u8).collect();
        fs::write(&path, &bytes)?;
        assert_eq!(std::fs::read(&path)?, bytes);
        assert!(fs::read(&path)? == bytes, "{len} bytes");
    }
    // The kernel says of its own that they are empty.
    assert_eq!(fs::metadata("/proc/version")?.len(), 0);
    assert_eq!(fs::read_to_string("/proc/version")?, std::fs::read_to_string("/proc/version")?);
    std::fs::write(&path, [b'a', 0xff])?;
    assert_eq!(fs::read_to_string(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
    Ok(())
}

#[coop::test]
fn operations_in_flight_together_each_give_their_buffer_back() -> io::Result<()> {
    let scratch = Scratch::new();
    let path = scratch.join("file");
    let file = OpenOptions::new().read(true).write(true).create(true).open(&path)?;
    let text = b"to be or not to be";
    coop::scope(|s| -> io::Result<()> {
        let (first, second) =
            (s.start(op::write_all_at(&file, &text[..9], 0)), s.start(op::write_at(&file, &text[9..], 9)));
        assert_eq!((first.wait()?.n(), second.wait()?.n()), (9, 9));
        s.start(op::sync_data(&file)).wait()?;
        s.start(op::sync_all(&file)).wait()?;
        s.start(op::allocate(&file, 0, 18)).wait()
    })?;
    assert_eq!(std::fs::read(&path)?, text);
    let mut bufs = [[0; 8]; 4];
    let [a, b, c, d] = &mut bufs;
    coop::scope(|s| -> io::Result<()> {
        let some = s.start(op::read_at(&file, a, 0));
        let at_end = s.start(op::read_at(&file, b, 15));
        let exact = s.start(op::read_exact_at(&file, c, 10));
        let too_much = s.start(op::read_exact_at(&file, d, 11));
        let (mut one, mut two) = ([0; 2], [0; 3]);
        assert_eq!(op::write_vectored_at(&file, &[IoSlice::new(b"t"), IoSlice::new(b"o")], 0).wait()?, 2);
        let pieces = &mut [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
        assert_eq!(op::read_vectored_at(&file, pieces, 3).wait()?, 5);
        assert_eq!((&one, &two), (b"be", b" or"));
        assert_eq!(some.wait()?.bytes(), b"to be or");
        assert_eq!(at_end.wait()?.bytes(), b" be");
        assert_eq!(exact.wait()?.bytes(), b"ot to be");
        let error = too_much.wait().unwrap_err();
        assert_eq!((error.kind(), coop::io::Partial::of(&error).unwrap().done), (io::ErrorKind::UnexpectedEof, 7));
        Ok(())
    })?;
    (&file).rewind()?;
    let mut word = [0; 2];
    assert_eq!(op::read(&file, &mut word).wait()?, 2);
    assert_eq!(op::write(&file, b"_BE").wait()?, 3);
    assert_eq!((&word, std::fs::read(&path)?.as_slice()), (b"to", &b"to_BE or not to be"[..]));
    Ok(())
}

/// More of them than the kernel looks at in one call: what it would move is nothing, which means the end.
#[coop::test]
fn empty_pieces_in_front_are_no_end_of_the_file() -> io::Result<()> {
    let scratch = Scratch::new();
    let mut file = File::create_new(scratch.join("file"))?;
    let mut many = vec![IoSlice::new(b""); 3000];
    many.push(IoSlice::new(b"here"));
    assert_eq!(file.write_vectored(&many)?, 4);
    assert_eq!(file.write_vectored(&many[..3000])?, 0);
    file.rewind()?;
    let (mut none, mut some) = ([[0u8; 0]; 3000], [0; 8]);
    let mut room: Vec<IoSliceMut> = none.iter_mut().map(|none| IoSliceMut::new(none)).collect();
    assert_eq!(file.read_vectored(&mut room)?, 0, "no room");
    room.push(IoSliceMut::new(&mut some));
    assert_eq!(file.read_vectored(&mut room)?, 4);
    assert_eq!(op::read_vectored_at(&file, &mut room, 1).wait()?, 3);
    assert_eq!(&some[..4], b"eree");
    Ok(())
}
