//! Modules in Python: what they give back, what they import, and the virtual environments that they run in.

use std::fs::{Permissions, create_dir, create_dir_all, set_permissions, write};
use std::os::unix::fs::PermissionsExt;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::bench::Bench;

/// A module a in Python, taken as right.
fn scene(code: &str) -> Bench {
    let bench = Bench::new("{\"updates\": [{\"name\": \"a\"}]}");
    create_dir(bench.path("a")).unwrap();
    write(bench.path("a/index.py"), code).unwrap();
    bench.well(&["checksum", "--write"]);
    bench
}

#[test]
fn nothing_that_main_gives_back_counts_as_success_by_accident() {
    for (code, expected) in [
        ("def main(args=None):\n    return 256\n", "exit code 1"),
        ("def main(args=None):\n    return 0.5\n", "exit code 1"),
        ("def main(args=None):\n    return -1\n", "exit code 1"),
        ("async def main(args=None):\n    raise ValueError\n", "it is async, or it yields"),
        ("def main(args=None):\n    yield 1\n", "it is async, or it yields"),
        ("import sys\nsys.exit()\n", "ended before its main(args) could be called"),
        ("import sys\nsys.exit(3)\n", "exit code 3"),
    ] {
        scene(code).fails(&["apply"], 1, expected);
    }
    for code in ["def main(args=None):\n    return 0.0\n", "def main(args=None):\n    return 'all is well'\n"] {
        scene(code).well(&["apply"]);
    }
}

#[test]
fn what_a_module_imports_from_beside_it_must_not_be_others_to_write() {
    let bench = scene("from utils.index import log\n\ndef main(args=None):\n    log('imported')\n");
    create_dir(bench.path("utils")).unwrap();
    write(bench.path("utils/index.py"), "def log(words):\n    print(words)\n").unwrap();
    assert!(bench.well(&["apply"]).contains("a | imported"));
    for (name, fit) in [("utils/index.py", 0o644), ("utils", 0o755)] {
        set_permissions(bench.path(name), Permissions::from_mode(0o777)).unwrap();
        let words = bench.fails(&["apply"], 1, "others can write it; chmod go-w it");
        assert!(!words.contains("| imported"), "{words}");
        set_permissions(bench.path(name), Permissions::from_mode(fit)).unwrap();
    }
    // Compiled code that lies beside is executed as well.
    create_dir(bench.path("utils/__pycache__")).unwrap();
    set_permissions(bench.path("utils/__pycache__"), Permissions::from_mode(0o777)).unwrap();
    bench.fails(&["apply"], 1, "utils/__pycache__: others can write it");
    std::fs::remove_dir(bench.path("utils/__pycache__")).unwrap();
    bench.well(&["apply"]);
    // Nor may a name beside it hide one of Python's own.
    create_dir(bench.path("calendar")).unwrap();
    set_permissions(bench.path("calendar"), Permissions::from_mode(0o777)).unwrap();
    write(bench.path("calendar/__init__.py"), "print('a stranger')\n").unwrap();
    write(bench.path("a/index.py"), "import calendar\n\ndef main(args=None):\n    pass\n").unwrap();
    bench.well(&["checksum", "--write"]);
    let words = bench.fails(&["apply"], 1, "calendar: others can write it");
    assert!(!words.contains("a stranger"), "{words}");
}

#[test]
fn a_virtual_environment_is_used_only_while_it_is_whole_and_ours_and_setup_makes_it_anew() {
    let bench = scene("def main(args=None):\n    import own\n    print(own.WORDS)\n");
    create_dir_all(bench.path("a/own")).unwrap();
    write(bench.path("a/own/__init__.py"), "WORDS = 'in its environment'\n").unwrap();
    // By a path relative to the module; empty, so that no network and no wheel is needed.
    write(bench.path("a/more.txt"), "").unwrap();
    write(bench.path("a/requirements.txt"), "-r more.txt\n").unwrap();
    bench.well(&["checksum", "--write"]);
    bench.well(&["setup"]);
    assert!(bench.well(&["apply"]).contains("a | in its environment"));
    assert!(bench.well(&["setup"]).contains("up to date"));
    // What the requirements name counts as they do.
    write(bench.path("a/more.txt"), "# changed\n").unwrap();
    bench.well(&["checksum", "--write"]);
    bench.fails(&["apply"], 1, "of other requirements; patch-modules setup a");
    write(bench.path("a/more.txt"), "").unwrap();
    bench.well(&["checksum", "--write"]);
    bench.well(&["apply"]);
    // As after an upgrade to another Python: its packages are not found any more.
    let lib = bench.state("venv/a/lib");
    let python = std::fs::read_dir(&lib).unwrap().next().unwrap().unwrap().path();
    std::fs::rename(python, lib.join("python2.7")).unwrap();
    bench.fails(&["apply"], 1, "made by another Python; patch-modules setup a");
    assert!(bench.well(&["setup"]).contains("a: its virtual environment is made"));
    bench.well(&["apply"]);
    let config = bench.state("venv/a/pyvenv.cfg");
    set_permissions(&config, Permissions::from_mode(0o666)).unwrap();
    bench.fails(&["apply"], 1, "pyvenv.cfg: mode 0666 lets others write; chmod -R go-w");
    set_permissions(&config, Permissions::from_mode(0o644)).unwrap();
    std::fs::remove_file(bench.state("venv/a/bin/python")).unwrap();
    bench.fails(&["apply"], 1, "its virtual environment is damaged; patch-modules setup a");
}

#[test]
fn a_setup_that_was_killed_is_waited_for_and_not_worked_against() {
    let bench = scene("def main(args=None):\n    pass\n");
    write(bench.path("a/requirements.txt"), "").unwrap();
    bench.well(&["checksum", "--write"]);
    let mut first = bench.command(&["setup"]).spawn().unwrap();
    let draft = bench.state("venv/.a.draft/bin");
    let patience = Instant::now() + Duration::from_mins(1);
    while !draft.exists() && Instant::now() < patience {
        sleep(Duration::from_millis(5));
    }
    first.kill().unwrap();
    first.wait().unwrap();
    bench.fails(&["setup"], 75, "module a of a run that was killed is still at work");
    while bench.says(&["setup"]).0 == 75 && Instant::now() < patience {
        sleep(Duration::from_millis(100));
    }
    bench.well(&["apply"]);
}
