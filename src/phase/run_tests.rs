use super::*;
use crate::sys::clock;

const BOOT: &str = "b/1";

fn at() -> Moment {
    clock::parse("2026-11-21T02:00:07Z").unwrap()
}

fn record(drafts: &[Draft]) -> String {
    drafts.iter().map(|draft| draft.line(at(), "patch-run", 1, "R1") + "\n").collect()
}

fn script(name: &str) -> Draft {
    Draft::default().field("script", name).field("boot", BOOT)
}

fn phase(phase: Phase) -> Draft {
    Draft::default().field("phase", phase.as_str())
}

#[test]
fn scripts_that_succeeded_count_in_their_phase_alone() {
    let run =
        Run::parse(&record(&[phase(Phase::PreUpdate), script("10-a"), phase(Phase::Update), script("20-b")])).unwrap();
    assert!(run.is_done(Phase::Update, "20-b", BOOT));
    assert!(!run.is_done(Phase::Update, "10-a", BOOT));
    assert!(!run.is_done(Phase::PreUpdate, "10-a", BOOT));
}

#[test]
fn a_resumed_phase_knows_what_it_did_before() {
    let run = Run::parse(&record(&[phase(Phase::Update), script("10-a"), phase(Phase::Update)])).unwrap();
    assert!(run.is_done(Phase::Update, "10-a", BOOT));
    let run =
        Run::parse(&record(&[phase(Phase::Update), script("10-a"), phase(Phase::PreUpdate), phase(Phase::Update)]));
    assert!(!run.unwrap().is_done(Phase::Update, "10-a", BOOT), "who writes the state back wants it again");
}

#[test]
fn a_run_whose_end_was_not_recorded_is_not_the_next_one() {
    let grant = "lockd web 7 a.example.org";
    let drafts = [phase(Phase::LockGet), Draft::default().field("grant", grant), phase(Phase::Update), script("10-a")];
    let run = Run::parse(&record(&drafts)).unwrap();
    assert!(run.goes_back_to(Phase::LockGet) && run.goes_back_to(Phase::PreUpdate));
    assert!(!run.goes_back_to(Phase::Update) && !run.goes_back_to(Phase::NeedsReboot));
    assert!(!run.is_another_than_one_in(Phase::LockGet), "it holds the lock still");
    let released = [&drafts[..], &[Draft::default().field("released", grant)]].concat();
    let run = Run::parse(&record(&released)).unwrap();
    assert!(run.is_another_than_one_in(Phase::LockGet) && !run.is_another_than_one_in(Phase::PreUpdate));
    assert!(!Run::parse(&record(&drafts[..1])).unwrap().is_another_than_one_in(Phase::LockGet));
}

#[test]
fn after_a_boot_the_host_is_prepared_again_and_updated_no_second_time() {
    let run = Run::parse(&record(&[phase(Phase::PreUpdate), script("10-stop")])).unwrap();
    assert!(!run.is_done(Phase::PreUpdate, "10-stop", "b/2"));
    let run = Run::parse(&record(&[phase(Phase::Update), script("10-update")])).unwrap();
    assert!(run.is_done(Phase::Update, "10-update", "b/2"));
}

#[test]
fn what_is_held_is_what_was_granted_and_not_given_back() {
    let grant = "lockd web 7 a.example.org";
    let asked = Draft::default().field("asking", "lockd web");
    let granted = Draft::default().field("grant", grant).field("asking", "");
    assert_eq!(Run::parse(&record(&[])), None);
    let run = |drafts: &[Draft]| Run::parse(&record(drafts)).unwrap();
    assert_eq!(run(std::slice::from_ref(&asked)).holds(), Holds::Perhaps);
    assert_eq!(run(&[asked.clone(), granted.clone()]).holds(), Holds::Lock);
    for end in ["released", "lost"] {
        let over = run(&[asked.clone(), granted.clone(), Draft::default().field(end, grant)]);
        assert_eq!(over.holds(), Holds::Nothing);
    }
}

#[test]
fn a_torn_record_says_nothing() {
    let text = record(&[phase(Phase::Update), script("10-a-long-name")]);
    let whole = Run::parse(&text).unwrap();
    assert!(whole.is_done(Phase::Update, "10-a-long-name", BOOT));
    let first = text.find('\n').unwrap() + 1;
    for end in first..text.len() - 1 {
        let run = Run::parse(&text[..end]).unwrap();
        assert!(run.begun.unwrap().done.is_empty(), "{}", &text[first..end]);
    }
}

#[test]
fn a_failure_is_forgotten_when_the_phase_is_tried_again() {
    let failed = Draft::default().field("failed", "10-a: exit code 3");
    let run = Run::parse(&record(&[phase(Phase::Update), failed.clone()])).unwrap();
    assert_eq!(run.last_attempt(), Last::Failed);
    let run = Run::parse(&record(&[phase(Phase::Update), failed, phase(Phase::Update)])).unwrap();
    assert_eq!(run.last_attempt(), Last::CutShort);
}

#[test]
fn the_same_failure_of_one_phase_is_known_at_the_next_try() {
    let failed = Draft::default().field("failed", "the service is away");
    let again = [phase(Phase::LockRelease), failed.clone(), phase(Phase::LockRelease)];
    let run = Run::parse(&record(&again)).unwrap();
    assert_eq!((run.failed, run.told.as_deref()), (None, Some("the service is away")));
    let run = Run::parse(&record(&[phase(Phase::Update), failed, phase(Phase::NeedsReboot)])).unwrap();
    assert_eq!(run.told, None);
}

#[test]
fn the_book_on_disk_tells_what_was_put_into_it() {
    let scratch = tempfile::tempdir().unwrap();
    let state = scratch.path().join("lib/state");
    assert!(Book::resume(&state).unwrap().is_none());
    let mut book = Book::begin(&state, "R1", at(), Phase::LockGet).unwrap();
    book.add(at(), &phase(Phase::PreUpdate)).unwrap();
    book.add(at(), &script("10-a")).unwrap();
    book.add(at(), &Draft::default().field("ordered", BOOT)).unwrap();
    let again = Book::resume(&state).unwrap().unwrap();
    assert_eq!(again.run, book.run);
    assert_eq!(again.run.ordered, Some(Order { boot: BOOT.into(), at: at(), given: false }));
    book.add(at(), &Draft::default().field("given", BOOT)).unwrap();
    assert!(book.run.ordered.as_ref().is_some_and(|order| order.given));
    book.add(at(), &Draft::default().field("ended", "done")).unwrap();
    assert!(Book::resume(&state).unwrap().is_none());
    assert_eq!(read(&state).unwrap().unwrap().ended.as_deref(), Some("done"));
    let next = Book::begin(&state, "R2", at(), Phase::LockGet).unwrap();
    assert_eq!(read(&state).unwrap(), Some(next.run));
}
