//! Making, removing, renaming, linking.

use crate::scratch::Scratch;
use coop::{Operation, fs, op};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

#[coop::test]
fn names_are_made_changed_and_removed() -> io::Result<()> {
    let scratch = Scratch::new();
    let [dir, one, two, three] = ["dir", "dir/one", "dir/two", "dir/three"].map(|name| scratch.join(name));
    fs::create_dir(&dir)?;
    fs::write(&one, "1")?;
    fs::rename(&one, &two)?;
    assert!(!fs::exists(&one)? && fs::exists(&two)?);
    fs::hard_link(&two, &three)?;
    assert_eq!(
        (std::fs::metadata(&two)?.ino(), std::fs::metadata(&two)?.nlink()),
        (std::fs::metadata(&three)?.ino(), 2)
    );
    fs::symlink("two", &one)?;
    assert_eq!(fs::read_link(&one)?, Path::new("two"));
    assert_eq!(fs::read_to_string(&one)?, "1");
    assert!(fs::symlink_metadata(&one)?.is_symlink() && fs::metadata(&one)?.is_file());
    assert_eq!(fs::canonicalize(&one)?, std::fs::canonicalize(&two)?);
    fs::set_permissions(&three, std::fs::Permissions::from_mode(0o444))?;
    assert_eq!(std::fs::metadata(&two)?.mode() & 0o777, 0o444);
    fs::remove_file(&one)?;
    assert!(fs::exists(&two)?, "the link was removed, not what it led to");
    fs::remove_file(&two)?;
    fs::remove_file(&three)?;
    fs::remove_dir(&dir)?;
    assert_eq!(std::fs::read_dir(scratch.path())?.count(), 0);
    Ok(())
}

#[coop::test]
fn the_same_as_operations() -> io::Result<()> {
    let scratch = Scratch::new();
    let [dir, one, two, three, link] =
        ["dir", "dir/one", "dir/two", "dir/three", "dir/link"].map(|name| scratch.join(name));
    op::create_dir(&dir).wait()?;
    std::fs::write(&one, "1")?;
    coop::scope(|s| -> io::Result<()> {
        s.start(op::rename(&one, &two)).wait()?;
        let (hard, soft) = (s.start(op::hard_link(&two, &three)), s.start(op::symlink("two", &link)));
        hard.wait()?;
        soft.wait()?;
        assert_eq!(s.start(op::metadata(&link)).wait()?.nlink(), 2);
        assert!(s.start(op::symlink_metadata(&link)).wait()?.is_symlink());
        let removing = [&two, &three, &link].map(|path| s.start(op::remove_file(path)));
        removing.into_iter().try_for_each(|removing| removing.wait())?;
        s.start(op::remove_dir(&dir)).wait()
    })?;
    assert_eq!(std::fs::read_dir(scratch.path())?.count(), 0);
    Ok(())
}

#[coop::test]
fn create_dir_all_makes_what_is_missing_and_is_content_with_what_is_there() -> io::Result<()> {
    let scratch = Scratch::new();
    fs::create_dir_all(scratch.join("a/b/c/d"))?;
    fs::create_dir_all(scratch.join("a/b/c/d"))?;
    fs::create_dir_all(scratch.join("a/b/./e/../f"))?;
    assert!(scratch.join("a/b/f").is_dir() && scratch.join("a/b/c/d").is_dir());
    fs::create_dir_all("/")?;
    scratch.file("a/file", "");
    assert_eq!(fs::create_dir_all(scratch.join("a/file")).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(fs::create_dir_all(scratch.join("a/file/below")).unwrap_err().kind(), ErrorKind::NotADirectory);
    // Many that make the same.
    coop::wait_all(|s| {
        for _ in 0..20 {
            s.spawn(|| fs::create_dir_all(scratch.join("x/y/z")).unwrap());
        }
    });
    assert!(scratch.join("x/y/z").is_dir());
    Ok(())
}

#[coop::test]
fn remove_dir_all_takes_links_away_and_leaves_what_they_lead_to() -> io::Result<()> {
    let scratch = Scratch::new();
    let kept = scratch.file("kept/file", "kept");
    for n in 0..300 {
        scratch.file(&format!("tree/{}/{n}", n % 7), "x");
    }
    std::fs::create_dir_all(scratch.join("tree/deep".to_owned() + &"/d".repeat(60)))?;
    std::os::unix::fs::symlink(scratch.join("kept"), scratch.join("tree/link"))?;
    std::os::unix::fs::symlink("nowhere", scratch.join("tree/dangling"))?;
    scratch.fifo("tree/fifo");
    fs::remove_dir_all(scratch.join("tree"))?;
    assert!(!scratch.join("tree").exists());
    assert_eq!(std::fs::read(&kept)?, b"kept");

    // The path itself may be a link: only that goes.
    std::os::unix::fs::symlink(scratch.join("kept"), scratch.join("link"))?;
    fs::remove_dir_all(scratch.join("link"))?;
    assert_eq!(std::fs::read(&kept)?, b"kept");
    assert_eq!(fs::remove_dir_all(scratch.join("link")).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(fs::remove_dir_all(&kept).unwrap_err().kind(), ErrorKind::NotADirectory);
    Ok(())
}

#[coop::test]
fn two_that_remove_the_same_tree_both_succeed_or_find_it_gone() -> io::Result<()> {
    let scratch = Scratch::new();
    for n in 0..100 {
        scratch.file(&format!("tree/{}/{n}", n % 5), "x");
    }
    let tree = scratch.join("tree");
    coop::wait_all(|s| {
        for _ in 0..3 {
            s.spawn(|| match fs::remove_dir_all(&tree) {
                Ok(()) => {}
                Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound),
            });
        }
    });
    assert!(!tree.exists());
    Ok(())
}
