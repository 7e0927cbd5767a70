//! Bad input: a clear error, and nothing is changed.

use std::fmt::Write;

use crate::bench::Bench;

#[test]
fn a_manifest_that_is_not_there_is_told_with_the_way_out() {
    let bench = Bench::of(&[]);
    std::fs::remove_file(bench.path("manifest.json")).unwrap();
    bench.fails(&["list"], 2, "name its directory with --dir, or with dir = in section [modules]");
}

#[test]
fn a_broken_manifest_stops_every_command_with_line_and_column() {
    for (text, expected) in [
        ("{\"updates\": [\n  {\"name\": \"a\"},\n]}\n", "manifest.json:3:1: it is not JSON"),
        ("{\"updates\": [{\"name\": \"a\"}, {\"name\": \"a\"}]}", "module a is there twice"),
        ("{\"updates\": [{\"name\": \"a\", \"children\": [\"b\"]}]}", "children: there is no module \"b\""),
        ("{\"updates\": [{\"name\": \"a\", \"requires\": [\"a\"]}]}", "in a circle: a -> a"),
        ("\u{feff}{\"updates\": []}", "manifest.json:1:1: it begins with a byte order mark"),
        ("{\"updates\": [{\"name\": null}]}", "name: it must be a text"),
        ("{\"updates\": [{\"name\": \"../a\"}]}", "\"../a\" is no name for a module"),
        ("{\"updates\": [{\"name\": \"/etc\"}]}", "\"/etc\" is no name for a module"),
    ] {
        let bench = Bench::new(text);
        for args in [&["list"][..], &["verify"], &["checksum", "--write"], &["apply"], &["apply", "--dry-run"]] {
            bench.fails(args, 2, expected);
        }
        assert_eq!(bench.manifest(), text);
    }
}

#[test]
fn ten_thousand_modules_in_one_chain_are_planned() {
    let mut list = String::from("{\"updates\": [{\"name\": \"m0\"}");
    for n in 1..10_000 {
        write!(list, ",\n{{\"name\": \"m{n}\", \"requires\": [\"m{}\"]}}", n - 1).unwrap();
    }
    let bench = Bench::new(&(list + "]}"));
    let words = bench.well(&["apply", "--dry-run"]);
    assert!(words.contains("10000. m9999, after m9998\n"), "{}", &words[words.len() - 200..]);
    let words = bench.well(&["apply", "--dry-run", "--allow-unverified", "m1"]);
    assert_eq!(words, "  1. m0\n  2. m1, after m0\n");
    let words = bench.well(&["apply", "--dry-run", "m1"]);
    assert!(words.contains("m0 and 1 more would fail without being executed: no checksum"), "{words}");
}

#[test]
fn a_name_that_is_not_in_the_manifest_is_an_error_with_the_nearest_one() {
    let bench = Bench::of(&[("adblock", "")]);
    bench.fails(&["verify", "adblok"], 2, "there is no module adblok in the manifest; did you mean adblock?");
}

#[test]
fn the_example_in_the_documentation_runs_as_it_is() {
    let bench = Bench::of(&[]);
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/pkg/examples/modules");
    for name in ["manifest.json", "hello"] {
        let copied =
            std::process::Command::new("cp").arg("-R").arg(format!("{example}/{name}")).arg(bench.dir()).status();
        assert!(copied.unwrap().success());
    }
    bench.well(&["checksum", "--write"]);
    let words = bench.well(&["apply"]);
    assert!(words.contains("hello | hello 1.0.0 on "), "{words}");
}

#[test]
fn a_disabled_module_that_is_only_a_name_stands_in_nobodys_way() {
    let bench = Bench::of(&[("a", ""), ("later", "\"enabled\": false"), ("all", "\"children\": [\"a\", \"later\"]")]);
    for name in ["later", "all"] {
        std::fs::remove_dir_all(bench.path(name)).unwrap();
    }
    bench.well(&["checksum"]);
    bench.well(&["checksum", "--write"]);
    bench.well(&["apply"]);
    let words = bench.well(&["verify"]);
    assert!(words.contains("later: ok (disabled, and without a directory)"), "{words}");
    assert!(words.contains("all: ok (a group"), "{words}");
}

#[test]
fn a_circle_of_thousands_is_told_in_a_few_words() {
    let mut list = String::new();
    for n in 0..3_000 {
        let comma = if n == 0 { "" } else { ", " };
        write!(list, "{comma}{{\"name\": \"m{n}\", \"requires\": [\"m{}\"]}}", (n + 1) % 3_000).unwrap();
    }
    let bench = Bench::new(&format!("{{\"updates\": [{list}]}}"));
    let words = bench.fails(&["list"], 2, "circle: m0 -> m1 -> m2");
    assert!(words.len() < 1_000 && words.contains("more) -> "), "{words}");
}

#[test]
fn a_directory_has_one_history_with_a_slash_at_its_end_and_without() {
    let bench = Bench::of(&[("a", "")]);
    bench.well(&["checksum", "--write"]);
    bench.well(&["apply"]);
    for slashes in ["/", "//", "/."] {
        let dir = format!("{}{slashes}", bench.dir().display());
        let words = bench.well(&["--dir", &dir, "status"]);
        assert!(words.starts_with("a  done"), "{words}");
    }
}
