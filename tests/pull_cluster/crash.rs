//! Killed, or out of disk, at every call that changes something: the tree is whole at any moment, and the next run goes on.

use std::fs;
use std::process::Command;

use crate::script::pack;
use crate::site::{RELEASE, Site, sh};

/// The calls by which a tree can change, and those that make it last.
const CALLS: &[&str] = &[
    "openat",
    "write",
    "fchmod",
    "fsync",
    "fdatasync",
    "renameat2",
    "unlinkat",
    "mkdirat",
    "ftruncate",
    "mkdir",
    "rmdir",
];

/// Which of its calls by this name a command changes something with, counted from 1. Files that are only read do not count.
fn places(site: &Site, args: &[&str], call: &str) -> Vec<usize> {
    let log = site.at("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", &format!("trace={call}"), "-e", "signal=none", "-o"]).arg(&log);
    let tool = site.command(args);
    strace.arg(tool.get_program()).args(tool.get_args()).output().unwrap();
    let text = fs::read_to_string(log).unwrap();
    let calls = text.lines().filter(|line| line.contains('('));
    calls.zip(1..).filter(|(line, _)| call != "openat" || line.contains("O_CREAT")).map(|(_, number)| number).collect()
}

fn inject(site: &Site, args: &[&str], fault: &str) {
    let tool = site.command(args);
    let call = fault.split(':').next().unwrap();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &format!("inject={fault}")]);
    strace.arg(tool.get_program()).args(tool.get_args()).output().unwrap();
}

/// Runs a command with a fault at each call, each time on a fresh copy of the tree, then without one.
fn at_every_call(site: &Site, args: &[&str], faults: &[&str], level: &str) {
    let before = site.pointer(level);
    sh(site.dir.path(), "rm -rf saved; cp -a tree saved");
    let restore = || sh(site.dir.path(), "rm -rf tree; cp -a saved tree");
    let mut injected = 0;
    for call in CALLS {
        let places = places(site, args, call);
        restore();
        for when in places {
            for fault in faults {
                let fault = format!("{call}:{fault}:when={when}");
                inject(site, args, &fault);
                site.is_whole().unwrap_or_else(|why| panic!("{fault}: {why}"));
                let found = site.pointer(level);
                assert!(found == before || found.as_ref().map(|p| p.sequence) > before.as_ref().map(|p| p.sequence));
                site.ok(args);
                site.is_whole().unwrap_or_else(|why| panic!("after {fault}: {why}"));
                assert!(site.pointer(level) != before, "{fault}");
                assert!(site.minisign_accepts(&format!("{RELEASE}/{level}")), "{fault}");
                assert!(!site.tree().join(".incoming").exists(), "{fault}");
                let stray = walkdir::WalkDir::new(site.tree()).into_iter().filter_map(Result::ok);
                let stray: Vec<_> = stray
                    .map(|entry| entry.file_name().to_string_lossy().into_owned())
                    .filter(|name| name.starts_with('.') && name != ".lock")
                    .collect();
                assert!(stray.is_empty(), "{fault}: {stray:?}");
                restore();
                injected += 1;
            }
        }
    }
    assert!(injected > 20, "only {injected} faults");
}

fn site() -> Site {
    let site = Site::new("kind = script\nsource = /nowhere.zip");
    site.configure("keep = 0", &format!("kind = script\nsource = {}", site.at("c.zip").display()));
    pack(&site, "c.zip", "one");
    site.ok(&["pull"]);
    pack(&site, "c.zip", "two");
    site
}

#[test]
fn a_pull_that_is_killed_at_any_call_leaves_the_tree_whole() {
    at_every_call(&site(), &["pull"], &["signal=KILL"], "development");
}

#[test]
fn a_pull_that_meets_a_full_disk_at_any_call_leaves_the_tree_whole() {
    at_every_call(&site(), &["pull"], &["error=ENOSPC"], "development");
}

#[test]
fn a_promotion_that_is_cut_short_at_any_call_leaves_the_tree_whole() {
    let site = site();
    let promote = ["promote", RELEASE, "--confirmed-by", "web01", "--reason", "seen"];
    site.ok(&promote);
    site.ok(&["pull"]);
    at_every_call(&site, &promote, &["signal=KILL", "error=ENOSPC"], "production");
}
