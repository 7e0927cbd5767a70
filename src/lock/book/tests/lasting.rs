//! What is kept: history, store, clock; and the answer to why.

use super::*;

#[test]
fn a_queue_that_is_full_takes_nobody_in_and_loses_nobody() {
    let mut scene = Scene::default();
    scene.terms("web", Terms { waiters: 1, ..Terms::default() });
    scene.get("w1", "web");
    scene.wait("w2", "web");
    let full = Acquired::Refused(Refusal::QueueFull { lock: lock("web"), limit: 1 });
    assert_eq!(scene.ask("w3", "web", Wait::Open(ConnectionId(9))), full);
    assert_eq!(scene.poll("old", "web"), full);
    scene.wait("w2", "web");
}

#[test]
fn a_history_replayed_is_what_is_held() {
    let mut scene = Scene::default();
    scene.get("w1", "a b");
    scene.release("w1", "a");
    scene.get("w2", "a");
    scene.force("w2", "a", WhileDown::Refuse);
    let mut replayed = super::super::ledger::Ledger::default();
    for event in scene.history.iter().chain(&scene.history) {
        replayed.apply(event);
    }
    assert_eq!(replayed.stored(), scene.book.ledger().stored());
}

#[test]
fn what_could_not_be_written_has_not_happened() {
    let mut scene = Scene::default();
    scene.get("w1", "web");
    let waiter = scene.wait("w2", "web");
    let stored = scene.book.ledger().stored();
    assert_eq!(scene.release("w1", "web"), [waiter]);
    scene.get("w2", "web");
    scene.wait("w3", "web");
    let out = scene.book.go_back(stored, scene.now()).unwrap();
    scene.take(out);
    assert_eq!(scene.holders("web"), ["w1"]);
    scene.release("w1", "web");
    assert_eq!(scene.get("w3", "web"), [Number(3)], "the number that was never told is not given again");
}

#[test]
fn an_offer_that_could_not_be_written_is_not_accepted() {
    let mut scene = Scene::default();
    scene.get("w1", "web");
    scene.wait("w2", "web");
    let stored = scene.book.ledger().stored();
    scene.release("w1", "web");
    let out = scene.book.go_back(stored, scene.now()).unwrap();
    scene.take(out);
    assert_eq!(scene.ask("w2", "web", Wait::No), Acquired::Busy);
}

#[test]
fn a_store_that_contradicts_itself_is_refused() {
    let mut scene = Scene::default();
    scene.get("w1", "a");
    scene.get("w2", "b");
    let good = scene.book.ledger().stored();
    let spoiled: [fn(&mut Stored); 5] = [
        |stored| stored.last = None,
        |stored| stored.last = Some(Number(1)),
        |stored| stored.last = Some(Number(u64::MAX)),
        |stored| stored.grants[1].number = Number(1),
        |stored| stored.grants.extend(stored.grants.clone()),
    ];
    for spoil in spoiled {
        let mut stored = good.clone();
        spoil(&mut stored);
        assert!(Book::restore(stored, Rules::default()).is_err());
    }
}

#[test]
fn a_clock_that_is_set_back_changes_no_offer_and_no_grant() {
    let mut scene = Scene::default();
    scene.get("w1", "web");
    let first = scene.wait("w2", "web");
    let second = scene.wait("w3", "web");
    assert_eq!(scene.release("w1", "web"), [first]);
    let year_ago = scene.now().moment - TimeDelta::days(365);
    let out = scene.book.tick(Now { moment: year_ago, up: Duration::from_secs(29) });
    scene.take(out);
    assert_eq!(scene.offers(), NOBODY);
    let out = scene.book.tick(Now { moment: year_ago, up: Duration::from_secs(30) });
    scene.take(out);
    assert_eq!(scene.offers(), [second]);
}

#[test]
fn why_says_in_one_line_who_holds_it_since_when_who_is_ahead_and_what_would_change_it() {
    let mut scene = Scene::default();
    scene.terms("web", Terms { overdue: Some(Duration::from_mins(10)), ..Terms::default() });
    assert_eq!(scene.why("w3", "web"), "lock web is free; nobody is ahead; it can be acquired");
    scene.get("w1", "web");
    scene.wait("w2", "web");
    scene.wait("w3", "web");
    let held = "lock web is held by w1 since 2026-11-21T02:00:00Z (grant 1";
    assert_eq!(scene.why("w3", "web"), format!("{held}); ahead: w2; free when released"));
    assert_eq!(scene.why("w1", "web"), format!("{held}); you are w1"));
    scene.pass(601);
    let command = "patch-lock force-release web --owner w1 --by YOU --reason WHY";
    assert_eq!(
        scene.why("w3", "web"),
        format!("{held}, overdue); ahead: w2; free when released; if w1 is lost: {command}")
    );
    let why = scene.book.why(&lock("web"), &owner("w3"), None, scene.now());
    assert_eq!((why.position(), why.ahead().len()), (Some(2), 1));
}
