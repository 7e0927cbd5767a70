//! Holds the state table against the model: the same steps for every state that the model reaches, and a model that still finds
//! what it is there to find.

use std::process::{Command, Output};

use patchflag::flag::state::{State, Verdict};
use patchflag::flag::table::{self, Letter, Seen, Step};

fn python(args: &[&str]) -> Output {
    let mut command = Command::new("python3");
    command
        .args(args)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/model"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command.output().expect("python3 runs the model")
}

/// A step in the model's own words; installing is two of its steps, for it can be cut in between.
fn word(step: Step) -> String {
    match step {
        Step::Log(state) => format!("log {state}"),
        Step::Trigger => "trig 1".into(),
        Step::Undo => "trig 0".into(),
        Step::Reboot => "reboot".into(),
        Step::Lock => "lock".into(),
        Step::Unlock => "unlock".into(),
        Step::Lower => "flag 0".into(),
        Step::LowerOrCallOff => "lower".into(),
        Step::Install => "begin;end".into(),
        Step::Confirm => "confirm".into(),
        Step::RaiseDone => "done 1".into(),
        Step::LowerDone => "done 0".into(),
        Step::Mail(letter) => format!("mail {letter}"),
        Step::Date => "date".into(),
    }
}

fn words(steps: Option<Vec<Step>>) -> String {
    steps.unwrap_or_default().into_iter().map(word).collect::<Vec<_>>().join(";")
}

fn seen(view: &str) -> Seen {
    let facts: Vec<&str> = view.split(',').collect();
    let yes = |n: usize| facts[n] == "true";
    Seen {
        flag: yes(0),
        log: (facts[1] != "-").then(|| State::from_word(facts[1]).expect("a known state")),
        done: yes(2),
        trigger: yes(3),
        maintenance: yes(4),
        booted: yes(5),
        verdict: (facts[6] != "-").then(|| Verdict::from_word(facts[6]).expect("a known verdict")),
        held: yes(7),
    }
}

#[test]
fn the_table_answers_what_the_model_answers_in_every_state_it_reaches() {
    let output = python(&["dump.py"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut compared = 0;
    for line in text.lines() {
        let mut fields = line.split('\t');
        let s = seen(fields.next().unwrap());
        for field in fields {
            let (name, wanted) = field.split_once('=').unwrap();
            let ours = match name {
                "steps_grab" => table::steps_grab(s),
                "steps_lock" => table::steps_lock(s),
                "steps_order" => table::steps_order(s),
                "steps_expire" => table::steps_expire(s),
                "steps_late" => table::steps_late(s),
                "steps_finish" => table::steps_finish(s),
                "steps_unreleased" => table::steps_unreleased(s),
                "steps_boot" => table::steps_boot(s),
                other => panic!("the model has a function {other} that the table lacks"),
            };
            assert_eq!(words(ours), wanted, "{name} of {s:?}");
            compared += 1;
        }
    }
    assert!(compared > 500, "the model reached {compared} answers only");
}

#[test]
fn the_model_finds_no_broken_promise() {
    let output = python(&["run_model.py"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("broken=0"), "{text}");
}

#[test]
fn each_safeguard_taken_away_breaks_a_promise() {
    for safeguard in ["no-expiring", "no-starting", "no-test", "no-verdict", "no-late", "undo-last"] {
        let output = python(&["run_model.py", "--break", safeguard]);
        assert_eq!(output.status.code(), Some(1), "{safeguard}: the model does not miss it");
    }
}

#[test]
fn every_letter_has_the_models_name() {
    let letters = [Letter::Patched, Letter::Failed, Letter::Interrupted, Letter::CalledOff, Letter::NotReleased];
    let names = letters.map(|letter| letter.to_string());
    assert_eq!(names, ["patched", "failed", "interrupted", "called-off", "not-released"]);
}
