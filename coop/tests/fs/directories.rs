//! Reading directories and walking through trees, against what std sees.

use crate::scratch::Scratch;
use coop::fs;
use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

#[coop::test]
fn a_directory_gives_every_entry_once_with_its_kind() -> io::Result<()> {
    let scratch = Scratch::new();
    assert_eq!(fs::read_dir(scratch.path())?.count(), 0);
    scratch.file("file", "12345");
    std::fs::create_dir(scratch.join("dir"))?;
    std::os::unix::fs::symlink("nowhere", scratch.join("link"))?;
    scratch.fifo("fifo");
    drop(std::os::unix::net::UnixListener::bind(scratch.join("socket"))?);
    let mut seen = Vec::new();
    for entry in fs::read_dir(scratch.path())? {
        let entry = entry?;
        assert_eq!(entry.path(), scratch.join(entry.file_name()));
        let kind = entry.file_type()?;
        assert_eq!(entry.metadata()?.file_type(), kind);
        assert_eq!(entry.metadata()?.ino(), entry.ino());
        seen.push((entry.file_name().to_str().unwrap().to_owned(), format!("{kind:?}")));
    }
    seen.sort();
    let expected = [
        ("dir", "FileType(dir)"),
        ("fifo", "FileType(fifo)"),
        ("file", "FileType(file)"),
        ("link", "FileType(symlink)"),
        ("socket", "FileType(socket)"),
    ];
    assert_eq!(seen, expected.map(|(name, kind)| (name.to_owned(), kind.to_owned())));
    Ok(())
}

#[coop::test]
fn a_directory_of_many_batches_is_read_to_its_end() -> io::Result<()> {
    let scratch = Scratch::new();
    let names: BTreeSet<String> = (0..3000).map(|n| format!("a-name-of-some-length-{n}")).collect();
    for name in &names {
        std::fs::write(scratch.join(name), "")?;
    }
    let read = fs::read_dir(scratch.path())?.map(|entry| Ok(entry?.into_file_name().into_string().unwrap()));
    let read = read.collect::<io::Result<Vec<_>>>()?;
    assert_eq!(read.len(), names.len());
    assert_eq!(read.into_iter().collect::<BTreeSet<_>>(), names);
    Ok(())
}

#[coop::test]
fn a_directory_removed_while_it_is_read_ends() -> io::Result<()> {
    let scratch = Scratch::new();
    let dir = scratch.join("dir");
    std::fs::create_dir(&dir)?;
    scratch.file("dir/file", "");
    let mut read = fs::read_dir(&dir)?;
    std::fs::remove_dir_all(&dir)?;
    let entry = read.next().expect("it was read before")?;
    assert_eq!(entry.metadata().unwrap_err().kind(), ErrorKind::NotFound);
    assert!(read.next().is_none());
    assert!(read.next().is_none());
    Ok(())
}

/// What is at and below a path, and how deep.
fn expected(path: &Path, depth: usize, all: &mut BTreeSet<(PathBuf, usize)>) {
    all.insert((path.to_owned(), depth));
    if std::fs::symlink_metadata(path).unwrap().is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            expected(&entry.unwrap().path(), depth + 1, all);
        }
    }
}

fn tree() -> Scratch {
    let scratch = Scratch::new();
    for n in 0..200 {
        scratch.file(&format!("{}/{}/{n}", n % 3, n % 11), "x");
    }
    // Deeper than directories are kept open.
    std::fs::create_dir_all(scratch.join("deep".to_owned() + &"/d".repeat(50))).unwrap();
    for depth in [3, 20, 49] {
        scratch.file(&("deep".to_owned() + &"/d".repeat(depth) + "/z"), "x");
    }
    std::os::unix::fs::symlink("0", scratch.join("link")).unwrap();
    std::os::unix::fs::symlink("nowhere", scratch.join("dangling")).unwrap();
    std::os::unix::fs::symlink("..", scratch.join("1/up")).unwrap();
    scratch
}

#[coop::test]
fn a_walk_comes_by_everything_once_a_directory_before_what_is_in_it() -> io::Result<()> {
    let scratch = tree();
    let mut all = BTreeSet::new();
    expected(scratch.path(), 0, &mut all);
    let walked = fs::walk(scratch.path()).collect::<io::Result<Vec<_>>>()?;
    let mut seen = BTreeSet::new();
    for entry in &walked {
        let kind = std::fs::symlink_metadata(entry.path())?.file_type();
        let same = (entry.file_type().is_dir(), entry.file_type().is_symlink()) == (kind.is_dir(), kind.is_symlink());
        assert!(same, "{entry:?}");
        assert!(entry.depth() == 0 || seen.contains(entry.path().parent().unwrap()), "{entry:?} before its parent");
        assert!(seen.insert(entry.path().to_owned()), "{entry:?} twice");
    }
    let seen: BTreeSet<_> = walked.into_iter().map(|entry| (entry.path().to_owned(), entry.depth())).collect();
    assert_eq!(seen, all);
    Ok(())
}

#[coop::test]
fn depths_bound_a_walk_and_what_is_skipped_is_not_looked_into() -> io::Result<()> {
    let scratch = tree();
    let mut all = BTreeSet::new();
    expected(scratch.path(), 0, &mut all);
    for (min, max) in [(0, 0), (0, 1), (1, 1), (2, 3), (1, usize::MAX), (60, 70), (3, 2)] {
        let walk = fs::walk(scratch.path()).min_depth(min).max_depth(max);
        let seen = walk.map(|entry| entry.map(|entry| (entry.path().to_owned(), entry.depth())));
        let seen = seen.collect::<io::Result<BTreeSet<_>>>()?;
        let within = all.iter().filter(|(_, depth)| (min..=max).contains(depth)).cloned().collect();
        assert_eq!(seen, within, "{min}..={max}");
    }
    let mut walk = fs::walk(scratch.path());
    let mut count = 0;
    while let Some(entry) = walk.next() {
        count += 1;
        if entry?.file_name() == "deep" {
            walk.skip_current_dir();
        }
    }
    let below_deep = all.iter().filter(|(path, _)| path.starts_with(scratch.join("deep"))).count();
    assert_eq!(count, all.len() - below_deep + 1);
    Ok(())
}

#[coop::test]
fn links_are_followed_when_asked_for_and_loops_are_found() -> io::Result<()> {
    let scratch = Scratch::new();
    scratch.file("real/file", "x");
    std::os::unix::fs::symlink("real", scratch.join("link"))?;
    std::os::unix::fs::symlink("nowhere", scratch.join("dangling"))?;
    std::os::unix::fs::symlink("..", scratch.join("real/up"))?;
    let (mut seen, mut loops) = (Vec::new(), 0);
    for entry in fs::walk(scratch.path()).follow_links(true) {
        match entry {
            Ok(entry) => {
                assert_eq!(entry.metadata().is_ok_and(|metadata| metadata.is_dir()), entry.file_type().is_dir());
                let path = entry.path().strip_prefix(scratch.path()).unwrap().to_str().unwrap().to_owned();
                seen.push((path, entry.file_type().is_symlink()));
            }
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(libc::ELOOP));
                loops += 1;
            }
        }
    }
    seen.sort();
    let expected =
        [("", false), ("dangling", true), ("link", false), ("link/file", false), ("real", false), ("real/file", false)];
    assert_eq!(seen, expected.map(|(path, is_link)| (path.to_owned(), is_link)));
    assert_eq!(loops, 2);
    // The root is a link like any other.
    let link = scratch.join("link");
    assert_eq!(fs::walk(&link).count(), 1);
    assert!(fs::walk(&link).next().unwrap()?.file_type().is_symlink());
    // It, the file, `up`; and through `up` the dangling link, the real directory and its file, before both ways come back.
    assert_eq!(fs::walk(&link).follow_links(true).filter(|entry| entry.is_ok()).count(), 6);
    Ok(())
}

#[coop::test]
fn what_is_wrong_with_one_entry_does_not_end_a_walk() -> io::Result<()> {
    let scratch = Scratch::new();
    for dir in ["a", "b", "c"] {
        scratch.file(&format!("{dir}/file"), "x");
    }
    assert_eq!(
        fs::walk(scratch.join("missing")).map(|entry| entry.unwrap_err().kind()).collect::<Vec<_>>(),
        [ErrorKind::NotFound]
    );
    // The first that is come by is taken away, and a link put in its place, before the walk goes down into it.
    let mut walk = fs::walk(scratch.path()).min_depth(1);
    let first = walk.next().unwrap()?.into_path();
    std::fs::remove_dir_all(&first)?;
    std::os::unix::fs::symlink("/", &first)?;
    let rest: Vec<_> = walk.collect();
    let errors: Vec<_> = rest.iter().filter_map(|entry| entry.as_ref().err()).collect();
    assert_eq!(errors.len(), 1, "{rest:?}");
    assert!(matches!(errors[0].raw_os_error(), Some(libc::ELOOP | libc::ENOTDIR)), "{errors:?}");
    assert_eq!(rest.len(), 5, "two directories and their files, and the error: {rest:?}");
    Ok(())
}
