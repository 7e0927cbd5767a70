//! Several locks at once, and waits that would never end.

use super::*;

#[test]
fn several_locks_are_granted_together_or_not_at_all() {
    let mut scene = Scene::default();
    scene.get("w1", "b");
    assert_eq!(scene.ask("w2", "a b", Wait::No), Acquired::Busy);
    assert_eq!(scene.holders("a"), [""; 0]);
    let waiter = scene.wait("w2", "a b");
    assert_eq!(scene.release("w1", "b"), [waiter]);
    assert_eq!(scene.get("w2", "a b"), [Number(2), Number(3)]);
}

/// The rule of patience, first half.
#[test]
fn a_waiter_for_two_locks_keeps_the_free_one_for_a_minute_and_then_others_pass() {
    let mut scene = Scene::default();
    scene.get("stuck", "b");
    scene.wait("both", "a b");
    let single = scene.wait("w3", "a");
    assert_eq!(scene.pass(59), NOBODY);
    assert_eq!(scene.pass(1), [single]);
    scene.get("w3", "a");
    let next = scene.wait("w4", "a");
    scene.release("w3", "a");
    assert_eq!(scene.pass(119), NOBODY);
    assert_eq!(scene.pass(1), [next]);
}

/// The rule of patience, second half: the free lock alternates against it, and each hold is longer than its first patience.
#[test]
fn a_waiter_for_two_locks_is_served_though_each_of_them_is_always_wanted() {
    let mut scene = Scene::default();
    scene.get("a0", "a");
    scene.get("b0", "b");
    let both = scene.wait("both", "a b");
    let (mut holders, mut served) = ([("a", "a0".to_string()), ("b", "b0".to_string())], None);
    for round in 1..100 {
        for (name, holder) in &mut holders {
            let rival = format!("{name}{round}");
            let connection = scene.wait(&rival, name);
            if scene.holders(name).is_empty() {
                continue;
            }
            let mut offered = scene.release(holder, name);
            // A rival waits as long as it takes; the other lock's holder stays for ten minutes at a time.
            offered.extend(scene.pass(600));
            if offered.contains(&connection) {
                scene.get(&rival, name);
                *holder = rival;
            }
            if offered.contains(&both) {
                served = Some(round);
            }
        }
        if served.is_some() {
            break;
        }
    }
    assert!(served.is_some_and(|round| round < 6), "{served:?}");
}

#[test]
fn a_lock_that_is_never_given_back_does_not_block_another_one() {
    let mut scene = Scene::default();
    scene.get("failed", "b");
    scene.wait("both", "a b");
    let mut done = 0;
    let mut seconds = 0;
    while seconds < 4 * 3600 {
        let name = format!("w{done}");
        let offered = match scene.ask(&name, "a", Wait::Open(ConnectionId(1000 + done))) {
            Acquired::Waiting(_) => scene.book.alarm().unwrap().as_secs() - scene.up,
            _ => 0,
        };
        scene.pass(offered);
        scene.get(&name, "a");
        scene.pass(300);
        scene.release(&name, "a");
        // The one that waits for both does not go away.
        scene.wait("both", "a b");
        seconds += offered + 300;
        done += 1;
    }
    assert!(done >= 30, "{done}");
}

#[test]
fn only_the_next_in_every_queue_has_slots_kept_for_it() {
    let mut scene = Scene::default();
    scene.get("w1", "b");
    scene.wait("w2", "b");
    scene.wait("both", "a b");
    assert_eq!(scene.get("w3", "a"), [Number(2)]);
}

#[test]
fn two_that_want_the_same_two_locks_do_not_block_each_other() {
    let mut scene = Scene::default();
    scene.get("w1", "a");
    scene.get("w2", "b");
    let first = scene.wait("x", "a b");
    let second = scene.wait("y", "b a");
    assert_eq!(scene.release("w2", "b"), NOBODY);
    assert_eq!(scene.release("w1", "a"), [first]);
    scene.get("x", "a b");
    assert_eq!(scene.release("x", "a"), NOBODY);
    assert_eq!(scene.release("x", "b"), [second]);
}

#[test]
fn two_that_cross_in_the_middle_are_served_in_turn() {
    let mut scene = Scene::default();
    scene.get("w1", "b");
    let first = scene.wait("x", "a b");
    let second = scene.wait("y", "b c");
    assert_eq!(scene.release("w1", "b"), [first]);
    scene.get("x", "a b");
    assert_eq!(scene.release("x", "b"), [second]);
}

#[test]
fn several_locks_respect_their_slots() {
    let mut scene = Scene::default();
    scene.slots("a", 2);
    scene.get("w1", "a");
    scene.get("w2", "a b");
    assert_eq!(scene.ask("w3", "a b", Wait::No), Acquired::Busy);
    scene.wait("w3", "a b");
    assert_eq!(scene.release("w1", "a"), NOBODY);
    assert_eq!(scene.release("w2", "b").len(), 1);
}

#[test]
fn a_lost_part_of_what_was_offered_is_waited_for_again() {
    let mut scene = Scene::default();
    scene.get("w1", "a");
    scene.get("w2", "b");
    scene.wait("w1", "a b");
    scene.release("w2", "b");
    assert_eq!(scene.offers(), [1]);
    scene.force("w1", "a", WhileDown::Refuse);
    assert_eq!(scene.offers(), [1]);
    assert_eq!(scene.get("w1", "a b"), [Number(3), Number(4)]);
}

#[test]
fn who_holds_one_lock_may_wait_for_another_unless_that_never_ends() {
    let mut scene = Scene::default();
    scene.get("w1", "a");
    scene.get("w2", "b");
    scene.wait("w1", "b");
    let answer = scene.ask("w2", "a", Wait::Open(ConnectionId(9)));
    assert_eq!(answer, Acquired::Refused(Refusal::Deadlock { owner: owner("w2") }));
    assert_eq!(scene.release("w2", "b").len(), 1);
}

#[test]
fn a_second_slot_with_somebody_who_can_go_on_is_no_deadlock() {
    let mut scene = Scene::default();
    scene.slots("a", 2);
    scene.get("w1", "a");
    scene.get("w3", "a");
    scene.get("w2", "b");
    scene.wait("w1", "b");
    scene.wait("w2", "a");
}

#[test]
fn a_grant_that_would_close_a_circle_ends_the_other_wait_of_its_owner() {
    let mut scene = Scene::default();
    scene.get("p", "m");
    scene.get("x", "l");
    scene.wait("q", "l");
    let other = scene.wait("q", "m");
    scene.wait("p", "l");
    scene.release("x", "l");
    scene.get("q", "l");
    let refusal = Refusal::Deadlock { owner: owner("q") };
    assert!(
        scene.notices.contains(&Notice::Refused { connection: ConnectionId(other), refusal }),
        "{:?}",
        scene.notices
    );
}

#[test]
fn a_wait_for_two_ends_when_each_came_by_itself() {
    let mut scene = Scene::default();
    scene.get("w1", "b");
    let single = scene.wait("w2", "b");
    let both = scene.wait("w2", "a b");
    scene.get("w2", "a");
    assert_eq!(scene.release("w1", "b"), [single]);
    scene.get("w2", "b");
    assert_eq!(scene.offers(), [both]);
    assert_eq!(scene.get("w2", "a b"), [Number(2), Number(3)]);
}
