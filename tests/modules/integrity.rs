//! Checksums: taken, verified, accepted.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use crate::bench::Bench;

#[test]
fn a_module_that_changed_is_told_file_by_file_and_accepted_with_a_reason() {
    let bench = Bench::of(&[("a", "\"version\": \"1.0\""), ("b", ""), ("all", "\"children\": [\"a\", \"b\"]")]);
    std::fs::remove_dir_all(bench.path("all")).unwrap();
    bench.fails(
        &["verify"],
        1,
        "a: unverified: its checksum in the manifest is null; patch-modules checksum --write a",
    );
    bench.well(&["checksum", "--write"]);
    assert!(bench.well(&["verify"]).contains("3 of 3 modules are what the manifest says"));
    std::fs::write(bench.path("a/new file"), "").unwrap();
    std::fs::set_permissions(bench.path("a/index"), std::fs::Permissions::from_mode(0o700)).unwrap();
    let words = bench.fails(&["verify"], 1, "a: CHANGED");
    assert!(words.contains("    ~ index (mode changed)\n    + new file (new)\n"), "{words}");
    assert!(words.contains("b: ok") && words.contains("2 of 3"), "{words}");
    bench.fails(&["repair", "--accept", "a"], 2, "--reason");
    bench.well(&["repair", "--accept", "a", "--reason", "the new list"]);
    bench.well(&["verify"]);
    let history = std::fs::read_to_string(bench.state("history")).unwrap();
    assert!(history.contains("event=accepted module=a") && history.contains("msg=\"the new list\""), "{history}");
}

#[test]
fn checksum_write_changes_nothing_else_in_the_manifest() {
    let bench = Bench::of(&[("a", "\"checksum\": null,   \"description\": \"x\"")]);
    let before = bench.manifest();
    let sum = bench.well(&["checksum", "a"]);
    let sum = sum.split_whitespace().next().unwrap();
    assert_eq!(bench.manifest(), before, "without --write it only prints");
    bench.well(&["checksum", "--write"]);
    assert_eq!(bench.manifest(), before.replace("null", &format!("\"{sum}\"")));
    let after = bench.manifest();
    bench.well(&["checksum", "--write"]);
    assert_eq!(bench.manifest(), after);
}

#[test]
fn a_checksum_file_that_lies_changes_no_verdict() {
    let bench = Bench::of(&[("a", "")]);
    bench.well(&["checksum", "--write"]);
    std::fs::write(bench.path("a/checksum"), "0".repeat(64)).unwrap();
    bench.well(&["verify"]);
    let sum = bench.well(&["checksum", "a"]).split_whitespace().next().unwrap().to_string();
    std::fs::write(bench.path("a/index"), "#!/bin/sh\nevil\n").unwrap();
    std::fs::write(bench.path("a/checksum"), sum).unwrap();
    bench.fails(&["verify"], 1, "~ index (content changed)");
}

#[test]
fn what_the_history_has_and_the_manifest_has_not_is_written_at_the_next_start() {
    let bench = Bench::of(&[("a", ""), ("b", "")]);
    let before = bench.manifest();
    bench.well(&["checksum", "--write", "a"]);
    let history = std::fs::read_to_string(bench.state("history")).unwrap();
    let told = bench.manifest();
    // As if the power had gone between the two.
    let lines: Vec<&str> = history.lines().filter(|line| !line.contains("event=written")).collect();
    std::fs::write(bench.state("history"), lines.join("\n") + "\ntime=2026").unwrap();
    bench.write_manifest(&before);
    bench.well(&["checksum", "--write", "b"]);
    bench.well(&["verify"]);
    assert!(told.lines().all(|line| bench.manifest().contains(line) || line.contains("\"b\"")));
}

#[test]
fn a_signed_manifest_is_believed_only_with_its_signature_and_left_as_it_is() {
    let bench = Bench::of(&[("a", "")]);
    bench.well(&["checksum", "--write"]);
    let minisign = |args: &[&str]| Command::new("minisign").args(args).current_dir(bench.dir()).output().unwrap();
    let keys = minisign(&["-GW", "-p", "k.pub", "-s", "k.key"]);
    assert!(keys.status.success(), "{keys:?}");
    bench.configure(&format!("public_key = {}", bench.path("k.pub").display()));
    bench.fails(&["verify"], 1, "manifest.json.minisig: the manifest must be signed here");
    assert!(minisign(&["-Sm", "manifest.json", "-s", "k.key"]).status.success());
    bench.well(&["verify"]);
    bench.fails(&["checksum", "--write"], 1, "it is signed, and its signer changes it");
    bench.write_manifest(&bench.manifest().replace("\"a\"", "\"b\""));
    bench.fails(&["verify"], 1, "its signature does not fit");
}

#[test]
fn links_out_and_what_others_can_write_are_refused() {
    let bench = Bench::of(&[("a", ""), ("b", "")]);
    bench.well(&["checksum", "--write"]);
    symlink("../b/index", bench.path("a/link")).unwrap();
    bench.fails(&["verify"], 1, "a/link: the link leads out of the module");
    bench.fails(&["checksum", "--write"], 1, "leads out");
    std::fs::remove_file(bench.path("a/link")).unwrap();
    std::fs::set_permissions(bench.path("b"), std::fs::Permissions::from_mode(0o777)).unwrap();
    let words = bench.fails(&["verify"], 1, "mode 0777 lets others write");
    assert!(words.contains("a: ok"), "{words}");
    std::fs::set_permissions(bench.dir(), std::fs::Permissions::from_mode(0o777)).unwrap();
    bench.fails(&["verify"], 1, "mode 0777");
}
