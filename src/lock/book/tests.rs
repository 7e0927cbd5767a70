//! The rules of the lock, each as a sentence.

use std::num::NonZeroUsize;
use std::time::Duration;

use chrono::TimeDelta;

use super::Book;
use super::acquire::{Ask, Poll, Wait};
use super::answer::{Acquired, Noted, Notice, Outcome, Refusal, Released};
use super::queue::ConnectionId;
use super::release::{Force, WhileDown};
use super::terms::{Rules, Terms};
use super::time::Now;
use crate::lock::grant::{Change, Event, Number, Protocol, Stored};
use crate::lock::name::{HostId, LockName, LockSet, Note, Owner};
use crate::sys::clock;

const DLM_INTERVAL: u64 = 120;
const NOBODY: [u64; 0] = [];

/// A book, its time, and what a store would hold.
#[derive(Default)]
struct Scene {
    book: Book,
    up: u64,
    connections: u64,
    history: Vec<Event>,
    notices: Vec<Notice>,
}

impl Scene {
    fn now(&self) -> Now {
        let start = clock::parse("2026-11-21T02:00:00Z").unwrap();
        Now { moment: start + TimeDelta::seconds(self.up.cast_signed()), up: Duration::from_secs(self.up) }
    }

    fn take<T>(&mut self, out: Outcome<T>) -> T {
        self.history.extend(out.events);
        self.notices = out.notices;
        out.answer
    }

    /// Seconds go by; returns who was offered something.
    fn pass(&mut self, seconds: u64) -> Vec<u64> {
        self.up += seconds;
        let out = self.book.tick(self.now());
        self.take(out);
        self.offers()
    }

    fn offers(&self) -> Vec<u64> {
        let offer = |notice: &Notice| match notice {
            Notice::Offer { connection, .. } => Some(connection.0),
            _ => None,
        };
        self.notices.iter().filter_map(offer).collect()
    }

    fn ask(&mut self, who: &str, names: &str, wait: Wait) -> Acquired {
        let ask = Ask {
            owner: owner(who),
            host_id: HostId::new(&format!("id-of-{who}")).unwrap(),
            boot: Note::new("boot-1").unwrap(),
            locks: locks(names),
            reason: None,
            wait,
        };
        let out = self.book.acquire(ask, self.now());
        self.take(out)
    }

    fn get(&mut self, who: &str, names: &str) -> Vec<Number> {
        numbers(self.ask(who, names, Wait::No))
    }

    /// Waits, on a new connection, and returns its number.
    fn wait(&mut self, who: &str, names: &str) -> u64 {
        self.connections += 1;
        let answer = self.ask(who, names, Wait::Open(ConnectionId(self.connections)));
        assert!(matches!(answer, Acquired::Waiting(_)), "{who} {names}: {answer:?}");
        self.connections
    }

    fn poll(&mut self, who: &str, name: &str) -> Acquired {
        let interval = Duration::from_secs(DLM_INTERVAL);
        let poll = Poll { owner: owner(who), protocol: Protocol::Dlm, lock: lock(name), reason: None, interval };
        let out = self.book.poll(poll, self.now());
        self.take(out)
    }

    fn hang_up(&mut self, connection: u64) -> Vec<u64> {
        let out = self.book.hang_up(ConnectionId(connection), self.now());
        self.take(out);
        self.offers()
    }

    /// Ends what this owner holds, and returns who was offered something.
    fn release(&mut self, who: &str, name: &str) -> Vec<u64> {
        let number = self.book.ledger().held_by(&lock(name), &owner(who)).unwrap().number;
        let out = self.book.release(&lock(name), &owner(who), number, self.now());
        assert!(matches!(self.take(out), Released::Ended(_)));
        self.offers()
    }

    fn force(&mut self, who: &str, name: &str, while_down: WhileDown) -> Released {
        let (by, reason) = (Note::new("ann").unwrap(), Note::new("disk died").unwrap());
        let force = Force { lock: lock(name), owner: owner(who), by, reason, while_down };
        let out = self.book.force_release(force, self.now());
        self.take(out)
    }

    fn terms(&mut self, name: &str, terms: Terms) -> Vec<u64> {
        let out = self.book.define(lock(name), terms, self.now());
        self.take(out);
        self.offers()
    }

    fn slots(&mut self, name: &str, slots: usize) -> Vec<u64> {
        self.terms(name, Terms { slots: NonZeroUsize::new(slots).unwrap(), ..Terms::default() })
    }

    fn holders(&self, name: &str) -> Vec<&str> {
        self.book.ledger().holders(&lock(name)).iter().map(|grant| grant.owner.as_str()).collect()
    }

    fn why(&self, who: &str, name: &str) -> String {
        self.book.why(&lock(name), &owner(who), None, self.now()).to_string()
    }
}

fn lock(name: &str) -> LockName {
    LockName::new(name).unwrap()
}

fn owner(name: &str) -> Owner {
    Owner::new(name).unwrap()
}

fn locks(names: &str) -> LockSet {
    LockSet::new(names.split(' ').map(lock)).unwrap()
}

fn numbers(answer: Acquired) -> Vec<Number> {
    match answer {
        Acquired::Granted(grants) => grants.into_iter().map(|grant| grant.number).collect(),
        other => panic!("{other:?}"),
    }
}

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

/// W1: clones go by one name.
#[test]
fn the_same_name_on_another_host_is_refused_with_the_command_that_frees_the_lock() {
    let mut scene = Scene::default();
    scene.get("w1", "web servers");
    let ask = |wait| Ask {
        owner: owner("w1"),
        host_id: HostId::new("clone").unwrap(),
        boot: Note::new("b").unwrap(),
        locks: locks("web"),
        reason: None,
        wait,
    };
    let out = scene.book.acquire(ask(Wait::No), scene.now());
    let Acquired::Refused(refusal) = scene.take(out) else { panic!() };
    let text = refusal.to_string();
    assert!(text.ends_with("patch-lock force-release web --owner w1 --by YOU --reason WHY"), "{text}");
    scene.get("w2", "db");
    scene.wait("w1", "db");
    let out = scene.book.acquire(Ask { locks: locks("db"), ..ask(Wait::Open(ConnectionId(7))) }, scene.now());
    assert!(matches!(scene.take(out), Acquired::Refused(Refusal::OtherWaiter { .. })));
}

#[test]
fn why_tells_a_clone_that_it_is_not_the_holder() {
    let mut scene = Scene::default();
    scene.get("w1", "web");
    let why = |host: &str| {
        let host = Some(HostId::new(host).unwrap());
        scene.book.why(&lock("web"), &owner("W1"), host, scene.now()).to_string()
    };
    assert!(why("id-of-w1").ends_with("; you are W1"), "{}", why("id-of-w1"));
    let words = why("other");
    assert!(words.contains("that is host id id-of-w1, and not you (host id other)"), "{words}");
    assert!(words.contains("patch-lock force-release web --owner w1"), "{words}");
}

/// W1: host names know no case, so a name in capitals is no second name.
#[test]
fn one_name_in_two_spellings_is_one_owner() {
    let mut scene = Scene::default();
    scene.slots("web", 2);
    let number = scene.get("h1.example.org", "web");
    assert!(matches!(scene.ask("H1.Example.org", "web", Wait::No), Acquired::Refused(Refusal::OtherHolder { .. })));
    let ask = Ask {
        owner: owner("H1.EXAMPLE.org"),
        host_id: HostId::new("id-of-h1.example.org").unwrap(),
        boot: Note::new("boot-1").unwrap(),
        locks: locks("web"),
        reason: None,
        wait: Wait::No,
    };
    let out = scene.book.acquire(ask, scene.now());
    assert_eq!(numbers(scene.take(out)), number, "the same host by another spelling has the same grant");
    assert_eq!(scene.holders("web"), ["h1.example.org"]);
    assert!(matches!(scene.poll("H1.example.org", "db"), Acquired::Granted(_)));
    assert_eq!(numbers(scene.poll("h1.example.org", "db")), numbers(scene.poll("H1.example.org", "db")));
    assert!(matches!(scene.force("H1.EXAMPLE.ORG", "web", WhileDown::Refuse), Released::Ended(_)));
}

#[test]
fn an_id_that_knows_case_is_two_in_two_spellings_and_force_ends_the_one_that_was_spelled() {
    let mut scene = Scene::default();
    scene.slots("web", 3);
    let reserve = |scene: &mut Scene, id: &str| {
        let (owner, lock) = (Owner::exact(id).unwrap(), lock("web"));
        let interval = Duration::from_mins(1);
        let poll = Poll { owner, protocol: Protocol::FleetLock, lock, reason: None, interval };
        let out = scene.book.poll(poll, scene.now());
        numbers(scene.take(out))
    };
    assert_ne!(reserve(&mut scene, "F2"), reserve(&mut scene, "f2"));
    assert!(matches!(scene.force("F2", "web", WhileDown::Refuse), Released::Ended(_)));
    assert_eq!(scene.holders("web"), ["f2"]);
    reserve(&mut scene, "F2");
    assert!(matches!(scene.force("f2", "web", WhileDown::Refuse), Released::Ended(_)));
    assert_eq!(scene.holders("web"), ["F2"]);
    assert!(matches!(scene.force("f2", "web", WhileDown::Refuse), Released::Ended(_)), "nobody else can be meant");
}

#[test]
fn a_host_that_was_installed_anew_takes_over_the_place_of_its_dead_self() {
    let mut scene = Scene::default();
    scene.get("w2", "web");
    let dead = scene.wait("w1", "web");
    scene.hang_up(dead);
    let ask = Ask {
        owner: owner("w1"),
        host_id: HostId::new("new").unwrap(),
        boot: Note::new("b").unwrap(),
        locks: locks("web"),
        reason: None,
        wait: Wait::Open(ConnectionId(7)),
    };
    let out = scene.book.acquire(ask, scene.now());
    assert_eq!(scene.take(out), Acquired::Waiting(vec![(lock("web"), 1)]));
}

#[test]
fn a_later_boot_of_the_same_host_holds_the_same_grant() {
    let mut scene = Scene::default();
    let first = scene.get("w1", "web");
    let ask = Ask {
        owner: owner("w1"),
        host_id: HostId::new("id-of-w1").unwrap(),
        boot: Note::new("boot-2").unwrap(),
        locks: locks("web"),
        reason: None,
        wait: Wait::No,
    };
    let out = scene.book.acquire(ask, scene.now());
    assert_eq!(numbers(scene.take(out)), first);
}

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
    let mut replayed = super::ledger::Ledger::default();
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
