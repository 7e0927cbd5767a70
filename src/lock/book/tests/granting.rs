//! A free lock, and one with slots.

use super::*;

#[test]
fn a_free_lock_is_granted_at_once_and_to_one_only() {
    let mut scene = Scene::default();
    assert_eq!(scene.get("w1", "web"), [Number(1)]);
    assert_eq!(scene.ask("w2", "web", Wait::No), Acquired::Busy);
    assert_eq!(scene.holders("web"), ["w1"]);
}

#[test]
fn asking_again_for_what_one_holds_gives_the_same_grant_and_changes_nothing() {
    let mut scene = Scene::default();
    let first = scene.get("w1", "web");
    let stored = scene.history.len();
    assert_eq!(scene.get("w1", "web"), first);
    assert_eq!(scene.history.len(), stored);
}

#[test]
fn a_lock_with_slots_has_as_many_holders() {
    let mut scene = Scene::default();
    scene.slots("web", 2);
    scene.get("w1", "web");
    scene.get("w2", "web");
    let third = scene.wait("w3", "web");
    assert_eq!(scene.slots("web", 3), [third]);
}

#[test]
fn slots_that_are_lowered_take_nothing_away() {
    let mut scene = Scene::default();
    scene.slots("web", 2);
    scene.get("w1", "web");
    scene.get("w2", "web");
    scene.slots("web", 1);
    scene.wait("w3", "web");
    assert_eq!(scene.holders("web"), ["w1", "w2"]);
    assert_eq!(scene.release("w1", "web"), NOBODY);
    assert_eq!(scene.release("w2", "web").len(), 1);
}
