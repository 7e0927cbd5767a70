//! On a host that lacks git, or Python.

use std::fs::{create_dir, write};
use std::process::Command;

use crate::bench::Bench;

/// Runs its arguments where nobody finds the programs of that name, by a view of the file system that is theirs alone.
const WITHOUT: &str = r#"mount -t tmpfs without "$1" && for dir in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin; do
  mkdir -p "$1$dir/up" "$1$dir/work" &&
    mount -t overlay without -o "lowerdir=$dir,upperdir=$1$dir/up,workdir=$1$dir/work" "$dir" && rm -f "$dir/$2"* || exit 99
done; shift 2; exec "$@""#;

/// Runs the tool without a program; it must end with 1 and these words.
fn fails(bench: &Bench, program: &str, args: &[&str], expected: &str) -> String {
    let scratch = tempfile::tempdir().unwrap();
    let tool = bench.command(args);
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", WITHOUT, "sh"]).arg(scratch.path()).arg(program);
    let done = command.arg(tool.get_program()).args(tool.get_args()).output().unwrap();
    let words = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert!(done.status.code() == Some(1) && words.contains(expected), "{args:?}: {done:?}");
    words
}

#[test]
fn without_git_versions_are_not_to_be_had_and_modules_run() {
    let bench = Bench::of(&[("a", "\"version\": \"1\"")]);
    bench.well(&["checksum", "--write"]);
    bench.git(&["init", "-q"]);
    bench.git(&["add", "-A"]);
    bench.git(&["commit", "-qm", "one"]);
    bench.well(&["tag", "a"]);
    let manifest = bench.manifest();
    for args in [&["versions", "a"][..], &["tag", "a"], &["rollback", "a", "--to", "1"]] {
        fails(&bench, "git", args, "cannot run git: it is not there; install git");
    }
    assert_eq!((bench.manifest(), bench.who_ran().len()), (manifest, 0));
    bench.well(&["apply"]);
}

#[test]
fn without_python_its_modules_fail_by_name_and_the_others_run() {
    let list = "{\"updates\": [{\"name\": \"a\"}, {\"name\": \"b\"}, {\"name\": \"c\", \"requires\": [\"a\"]}]}";
    let bench = Bench::new(list);
    create_dir(bench.path("a")).unwrap();
    write(bench.path("a/index.py"), "def main(args=None):\n    pass\n").unwrap();
    for name in ["b", "c"] {
        bench.program(name, &format!("echo {name} >> {}", bench.ran().display()));
    }
    bench.well(&["checksum", "--write"]);
    let words = fails(&bench, "python3", &["apply"], "python3 is not there; install it");
    assert!(words.contains("c: not run") || words.contains("skipped"), "{words}");
    assert_eq!(bench.who_ran(), ["b"]);
    write(bench.path("a/requirements.txt"), "\n").unwrap();
    bench.well(&["checksum", "--write"]);
    fails(&bench, "python3", &["setup"], "cannot run python3: it is not there; install python3 and python3-venv");
}
