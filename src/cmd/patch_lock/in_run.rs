//! Patch mode: the lock of a run that is staged, recorded in its journal.
//!
//! The host lock is never held while the service is asked. So the intent is recorded first, the flags are read again afterwards, and
//! what was granted to a run that is gone by then is given back.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Local};

use crate::cmd::chain;
use crate::cmd::place::Place;
use crate::cmd::scene::Scene;
use crate::cmd::walk::{Site, Walk};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::exit::{self, Exit};
use crate::flag::journal;
use crate::flag::order::Order;
use crate::flag::record::Draft;
use crate::flag::run::Run;
use crate::flag::state::State;
use crate::lock::client::Held;
use crate::lock::client::held::Asked;
use crate::lock::client::remembered::Remembered;
use crate::lock::name::{LockName, LockSet};
use crate::paths::{self, Paths};
use crate::sys::clock::Clock;
use crate::sys::dir::Dir;
use crate::sys::lockfile::{self, Lock};

use super::site::{self, Service};
use super::{Acquire, Release, by_hand};
use crate::cmd::alone;
use crate::cmd::asking::{self, Asking, Ear, Outcome};

/// The name of this stage.
const STAGE: &str = "patch-lock";

/// A run that this tool may work for: staged, with its flag up.
struct Staged {
    scene: Scene,
    run: Run,
}

/// `patch-lock acquire -p`
pub fn acquire(place: &Place, args: &Acquire) -> Result<Exit> {
    let paths = place.paths()?;
    if !chain::all_there(&[paths.flag(), paths.log()]) {
        return chain::NOTHING;
    }
    let Some((config, lock)) = begin(place, &paths)? else { return chain::NOTHING };
    if config.lock.is_none() {
        // No lock configured means no lock: the crontab is the same on every host.
        return chain::NOTHING;
    }
    let site = Site { paths: &paths, config: &config, clock: place.clock() };
    let question = args.dry_run || place.is_only_a_question(&paths);
    let ended = stage(place, &site, &config, args, lock).inspect_err(|error| {
        if !question {
            chain::tell_once_a_day(&site, error);
        }
    });
    if !question {
        chain::deliver(&site);
    }
    ended
}

/// What every call begins with: the host lock, a boot that is ours to work in, the configuration.
fn begin(place: &Place, paths: &Paths) -> Result<Option<(Arc<Config>, Lock)>> {
    let Some(lock) = chain::lock(paths)? else { return Ok(None) };
    if chain::hands_off(paths)? {
        return Ok(None);
    }
    let config = place.config(paths).inspect_err(|error| chain::tell_of_configuration(place, paths, error))?;
    Ok(Some((Arc::new(config), lock)))
}

fn stage(place: &Place, site: &Site, config: &Arc<Config>, args: &Acquire, lock: Lock) -> Result<Exit> {
    let question = args.dry_run || place.is_only_a_question(site.paths);
    let Some(staged) = ready(site)? else { return chain::NOTHING };
    let service = Service::with(place, site.paths.clone(), Arc::clone(config))?;
    let locks = service.names(&args.names)?;
    let of_run: Vec<Held> = parse(&staged.run.grants);
    if locks.iter().all(|lock| site::find(&of_run, service.kind(), lock).is_some()) {
        if !question {
            finish(&mut Walk::new(site, staged.scene), &staged.run, &[])?;
        }
        return Ok(Exit::Done);
    }
    not_by_driver(&service, &locks)?;
    if question {
        let remembered = Remembered::read(site.paths)?;
        if let Some(held) = locks.iter().find_map(|lock| remembered.find(service.kind(), lock)) {
            return Err(Error::Busy(by_hand::standing_words(held)));
        }
        let (asked, run) = (Asked { kind: service.kind(), locks }, &staged.run.id);
        exit::out(format_args!("would ask {asked} for the lock of run {run}"));
        return Ok(Exit::Done);
    }
    // cron starts the line again while it waits: two that wait for the same would take each other's place in the queue. Whoever ends
    // the run sees by it that somebody asks, so it is taken before the host lock is given up.
    let Some(_waiting) = lockfile::try_take(&site.paths.waiting())? else { return chain::NOTHING };
    let _alone = match alone::now(site.paths, &locks) {
        Err(Error::Busy(why)) => {
            exit::note(why);
            return Ok(Exit::NotYet);
        }
        other => other?,
    };
    let run = staged.run.id.clone();
    let (lock, staged) = match without_hands(site, &service, &locks, lock, staged)? {
        Cleared::Still(lock, staged) => (lock, staged),
        Cleared::Ended(exit) => return Ok(exit),
    };
    let claim = super::claim(site, &run, Some(locks.clone()))?;
    let asked = Asked { kind: service.kind(), locks }.to_string();
    let Staged { scene, run } = staged;
    if run.fact("locking") != Some(&asked) {
        Walk::new(site, scene).record(&Draft::note("asking for the lock").field("locking", &asked))?;
    }
    drop(lock);
    let asking = Asking {
        backend: Arc::clone(&service.backend),
        claim,
        wait: super::wait(&args.wait, service.lock()?),
        attempts: None,
        lock: service.lock()?,
        is_wanted: &|| Ok(is_open(site.config, site.clock) && is_staged(site.paths, &run.id)?),
        tell: &mut |words| exit::note(words),
    };
    match asking.run() {
        Ok(Outcome::Granted(held)) => record(site, &service, &run, &held),
        Ok(Outcome::NotYet(why)) => {
            exit::note(why);
            Ok(Exit::NotYet)
        }
        Ok(Outcome::Unwanted) => chain::NOTHING,
        Ok(Outcome::Signal(signal, held)) => {
            record(site, &service, &run, &held)?;
            Ok(asking::ended_by(signal))
        }
        Err(Error::Unreachable { service, reason }) => unreachable(site, &run, service, reason),
        Err(error) => Err(error),
    }
}

/// The run, if it is staged and may go on at this hour.
fn ready(site: &Site) -> Result<Option<Staged>> {
    let Some(staged) = look(site.paths)? else { return Ok(None) };
    Order::read(&staged.scene.etc)?;
    Ok(is_open(site.config, site.clock).then_some(staged))
}

/// What is left when nobody holds the locks by hand.
#[allow(clippy::large_enum_variant)] // one of them, once
enum Cleared {
    /// The run, still staged, under the host lock.
    Still(Lock, Staged),
    /// Nothing is to be done in this tick.
    Ended(Exit),
}

/// What a person has taken on this host is not given to a run, which would release it at its end. Whether it stands, the service knows;
/// it is asked without the host lock.
fn without_hands(site: &Site, service: &Service, locks: &LockSet, lock: Lock, staged: Staged) -> Result<Cleared> {
    let (remembered, kind) = (Remembered::read(site.paths)?, service.kind());
    let mentions = |lock: &LockName| remembered.find(kind, lock).or_else(|| remembered.find_over(kind, lock)).is_some();
    if !locks.iter().any(mentions) {
        return Ok(Cleared::Still(lock, staged));
    }
    drop(lock);
    match by_hand::standing(service, locks) {
        Ok(None) => {}
        Ok(Some(held)) => {
            let why = by_hand::standing_words(&held);
            chain::tell_cause_once_a_day(site, &why);
            return Err(Error::Busy(why));
        }
        Err(Error::Unreachable { service, reason }) => {
            return unreachable(site, &staged.run, service, reason).map(Cleared::Ended);
        }
        Err(error) => return Err(error),
    }
    let Some(lock) = chain::lock(site.paths)? else { return Ok(Cleared::Ended(Exit::Done)) };
    match ready(site)?.filter(|again| again.run.id == staged.run.id) {
        Some(again) => Ok(Cleared::Still(lock, again)),
        None => Ok(Cleared::Ended(Exit::Done)),
    }
}

/// The run, if it is staged.
fn look(paths: &Paths) -> Result<Option<Staged>> {
    let scene = Scene::look(paths)?;
    let run = scene.run.clone().filter(|run| scene.flag && run.state == Some(State::Staged));
    Ok(run.map(|run| Staged { scene, run }))
}

/// Whether the run is still the one, without the host lock: one append is one line, and half a line is none.
fn is_staged(paths: &Paths, id: &str) -> Result<bool> {
    let etc = Dir::open(&paths.etc())?;
    let run = journal::run(&etc, paths::LOG)?;
    Ok(etc.has(paths::FLAG)? && run.is_some_and(|run| run.id == id && run.state == Some(State::Staged)))
}

fn is_open(config: &Config, clock: Clock) -> bool {
    let local = DateTime::<Local>::from(clock.now()).time();
    config.patchit.window.is_none_or(|window| window.contains(local))
}

/// What the driver has taken on this host is not given to a run, which would release it at its end.
fn not_by_driver(service: &Service, locks: &LockSet) -> Result<()> {
    let driver = service.held_by_driver()?;
    match locks.iter().find_map(|lock| site::find(&driver, service.kind(), lock)) {
        None => Ok(()),
        Some(held) => {
            Err(Error::Busy(format!("lock {} is held by patch-run on this host; see patch-run --status", held.lock)))
        }
    }
}

/// Records what was granted, if the run is still the one; else gives it back.
fn record(site: &Site, service: &Service, run: &Run, held: &[Held]) -> Result<Exit> {
    if held.is_empty() {
        return Ok(Exit::Done);
    }
    let _lock = match wait_for_the_host(site.paths)? {
        Ok(lock) => lock,
        Err(signal) => return Ok(asking::ended_by(signal)),
    };
    let known = service.held_by_run()?;
    let new: Vec<Held> = held.iter().filter(|grant| !known.contains(grant)).cloned().collect();
    match look(site.paths)?.filter(|staged| staged.run.id == run.id) {
        Some(staged) => {
            let mut walk = Walk::new(site, staged.scene);
            finish(&mut walk, &staged.run, &new)?;
            Ok(Exit::Done)
        }
        None => give_back(service, &new),
    }
}

fn finish(walk: &mut Walk, run: &Run, new: &[Held]) -> Result<()> {
    for (left, grant) in (0..new.len()).rev().zip(new) {
        let record = Draft::note("the lock is held").field("grant", grant.to_string());
        // With the last one the question is answered: what was asked for is no longer in doubt.
        walk.record(&if left == 0 { record.field("locking", "") } else { record })?;
        exit::note(format_args!("lock {} is held ({})", grant.lock, grant.numbered()));
    }
    if run.stages.contains(STAGE) { Ok(()) } else { walk.record(&Draft::stage_done(STAGE)) }
}

/// The run was called off while its lock was waited for.
fn give_back(service: &Service, grants: &[Held]) -> Result<Exit> {
    for grant in grants {
        service.backend.release(grant)?;
        exit::note(format_args!("gave lock {} back: the run is over", grant.lock));
    }
    chain::NOTHING
}

/// A stage may work for hours; the grant can wait. Who ends us meanwhile, by a signal, loses nothing: what was asked for is in the
/// journal, and the next tick finds the grant.
fn wait_for_the_host(paths: &Paths) -> Result<std::result::Result<Lock, i32>> {
    let ear: Ear<()> = Ear::open()?;
    loop {
        if let Some(lock) = chain::lock(paths)? {
            return Ok(Ok(lock));
        }
        if let Some(signal) = ear.sleep(Duration::from_secs(1)) {
            return Ok(Err(signal));
        }
    }
}

fn unreachable(site: &Site, run: &Run, service: String, reason: String) -> Result<Exit> {
    let _lock = match wait_for_the_host(site.paths)? {
        Ok(lock) => lock,
        Err(signal) => return Ok(asking::ended_by(signal)),
    };
    match look(site.paths)?.filter(|staged| staged.run.id == run.id) {
        Some(staged) => chain::unreachable(site, &mut Walk::new(site, staged.scene), service, reason),
        None => chain::NOTHING,
    }
}

fn parse(grants: &[String]) -> Vec<Held> {
    grants.iter().filter_map(|text| text.parse().ok()).collect()
}

/// `patch-lock release -p`: a stage behind the lock found that the night is over; the run stays staged and asks again.
pub fn release(place: &Place, args: &Release) -> Result<Exit> {
    let paths = place.paths()?;
    if !chain::all_there(&[paths.flag(), paths.log()]) {
        return chain::NOTHING;
    }
    let Some((config, _lock)) = begin(place, &paths)? else { return chain::NOTHING };
    let site = Site { paths: &paths, config: &config, clock: place.clock() };
    let Some(Staged { scene, run }) = look(&paths)? else { return chain::NOTHING };
    let grants = parse(&run.grants);
    let wanted = |lock: &LockName| args.names.is_empty() || args.names.contains(lock);
    let service = Service::with(place, paths.clone(), Arc::clone(&config))?;
    let mut walk = Walk::new(&site, scene);
    for grant in grants.iter().filter(|grant| grant.kind == service.kind() && wanted(&grant.lock)) {
        if args.dry_run || place.is_only_a_question(&paths) {
            exit::out(format_args!("would give back lock {} ({})", grant.lock, grant.numbered()));
            continue;
        }
        service.backend.release(grant)?;
        walk.record(&Draft::note("given back before the first change").field("released", grant.to_string()))?;
        exit::note(format_args!("released lock {}", grant.lock));
    }
    Ok(Exit::Done)
}
