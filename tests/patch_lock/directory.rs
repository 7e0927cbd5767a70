//! By hand, with the backend `dir`.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::bench::{Host, Said, signal, until};

const SECTION: &str =
    "backend = dir\ndir = /srv/locks\nscope = this-host\nnames = web\nbackoff_base = 1s\nbackoff_max = 1s\n";

fn host() -> Host {
    let host = Host::new("web01.example.org", 'a', SECTION);
    std::fs::create_dir_all(host.path("srv/locks")).unwrap();
    host
}

/// The same root, asked by another host.
fn as_other(host: &Host, change: impl FnOnce()) {
    host.configure("web02.example.org", SECTION);
    host.write("etc/machine-id", &"b".repeat(32));
    change();
    host.configure("web01.example.org", SECTION);
    host.write("etc/machine-id", &"a".repeat(32));
}

#[test]
fn a_lock_is_taken_shown_and_given_back() {
    let host = host();
    let taken = host.run(&["acquire", "--reason", "moving disks"]);
    assert_eq!((taken.code, taken.out.as_str(), taken.err.as_str()), (0, "lock web is held (grant 1, local)\n", ""));
    assert_eq!(host.grants(), "dir web 1-local web01.example.org\n");
    assert_eq!(
        host.run(&["acquire"]).out,
        "lock web is held (grant 1, local)\n",
        "asking again answers the same grant"
    );
    let shown = host.run(&["show", "web", "db"]).out;
    assert!(shown.starts_with("lock web is held by web01.example.org since 20"), "{shown}");
    assert!(shown.contains("(grant 1, moving disks)\nlock db is free\n"), "{shown}");
    let json: serde_json::Value = serde_json::from_str(&host.run(&["show", "web", "--json"]).out).unwrap();
    assert_eq!(json[0]["holders"][0]["owner"], "web01.example.org");
    assert_eq!(json[0]["holders"][0]["boot"], "0a1b-2c/4711");
    assert_eq!(host.run(&["release"]).out, "lock web is released\n");
    assert_eq!(host.grants(), "");
    assert_eq!(host.run(&["release"]).out, "lock web is not held by this host\n");
}

#[test]
fn a_lock_that_is_held_elsewhere_is_75_and_says_by_whom() {
    let host = host();
    assert_eq!(host.run(&["acquire"]).code, 0);
    as_other(&host, || {
        let refused = host.run(&["acquire"]);
        assert_eq!(refused.code, 75, "{refused:?}");
        assert!(refused.err.starts_with("patch-lock: lock web is held by web01.example.org since "), "{refused:?}");
        assert!(!host.grants().contains("asking"), "a clean no leaves no intent");
    });
}

#[test]
fn a_tool_that_was_killed_before_it_could_remember_is_healed() {
    let host = host();
    host.run(&["acquire"]);
    host.write("var/lib/patch/grants", "asking dir web\n");
    assert_eq!(host.run(&["release"]).out, "lock web is released\n");
    assert_eq!((host.grants().as_str(), host.path("srv/locks/web.lock").exists()), ("", false));
}

#[test]
fn waiting_ends_when_the_lock_is_free() {
    let host = host();
    as_other(&host, || assert_eq!(host.run(&["acquire"]).code, 0));
    let waiting = host.start(&["acquire", "--wait"]);
    std::thread::sleep(Duration::from_millis(300));
    std::fs::remove_file(host.path("srv/locks/web.lock")).unwrap();
    let said = Said::from(waiting.wait_with_output().unwrap());
    assert_eq!((said.code, said.out.as_str()), (0, "lock web is held (grant 2, local)\n"), "{said:?}");
}

#[test]
fn waiting_has_an_end_if_one_is_wanted() {
    let host = host();
    as_other(&host, || assert_eq!(host.run(&["acquire"]).code, 0));
    let began = Instant::now();
    assert_eq!(host.run(&["acquire", "--wait=1"]).code, 75);
    assert!((Duration::from_secs(1)..Duration::from_secs(5)).contains(&began.elapsed()));
    host.configure("web01.example.org", &format!("{SECTION}wait_max = 1s\n"));
    assert_eq!(host.run(&["acquire", "--wait"]).code, 75);
    std::fs::remove_dir_all(host.path("srv/locks")).unwrap();
    let away = host.run(&["acquire", "--wait"]);
    assert_eq!(away.code, 69, "{away:?}");
    assert!(away.err.contains("cannot reach lock directory /srv/locks"), "{away:?}");
}

#[test]
fn term_and_int_end_a_wait_at_once() {
    let host = host();
    as_other(&host, || assert_eq!(host.run(&["acquire"]).code, 0));
    for (sent, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130), (Signal::SIGHUP, 129)] {
        let waiting = host.start(&["acquire", "--wait"]);
        until("it asks", || host.grants().contains("asking"));
        std::thread::sleep(Duration::from_millis(200));
        let began = Instant::now();
        signal(&waiting, sent);
        assert_eq!(Said::from(waiting.wait_with_output().unwrap()).code, code);
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn what_is_wrong_is_2_with_the_way_out_and_nothing_changes() {
    let host = host();
    for (args, words) in [
        (&["acquire", "../web"][..], "slash"),
        (&["acquire", ""], "it is empty"),
        (&["acquire", "a\u{1b}b"], "unprintable"),
        (&["acquire", "web", "db"], "one lock at a time"),
        (&["acquire", "--wait=soon"], "no duration"),
        (&["acquire", "--reason", ""], "it is empty"),
        (&["show"], "NAME"),
        (&["frobnicate"], "frobnicate"),
        (&[], "subcommand"),
    ] {
        let said = host.run(args);
        assert_eq!(said.code, 2, "{args:?}: {said:?}");
        assert!(said.err.contains(words), "{args:?}: {said:?}");
    }
    assert_eq!(host.grants(), "");
    host.write("etc/patch/config.ini", "[host]\nname = web01\n");
    let said = host.run(&["acquire", "web"]);
    assert!(said.code == 2 && said.err.contains("no lock is configured"), "{said:?}");
    host.configure("web01", &SECTION.replace("names = web\n", ""));
    let said = host.run(&["acquire"]);
    assert!(said.code == 2 && said.err.contains("names ="), "{said:?}");
    host.configure("localhost", SECTION);
    let said = host.run(&["acquire"]);
    assert!(said.code == 2 || said.code == 1, "W1: {said:?}");
    assert!(said.err.contains("localhost"), "W1: {said:?}");
    assert_eq!(host.grants(), "");
}

/// The argument by which the tool makes itself its own child is nobody else's way to anything.
#[test]
fn the_child_that_works_in_the_directory_answers_its_parent_alone() {
    let host = host();
    let argument = "--work-in-lock-directory";
    let start = |args: &[&str], words: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_patch-lock"));
        let pipe = || Stdio::piped();
        let mut child = command.args(args).stdin(pipe()).stdout(pipe()).stderr(pipe()).spawn().unwrap();
        // It may have ended by then.
        let _ = child.stdin.take().unwrap().write_all(words.as_bytes());
        Said::from(child.wait_with_output().unwrap())
    };
    let dir = host.path("srv/locks").display().to_string();
    let errand = |asker: u32| {
        format!("{{\"asker\":{asker},\"dir\":\"{dir}\",\"shown\":\"/srv/locks\",\"is_shared\":false}}\n\"list\"\n")
    };
    assert_eq!(start(&[argument], &errand(std::process::id())).out, "{\"Ok\":null}\n{\"Ok\":[]}\n");
    for words in [errand(1), errand(0), "{}\n".into(), "\n".into(), String::new(), "x".repeat(1 << 20)] {
        let said = start(&[argument], &words);
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{said:?}");
        assert!(said.err.contains("is for the child"), "{said:?}");
    }
    for args in [&[argument, "x"][..], &["show", argument], &["--root", "/tmp", argument]] {
        let said = start(args, &errand(std::process::id()));
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{args:?}: {said:?}");
    }
    for args in [&["--help"][..], &["acquire", "--help"]] {
        assert!(!start(args, "").out.contains("lock-directory"));
    }
}

#[test]
fn a_question_changes_nothing() {
    let host = host();
    let said = host.run(&["acquire", "-n"]);
    assert_eq!((said.code, said.out.as_str()), (0, "would ask dir for lock web as web01.example.org\n"));
    assert!(!host.path("var").exists() && !host.path("srv/locks/web.lock").exists());
}

#[test]
fn what_a_damaged_or_planted_memory_says_is_not_believed() {
    let host = host();
    assert_eq!(host.run(&["acquire"]).code, 0);
    host.write("var/lib/patch/grants", "nonsense\n");
    let said = host.run(&["release"]);
    assert!(said.code == 1 && said.err.contains("grants:1: "), "{said:?}");
    std::fs::remove_file(host.path("var/lib/patch/grants")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", host.path("var/lib/patch/grants")).unwrap();
    let said = host.run(&["release"]);
    assert!(said.code == 1 && said.err.contains("symbolic link"), "{said:?}");
    assert!(host.path("srv/locks/web.lock").exists());
}

/// W7: none of the updaters has a number that tells a later grant from an earlier one.
#[test]
fn w7_the_numbers_of_grants_grow() {
    let host = host();
    let mut last = 0;
    for _ in 0..3 {
        let said = host.run(&["acquire"]).out;
        let number = said.trim_end().strip_prefix("lock web is held (grant ").and_then(|text| text.split(',').next());
        let number: u64 = number.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{said}"));
        assert!(number > last, "{said}");
        last = number;
        assert_eq!(host.run(&["release"]).code, 0);
    }
}

#[test]
fn a_configuration_that_is_no_file_is_told_so() {
    let host = host();
    let said = host.run(&["--config", "/dev/null", "show", "web"]);
    assert!(said.code == 2 && said.err.contains("name one that is"), "{said:?}");
}

#[test]
fn a_clone_is_told_by_why_that_another_host_has_its_name() {
    let host = host();
    assert_eq!(host.run(&["acquire"]).code, 0);
    std::fs::remove_file(host.path("var/lib/patch/grants")).unwrap();
    assert!(host.run(&["why"]).out.contains("you are web01.example.org"));
    host.write("etc/machine-id", &"c".repeat(32));
    let said = host.run(&["why"]).out;
    assert!(said.contains("another host of this name") && said.contains("machine-id"), "{said}");
}
