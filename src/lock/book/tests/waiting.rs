//! The queue: places, offers, connections.

use super::*;

#[test]
fn a_release_offers_the_slot_to_the_first_and_asking_again_accepts() {
    let mut scene = Scene::default();
    scene.get("w1", "web");
    let first = scene.wait("w2", "web");
    scene.wait("w3", "web");
    assert_eq!(scene.release("w1", "web"), [first]);
    assert_eq!(scene.holders("web"), [""; 0]);
    assert_eq!(scene.ask("w4", "web", Wait::No), Acquired::Busy);
    assert_eq!(scene.get("w2", "web"), [Number(2)]);
}

#[test]
fn numbers_grow_over_a_restart_even_when_nothing_is_held() {
    let mut scene = Scene::default();
    scene.get("w1", "web");
    scene.release("w1", "web");
    let stored = scene.book.ledger().stored();
    assert!(stored.grants.is_empty());
    scene.book = Book::restore(stored, Rules::default()).unwrap();
    assert_eq!(scene.get("w1", "web"), [Number(2)]);
}

#[test]
fn a_waiter_that_died_is_passed_over_and_never_granted() {
    let mut scene = Scene::default();
    scene.get("w1", "web");
    let dead = scene.wait("w2", "web");
    let alive = scene.wait("w3", "web");
    scene.hang_up(dead);
    assert_eq!(scene.release("w1", "web"), [alive]);
    scene.get("w3", "web");
    scene.pass(61);
    assert_eq!(scene.release("w3", "web"), NOBODY);
    assert_eq!(scene.holders("web"), [""; 0]);
}

#[test]
fn a_waiter_whose_connection_broke_has_its_place_for_a_minute() {
    let mut scene = Scene::default();
    scene.get("w1", "web");
    let broken = scene.wait("w2", "web");
    scene.wait("w3", "web");
    scene.hang_up(broken);
    scene.pass(59);
    let again = scene.wait("w2", "web");
    assert_eq!(scene.release("w1", "web"), [again]);
}

#[test]
fn a_waiter_that_stays_away_for_more_than_a_minute_is_last_when_it_comes_back() {
    let mut scene = Scene::default();
    scene.get("w1", "web");
    let broken = scene.wait("w2", "web");
    let other = scene.wait("w3", "web");
    scene.hang_up(broken);
    scene.pass(60);
    scene.wait("w2", "web");
    assert_eq!(scene.release("w1", "web"), [other]);
}

#[test]
fn an_offer_that_is_not_accepted_in_30_seconds_goes_on_to_the_next() {
    let mut scene = Scene::default();
    scene.get("w1", "web");
    let first = scene.wait("w2", "web");
    let second = scene.wait("w3", "web");
    scene.release("w1", "web");
    assert_eq!(scene.pass(29), NOBODY);
    assert_eq!(scene.pass(1), [second]);
    assert_eq!(scene.notices[0], Notice::Lapsed { connection: ConnectionId(first) });
    scene.wait("w2", "web");
    scene.get("w3", "web");
}

#[test]
fn two_that_never_accept_cannot_pass_the_offer_between_them() {
    let mut scene = Scene::default();
    scene.get("w1", "web");
    scene.wait("bad1", "web");
    scene.wait("bad2", "web");
    let good = scene.wait("good", "web");
    scene.release("w1", "web");
    scene.pass(30);
    scene.wait("bad1", "web");
    assert_eq!(scene.pass(30), [good]);
}

#[test]
fn asking_for_an_offer_again_does_not_make_it_last_longer() {
    let mut scene = Scene::default();
    scene.get("w1", "web");
    let first = scene.wait("w2", "web");
    let second = scene.wait("w3", "web");
    scene.release("w1", "web");
    scene.hang_up(first);
    assert_eq!(scene.pass(30), [second]);
    assert_eq!(scene.ask("w2", "web", Wait::No), Acquired::Busy);
}

#[test]
fn an_offer_may_be_accepted_on_another_connection() {
    let mut scene = Scene::default();
    scene.get("w1", "web");
    let first = scene.wait("w2", "web");
    scene.release("w1", "web");
    assert_eq!(scene.hang_up(first), NOBODY);
    let answer = scene.ask("w2", "web", Wait::Open(ConnectionId(99)));
    assert_eq!(numbers(answer), [Number(2)]);
}

#[test]
fn the_newest_connection_has_the_place_and_the_older_one_says_nothing() {
    let mut scene = Scene::default();
    scene.get("w1", "web");
    let old = scene.wait("w2", "web");
    scene.wait("w3", "web");
    let new = scene.wait("w2", "web");
    assert_eq!(scene.notices, [Notice::Replaced { connection: ConnectionId(old) }]);
    scene.hang_up(old);
    assert_eq!(scene.release("w1", "web"), [new]);
}

#[test]
fn accepting_without_a_connection_ends_the_wait_on_the_older_one() {
    let mut scene = Scene::default();
    scene.get("w1", "web");
    let old = scene.wait("w2", "web");
    scene.release("w1", "web");
    scene.get("w2", "web");
    assert_eq!(scene.notices, [Notice::Replaced { connection: ConnectionId(old) }]);
    assert_eq!(scene.book.alarm(), None);
}

#[test]
fn a_connection_number_used_twice_leaves_no_ghost_in_the_queue() {
    let mut scene = Scene::default();
    scene.get("w1", "web");
    scene.wait("w2", "web");
    scene.ask("w3", "web", Wait::Open(ConnectionId(1)));
    scene.hang_up(1);
    assert_eq!(scene.release("w1", "web"), NOBODY);
}

#[test]
fn who_waits_no_longer_says_so_and_the_next_has_its_turn() {
    let mut scene = Scene::default();
    scene.get("w1", "web");
    scene.wait("w2", "web");
    let second = scene.wait("w3", "web");
    scene.release("w1", "web");
    let out = scene.book.withdraw(&owner("w2"), &HostId::new("id-of-w2").unwrap(), &locks("web"), scene.now());
    assert!(scene.take(out));
    assert_eq!(scene.offers(), [second]);
}
