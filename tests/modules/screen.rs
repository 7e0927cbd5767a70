//! What a person at a terminal sees of a run.

use std::fs::File;
use std::io::Read;
use std::process::Stdio;

use nix::pty::{OpenptyResult, Winsize, openpty};

use crate::bench::Bench;

const ERASE: &str = "\r\x1b[K";

fn scene() -> Bench {
    let bench =
        Bench::of(&[("a", ""), ("b", "\"requires\": [\"a\"]"), ("sick", ""), ("heir", "\"requires\": [\"sick\"]")]);
    bench.program("a", "echo one; echo two");
    bench.program("sick", "exit 3");
    bench.well(&["checksum", "--write"]);
    bench
}

/// Everything that a run writes to a terminal of so many columns.
fn seen(bench: &Bench, term: &str, columns: u16) -> String {
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let OpenptyResult { master, slave } = openpty(Some(&size), None).unwrap();
    let mut command = bench.command(&["apply", "--jobs", "1"]);
    command.env("TERM", term).stdin(Stdio::null()).stdout(slave.try_clone().unwrap()).stderr(slave);
    let mut child = command.spawn().unwrap();
    // It holds our copies of the terminal.
    drop(command);
    let mut bytes = Vec::new();
    // The end of a terminal that nobody has open any more is an error.
    let _ = File::from(master).read_to_end(&mut bytes);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    String::from_utf8(bytes).unwrap()
}

/// The lines that are left on the screen.
fn left(seen: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for part in seen.replace(ERASE, "\0").replace("\r\n", "\n").chars() {
        match part {
            '\n' => lines.push(String::new()),
            '\0' => lines.last_mut().unwrap().clear(),
            other => lines.last_mut().unwrap().push(other),
        }
    }
    lines
}

#[test]
fn a_terminal_shows_where_the_run_stands_and_keeps_only_the_lines() {
    let seen = seen(&scene(), "xterm", 80);
    for status in ["[0/4] a", "[1/4] b", "[2/4] sick", "[4/4, 1 failed] "] {
        assert!(seen.contains(&format!("{ERASE}{status}")), "{status}: {seen:?}");
    }
    let left = left(&seen);
    assert!(left.iter().any(|line| line == "a | two") && left.last().unwrap().is_empty(), "{left:?}");
    assert!(!left.iter().any(|line| line.contains("/4]")), "{left:?}");
    assert!(left.iter().any(|line| line.starts_with("patch-modules: module sick failed")), "{left:?}");
}

#[test]
fn a_narrow_terminal_shows_no_more_than_it_has_columns() {
    let seen = seen(&scene(), "xterm", 10);
    assert!(seen.contains(&format!("{ERASE}[2/4] si…")), "{seen:?}");
    assert!(seen.contains(&format!("{ERASE}[4/4, 1 …")), "{seen:?}");
}

#[test]
fn what_cannot_erase_gets_lines_alone() {
    let bench = scene();
    assert!(!seen(&bench, "dumb", 80).contains('\x1b'));
    assert!(!seen(&bench, "", 80).contains('\x1b'));
    let piped = bench.command(&["apply"]).env("TERM", "xterm").output().unwrap();
    assert!(!String::from_utf8_lossy(&piped.stdout).contains('\x1b'));
}
