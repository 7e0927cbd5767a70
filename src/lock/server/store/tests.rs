use super::*;
use crate::lock::book::ledger::Ledger;
use crate::lock::grant::{Change as Happened, Holder, Number, Protocol};
use crate::lock::name::{HostId, LockName, Note, Owner};
use crate::sys::clock;

fn event(number: u64, change: Happened) -> Event {
    Event {
        at: clock::parse("2026-11-21T02:00:07Z").unwrap() + chrono::TimeDelta::days(i64::try_from(number).unwrap()),
        lock: LockName::new("web").unwrap(),
        number: Number(number),
        owner: Owner::new(&format!("web{number}")).unwrap(),
        change,
    }
}

fn granted() -> Happened {
    let holder = Holder::Host { id: HostId::new("h1").unwrap(), boot: Note::new("b1").unwrap() };
    Happened::Granted { holder, reason: Some(Note::new("it's \"quoted\"; --").unwrap()) }
}

/// A store, and a ledger that must always be what it holds.
struct Pair {
    store: Store,
    ledger: Ledger,
}

impl Pair {
    fn new(dir: &Path) -> Self {
        Self { store: Store::open(&dir.join("store/locks.db")).unwrap(), ledger: Ledger::default() }
    }

    fn write(&mut self, events: &[Event]) {
        for event in events {
            self.ledger.apply(event);
        }
        self.store.write(events, &Change::of(events, &self.ledger)).unwrap();
        assert_eq!(Ledger::restore(self.store.load().unwrap()).unwrap(), self.ledger);
    }
}

#[test]
fn what_was_written_is_what_is_loaded_also_by_the_next_one() {
    let scratch = tempfile::tempdir().unwrap();
    let mut pair = Pair::new(scratch.path());
    pair.write(&[event(1, granted()), event(2, granted())]);
    pair.write(&[event(1, Happened::Down(Some(clock::parse("2026-11-21T03:00:00Z").unwrap())))]);
    pair.write(&[event(1, Happened::Overdue), event(2, Happened::Released)]);
    let holder = Holder::Legacy(Protocol::FleetLock);
    pair.write(&[
        event(3, Happened::Granted { holder, reason: None }),
        event(4, granted()),
        event(4, Happened::Released),
    ]);
    let held = pair.store.load().unwrap();
    pair.store.close();
    let mut next = Store::open(&scratch.path().join("store/locks.db")).unwrap();
    assert_eq!(next.load().unwrap(), held);
    assert_eq!(held.last, Some(Number(4)), "also of a grant that is over");
}

#[test]
fn the_file_and_its_directory_are_hidden_from_others() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = tempfile::tempdir().unwrap();
    let pair = Pair::new(scratch.path());
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(pair.store.path()), 0o600);
    assert_eq!(mode(pair.store.path().parent().unwrap()), 0o700);
    assert_eq!(mode(&pair.store.path().with_extension("db-wal")), 0o600);
}

#[test]
fn nobody_else_opens_it_and_nothing_else_is_opened() {
    let scratch = tempfile::tempdir().unwrap();
    let pair = Pair::new(scratch.path());
    let words = Store::open(pair.store.path()).unwrap_err().to_string();
    assert!(words.contains("another patch-lockd"), "{words}");
    let other = scratch.path().join("other.db");
    std::fs::write(&other, "this is no database, and longer than the magic number of one").unwrap();
    let words = Store::open(&other).unwrap_err().to_string();
    assert!(words.contains("not a store of patch-lockd"), "{words}");
    assert!(Store::open(scratch.path()).is_err());
}

#[test]
fn many_rows_are_one_transaction() {
    let scratch = tempfile::tempdir().unwrap();
    let mut pair = Pair::new(scratch.path());
    let many: Vec<Event> = (1..=2500).map(|number| event(number, granted())).collect();
    pair.write(&many);
    let ends: Vec<Event> = (1..=2500).map(|number| event(number, Happened::Released)).collect();
    pair.write(&ends);
}

#[test]
fn what_fails_in_the_middle_has_not_happened() {
    let scratch = tempfile::tempdir().unwrap();
    let mut pair = Pair::new(scratch.path());
    pair.write(&[event(1, granted())]);
    // A table that lacks: the events are in by then, and must go out again.
    pair.store
        .run("break", async |c: &mut SqliteConnection| sqlx::query("ALTER TABLE held RENAME TO away").execute(c).await)
        .unwrap();
    let events = [event(2, granted())];
    let mut ledger = pair.ledger.clone();
    ledger.apply(&events[0]);
    assert!(pair.store.write(&events, &Change::of(&events, &ledger)).is_err());
    pair.store
        .run("mend", async |c: &mut SqliteConnection| sqlx::query("ALTER TABLE away RENAME TO held").execute(c).await)
        .unwrap();
    assert_eq!(Ledger::restore(pair.store.recover().unwrap()).unwrap(), pair.ledger);
    pair.write(&events);
}

#[test]
fn an_owner_is_found_in_any_spelling_and_shown_in_its_own() {
    let scratch = tempfile::tempdir().unwrap();
    let mut pair = Pair::new(scratch.path());
    let (dlm, fleet) = (Holder::Legacy(Protocol::Dlm), Holder::Legacy(Protocol::FleetLock));
    let mut one = event(1, Happened::Granted { holder: dlm, reason: None });
    one.owner = Owner::new("H1.Example.org").unwrap();
    let mut other = event(2, Happened::Granted { holder: fleet, reason: None });
    other.owner = Owner::exact("F2").unwrap();
    pair.write(&[one, other]);
    let held = pair.store.load().unwrap().grants;
    assert_eq!((held[0].owner.as_str(), held[0].owner.key()), ("H1.Example.org", "h1.example.org"));
    assert!(held[1].owner.knows_case() && held[1].owner.as_str() == "F2");
    for name in ["h1.EXAMPLE.org", "F2"] {
        let query = Query { owner: Some(Owner::new(name).unwrap()), limit: 10, ..Query::default() };
        assert_eq!(pair.store.history(&query, &|_| true).unwrap().len(), 1, "{name}");
    }
}

#[test]
fn what_was_written_when_spellings_were_told_apart_is_read_and_nothing_of_it_is_lost() {
    let scratch = tempfile::tempdir().unwrap();
    let mut pair = Pair::new(scratch.path());
    pair.write(&[event(1, granted()), event(2, granted()), event(3, granted())]);
    let old = "ALTER TABLE held DROP COLUMN spelling;
               UPDATE held SET owner = 'H1' WHERE number = 1;
               UPDATE held SET owner = 'H2' WHERE number = 2;
               UPDATE held SET owner = 'h2' WHERE number = 3;";
    for sql in [old, include_str!("../migrations/0002_owners_know_no_case.sql")] {
        pair.store.run("set up", async |c: &mut SqliteConnection| sqlx::raw_sql(sql).execute(c).await).unwrap();
    }
    let ledger = Ledger::restore(pair.store.load().unwrap()).unwrap();
    let held: Vec<_> = ledger.grants().map(|grant| (grant.owner.as_str(), grant.owner.key())).collect();
    assert_eq!(held, [("H1", "h1"), ("H2", "H2"), ("h2", "h2")]);
}

/// A year of five digits, as one host's word could make it once.
#[test]
fn a_row_that_cannot_be_read_costs_nobody_a_grant_and_hides_no_other_event() {
    let scratch = tempfile::tempdir().unwrap();
    let mut pair = Pair::new(scratch.path());
    let down = |number| event(number, Happened::Down(Some(clock::parse("2026-11-21T03:00:00Z").unwrap())));
    pair.write(&[event(1, granted()), event(2, granted()), down(1), down(2)]);
    for break_it in [
        "UPDATE held SET down_until = '+10000-01-01T11:59:59Z', told_overdue = 'soon' WHERE number = 1",
        "UPDATE held SET since = '+10000-01-01T11:59:59Z' WHERE number = 2",
        r#"UPDATE event SET details = '{"until":"+10000-01-01T11:59:59Z"}' WHERE id = 3"#,
        "UPDATE event SET at = 'long ago' WHERE id = 1",
        "UPDATE event SET details = '[' WHERE id = 4",
    ] {
        pair.store.run("break", async |c: &mut SqliteConnection| sqlx::query(break_it).execute(c).await).unwrap();
    }
    let held = pair.store.load().unwrap().grants;
    assert_eq!((held[0].number, held[0].down_until, held[0].told_overdue), (Number(1), None, None));
    assert_eq!((held[1].number, held[1].since), (Number(2), Moment::UNIX_EPOCH), "people are told of it");
    let left = pair.store.history(&Query { limit: 100, ..Query::default() }, &|_| true).unwrap();
    assert_eq!(left.iter().map(|event| event.id).collect::<Vec<_>>(), [2]);
}

#[test]
fn history_is_read_newest_first_and_as_far_as_allowed() {
    let scratch = tempfile::tempdir().unwrap();
    let mut pair = Pair::new(scratch.path());
    let forced = Happened::Forced { by: Note::new("ops").unwrap(), reason: Note::new("dead").unwrap() };
    pair.write(&[event(1, granted()), event(2, granted()), event(1, forced), event(2, Happened::Down(None))]);
    let mut ids = |query: Query| -> Vec<i64> {
        let limit = if query.limit == 0 { 10 } else { query.limit };
        pair.store.history(&Query { limit, ..query }, &|lock| lock == "web").unwrap().iter().map(|e| e.id).collect()
    };
    assert_eq!(ids(Query::default()), [4, 3, 2, 1]);
    assert_eq!(ids(Query { owner: Some(Owner::new("Web1").unwrap()), ..Query::default() }), [3, 1]);
    assert_eq!(ids(Query { before: Some(3), limit: 1, ..Query::default() }), [2]);
    assert_eq!(ids(Query { lock: Some("db".into()), ..Query::default() }), [0i64; 0]);
    assert!(pair.store.history(&Query { limit: 10, ..Query::default() }, &|_| false).unwrap().is_empty());
    let events = pair.store.history(&Query { limit: 2, ..Query::default() }, &|_| true).unwrap();
    assert_eq!(events[1].change, wire::Change::Forced { by: "ops".into(), reason: "dead".into() });
}

#[test]
fn old_history_goes_and_the_highest_numbers_stay() {
    let scratch = tempfile::tempdir().unwrap();
    let mut pair = Pair::new(scratch.path());
    for number in 1..=4 {
        pair.write(&[event(number, granted())]);
    }
    pair.write(&[event(4, Happened::Released), event(2, Happened::Released), event(1, Happened::Overdue)]);
    let far = clock::parse("2099-01-01T00:00:00Z").unwrap();
    while pair.store.prune(far).unwrap() {}
    let left = pair.store.history(&Query { limit: 100, ..Query::default() }, &|_| true).unwrap();
    let left: Vec<(u64, i64)> = left.iter().map(|event| (event.number, event.id)).collect();
    assert_eq!(left, [(1, 7), (4, 5), (4, 4), (3, 3), (1, 1)], "1 and 3 are held, 4 is the highest, 7 the newest");
    assert_eq!(Ledger::restore(pair.store.load().unwrap()).unwrap(), pair.ledger);
}

#[test]
fn a_step_of_forgetting_spares_what_is_new() {
    let scratch = tempfile::tempdir().unwrap();
    let mut pair = Pair::new(scratch.path());
    for number in 1..=4 {
        pair.write(&[event(number, granted()), event(number, Happened::Released)]);
    }
    while pair.store.prune(event(3, granted()).at).unwrap() {}
    let left = pair.store.history(&Query { limit: 100, ..Query::default() }, &|_| true).unwrap();
    assert_eq!(left.last().unwrap().number, 3);
}

#[test]
fn a_log_without_its_store_is_not_forgotten() {
    let scratch = tempfile::tempdir().unwrap();
    let mut pair = Pair::new(scratch.path());
    pair.write(&[event(1, granted())]);
    let path = pair.store.path().to_path_buf();
    // As a kill leaves it: what was granted is in the log.
    let left = scratch.path().join("left");
    std::fs::create_dir(&left).unwrap();
    std::fs::copy(log(&path), left.join("locks.db-wal")).unwrap();
    let words = Store::open(&left.join("locks.db")).unwrap_err().to_string();
    assert!(words.contains("locks.db-wal is there"), "{words}");
    std::fs::copy(&path, left.join("locks.db")).unwrap();
    assert_eq!(Store::open(&left.join("locks.db")).unwrap().load().unwrap().grants.len(), 1);
}
