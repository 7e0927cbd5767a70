//! Tests of [`super`], on a directory of this host.

use super::*;
use crate::lock::name::{HostId, LockSet, Note};
use crate::sys::clock;

struct Site {
    _keep: tempfile::TempDir,
    paths: Paths,
}

/// Two hosts are two roots that share a directory.
fn site() -> Site {
    let keep = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(keep.path().join("srv/locks")).unwrap();
    std::fs::create_dir_all(keep.path().join("etc")).unwrap();
    let paths = Paths::below_root(keep.path()).unwrap();
    Site { _keep: keep, paths }
}

fn id(digit: char) -> String {
    digit.to_string().repeat(32)
}

impl Site {
    fn backend(&self, digit: char) -> Directory {
        std::fs::write(self.paths.machine_id(), id(digit)).unwrap();
        self.with(Scope::ThisHost)
    }

    fn with(&self, scope: Scope) -> Directory {
        let clock = Clock::Fixed(clock::parse("2026-11-21T02:00:07Z").unwrap());
        let dir = Directory::new(&self.paths, Path::new("/srv/locks"), scope, Duration::from_secs(10), clock);
        // The program that runs is this test: what the child would do is done here.
        Directory { send: |place, _| Ok(Box::new(place.clone().open()?)), ..dir }
    }
}

fn claim(owner: &str, digit: char) -> Claim {
    Claim {
        owner: Owner::new(owner).unwrap(),
        host_id: HostId::new(&id(digit)).unwrap(),
        boot: Note::new("b/1").unwrap(),
        locks: LockSet::from(web()),
        reason: Some(Note::new("run R1").unwrap()),
    }
}

fn web() -> LockName {
    LockName::new("web").unwrap()
}

fn granted(answer: Answer) -> Held {
    match answer {
        Answer::Granted(mut held) => held.pop().unwrap(),
        Answer::NotYet(why) => panic!("{why:?}"),
    }
}

#[test]
fn a_lock_is_held_until_it_is_released_and_then_it_is_the_next_ones() {
    let site = site();
    let dir = site.backend('a');
    let first = granted(dir.acquire(&claim("web01", 'a'), Duration::ZERO).unwrap());
    assert_eq!(granted(dir.acquire(&claim("web01", 'a'), Duration::ZERO).unwrap()), first, "the number of then");
    let Answer::NotYet(why) = dir.acquire(&claim("web02", 'b'), Duration::ZERO).unwrap() else { panic!() };
    assert_eq!(why.why, "lock web is held by web01 since 2026-11-21T02:00:07Z (grant 1, run R1)");
    assert_eq!(dir.held(&claim("web01", 'a'), &web()).unwrap(), Some(first.clone()));
    assert_eq!(dir.held(&claim("web02", 'b'), &web()).unwrap(), None);
    assert!(dir.down_until(&first, None).unwrap());
    assert_eq!(dir.release(&first).unwrap(), Released::Ended);
    assert_eq!(dir.release(&first).unwrap(), Released::Absent);
    assert!(!dir.down_until(&first, None).unwrap());
    assert!(granted(dir.acquire(&claim("web02", 'b'), Duration::ZERO).unwrap()).number > first.number);
}

/// W2: release is unconditional and deletes another one's lock.
#[test]
fn w2_what_is_not_ours_is_not_released() {
    let site = site();
    let dir = site.backend('a');
    let ours = granted(dir.acquire(&claim("web01", 'a'), Duration::ZERO).unwrap());
    // An administrator removes the file, and another host takes the lock.
    std::fs::remove_file(site.paths.at("/srv/locks/web.lock")).unwrap();
    let theirs = granted(dir.acquire(&claim("web02", 'b'), Duration::ZERO).unwrap());
    assert_eq!(dir.release(&ours).unwrap(), Released::Absent);
    assert_eq!(dir.release(&theirs).unwrap(), Released::Absent, "of another host");
    assert_eq!(site.backend('b').release(&theirs).unwrap(), Released::Ended);
}

#[test]
fn what_is_exchanged_between_two_looks_is_put_back() {
    let site = site();
    let dir = site.backend('a');
    granted(dir.acquire(&claim("web01", 'a'), Duration::ZERO).unwrap());
    let mut open = dir.place.clone().open().unwrap();
    let ours = open.look("web.lock").unwrap().unwrap();
    std::fs::remove_file(site.paths.at("/srv/locks/web.lock")).unwrap();
    granted(dir.acquire(&claim("web02", 'b'), Duration::ZERO).unwrap());
    assert!(!open.end("web.lock", &ours).unwrap());
    assert_eq!(dir.look(&web()).unwrap().holders[0].owner, "web02");
    assert_eq!(open.dir.names().unwrap(), ["web.lock"], "nothing is left aside");
}

/// W1: clones "already hold" the lock.
#[test]
fn w1_a_clone_of_the_host_is_refused_with_the_way_out() {
    let site = site();
    let dir = site.backend('a');
    granted(dir.acquire(&claim("web01", 'a'), Duration::ZERO).unwrap());
    let error = dir.acquire(&claim("web01", 'b'), Duration::ZERO).unwrap_err();
    assert!(matches!(error, Error::Refused { .. }) && error.to_string().contains("owner ="), "{error}");
    assert!(dir.held(&claim("web01", 'b'), &web()).is_err());
}

#[test]
fn of_many_that_ask_at_the_same_moment_one_gets_it() {
    let site = site();
    let dir = site.backend('a');
    let ask = |number: usize| dir.acquire(&claim(&format!("web{number}"), 'a'), Duration::ZERO).unwrap();
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|number| scope.spawn(move || ask(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().filter(|answer| matches!(answer, Answer::Granted(_))).count(), 1, "{answers:?}");
}

#[test]
fn a_local_directory_is_refused_unless_it_is_meant() {
    let site = site();
    site.backend('a');
    let error = site.with(Scope::Shared).look(&web()).unwrap_err();
    assert!(matches!(&error, Error::Usage(words) if words.contains("scope = this-host")), "{error}");
}

#[test]
fn a_directory_that_is_not_there_is_a_service_that_cannot_be_reached() {
    let site = site();
    std::fs::remove_dir(site.paths.at("/srv/locks")).unwrap();
    let error = site.backend('a').acquire(&claim("web01", 'a'), Duration::ZERO).unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
}

#[test]
fn what_killed_calls_of_this_host_have_left_goes_and_another_hosts_stays() {
    use leftovers::{Part, Process, name};
    let site = site();
    let dir = site.backend('a');
    let held = granted(dir.acquire(&claim("web01", 'a'), Duration::ZERO).unwrap());
    let put = |name: &str, text: &str| std::fs::write(site.paths.at("/srv/locks").join(name), text).unwrap();
    let text = std::fs::read_to_string(site.paths.at("/srv/locks/web.lock")).unwrap();
    dir.release(&held).unwrap();
    let me = i32::try_from(std::process::id()).unwrap();
    let start = crate::sys::proc_stat::of(me).unwrap().start;
    let (living, dead) = (Process { pid: me, start }, Process { pid: me, start: start + 1 });
    let mut stays = vec![
        name(Part::Draft, &id('a'), 8, living),
        name(Part::Draft, &id('b'), 8, dead),
        name(Part::Released, &id('b'), held.number.0, dead),
        // What was moved aside is not this grant.
        name(Part::Released, &id('a'), held.number.0 + 1, dead),
        ".nfs000042".to_string(),
    ];
    let goes = [name(Part::Draft, &id('a'), 8, dead), name(Part::Released, &id('a'), held.number.0, dead)];
    for file in stays.iter().chain(&goes) {
        put(file, &text);
    }
    dir.look(&web()).unwrap();
    granted(dir.acquire(&claim("web01", 'a'), Duration::ZERO).unwrap());
    stays.push("web.lock".into());
    stays.sort();
    assert_eq!(dir.place.clone().open().unwrap().dir.names().unwrap(), stays);
}

#[test]
fn what_a_child_says_of_a_fault_is_what_its_parent_says() {
    use errand::Fault;
    let place = site().backend('a').place;
    let travelled = |error: Error| {
        let line = serde_json::to_string(&Fault::from(error)).unwrap();
        serde_json::from_str::<Fault>(&line).unwrap().error(&place)
    };
    for error in [Error::Usage("wrong".into()), Error::refused("/x", "a link"), place.unreachable("it is gone")] {
        let (words, code) = (error.to_string(), crate::exit::Exit::from(&error));
        let error = travelled(error);
        assert_eq!((error.to_string(), crate::exit::Exit::from(&error)), (words, code));
    }
    let words = travelled(Error::io("write", "/srv/locks/web.lock")(nix::Error::ENOSPC)).to_string();
    assert!(words.starts_with("cannot reach lock directory /srv/locks: No space left"), "{words}");
}

#[test]
fn a_file_that_is_none_of_ours_is_nobodys_lock_and_nobody_gets_it() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let site = site();
    let dir = site.backend('a');
    let path = site.paths.at("/srv/locks/web.lock");
    for text in ["", "nonsense", "{\"lock\":\"web\"}", &"x".repeat(100_000)] {
        std::fs::write(&path, text).unwrap();
        assert!(matches!(dir.acquire(&claim("web01", 'a'), Duration::ZERO), Err(Error::Refused { .. })));
        assert!(dir.look(&web()).is_err());
    }
    std::fs::remove_file(&path).unwrap();
    symlink("/nonexistent", &path).unwrap();
    assert!(matches!(dir.acquire(&claim("web01", 'a'), Duration::ZERO), Err(Error::Refused { .. })));
    std::fs::remove_file(&path).unwrap();
    std::fs::set_permissions(site.paths.at("/srv/locks"), PermissionsExt::from_mode(0o777)).unwrap();
    let error = dir.look(&web()).unwrap_err();
    assert!(error.to_string().contains("chmod go-w"), "{error}");
}

#[test]
fn names_of_locks_become_names_of_files() {
    let name = |text: &str| file_name(&LockName::new(text).unwrap());
    assert_eq!(name("web").unwrap(), "web.lock");
    assert_eq!(name("web servers").unwrap(), "web%20servers.lock");
    assert_eq!(name(".hidden").unwrap(), "%2Ehidden.lock");
    assert_eq!(name("100%").unwrap(), "100%25.lock");
    assert!(matches!(name(&"ä".repeat(100)), Err(Error::Usage(_))));
}
