use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};

fn scene() -> (tempfile::TempDir, Place) {
    let scratch = tempfile::tempdir().unwrap();
    std::fs::create_dir(scratch.path().join("a")).unwrap();
    let place = Place::open(scratch.path()).unwrap();
    (scratch, place)
}

fn write(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn name() -> Name {
    Name::new("a").unwrap()
}

fn refused(place: &Place) -> String {
    place.read(&name()).unwrap_err().to_string()
}

/// What the manual gives to people who want to compute it themselves.
const PYTHON: &str = include_str!("../../tests/golden/modules/checksum.py");

#[test]
fn a_few_lines_of_python_compute_the_same_checksum() {
    let (scratch, place) = scene();
    let dir = scratch.path().join("a");
    write(&dir.join("index"), "#!/bin/sh\n", 0o755);
    write(&dir.join("checksum"), "lies\n", 0o644);
    write(&dir.join("a-file with spaces\nand a line"), "x", 0o600);
    std::fs::create_dir_all(dir.join("sub/checksum")).unwrap();
    std::fs::create_dir_all(dir.join("sub-x")).unwrap();
    write(&dir.join("sub/big"), &"0123456789".repeat(200_000), 0o4755);
    symlink("sub/nothing", dir.join("link")).unwrap();
    let tree = place.read(&name()).unwrap().unwrap();
    let theirs = std::process::Command::new("python3").args(["-c", PYTHON]).arg(&dir).output().unwrap();
    assert_eq!(tree.checksum, String::from_utf8_lossy(&theirs.stdout).trim(), "{theirs:?}");
    assert_eq!(tree.claim.as_deref(), Some("lies"));
    assert!(tree.top("index").is_some() && tree.top("checksum").is_none());
}

#[test]
fn many_threads_find_what_one_finds() {
    let scratch = tempfile::tempdir().unwrap();
    let names: Vec<Name> = (0..20).map(|n| Name::new(&format!("m{n}")).unwrap()).collect();
    for (n, name) in names.iter().enumerate().skip(1) {
        let dir = scratch.path().join(name.as_str());
        std::fs::create_dir(&dir).unwrap();
        write(&dir.join("index"), &"x".repeat(n * 150_000), 0o755);
    }
    let place = Place::open(scratch.path()).unwrap();
    let one = read_all(&place, &names, 1);
    let many = read_all(&place, &names, 8);
    assert!(one[0].as_ref().unwrap().is_none());
    for (one, many) in one.iter().zip(&many).skip(1) {
        let sum = |tree: &Result<Option<Tree>>| tree.as_ref().unwrap().as_ref().unwrap().checksum.clone();
        assert_eq!(sum(one), sum(many));
    }
}

#[test]
fn whatever_changes_after_the_hashing_is_seen_before_the_start() {
    for change in ["content", "mode", "new", "gone", "exchanged", "link"] {
        let (scratch, place) = scene();
        let dir = scratch.path().join("a");
        std::fs::create_dir(dir.join("sub")).unwrap();
        write(&dir.join("sub/index"), "one", 0o755);
        symlink("index", dir.join("sub/link")).unwrap();
        let tree = place.read(&name()).unwrap().unwrap();
        tree.check().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        let file = dir.join("sub/index");
        match change {
            "content" => std::fs::write(&file, "two").unwrap(),
            "mode" => std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o700)).unwrap(),
            "new" => std::fs::write(dir.join("sub/new"), "").unwrap(),
            "gone" => std::fs::remove_file(&file).unwrap(),
            "link" => {
                std::fs::remove_file(dir.join("sub/link")).unwrap();
                symlink("other", dir.join("sub/link")).unwrap();
            }
            _ => {
                write(&dir.join("other"), "one", 0o755);
                std::fs::rename(dir.join("other"), &file).unwrap();
            }
        }
        let words = tree.check().unwrap_err().to_string();
        assert!(words.contains("changed while it was being verified"), "{change}: {words}");
    }
}

#[test]
fn links_that_lead_out_and_special_files_are_refused() {
    let (scratch, place) = scene();
    let dir = scratch.path().join("a");
    symlink("../b", dir.join("out")).unwrap();
    assert!(refused(&place).contains("a/out: the link leads out of the module (to ../b)"));
    std::fs::remove_file(dir.join("out")).unwrap();
    symlink("/etc/passwd", dir.join("out")).unwrap();
    assert!(refused(&place).contains("begins with /"));
    std::fs::remove_file(dir.join("out")).unwrap();
    nix::unistd::mkfifo(&dir.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(refused(&place).contains("neither a file nor a directory nor a link"));
}

#[test]
fn what_others_could_write_is_refused_wherever_it_is() {
    let (scratch, place) = scene();
    let dir = scratch.path().join("a");
    std::fs::create_dir(dir.join("sub")).unwrap();
    write(&dir.join("sub/index"), "", 0o666);
    assert!(refused(&place).contains("mode 0666"));
    write(&dir.join("sub/index"), "", 0o644);
    std::fs::set_permissions(dir.join("sub"), std::fs::Permissions::from_mode(0o1777)).unwrap();
    assert!(refused(&place).contains("mode 1777"));
    std::fs::set_permissions(dir.join("sub"), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o775)).unwrap();
    assert!(refused(&place).contains("mode 0775"));
    std::fs::remove_dir_all(&dir).unwrap();
    symlink(scratch.path(), &dir).unwrap();
    assert!(refused(&place).contains("no directory"));
}

#[test]
fn a_strangers_file_or_link_is_refused() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let (scratch, place) = scene();
    let dir = scratch.path().join("a");
    symlink("x", dir.join("link")).unwrap();
    std::os::unix::fs::lchown(dir.join("link"), Some(4711), None).unwrap();
    assert!(refused(&place).contains("user 4711"));
}
