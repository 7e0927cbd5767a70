//! What is asked of the program by hand.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};

use crate::daemon::{CLIENTS, Daemon, command, configure};
use crate::wire::get;

fn run(args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_patch-lockd"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may say no before it has read all.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// A child that does not outlive a test that failed.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The line of a secret that a person chose.
pub fn chosen(secret: &str) -> String {
    words(&run(&["hash-secret"], &format!("{secret}\n")).stdout)
}

fn words(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_client_that_was_added_comes_in_by_the_secret_that_was_shown_once() {
    let added = run(&["add-client", "web", "--owners", "web*,mail", "--locks", "web"], "");
    assert!(added.status.success());
    let (section, shown) = (words(&added.stdout), words(&added.stderr));
    let secret = shown.trim().rsplit(' ').next().unwrap();
    assert!(!section.contains(secret) && section.contains("owners = web*, mail"), "{section}");
    let daemon = Daemon::with(&section);
    assert_eq!(get(daemon.address, &format!("x-secret-id: web\r\nx-secret: {secret}\r\n"), "/lock/1/locks").0, 200);
    assert_eq!(get(daemon.address, "x-secret-id: web\r\nx-secret: x\r\n", "/lock/1/locks").0, 401);
}

#[test]
fn a_secret_goes_into_a_new_file_and_never_over_an_old_one() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("secret");
    let args = ["add-client", "web", "--owners", "w", "--locks", "w", "--secret-file", file.to_str().unwrap()];
    let first = run(&args, "");
    assert!(first.status.success() && first.stderr.is_empty());
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let kept = std::fs::read(&file).unwrap();
    let second = run(&args, "");
    assert_eq!(second.status.code(), Some(1));
    assert!(second.stdout.is_empty(), "no section for a secret that nobody has");
    assert_eq!(std::fs::read(&file).unwrap(), kept);
}

#[test]
fn a_secret_whose_section_could_not_be_written_is_not_left_behind() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("secret");
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let done = Command::new(env!("CARGO_BIN_EXE_patch-lockd"))
        .args(["add-client", "web", "--owners", "w", "--locks", "w", "--secret-file"])
        .arg(&file)
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(1));
    assert!(words(&done.stderr).contains("is removed again"), "{}", words(&done.stderr));
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
}

#[test]
fn what_would_be_no_section_is_refused() {
    for args in [
        &["add-client", "a]\n[lockd", "--owners", "*", "--locks", "*"][..],
        &["add-client", "web", "--owners", "a\nadmin = yes", "--locks", "*"],
        &["add-client", "web", "--owners", "*"],
        &["add-client", "", "--owners", "*", "--locks", "*"],
        &["nonsense"],
    ] {
        let refused = run(args, "");
        assert_eq!(refused.status.code(), Some(2), "{args:?}: {}{}", words(&refused.stdout), words(&refused.stderr));
        assert!(refused.stdout.is_empty());
    }
}

#[test]
fn a_secret_that_a_person_chose_lets_it_in() {
    let hashed = run(&["hash-secret"], "correct horse\n");
    let line = words(&hashed.stdout);
    assert!(line.starts_with("secret_argon2 = $argon2id$"), "{line}");
    let daemon = Daemon::with(&format!("[client me]\n{line}owners = *\nlocks = *\n"));
    let me = "x-secret-id: me\r\nx-secret: correct horse\r\n";
    for _ in 0..3 {
        assert_eq!(get(daemon.address, me, "/lock/1/locks").0, 200);
        assert_eq!(get(daemon.address, "x-secret-id: me\r\nx-secret: correct hors\r\n", "/lock/1/locks").0, 401);
    }
    for bad in ["", "short\n", &"x".repeat(2000), "a\tb\tc\td\te\n"] {
        assert_eq!(run(&["hash-secret"], bad).status.code(), Some(2), "{bad:?}");
    }
}

#[test]
fn a_configuration_is_checked_and_nothing_else_is_done() {
    let scratch = tempfile::tempdir().unwrap();
    let check = |keys: &str, sections: &str| {
        configure(scratch.path(), keys, sections);
        command(scratch.path()).arg("--check-config").output().unwrap()
    };
    assert_eq!(check("", CLIENTS).status.code(), Some(0));
    for (keys, sections, part) in [
        ("stroe = /x", CLIENTS, "did you mean store?"),
        ("certificate = /nonexistent\nkey = /nonexistent", CLIENTS, "/nonexistent"),
        ("", "[client web]\nowners = *\nlocks = *\n", "never come in"),
    ] {
        let checked = check(keys, sections);
        assert_eq!(checked.status.code(), Some(2));
        assert!(words(&checked.stderr).contains(part), "{}", words(&checked.stderr));
    }
    assert!(!scratch.path().join("store").exists());
}

#[test]
fn without_a_configuration_this_machine_alone_is_served() {
    let scratch = tempfile::tempdir().unwrap();
    let store = scratch.path().join("var/lib/patch-lockd");
    let start = || {
        let mut child = Command::new(env!("CARGO_BIN_EXE_patch-lockd"))
            .arg("--root")
            .arg(scratch.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
        let first = lines.next().and_then(Result::ok);
        let second = lines.next().and_then(Result::ok);
        (child, first, second)
    };
    let (mut child, first, second) = start();
    let Some(address) = first.as_deref().and_then(|line| line.strip_prefix("listening on ")) else {
        let _ = child.wait();
        return; // The port is taken by the machine's own service.
    };
    assert_eq!(address, "127.0.0.1:7424");
    assert!(second.unwrap().ends_with("local.secret"));
    let path = store.join("local.secret");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let secret = std::fs::read_to_string(&path).unwrap();
    let local = format!("x-secret-id: local\r\nx-secret: {}\r\n", secret.trim());
    assert_eq!(get(address.parse().unwrap(), &local, "/lock/1/locks").0, 200);
    child.kill().unwrap();
    child.wait().unwrap();
    let (mut child, ..) = start();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), secret, "the next start keeps it");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_configuration_that_is_gone_is_an_error_and_the_old_one_stays() {
    let scratch = tempfile::tempdir().unwrap();
    let etc = scratch.path().join("etc/patch");
    std::fs::create_dir_all(&etc).unwrap();
    configure(&etc, "", CLIENTS);
    let text =
        std::fs::read_to_string(etc.join("lockd.ini")).unwrap().replace(&format!("{}/store", etc.display()), "/store");
    std::fs::write(etc.join("lockd.ini"), text).unwrap();
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_patch-lockd"));
    let daemon = daemon.arg("--root").arg(scratch.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = Ended(daemon.stdin(Stdio::null()).spawn().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.0.stdout.take().unwrap()), &mut line).unwrap();
    let address = line.trim().strip_prefix("listening on ").unwrap().parse().unwrap();
    std::fs::remove_file(etc.join("lockd.ini")).unwrap();
    let signal =
        |signal| nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.0.id().cast_signed()), signal).unwrap();
    signal(nix::sys::signal::Signal::SIGHUP);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(get(address, crate::wire::WEB, "/lock/1/locks").0, 200, "the clients of before");
    signal(nix::sys::signal::Signal::SIGTERM);
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.0.stderr.take().unwrap(), &mut said).unwrap();
    assert!(said.contains("lockd.ini: it was there at the start and is gone"), "{said}");
    assert!(!scratch.path().join("var/lib/patch-lockd/local.secret").exists());
}
