use std::num::NonZeroUsize;
use std::time::Duration;

use super::*;
use crate::lock::book::acquire::{Ask, Wait};
use crate::lock::book::terms::Terms;
use crate::lock::grant::Protocol;
use crate::lock::name::{HostId, Note};
use crate::lock::server::access::Role;
use crate::sys::clock;

fn lock() -> LockName {
    LockName::new("web").unwrap()
}

fn owner(name: &str) -> Owner {
    Owner::new(name).unwrap()
}

fn now() -> Now {
    Now { moment: clock::parse("2026-11-21T02:00:07Z").unwrap(), up: Duration::from_secs(1) }
}

fn client(owners: &[&str]) -> Client {
    Client {
        name: "c".into(),
        id: "c".into(),
        secrets: Vec::new(),
        certificate: None,
        owners: owners.iter().map(ToString::to_string).collect(),
        locks: vec!["web".into()],
        role: Role::Host,
    }
}

/// A book with so many slots, held by these in a protocol of others.
fn book(slots: usize, holders: &[&str]) -> Book {
    let mut book = Book::default();
    let terms = Terms { slots: NonZeroUsize::new(slots).unwrap(), ..Terms::default() };
    let _ = book.define(lock(), terms, now());
    for name in holders {
        assert!(matches!(asked(&mut book, name), Polled::New(_)), "{name}");
    }
    book
}

fn asked(book: &mut Book, name: &str) -> Polled {
    let interval = Duration::from_mins(2);
    let asks = Poll { owner: owner(name), protocol: Protocol::Dlm, lock: lock(), reason: None, interval };
    poll(book, asks, now()).answer
}

fn natively(book: &mut Book, name: &str) -> Acquired {
    let (host_id, start) = (HostId::new("h1").unwrap(), Note::new("b1").unwrap());
    let locks = lock().into();
    book.acquire(Ask { owner: owner(name), host_id, boot: start, locks, reason: None, wait: Wait::No }, now()).answer
}

fn given(book: &mut Book, client: &Client, whose: Whose) -> GivenBack {
    give_back(book, &lock(), client, whose, now()).answer
}

fn holders(book: &Book) -> Vec<&str> {
    book.ledger().holders(&lock()).iter().map(|grant| grant.owner.as_str()).collect()
}

#[test]
fn asking_is_accepting_and_asking_again_says_so() {
    let mut book = book(1, &["web01"]);
    assert!(matches!(asked(&mut book, "web01"), Polled::Again(shown, Slots::One) if shown.owner == "web01"));
    let Polled::Waiting(why) = asked(&mut book, "web02") else { panic!("it is held") };
    assert_eq!(why, "lock web is held by web01 since 2026-11-21T02:00:07Z (grant 1); nobody is ahead");
}

#[test]
fn w1_what_a_host_took_by_our_own_protocol_is_not_shown_as_its_own() {
    let mut book = book(1, &[]);
    natively(&mut book, "web01");
    let shown = look(&book, &lock(), |_| true).unwrap();
    assert_eq!(shown.owner, "web01 (host id h1)");
    assert!(matches!(asked(&mut book, "web01"), Polled::Refused(Refusal::OtherHolder { .. })));
}

#[test]
fn one_of_several_holders_is_shown_the_own_one_first_and_a_free_slot_as_free() {
    let mut book = book(2, &["web01"]);
    assert_eq!(look(&book, &lock(), |_| false), None, "it can be had");
    assert_eq!(look(&book, &lock(), |own| own.as_str() == "web01").unwrap().owner, "web01");
    asked(&mut book, "web02");
    assert_eq!(look(&book, &lock(), |own| own.as_str() == "web02").unwrap().owner, "web02");
    assert_eq!(look(&book, &lock(), |_| false).unwrap().owner, "web01");
    assert!(matches!(asked(&mut book, "web02"), Polled::Again(_, Slots::Several)));
}

#[test]
fn w2_w4_a_release_that_names_nobody_frees_what_the_client_may_speak_for_and_nothing_else() {
    let mut book = book(1, &["db01"]);
    assert_eq!(given(&mut book, &client(&["web*"]), Whose::Anybody), GivenBack::Absent);
    assert_eq!(holders(&book), ["db01"]);
    assert_eq!(given(&mut book, &client(&["db01"]), Whose::Anybody), GivenBack::Done);
    assert_eq!(given(&mut book, &client(&["db01"]), Whose::Anybody), GivenBack::Absent);
}

#[test]
fn w2_where_a_release_could_mean_one_of_several_it_frees_none() {
    let mut book = book(2, &["web01", "web02"]);
    let several = vec!["web01".to_string(), "web02".to_string()];
    assert_eq!(given(&mut book, &client(&["web*"]), Whose::Anybody), GivenBack::Ambiguous(several));
    assert_eq!(holders(&book).len(), 2);
    assert_eq!(given(&mut book, &client(&["web02"]), Whose::Anybody), GivenBack::Done);
    assert_eq!(given(&mut book, &client(&["web*"]), Whose::Of(owner("web01"))), GivenBack::Done);
}

#[test]
fn w2_a_late_release_does_not_free_the_lock_of_the_next() {
    let mut book = book(1, &["web02"]);
    assert_eq!(given(&mut book, &client(&["web*"]), Whose::Of(owner("web01"))), GivenBack::Others);
    assert_eq!(holders(&book), ["web02"]);
}

#[test]
fn what_was_taken_by_our_own_protocol_is_given_back_by_that_alone() {
    let mut book = book(1, &[]);
    natively(&mut book, "web01");
    for whose in [Whose::Anybody, Whose::Of(owner("web01"))] {
        let refused = given(&mut book, &client(&["*"]), whose);
        assert!(matches!(refused, GivenBack::Refused(Refusal::NotLegacy { .. })), "{refused:?}");
    }
    assert_eq!(holders(&book), ["web01"]);
}

#[test]
fn w34_who_polls_keeps_its_place_and_is_served_in_order() {
    let mut book = book(1, &["web01"]);
    for name in ["web02", "web03"] {
        assert!(matches!(asked(&mut book, name), Polled::Waiting(_)));
    }
    assert_eq!(given(&mut book, &client(&["*"]), Whose::Anybody), GivenBack::Done);
    assert!(matches!(asked(&mut book, "web03"), Polled::Waiting(_)), "it is the other one's turn");
    assert!(matches!(asked(&mut book, "web02"), Polled::New(_)));
}

#[test]
fn w48_a_list_has_the_locks_that_the_client_may_touch() {
    let mut book = book(1, &["web01"]);
    let other = Poll {
        owner: owner("db01"),
        protocol: Protocol::Foreman,
        lock: LockName::new("db").unwrap(),
        reason: None,
        interval: Duration::from_mins(1),
    };
    let _ = poll(&mut book, other, now());
    let seen: Vec<String> = list(&book, &client(&["*"])).into_iter().map(|shown| shown.lock).collect();
    assert_eq!(seen, ["web"]);
}

#[test]
fn whoever_asks_is_answered_in_its_own_spelling() {
    let mut book = book(1, &["H1.Example.org"]);
    let Polled::Again(shown, _) = asked(&mut book, "h1.example.org") else { panic!("not the same owner") };
    assert_eq!(shown.owner, "h1.example.org");
    assert_eq!(
        look(&book, &lock(), |_| true).unwrap().owner,
        "H1.Example.org",
        "as the client that took it compares it"
    );
    assert_eq!(look_as(&book, &lock(), &owner("h1.example.org")).unwrap().owner, "h1.example.org");
    assert_eq!(look_as(&book, &lock(), &owner("h2")).unwrap().owner, "H1.Example.org");
}
