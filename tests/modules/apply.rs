//! Runs: order, failures, time, what is verified before, and what a killed run leaves.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::bench::{Bench, executable};

fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_mins(1);
    while !is() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn each_runs_once_after_what_it_needs_and_the_manifest_is_told_when() {
    let bench = Bench::of(&[
        ("top", "\"children\": [\"b\", \"a\"]"),
        ("a", "\"requires\": [\"base\"]"),
        ("b", "\"requires\": [\"base\"]"),
        ("base", ""),
    ]);
    bench.well(&["checksum", "--write"]);
    bench.program(
        "base",
        &format!(
            "echo base >> {}\necho hello from $PATCH_MODULE; pwd; echo \"done: $PATCH_MODULES_DONE\"",
            bench.ran().display()
        ),
    );
    bench.well(&["checksum", "--write", "base"]);
    let words = bench.well(&["apply"]);
    assert_eq!(bench.who_ran(), ["base", "b", "a", "top"]);
    assert!(words.contains("base | hello from base\n"), "{words}");
    assert!(words.contains(&format!("base | {}\n", bench.path("base").display())), "{words}");
    assert!(words.ends_with("4 of 4 modules applied\n"), "{words}");
    let manifest = bench.manifest();
    assert_eq!(manifest.matches("\"lastApplied\": \"20").count(), 4, "{manifest}");
    bench.well(&["verify"]);
    let log = std::fs::read_to_string(bench.log("base")).unwrap();
    assert!(log.contains("hello from base") && log.contains("exit code 0"), "{log}");
}

#[test]
fn after_a_failure_only_what_needs_it_is_skipped() {
    let bench = Bench::of(&[
        ("bad", ""),
        ("heir", "\"requires\": [\"bad\"]"),
        ("far", "\"children\": [\"heir\"]"),
        ("other", ""),
    ]);
    bench.program("bad", "echo it went wrong\nexit 3");
    bench.well(&["checksum", "--write"]);
    let words = bench.fails(&["apply"], 1, "module bad failed: exit code 3 after");
    assert!(words.contains("heir: skipped: needs bad, which failed"), "{words}");
    assert!(words.contains("far: skipped: needs heir, which was skipped"), "{words}");
    assert!(words.contains("1 of 4 modules applied, 1 failed, 2 skipped"), "{words}");
    assert!(words.contains("log/bad.log"), "the way to its log: {words}");
    assert_eq!(bench.who_ran(), ["other"]);
    let status = bench.well(&["status"]);
    assert!(status.contains("bad    failed at 20") && status.contains("other  done; last applied at 20"), "{status}");
    let json: serde_json::Value = serde_json::from_str(&bench.well(&["status", "--json"])).unwrap();
    assert_eq!((&json["modules"][1]["last"], &json["working"]), (&"skipped".into(), &false.into()));
    assert!(bench.well(&["history", "heir"]).contains("heir skipped: needs bad, which failed"));
}

#[test]
fn nothing_is_executed_that_is_not_what_the_manifest_says() {
    let bench = Bench::of(&[("changed", ""), ("null", ""), ("gone", ""), ("right", "")]);
    bench.well(&["checksum", "--write", "changed", "gone", "right"]);
    bench.program("changed", &format!("echo evil >> {}", bench.ran().display()));
    std::fs::remove_dir_all(bench.path("gone")).unwrap();
    let words = bench.fails(&["apply"], 1, "module changed failed: it is not what the manifest says");
    assert!(words.contains("module null failed: its checksum in the manifest is null"), "{words}");
    assert!(words.contains("module gone failed: it has no directory"), "{words}");
    assert_eq!(bench.who_ran(), ["right"]);
    let words = bench.fails(&["apply", "--allow-unverified"], 1, "2 of 4 modules applied, 2 failed");
    assert_eq!(bench.who_ran(), ["right", "null", "right"], "{words}");
}

#[test]
fn a_module_that_is_changed_by_another_during_the_run_is_not_started() {
    let bench = Bench::of(&[("a", ""), ("b", "\"requires\": [\"a\"]")]);
    bench
        .program("a", &format!("echo 'echo evil >> {}' >> {}", bench.ran().display(), bench.path("b/index").display()));
    bench.well(&["checksum", "--write"]);
    bench.fails(&["apply"], 1, "it was changed while it was being verified");
    assert!(bench.who_ran().is_empty());
}

#[test]
fn a_disabled_child_is_left_out_and_who_requires_a_disabled_module_is_told() {
    let bench = Bench::of(&[
        ("off", "\"enabled\": false"),
        ("top", "\"children\": [\"off\", \"a\"]"),
        ("a", ""),
        ("b", "\"requires\": [\"off\"]"),
    ]);
    bench.well(&["checksum", "--write"]);
    let words = bench.well(&["apply"]);
    assert!(words.contains("b: skipped: needs off, which is disabled"), "{words}");
    assert_eq!(bench.who_ran(), ["a", "top"]);
    bench.fails(&["apply", "off"], 2, "module off is disabled");
}

#[test]
fn a_module_is_ended_with_all_it_started_when_its_time_is_over() {
    let bench = Bench::of(&[("slow", "\"timeout\": 1"), ("other", "")]);
    bench.program("slow", "sleep 600 &\nsleep 600");
    bench.well(&["checksum", "--write"]);
    let began = Instant::now();
    bench.fails(&["apply"], 1, "module slow failed: ended at its deadline");
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(bench.who_ran(), ["other"]);
}

#[test]
fn with_two_jobs_two_work_at_once() {
    let bench = Bench::of(&[("a", "\"timeout\": 60"), ("b", "\"timeout\": 60")]);
    for (me, other) in [("a", "b"), ("b", "a")] {
        let at = |name: &str| bench.ran().with_file_name(format!("here.{name}")).display().to_string();
        bench.program(me, &format!("touch {}; until [ -e {} ]; do sleep 0.05; done", at(me), at(other)));
    }
    bench.well(&["checksum", "--write"]);
    assert!(bench.well(&["apply", "--jobs", "2"]).contains("2 of 2 modules applied"));
}

#[test]
fn why_a_program_cannot_be_started_is_told() {
    let bench = Bench::of(&[("dos", ""), ("plain", "")]);
    executable(&bench.path("dos/index"), "#!/bin/sh\r\necho hi\r\n");
    std::fs::remove_file(bench.path("plain/index")).unwrap();
    std::fs::write(bench.path("plain/index"), "#!/bin/sh\n").unwrap();
    bench.well(&["checksum", "--write"]);
    let words = bench.fails(&["apply"], 1, "module plain failed: index is not executable; chmod +x it");
    assert!(words.contains("module dos failed: not started") && words.contains("line"), "{words}");
}

#[test]
fn a_failed_health_check_is_a_failure() {
    let bench = Bench::of(&[("a", "\"health\": \"./check it\""), ("b", "\"health\": [\"true\"]")]);
    executable(&bench.path("a/check"), "#!/bin/sh\necho checking $1\nexit 4\n");
    bench.well(&["checksum", "--write"]);
    let words = bench.fails(&["apply"], 1, "module a failed: its health check failed: exit code 4");
    assert!(words.contains("a | checking it") && words.contains("b: applied"), "{words}");
}

#[test]
fn a_second_run_waits_for_its_own_turn_and_a_killed_one_is_told_of() {
    let bench = Bench::of(&[("a", ""), ("b", "")]);
    let started = bench.ran().with_file_name("started");
    bench.program("a", &format!("echo $$ > {}; exec sleep 60", started.display()));
    bench.well(&["checksum", "--write"]);
    let mut run = bench.command(&["apply"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the module is at work", || std::fs::read_to_string(&started).is_ok_and(|text| text.ends_with('\n')));
    bench.fails(&["apply"], 75, "another patch-modules is at work");
    assert!(bench.well(&["status"]).contains("a  at work"));
    run.kill().unwrap();
    run.wait().unwrap();
    bench.fails(&["apply"], 75, "module a of a run that was killed is still at work");
    let module = std::fs::read_to_string(&started).unwrap().trim().parse().unwrap();
    kill(Pid::from_raw(module), Signal::SIGKILL).unwrap();
    assert!(bench.well(&["status"]).contains("a  cut short"));
    bench.program("a", &format!("echo a >> {}", bench.ran().display()));
    let words = bench.well(&["repair", "--accept", "a", "--reason", "mended"]);
    assert!(words.contains("module a was at work since 20"), "{words}");
    bench.well(&["apply"]);
    assert_eq!(bench.who_ran(), ["a", "b"]);
    assert!(!bench.well(&["apply"]).contains("was at work"));
}

#[test]
fn a_signal_ends_the_module_and_begins_no_other() {
    let bench = Bench::of(&[("a", ""), ("b", "")]);
    let started = bench.ran().with_file_name("started");
    bench.program(
        "a",
        &format!(
            "trap 'echo ended >> {}; exit 1' TERM; echo > {}; sleep 60 & wait",
            bench.ran().display(),
            started.display()
        ),
    );
    bench.well(&["checksum", "--write"]);
    let run = bench.command(&["apply"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("the module is at work", || started.exists());
    kill(Pid::from_raw(run.id().cast_signed()), Signal::SIGTERM).unwrap();
    let done = run.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&done.stderr).contains("signal 15 ends this run"), "{done:?}");
    // A group and the fence around it are each told.
    assert!(!bench.who_ran().is_empty() && bench.who_ran().iter().all(|who| who == "ended"));
    assert!(bench.well(&["status"]).contains("a  unfinished"));
}

#[test]
fn after_a_failure_exactly_those_run_that_do_not_depend_on_it_in_any_graph() {
    let mut seed = 20_261_121_u64;
    let mut draw = move |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below
    };
    for _ in 0..8 {
        let needs: Vec<Vec<usize>> = (0..12).map(|n| (0..n).filter(|_| draw(5) == 0).collect()).collect();
        let bad: Vec<bool> = (0..12).map(|_| draw(5) == 0).collect();
        let names: Vec<String> = (0..12).map(|n| format!("m{n}")).collect();
        let fields: Vec<String> = needs
            .iter()
            .map(|needs| {
                let list: Vec<String> = needs.iter().map(|need| format!("\"m{need}\"")).collect();
                let (children, requires) = list.split_at(list.len() / 2);
                format!("\"children\": [{}], \"requires\": [{}]", children.join(", "), requires.join(", "))
            })
            .collect();
        let modules: Vec<(&str, &str)> =
            names.iter().zip(&fields).map(|(name, field)| (name.as_str(), field.as_str())).collect();
        let bench = Bench::of(&modules);
        for (name, bad) in names.iter().zip(&bad) {
            bench.program(name, &format!("echo {name} >> {}; exit {}", bench.ran().display(), i32::from(*bad)));
        }
        bench.well(&["checksum", "--write"]);
        let (code, words) = bench.says(&["apply", "--jobs", "3"]);
        let mut spoilt = [false; 12];
        for n in 0..12 {
            spoilt[n] = needs[n].iter().any(|need| spoilt[*need] || bad[*need]);
        }
        let mut expected: Vec<String> = (0..12).filter(|n| !spoilt[*n]).map(|n| names[n].clone()).collect();
        let mut ran = bench.who_ran();
        expected.sort();
        ran.sort();
        assert_eq!(ran, expected, "{words}");
        assert_eq!(code, i32::from(bad.contains(&true)), "{words}");
    }
}

#[test]
fn what_of_a_log_could_not_be_written_is_told() {
    let bench = Bench::of(&[("a", "")]);
    bench.program("a", "n=0; while [ $n -lt 2000 ]; do echo \"line $n of what a module has to say\"; n=$((n+1)); done");
    bench.well(&["checksum", "--write"]);
    // A file may grow to 32 KiB and no further: to the tool that is a disk without room.
    let words = "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\"";
    let tool = bench.command(&["apply"]);
    let done = Command::new("dash").args(["-c", words]).arg(tool.get_program()).args(tool.get_args()).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success() && said.contains("module a: ") && said.contains("could not be written"), "{said}");
    assert!(String::from_utf8_lossy(&done.stdout).contains("line 1999 of"));
}
