//! What can go wrong, and what is said of it.

use crate::scratch::Scratch;
use coop::fs::{self, File, OpenOptions};
use coop::io::Partial;
use std::io::{self, ErrorKind, Read, Write};

fn kind<T>(result: io::Result<T>) -> ErrorKind {
    result.map(drop).expect_err("it must fail").kind()
}

fn errno<T>(result: io::Result<T>) -> Option<i32> {
    result.map(drop).expect_err("it must fail").raw_os_error()
}

#[coop::test]
fn errors_of_opening() -> io::Result<()> {
    let scratch = Scratch::new();
    let file = scratch.file("file", "x");
    let (missing, below) = (scratch.join("missing"), scratch.join("file/below"));
    assert_eq!(kind(File::open(&missing)), ErrorKind::NotFound);
    assert_eq!(kind(File::open(&below)), ErrorKind::NotADirectory);
    assert_eq!(kind(File::create(scratch.path())), ErrorKind::IsADirectory);
    assert_eq!(kind(File::create_new(&file)), ErrorKind::AlreadyExists);
    assert_eq!(errno(File::open(scratch.join("n".repeat(300)))), Some(libc::ENAMETOOLONG));
    std::os::unix::fs::symlink("link", scratch.join("link"))?;
    assert_eq!(errno(File::open(scratch.join("link"))), Some(libc::ELOOP));
    std::os::unix::fs::symlink("file", scratch.join("good"))?;
    let mut options = OpenOptions::new();
    assert_eq!(errno(options.read(true).custom_flags(libc::O_NOFOLLOW).open(scratch.join("good"))), Some(libc::ELOOP));
    // What is wrong with the arguments the kernel never hears of.
    assert_eq!(kind(File::open("with\0nul")), ErrorKind::InvalidInput);
    assert_eq!(kind(OpenOptions::new().open(&file)), ErrorKind::InvalidInput);
    assert_eq!(kind(OpenOptions::new().read(true).create(true).open(&file)), ErrorKind::InvalidInput);
    assert_eq!(kind(OpenOptions::new().append(true).truncate(true).open(&file)), ErrorKind::InvalidInput);
    let started = coop::scope(|s| {
        let flights = [s.start(coop::op::open(&OpenOptions::new(), &file)), s.start(coop::op::open(&options, "\0"))];
        io::Result::Ok(flights.map(|flight| flight.wait().map(drop).unwrap_err().kind()))
    })?;
    assert_eq!(started, [ErrorKind::InvalidInput; 2]);
    Ok(())
}

#[coop::test]
fn errors_of_open_files() -> io::Result<()> {
    let scratch = Scratch::new();
    let path = scratch.file("file", "x");
    let mut buf = [0; 8];
    let reading = File::open(&path)?;
    assert_eq!(errno((&reading).write(b"x")), Some(libc::EBADF));
    assert_eq!(errno(reading.write_at(b"x", 0)), Some(libc::EBADF));
    assert_eq!(errno(reading.allocate(0, 1)), Some(libc::EBADF));
    assert_eq!(errno(reading.set_len(0)), Some(libc::EINVAL));
    let writing = OpenOptions::new().write(true).open(&path)?;
    assert_eq!(errno((&writing).read(&mut buf)), Some(libc::EBADF));
    assert_eq!(errno(writing.read_at(&mut buf, 0)), Some(libc::EBADF));
    assert_eq!(errno(writing.allocate(0, 0)), Some(libc::EINVAL));
    let dir = File::open(scratch.path())?;
    assert_eq!(kind((&dir).read(&mut buf)), ErrorKind::IsADirectory);
    assert_eq!(kind(dir.read_exact_at(&mut buf, 0)), ErrorKind::IsADirectory);

    // Offsets that stand for something else in the kernel: the first would be the cursor.
    for offset in [u64::MAX, 1 << 63, i64::MAX as u64 + 1] {
        assert_eq!(errno(reading.read_at(&mut buf, offset)), Some(libc::EINVAL), "{offset:#x}");
        assert_eq!(errno(writing.write_at(b"x", offset)), Some(libc::EINVAL), "{offset:#x}");
        assert_eq!(kind(writing.write_all_at(b"x", offset)), ErrorKind::InvalidInput, "{offset:#x}");
        assert_eq!(errno(writing.set_len(offset)), Some(libc::EINVAL), "{offset:#x}");
    }
    assert_eq!(kind(writing.write_at(b"x", i64::MAX as u64 - 1)), ErrorKind::FileTooLarge);
    assert_eq!(reading.read_at(&mut buf, i64::MAX as u64 - 8)?, 0, "far behind the end");

    let fifo = OpenOptions::new().read(true).write(true).open(scratch.fifo("fifo"))?;
    assert_eq!(errno(fifo.sync_all()), Some(libc::EINVAL));
    assert_eq!(kind(fifo.read_at(&mut buf, 0)), ErrorKind::NotSeekable);
    assert_eq!(std::fs::read(&path)?, b"x", "nothing of all that had an effect");
    Ok(())
}

#[coop::test]
fn a_full_device_says_so_and_how_far_a_composite_came() -> io::Result<()> {
    let full = OpenOptions::new().write(true).open("/dev/full")?;
    assert_eq!(kind((&full).write(b"x")), ErrorKind::StorageFull);
    let error = full.write_all_at(b"xyz", 0).unwrap_err();
    assert_eq!((error.kind(), Partial::of(&error).unwrap().done), (ErrorKind::StorageFull, 0));
    let error = fs::write("/dev/full", "xyz").unwrap_err();
    assert_eq!((error.kind(), Partial::of(&error).unwrap().done), (ErrorKind::StorageFull, 0));
    let started = coop::scope(|s| s.start(coop::op::write_all_at(&full, b"xyz", 0)).wait().map(drop));
    assert_eq!(kind(started), ErrorKind::StorageFull);
    Ok(())
}

#[test]
fn a_limit_on_the_size_of_files_ends_a_write_in_the_middle() {
    crate::scratch::alone("errors::a_limit_on_the_size_of_files_ends_a_write_in_the_middle", || {
        let scratch = Scratch::new();
        let limit = libc::rlimit { rlim_cur: 10_000, rlim_max: 10_000 };
        // SAFETY: changes this process only, which runs nothing else; without the signal the call tells.
        unsafe {
            assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &limit), 0);
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        }
        coop::run(|| {
            let path = scratch.join("file");
            let error = fs::write(&path, [7; 20_000]).unwrap_err();
            assert_eq!((error.kind(), Partial::of(&error).unwrap().done), (ErrorKind::FileTooLarge, 10_000));
            assert_eq!(std::fs::metadata(&path).unwrap().len(), 10_000);
            let file = OpenOptions::new().write(true).open(&path).unwrap();
            let started = coop::scope(|s| s.start(coop::op::write_all_at(&file, &[8; 5000], 8000)).wait().map(drop));
            let error = started.unwrap_err();
            assert_eq!((error.kind(), Partial::of(&error).unwrap().done), (ErrorKind::FileTooLarge, 2000));
        });
    });
}

#[coop::test]
fn errors_of_names() -> io::Result<()> {
    let scratch = Scratch::new();
    let [file, full, missing] = [scratch.file("file", ""), scratch.join("full"), scratch.join("missing")];
    scratch.file("full/file", "");
    assert_eq!(kind(fs::create_dir(&file)), ErrorKind::AlreadyExists);
    assert_eq!(kind(fs::create_dir(missing.join("below"))), ErrorKind::NotFound);
    assert_eq!(kind(fs::remove_file(&missing)), ErrorKind::NotFound);
    assert_eq!(kind(fs::remove_file(&full)), ErrorKind::IsADirectory);
    assert_eq!(kind(fs::remove_dir(&file)), ErrorKind::NotADirectory);
    assert_eq!(kind(fs::remove_dir(&full)), ErrorKind::DirectoryNotEmpty);
    assert_eq!(kind(fs::rename(&missing, &file)), ErrorKind::NotFound);
    assert_eq!(kind(fs::hard_link(&file, full.join("file"))), ErrorKind::AlreadyExists);
    assert_eq!(kind(fs::symlink("x", &file)), ErrorKind::AlreadyExists);
    assert_eq!(kind(fs::read_link(&file)), ErrorKind::InvalidInput);
    assert_eq!(kind(fs::canonicalize(&missing)), ErrorKind::NotFound);
    assert_eq!(kind(fs::read_dir(&missing)), ErrorKind::NotFound);
    assert_eq!(kind(fs::read_dir(&file)), ErrorKind::NotADirectory);
    assert_eq!(kind(fs::metadata(&missing)), ErrorKind::NotFound);
    assert_eq!(kind(fs::set_permissions(&missing, std::fs::metadata(&file)?.permissions())), ErrorKind::NotFound);
    assert_eq!(kind(fs::exists(file.join("below"))), ErrorKind::NotADirectory);
    for path in ["nul\0", "\0"] {
        assert_eq!(kind(fs::metadata(path)), ErrorKind::InvalidInput);
        assert_eq!(kind(fs::rename(&file, path)), ErrorKind::InvalidInput);
        assert_eq!(kind(fs::rename(path, &file)), ErrorKind::InvalidInput);
        assert_eq!(kind(fs::read_dir(path)), ErrorKind::InvalidInput);
        assert_eq!(kind(fs::remove_dir_all(path)), ErrorKind::InvalidInput);
    }
    if let Some(memory) = Scratch::in_memory() {
        use std::os::unix::fs::MetadataExt;
        if std::fs::metadata(memory.path())?.dev() != std::fs::metadata(&file)?.dev() {
            assert_eq!(kind(fs::rename(&file, memory.join("file"))), ErrorKind::CrossesDevices);
            assert_eq!(kind(fs::hard_link(&file, memory.join("file"))), ErrorKind::CrossesDevices);
        }
    }
    Ok(())
}

#[test]
fn who_may_not_is_told_so() {
    crate::scratch::alone("errors::who_may_not_is_told_so", || {
        let scratch = Scratch::new();
        let secret = scratch.file("secret", "x");
        let locked = scratch.join("locked");
        std::fs::create_dir(&locked).unwrap();
        for (path, mode) in [(&secret, 0o000), (&locked, 0o500)] {
            std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        }
        // SAFETY: asks, and gives this process up to be nobody's, for whom permissions count. It runs nothing else.
        unsafe {
            if libc::geteuid() == 0 {
                // Both directories, so that they can be removed in the end.
                for path in [scratch.path(), &locked] {
                    let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
                    assert_eq!(libc::chown(name.as_ptr(), 65534, 65534), 0);
                }
                assert_eq!(libc::setresgid(65534, 65534, 65534), 0);
                assert_eq!(libc::setresuid(65534, 65534, 65534), 0);
            }
        }
        coop::run(|| {
            assert_eq!(kind(File::open(&secret)), ErrorKind::PermissionDenied);
            assert_eq!(kind(fs::read(&secret)), ErrorKind::PermissionDenied);
            assert_eq!(kind(File::create(locked.join("new"))), ErrorKind::PermissionDenied);
            assert_eq!(kind(fs::create_dir(locked.join("new"))), ErrorKind::PermissionDenied);
            assert_eq!(kind(fs::copy("/proc/self/exe", locked.join("new"))), ErrorKind::PermissionDenied);
            std::fs::set_permissions(&locked, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
            assert_eq!(kind(fs::metadata(locked.join("new"))), ErrorKind::PermissionDenied);
            assert_eq!(kind(fs::read_dir(&locked)), ErrorKind::PermissionDenied);
            let walked: Vec<_> = fs::walk(&locked).map(|entry| entry.map(|entry| entry.into_path())).collect();
            let [Ok(root), Err(error)] = &walked[..] else { panic!("{walked:?}") };
            assert_eq!((root, error.kind()), (&locked, ErrorKind::PermissionDenied));
        });
        std::fs::set_permissions(&locked, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    });
}

#[test]
fn without_a_cooperator_every_call_says_what_is_missing() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "x");
    let file = File::from(std::fs::File::open(&path).unwrap());
    for error in [
        File::open(&path).map(drop),
        file.read_at(&mut [0], 0).map(drop),
        (&file).read(&mut [0]).map(drop),
        file.write_all_at(b"x", 0),
        file.sync_all(),
        file.metadata().map(drop),
        fs::read(&path).map(drop),
        fs::write(&path, "y"),
        fs::copy(&path, scratch.join("copy")).map(drop),
        fs::create_dir_all(scratch.join("a/b")),
        fs::remove_file(&path),
        fs::remove_dir_all(scratch.path()),
        fs::rename(&path, scratch.join("other")),
        fs::read_dir(scratch.path()).map(drop),
        fs::canonicalize(&path).map(drop),
        fs::set_permissions(&path, std::fs::metadata(&path).unwrap().permissions()),
        fs::walk(&path).next().unwrap().map(drop),
    ] {
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains("coop::run"), "{error}");
    }
    assert_eq!(std::fs::read(&path).unwrap(), b"x");
}
