//! Clients of other protocols, which ask again and again.

use super::*;

#[test]
fn a_client_that_polls_is_granted_when_it_comes() {
    let mut scene = Scene::default();
    scene.get("w1", "web");
    assert_eq!(scene.poll("old", "web"), Acquired::Waiting(vec![(lock("web"), 1)]));
    scene.pass(60);
    scene.release("w1", "web");
    assert_eq!(numbers(scene.poll("old", "web")), [Number(2)]);
    assert_eq!(numbers(scene.poll("old", "web")), [Number(2)]);
}

#[test]
fn a_client_that_polls_is_waited_for_no_longer_than_its_interval() {
    let mut scene = Scene::default();
    scene.get("w1", "web");
    scene.poll("old", "web");
    let native = scene.wait("w2", "web");
    assert_eq!(scene.release("w1", "web"), NOBODY);
    assert_eq!(scene.pass(DLM_INTERVAL - 1), NOBODY);
    assert_eq!(scene.pass(1), [native]);
}

#[test]
fn a_client_that_polls_keeps_its_place_though_it_was_passed_over() {
    let mut scene = Scene::default();
    scene.get("w1", "web");
    scene.poll("old", "web");
    scene.wait("w2", "web");
    scene.wait("w3", "web");
    scene.pass(DLM_INTERVAL);
    scene.release("w1", "web");
    scene.get("w2", "web");
    assert_eq!(scene.poll("old", "web"), Acquired::Waiting(vec![(lock("web"), 1)]));
    assert_eq!(scene.release("w2", "web"), NOBODY);
    assert_eq!(numbers(scene.poll("old", "web")), [Number(3)]);
}

#[test]
fn a_client_that_polls_is_forgotten_after_three_intervals() {
    let mut scene = Scene::default();
    scene.get("w1", "web");
    scene.poll("old", "web");
    scene.pass(3 * DLM_INTERVAL - 1);
    assert!(scene.why("x", "web").contains("ahead: old (away)"));
    scene.pass(1);
    assert!(scene.why("x", "web").contains("nobody is ahead"));
    assert_eq!(scene.book.alarm(), None);
}

#[test]
fn a_poll_does_not_take_what_is_offered_to_another() {
    let mut scene = Scene::default();
    scene.get("w1", "web");
    scene.wait("w2", "web");
    scene.release("w1", "web");
    assert!(matches!(scene.poll("old", "web"), Acquired::Waiting(_)));
    assert_eq!(scene.get("w2", "web"), [Number(2)]);
}

#[test]
fn clients_that_poll_too_late_cannot_pass_the_slot_between_them() {
    let mut scene = Scene::default();
    scene.get("w1", "web");
    scene.poll("old1", "web");
    scene.pass(1);
    scene.poll("old2", "web");
    scene.release("w1", "web");
    scene.pass(DLM_INTERVAL);
    assert_eq!(numbers(scene.poll("old1", "web")), [Number(2)]);
}

#[test]
fn an_interval_that_makes_no_sense_is_bounded() {
    let mut scene = Scene::default();
    scene.get("w1", "web");
    for interval in [Duration::ZERO, Duration::MAX] {
        let poll =
            Poll { owner: owner("old"), protocol: Protocol::FleetLock, lock: lock("web"), reason: None, interval };
        let out = scene.book.poll(poll, scene.now());
        scene.take(out);
        assert!(scene.book.alarm().is_some());
        scene.pass(3 * 15 * 60);
        assert_eq!(scene.book.alarm(), None);
    }
}

/// W4: the legacy release knows no number, so it must know its own.
#[test]
fn a_legacy_release_frees_only_what_this_owner_got_through_a_legacy_protocol() {
    let mut scene = Scene::default();
    scene.get("w1", "web");
    let mut release = |who: &str| {
        let out = scene.book.release_legacy(&lock("web"), &owner(who), scene.now());
        scene.take(out)
    };
    assert!(matches!(release("w1"), Released::Refused(Refusal::NotLegacy { .. })));
    assert_eq!(release("w2"), Released::Absent);
    scene.release("w1", "web");
    scene.poll("old", "web");
    let out = scene.book.release_legacy(&lock("web"), &owner("old"), scene.now());
    assert!(matches!(scene.take(out), Released::Ended(_)));
}

#[test]
fn a_legacy_release_ends_the_polling_too() {
    let mut scene = Scene::default();
    scene.get("w1", "web");
    scene.poll("old", "web");
    let out = scene.book.release_legacy(&lock("web"), &owner("old"), scene.now());
    assert_eq!(scene.take(out), Released::Absent);
    assert_eq!(scene.book.alarm(), None);
}

#[test]
fn one_name_in_two_protocols_does_not_share_a_grant() {
    let mut scene = Scene::default();
    scene.poll("w1", "web");
    assert!(matches!(scene.ask("w1", "web", Wait::No), Acquired::Refused(Refusal::OtherHolder { .. })));
    scene.get("w2", "db");
    assert!(matches!(scene.poll("w2", "db"), Acquired::Refused(Refusal::OtherHolder { .. })));
}
