//! Versions in git, and the way back.

use std::os::unix::fs::PermissionsExt;

use crate::bench::Bench;

/// Makes a version of module a, runs it and tags it.
fn deploy(bench: &Bench, version: &str) {
    let old = bench.manifest();
    let from = old.split("\"version\": \"").nth(1).unwrap().split('"').next().unwrap();
    bench.write_manifest(&old.replace(&format!("\"version\": \"{from}\""), &format!("\"version\": \"{version}\"")));
    bench.program("a", &format!("echo a {version} >> {}", bench.ran().display()));
    std::fs::write(bench.path(&format!("a/only-{version}")), version).unwrap();
    bench.well(&["checksum", "--write"]);
    bench.well(&["apply"]);
    bench.git(&["add", "-A"]);
    bench.git(&["commit", "-qm", version]);
    bench.well(&["tag", "a"]);
}

/// A repository with versions 1.9, 1.10 of module a; 1.10 is wanted and runs.
fn scene(fields: &str) -> Bench {
    let bench = Bench::of(&[("a", &format!("\"version\": \"0\"{fields}"))]);
    bench.git(&["init", "-q"]);
    for version in ["1.9", "1.10"] {
        deploy(&bench, version);
        std::fs::remove_file(bench.path(&format!("a/only-{version}"))).unwrap();
    }
    std::fs::write(bench.path("a/only-1.10"), "1.10").unwrap();
    bench
}

fn asides(bench: &Bench) -> Vec<String> {
    let names = std::fs::read_dir(bench.dir()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with(".a.")).collect();
    names.sort();
    names
}

#[test]
fn versions_are_listed_as_numbers_and_the_one_before_is_put_back() {
    let bench = scene("");
    let words = bench.well(&["versions", "a"]);
    let lines: Vec<&str> = words.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(lines, ["1.10", "1.9"], "{words}");
    assert!(words.contains("(wanted)"), "{words}");
    std::fs::write(bench.path("a/local change"), "precious").unwrap();
    let words = bench.well(&["rollback", "a"]);
    assert!(words.contains("a: rolled back to 1.9 (tag a-v1.9-20") && words.contains("kept as .a.aside-20"), "{words}");
    assert!(bench.path("a/only-1.9").exists() && !bench.path("a/only-1.10").exists());
    assert!(bench.manifest().contains("\"version\": \"1.9\""), "{}", bench.manifest());
    bench.well(&["verify"]);
    let aside = asides(&bench);
    assert_eq!(aside.len(), 1);
    assert_eq!(std::fs::read_to_string(bench.path(&aside[0]).join("local change")).unwrap(), "precious");
    bench.well(&["apply"]);
    assert_eq!(bench.who_ran().last().unwrap(), "a 1.9");
    let status = bench.git(&["status", "--porcelain", "--untracked-files=no", "manifest.json"]);
    assert!(status.contains("manifest.json"), "the index is as it was, only the files differ: {status}");
    bench.well(&["rollback", "a", "--to", "1.10"]);
    assert!(bench.path("a/only-1.10").exists());
    let before = asides(&bench);
    bench.well(&["rollback", "a", "--to", "1.10"]);
    assert_eq!(asides(&bench), before, "what is there already is not put aside");
    bench.well(&["verify"]);
    let history = bench.well(&["history", "a"]);
    assert!(history.contains("a 1.9 rolling-back") && history.contains("a 1.10 rolled-back"), "{history}");
}

#[test]
fn the_last_safe_version_is_the_way_back_and_is_marked_only_when_it_ran() {
    let bench = scene("");
    bench.fails(&["rollback", "a", "--last-safe"], 1, "nothing says which version is safe");
    bench.well(&["safe", "a"]);
    assert!(bench.manifest().contains("\"lastSafeVersion\": \"1.10\""));
    bench.fails(&["rollback", "a", "--to", "7"], 1, "no tag a-v7-TIME is in the repository");
    bench.fails(&["rollback", "a", "--to", "v7"], 2, "no version");
    deploy(&bench, "1.11");
    bench.well(&["rollback", "a"]);
    assert!(bench.manifest().contains("\"version\": \"1.10\""));
    bench.fails(&["safe", "a"], 1, "version 1.10 has not run here");
    bench.well(&["apply"]);
    assert!(bench.well(&["safe", "a"]).contains("is the last safe one already"));
    let soaking = scene(", \"soak_days\": 7");
    soaking.fails(&["safe", "a"], 1, "and its soak_days are over at 20");
}

#[test]
fn a_failed_health_check_puts_the_version_before_back_and_says_so() {
    let bench = scene(r#", "health": ["sh", "-c", "test ! -e sick"]"#);
    deploy(&bench, "2.0");
    bench.well(&["safe", "a"]);
    std::fs::write(bench.path("a/sick"), "").unwrap();
    let manifest = bench.manifest().replace("\"version\": \"2.0\"", "\"version\": \"3.0\"");
    bench.write_manifest(&manifest);
    bench.well(&["checksum", "--write"]);
    let words = bench.fails(&["apply"], 1, "its health check failed: exit code 1");
    assert!(words.contains("a: rolled back to 2.0 (tag a-v2.0-20"), "{words}");
    assert!(bench.manifest().contains("\"version\": \"2.0\""));
    bench.well(&["verify"]);
    assert!(bench.well(&["apply"]).contains("1 of 1 modules applied"));
}

#[test]
fn what_cannot_be_put_back_changes_nothing() {
    let bench = scene("");
    let before = (bench.manifest(), bench.well(&["checksum", "a"]));
    bench.git(&["tag", "a-v1.5-20240101", "HEAD~1"]);
    let nowhere = "0123456789012345678901234567890123456789";
    std::fs::write(bench.path(".git/refs/tags/a-v1.6-20240101"), format!("{nowhere}\n")).unwrap();
    let words = bench.fails(&["rollback", "a", "--to", "1.6"], 1, "tag a-v1.6-20240101");
    assert!(words.contains("points to nothing that is here"), "{words}");
    std::fs::remove_file(bench.path(".git/refs/tags/a-v1.6-20240101")).unwrap();
    std::fs::write(bench.path("other"), "").unwrap();
    bench.git(&["checkout", "-q", "--orphan", "empty"]);
    bench.git(&["rm", "-rqf", "--cached", "a"]);
    bench.git(&["commit", "-qm", "without a"]);
    bench.git(&["tag", "a-v1.7-20240101"]);
    bench.fails(&["rollback", "a", "--to", "1.7"], 1, "the module is not in it");
    std::fs::write(bench.path(".git/MERGE_HEAD"), format!("{nowhere}\n")).unwrap();
    bench.fails(&["rollback", "a", "--to", "1.5"], 1, "a merge is under way in its repository");
    std::fs::remove_file(bench.path(".git/MERGE_HEAD")).unwrap();
    assert_eq!((bench.manifest(), bench.well(&["checksum", "a"])), before);
    assert!(asides(&bench).is_empty());
    bench.well(&["rollback", "a", "--to", "1.5"]);
}

#[test]
fn without_git_or_a_repository_the_way_out_is_told() {
    let bench = Bench::of(&[("a", "\"version\": \"1\"")]);
    bench.fails(&["versions", "a"], 1, "it must be in a git repository: not a git repository");
    bench.fails(&["tag", "a"], 1, "not a git repository");
    bench.git(&["init", "-q"]);
    bench.fails(&["tag", "a"], 1, "it has changes that are not committed");
    assert!(bench.well(&["versions", "a"]).contains("no tag a-v*"));
}

#[test]
fn a_repository_of_another_user_is_refused() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let bench = scene("");
    let done = std::process::Command::new("chown").args(["-R", "4711"]).arg(bench.path(".git")).status().unwrap();
    assert!(done.success());
    bench.fails(&["rollback", "a"], 1, "its git repository belongs to another user");
    assert!(bench.path("a/only-1.10").exists());
}

#[test]
fn a_tag_that_holds_a_link_that_leads_out_is_refused() {
    let bench = scene("");
    std::os::unix::fs::symlink("/etc/passwd", bench.path("a/link")).unwrap();
    bench.git(&["add", "-A"]);
    bench.git(&["commit", "-qm", "evil"]);
    bench.git(&["tag", "a-v6-20240101"]);
    std::fs::remove_file(bench.path("a/link")).unwrap();
    bench.fails(&["rollback", "a", "--to", "6"], 1, "the link leads out of the module");
    assert!(asides(&bench).is_empty() && bench.path("a/only-1.10").exists());
}

#[test]
fn a_health_check_that_fails_for_both_versions_does_not_put_them_in_each_others_place() {
    let bench = scene(", \"health\": [\"sh\", \"-c\", \"test ! -e ../sick\"]");
    std::fs::write(bench.path("sick"), "").unwrap();
    let words = bench.fails(&["apply"], 1, "a: rolled back to 1.9");
    assert!(words.contains("its health check failed"), "{words}");
    bench.fails(&["apply"], 1, "it stays, for nothing says which version to go back to");
    assert!(bench.manifest().contains("\"version\": \"1.9\""), "{}", bench.manifest());
    bench.fails(&["rollback", "a"], 1, "nothing says which version is safe");
    std::fs::remove_file(bench.path("sick")).unwrap();
    bench.well(&["apply"]);
    bench.well(&["rollback", "a", "--to", "1.10"]);
    bench.well(&["apply"]);
    assert!(bench.well(&["rollback", "a"]).contains("rolled back to 1.9"), "it is good again");
}

#[test]
fn a_repository_is_used_only_if_nobody_else_can_change_anything_in_it() {
    let bench = scene("");
    for name in [".git/config", ".git/packed-refs", ".git/refs/tags", ".git/objects"] {
        let path = bench.path(name);
        if name == ".git/packed-refs" {
            bench.git(&["pack-refs", "--all"]);
        }
        let fit = std::fs::metadata(&path).unwrap().permissions();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(fit.mode() | 0o020)).unwrap();
        bench.fails(&["rollback", "a"], 1, "lets others write; chmod -R go-w");
        std::fs::set_permissions(&path, fit).unwrap();
    }
    assert!(bench.path("a/only-1.10").exists());
    bench.well(&["rollback", "a"]);
}

#[test]
fn a_health_command_is_no_way_to_run_what_nobody_has_verified() {
    let bench = Bench::of(&[("a", "\"health\": \"../b/index\"")]);
    bench.fails(&["list"], 2, "health: its program is outside of the module");
    let stranger = bench.ran().with_file_name("stranger");
    crate::bench::executable(&stranger, "#!/bin/sh\n");
    bench.write_manifest(&bench.manifest().replace("../b/index", &stranger.display().to_string()));
    bench.well(&["checksum", "--write"]);
    bench.well(&["apply"]);
    std::fs::set_permissions(&stranger, std::fs::Permissions::from_mode(0o777)).unwrap();
    bench.fails(&["apply"], 1, "its health check was not run: refusing");
}
