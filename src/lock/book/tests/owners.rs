//! Who somebody is: clones, spellings, hosts installed anew.

use super::*;

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
