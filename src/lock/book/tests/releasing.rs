//! Giving back, by the holder and by force; what is overdue.

use super::*;

/// W2 and W4: nothing that is not ours is ever released.
#[test]
fn a_release_needs_owner_and_number() {
    let mut scene = Scene::default();
    scene.get("w1", "web");
    let mut release = |who: &str, number| {
        let out = scene.book.release(&lock("web"), &owner(who), Number(number), scene.now());
        scene.take(out)
    };
    assert!(matches!(release("w2", 1), Released::Refused(Refusal::NotYours { .. })));
    assert_eq!(release("w1", 2), Released::Absent);
    assert!(matches!(release("w1", 1), Released::Ended(_)));
    assert_eq!(release("w1", 1), Released::Absent);
}

/// W2: an admin freed the lock, another host took it, and the first one comes back to release.
#[test]
fn the_late_release_of_an_old_holder_does_not_touch_the_new_one() {
    let mut scene = Scene::default();
    scene.get("w1", "web");
    scene.force("w1", "web", WhileDown::Refuse);
    scene.get("w2", "web");
    let out = scene.book.release(&lock("web"), &owner("w1"), Number(1), scene.now());
    assert_eq!(scene.take(out), Released::Absent);
    assert_eq!(scene.holders("web"), ["w2"]);
}

#[test]
fn a_release_while_a_slot_is_offered_offers_the_other_one_to_the_next() {
    let mut scene = Scene::default();
    scene.slots("web", 2);
    scene.get("w1", "web");
    scene.get("w2", "web");
    let third = scene.wait("w3", "web");
    let fourth = scene.wait("w4", "web");
    assert_eq!(scene.release("w1", "web"), [third]);
    assert_eq!(scene.release("w2", "web"), [fourth]);
}

#[test]
fn what_is_only_offered_cannot_be_forced_from_anybody() {
    let mut scene = Scene::default();
    scene.get("w1", "web");
    scene.wait("w2", "web");
    scene.release("w1", "web");
    assert_eq!(scene.force("w2", "web", WhileDown::Force), Released::Absent);
    assert_eq!(scene.get("w2", "web"), [Number(2)]);
}

/// W16.
#[test]
fn a_forced_release_is_in_the_history_with_name_and_reason() {
    let mut scene = Scene::default();
    scene.get("w1", "web");
    assert!(matches!(scene.force("w1", "web", WhileDown::Refuse), Released::Ended(_)));
    let last = scene.history.last().unwrap();
    let (by, reason) = (Note::new("ann").unwrap(), Note::new("disk died").unwrap());
    assert_eq!(last.change, Change::Forced { by, reason });
    assert_eq!((last.owner.as_str(), last.number), ("w1", Number(1)));
}

#[test]
fn a_host_that_is_down_as_it_said_is_forced_only_by_saying_so() {
    let mut scene = Scene::default();
    let number = scene.get("w1", "web")[0];
    let until = scene.now().moment + TimeDelta::minutes(10);
    let out = scene.book.down_until(&lock("web"), &owner("w1"), number, Some(until), scene.now());
    assert_eq!(scene.take(out), Noted::Done);
    let refused = Released::Refused(Refusal::Down { owner: owner("w1"), until });
    assert_eq!(scene.force("w1", "web", WhileDown::Refuse), refused);
    scene.pass(600);
    assert!(matches!(scene.force("w1", "web", WhileDown::Refuse), Released::Ended(_)));

    let number = scene.get("w1", "web")[0];
    let until = scene.now().moment + TimeDelta::minutes(10);
    let out = scene.book.down_until(&lock("web"), &owner("w1"), number, Some(until), scene.now());
    scene.take(out);
    assert!(matches!(scene.force("w1", "web", WhileDown::Force), Released::Ended(_)));
}

#[test]
fn nobody_is_down_for_longer_than_thirty_days() {
    let mut scene = Scene::default();
    let number = scene.get("w1", "web")[0];
    let mut down = |days| {
        let until = scene.now().moment + TimeDelta::days(days);
        let out = scene.book.down_until(&lock("web"), &owner("w1"), number, Some(until), scene.now());
        scene.take(out)
    };
    assert_eq!(down(30), Noted::Done);
    assert!(matches!(down(31), Noted::Refused(Refusal::DownTooLong { .. })));
    assert_eq!(down(-400_000), Noted::Done, "who is back already may say so");
}

#[test]
fn only_the_holder_says_until_when_it_is_down() {
    let mut scene = Scene::default();
    let number = scene.get("w1", "web")[0];
    let mut down = |who: &str, number| {
        let out = scene.book.down_until(&lock("web"), &owner(who), number, Some(scene.now().moment), scene.now());
        scene.take(out)
    };
    assert!(matches!(down("w2", number), Noted::Refused(_)));
    assert_eq!(down("w1", Number(9)), Noted::Absent);
}

#[test]
fn an_overdue_grant_is_told_once_and_stays() {
    let mut scene = Scene::default();
    scene.terms("web", Terms { overdue: Some(Duration::from_mins(10)), ..Terms::default() });
    scene.get("w1", "web");
    let mut told = |seconds| {
        scene.pass(seconds);
        let out = scene.book.tell_overdue(scene.now());
        let told = scene.take(out).len();
        scene.book = Book::restore(scene.book.ledger().stored(), scene.book.rules.clone()).unwrap();
        told
    };
    assert_eq!((told(600), told(1), told(86_400)), (0, 1, 0));
    assert_eq!(scene.holders("web"), ["w1"]);
}
