//! Scripts that do what scripts do at 2 a.m.

use super::*;
use crate::hook::{Whose, list};
use crate::sys::cgroup::Limits;
use std::os::unix::fs::PermissionsExt;
use std::sync::LazyLock;

const LONG: Duration = Duration::from_mins(1);

fn place(body: &str) -> (tempfile::TempDir, Entry) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("10-x"), body).unwrap();
    std::fs::set_permissions(dir.path().join("10-x"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut listed = list::list(&Paths::system(), dir.path(), &Whose::Root).unwrap().unwrap();
    let entry = listed.scripts.remove(0);
    (dir, entry)
}

static SYSTEM: LazyLock<Paths> = LazyLock::new(Paths::system);

fn groups<'a>(mark: Option<PathBuf>) -> &'a Groups {
    Box::leak(Box::new(Groups::new(mark, Limits::NONE)))
}

fn terms<'a>() -> Terms<'a> {
    let grace = Duration::from_millis(300);
    Terms {
        paths: &SYSTEM,
        env: &[],
        timeout: Some(LONG),
        grace,
        groups: groups(None),
        reach: Reach::Group,
        stop: None,
        dir: Path::new("/"),
    }
}

/// Runs a script by these terms; its end and what it said.
fn run_by<'a>(entry: &Entry, args: &[&str], change: impl FnOnce(&mut Terms<'a>)) -> (Done, Vec<u8>) {
    let mut terms = terms();
    change(&mut terms);
    let args: Vec<String> = args.iter().map(ToString::to_string).collect();
    let mut said = Vec::new();
    let done = run_script(&terms, entry, &args, &mut |heard| {
        if let Heard::Bytes(bytes) = heard {
            said.extend_from_slice(bytes);
        }
    });
    (done.unwrap(), said)
}

fn sh(script: &str) -> (Done, String) {
    let (_keep, entry) = place(&format!("#!/bin/sh\n{script}\n"));
    let (done, said) = run_by(&entry, &[], |_| ());
    (done, String::from_utf8(said).unwrap())
}

#[test]
fn a_script_gets_its_arguments_its_environment_its_own_path_and_nothing_else() {
    let (_keep, entry) = place("#!/bin/sh\necho \"$0 $*\"; pwd; cat; env | grep -v -e PWD -e SHLVL -e ^_= | sort\n");
    let env = [("B", "2".to_string()), ("A", "1".to_string())];
    let (done, said) = run_by(&entry, &["one", "two words"], |terms| terms.env = &env);
    assert_eq!(done.ended, Ended::Code(0));
    let path = entry.path.display();
    assert_eq!(String::from_utf8(said).unwrap(), format!("{path} one two words\n/\nA=1\nB=2\n"));
}

#[test]
fn what_a_script_said_before_it_ended_is_heard_whole_by_whoever_is_slow() {
    let (_keep, entry) = place("#!/bin/sh\nhead -c 1000000 /dev/zero; echo the reason; exit 1\n");
    let mut said = Vec::new();
    let done = run_script(&terms(), &entry, &[], &mut |heard| {
        if let Heard::Bytes(bytes) = heard {
            std::thread::sleep(Duration::from_millis(50));
            said.extend_from_slice(bytes);
        }
    });
    assert_eq!(said.len(), 1_000_011);
    assert!(said.ends_with(b"the reason\n") && !done.unwrap().to_string().contains("still holds its output"));
}

#[test]
fn both_streams_are_heard_in_their_order() {
    assert_eq!(sh("echo a; echo b >&2; printf c").1, "a\nb\nc");
}

#[test]
fn w27_a_code_a_signal_and_no_start_are_three_things() {
    assert_eq!(sh("exit 100").0.ended, Ended::Code(100));
    assert_eq!(sh("nosuchprogram").0.ended, Ended::Code(127));
    assert_eq!(sh("kill -9 $$").0.ended, Ended::Signal(9));
    assert_eq!([Ended::Code(3), Ended::Signal(9), Ended::Deadline].map(|ended| ended.code()), [3, -9, 124]);
}

#[test]
fn w23_what_cannot_be_started_is_a_result_that_says_why() {
    for (body, why) in [("echo no\n", "no #! line"), ("#!/nonexistent/sh\n", "/nonexistent/sh"), ("", "no #! line")] {
        let (_keep, entry) = place(body);
        let (done, said) = run_by(&entry, &[], |_| ());
        assert!(matches!(&done.ended, Ended::NotStarted(words) if words.contains(why)), "{body}: {done}");
        assert!(said.is_empty());
    }
}

#[test]
fn w22_bytes_that_are_no_text_are_heard_as_they_are() {
    let (_keep, entry) = place("#!/bin/sh\nprintf '\\377\\000\\200\\n'\n");
    assert_eq!(run_by(&entry, &[], |_| ()).1, b"\xff\0\x80\n");
}

#[test]
fn w21_a_script_has_its_time_and_its_children_have_no_more() {
    let (_keep, entry) =
        place("#!/bin/sh\ntrap '' TERM\nsh -c \"trap '' TERM; sleep 600\" &\necho $!\nsleep 600 & wait\nwait\n");
    let began = Instant::now();
    let (done, said) = run_by(&entry, &[], |terms| terms.timeout = Some(Duration::from_millis(200)));
    assert_eq!((done.ended, done.left), (Ended::Deadline, Left::Nothing));
    assert!(began.elapsed() < Duration::from_secs(20));
    let child: i32 = String::from_utf8(said).unwrap().trim().parse().unwrap();
    assert!(crate::sys::proc_stat::of(child).is_none_or(|process| process.zombie));
}

#[test]
fn a_script_that_tidies_up_at_term_is_heard_to_its_end() {
    let (_keep, entry) = place("#!/bin/sh\ntrap 'echo tidy; exit 3' TERM\nsleep 600 & wait\n");
    let (done, said) = run_by(&entry, &[], |terms| {
        terms.timeout = Some(Duration::from_millis(200));
        terms.grace = LONG;
    });
    assert_eq!((done.ended, said.as_slice()), (Ended::Deadline, &b"tidy\n"[..]));
    assert!(done.took < Duration::from_secs(20));
}

#[test]
fn w21_a_daemon_that_holds_the_output_does_not_hold_us() {
    let (_keep, entry) = place("#!/bin/sh\nsleep 20 &\necho $!\n");
    let (done, said) = run_by(&entry, &[], |_| ());
    assert_eq!((&done.ended, done.left), (&Ended::Code(0), Left::Writer));
    assert!(done.took < Duration::from_secs(10) && done.to_string().contains("still holds its output"), "{done}");
    let daemon: i32 = String::from_utf8(said).unwrap().trim().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(daemon), nix::sys::signal::Signal::SIGTERM).unwrap();
}

#[test]
fn a_daemon_that_never_stops_talking_does_not_hold_us_either() {
    let (_keep, entry) = place("#!/bin/sh\n(trap '' PIPE; while echo on; do :; done) &\n");
    let (done, _) = run_by(&entry, &[], |_| ());
    assert_eq!(done.left, Left::Writer);
    assert!(done.took < Duration::from_secs(10));
}

#[test]
fn a_script_that_closes_its_output_is_waited_for() {
    let (done, said) = sh("echo a; exec >&- 2>&-; sleep 0.2; exit 7");
    assert_eq!((done.ended, said.as_str()), (Ended::Code(7), "a\n"));
}

#[test]
fn w10_the_end_of_the_driver_is_the_end_of_the_script() {
    let stop = Stop::new().unwrap();
    let env = [("PATH", crate::sys::process::SAFE_PATH.to_string())];
    let (_keep, entry) = place("#!/bin/sh\ntouch \"${0}.ran\"\nsleep 600\n");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let ran = entry.path.with_file_name("10-x.ran");
            while !ran.exists() {
                std::thread::sleep(Duration::from_millis(5));
            }
            stop.raise(15);
        });
        let (done, _) = run_by(&entry, &[], |terms| (terms.stop, terms.env) = (Some(&stop), &env));
        assert_eq!(done.ended, Ended::Stopped(15));
    });
    // What was to end us is not forgotten: the next script does not begin.
    let ran = entry.path.with_file_name("10-x.ran");
    std::fs::remove_file(&ran).unwrap();
    let (done, _) = run_by(&entry, &[], |terms| (terms.stop, terms.env) = (Some(&stop), &env));
    assert_eq!(done.ended, Ended::Stopped(15));
    assert!(!ran.exists());
}

#[test]
fn w10_whoever_is_at_work_is_marked_and_the_mark_goes_with_him() {
    let scratch = tempfile::tempdir().unwrap();
    let mark = scratch.path().join("worker");
    let (_keep, entry) = place("#!/bin/sh\ncat \"$1\"\n");
    let (_, said) = run_by(&entry, &[mark.to_str().unwrap()], |terms| terms.groups = groups(Some(mark.clone())));
    assert!(String::from_utf8(said).unwrap().starts_with("group="));
    assert!(!mark.exists());
}

#[test]
fn w24_a_script_is_judged_again_before_it_runs() {
    let (dir, entry) = place("#!/bin/sh\ntouch \"${0}.ran\"\n");
    std::fs::set_permissions(&entry.path, std::fs::Permissions::from_mode(0o777)).unwrap();
    assert!(run_script(&terms(), &entry, &[], &mut |_| ()).is_err());
    assert!(!dir.path().join("10-x.ran").exists());
}

#[test]
fn w31_a_users_script_has_his_rights_and_no_others() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let (dir, mut entry) = place("#!/bin/sh\nid -u; id -G; head -c 1 /etc/shadow || echo refused\n");
    let user = User { name: "app".into(), uid: 4711, gid: 4711, groups: vec![4711, 4712], home: dir.path().into() };
    for path in [dir.path(), &entry.path] {
        std::os::unix::fs::chown(path, Some(4711), None).unwrap();
    }
    entry.whose = Whose::User(std::sync::Arc::new(user));
    let env = [("PATH", crate::sys::process::SAFE_PATH.to_string())];
    let (done, said) = run_by(&entry, &[], |terms| terms.env = &env);
    let said = String::from_utf8(said).unwrap();
    assert!(said.starts_with("4711\n4711 4712\n") && said.ends_with("refused\n"), "{said} {done}");
}

#[test]
fn a_command_is_taken_word_by_word() {
    let words = ["/bin/echo", "$HOME; id", "b"].map(String::from);
    let mut said = Vec::new();
    run_command(&terms(), &words, &mut |heard| {
        if let Heard::Bytes(bytes) = heard {
            said.extend_from_slice(bytes);
        }
    })
    .unwrap();
    assert_eq!(said, b"$HOME; id b\n");
    let done = run_command(&terms(), &["/nonexistent".to_string()], &mut |_| ()).unwrap();
    assert!(matches!(done.ended, Ended::NotStarted(_)));
}

#[test]
fn a_script_that_waits_without_a_word_ticks() {
    let (_keep, entry) = place("#!/bin/sh\nsleep 1.3\n");
    let mut ticks = 0;
    run_script(&terms(), &entry, &[], &mut |heard| ticks += i32::from(matches!(heard, Heard::Tick))).unwrap();
    assert_eq!(ticks, 1);
}

#[test]
fn what_is_said_before_a_pause_is_there_to_be_written_at_once() {
    let (_keep, entry) = place("#!/bin/sh\necho a\nsleep 0.3\necho b\n");
    let mut told = Vec::new();
    run_script(&terms(), &entry, &[], &mut |heard| {
        told.push(if let Heard::Bytes(bytes) = heard { bytes.to_vec() } else { b"tick".to_vec() });
    })
    .unwrap();
    assert_eq!(&told[..2], [b"a\n".to_vec(), b"tick".to_vec()], "{told:?}");
}

#[test]
fn a_host_without_room_is_told_from_a_program_that_cannot_be_executed() {
    use nix::errno::Errno::{EACCES, EAGAIN, ENOENT, ENOEXEC, ENOMEM};
    assert!([EAGAIN, ENOMEM].map(io::Error::from).iter().all(lacks_room));
    assert!(![EACCES, ENOENT, ENOEXEC].map(io::Error::from).iter().any(lacks_room));
}
