//! Where a run and its lock meet: what it lacks, whether its grants still stand, and giving them back.
//!
//! A grant is the run's when its journal says so. Between the service's answer and the record a tool may be killed; so the intent is
//! in the journal first, and what it names is asked for again here. Nothing is released that neither says.
//!
//! A driver that calls `patchit --no-reboot` holds the lock over the reboot and gives it back itself. Its grants count in such a
//! call, as long as it is at work in the phase that changes the host; the journal says that they are lent.

use std::time::{Duration, Instant};

use chrono::TimeDelta;

use crate::config::{self, Config};
use crate::error::{Error, Result};
use crate::exit;
use crate::flag::done::{Done, Reboot};
use crate::flag::journal;
use crate::flag::record::Draft;
use crate::flag::run::Run;
use crate::lock::client::held::Asked;
use crate::lock::client::remembered::Remembered;
use crate::lock::client::{self, Backend, Claim, Held, Released, claim};
use crate::lock::name::{LockName, LockSet, quoted};
use crate::paths::{self, Paths};
use crate::phase;
use crate::phase::drivers::{self, Other};
use crate::phase::name::Phase;
use crate::phase::state::{self, Line};
use crate::sys::clock::stamp;
use crate::sys::dir::Dir;
use crate::sys::lockfile::{self, Lock};

use super::walk::{Site, Walk};

/// Beyond the installer's deadline: two reboots, checks, the soak.
const REBOOTS: TimeDelta = TimeDelta::minutes(30);
/// How long a `patch-lock` that nobody wants any more has to end; it waits for the host lock itself, which is held here.
const PATIENCE: Duration = Duration::from_secs(3);

/// The locks of the configuration that are not among these grants.
fn lacking<'a>(config: &'a Config, held: &[Held]) -> Vec<&'a LockName> {
    let Some(lock) = &config.lock else { return Vec::new() };
    let names = lock.names.iter().flat_map(LockSet::iter);
    names.filter(|name| !held.iter().any(|held| held.kind == lock.kind() && held.lock == **name)).collect()
}

/// What a run may count on: its own grants, and in a call of the driver's those that it lends.
///
/// # Errors
/// If it cannot be found out what the driver does.
pub fn held(site: &Site, run: &Run, caller: Reboot) -> Result<Vec<Held>> {
    let mut held = grants(run);
    if caller == Reboot::Driver && !lacking(site.config, &held).is_empty() {
        held.extend(lent(site)?);
    }
    Ok(held)
}

/// Whether every lock of the configuration is among these grants.
pub fn suffices(config: &Config, held: &[Held]) -> bool {
    lacking(config, held).is_empty()
}

/// The grants of a driver that is at work now, and changes the host.
fn lent(site: &Site) -> Result<Vec<Held>> {
    if !lockfile::is_held(&site.paths.run_lock())? {
        return Ok(Vec::new());
    }
    if state::read(&site.paths.at(&site.config.run.state))? != Line::Phase(Phase::Update) {
        return Ok(Vec::new());
    }
    let driver = driver(site.paths, site.config)?;
    Ok(driver.map(|driver| parse(&driver.grants)).unwrap_or_default())
}

/// The run of the driver by section `[run]` that is not over.
fn driver(paths: &Paths, config: &Config) -> Result<Option<phase::run::Run>> {
    Ok(phase::run::read(&paths.at(&config.run.state))?.filter(|driver| driver.ended.is_none()))
}

/// What the drivers of this host hold, at work or not, whatever their configurations. It is nobody else's to give back.
///
/// # Errors
/// If its record cannot be read or trusted.
pub fn of_driver(paths: &Paths, config: &Config) -> Result<Vec<Held>> {
    let mut held = driver(paths, config)?.map(|driver| parse(&driver.grants)).unwrap_or_default();
    held.extend(drivers::others(paths, &config.run.state)?.iter().flat_map(Other::held));
    Ok(held)
}

/// What the patch run of this host holds, the run that is to be confirmed among them; it is nobody else's to give back.
///
/// # Errors
/// If its journal or `patchdone` cannot be read or trusted.
pub fn of_chain(paths: &Paths) -> Result<Vec<Held>> {
    let etc = match Dir::open(&paths.etc()) {
        Err(error) if error.is_missing() => return Ok(Vec::new()),
        other => other?,
    };
    let run = journal::run(&etc, paths::LOG)?;
    let done = Done::read(&etc)?;
    let texts = run.into_iter().flat_map(|run| run.grants).chain(done.into_iter().flat_map(|done| done.grants));
    Ok(parse(&texts.collect::<Vec<_>>()))
}

/// The service and the locks of the configuration, for people.
pub fn described(config: &Config) -> String {
    let Some(lock) = &config.lock else { return "none configured".into() };
    let names: Vec<&str> = lock.names.iter().flat_map(LockSet::iter).map(LockName::as_str).collect();
    match names[..] {
        [] => format!("{}, none that a run takes", lock.kind()),
        _ => format!("{}, {}", lock.kind(), names.join(" ")),
    }
}

/// What a run waits for that lacks its lock, as a noun.
pub fn waits_for(config: &Config, held: &[Held]) -> Option<String> {
    let names: Vec<&str> = lacking(config, held).into_iter().map(LockName::as_str).collect();
    (!names.is_empty()).then(|| format!("lock {}: patch-lock acquire -p", names.join(", ")))
}

/// The same, if somebody has taken by hand what it lacks: that does not come to an end by itself.
pub fn waits_for_hands(config: &Config, held: &[Held], by_hand: &[Held]) -> Option<String> {
    let lacking = lacking(config, held);
    let taken = by_hand.iter().find(|taken| lacking.contains(&&taken.lock))?;
    let (lock, number, release) = (&taken.lock, taken.numbered(), quoted(taken.lock.as_str()));
    Some(format!("lock {lock}, held by hand on this host ({number}): patch-lock release {release}"))
}

/// What somebody has taken by hand on this host at the service of the configuration.
///
/// # Errors
/// As [`Remembered::read`].
pub fn by_hand(paths: &Paths, config: &Config) -> Result<Vec<Held>> {
    let Some(kind) = config.lock.as_ref().map(config::Lock::kind) else { return Ok(Vec::new()) };
    Ok(Remembered::read(paths)?.held.into_iter().filter(|held| held.kind == kind).collect())
}

/// The grants that the run holds. A line that is none is somebody's scribble.
pub fn grants(run: &Run) -> Vec<Held> {
    parse(&run.grants)
}

fn parse(grants: &[String]) -> Vec<Held> {
    grants.iter().filter_map(|text| text.parse().ok()).collect()
}

/// Asks the service, just before the host goes down, whether the grants that the run counts on still stand, and tells it until when the host will be
/// down. One that does not is recorded as lost: the run waits for its lock again.
///
/// # Errors
/// [`Error::Unreachable`]: then it is not known, and nothing is begun. [`Error::Busy`] if one is lost.
pub fn stands(walk: &mut Walk, run: &Run, held: &[Held]) -> Result<()> {
    let site = walk.site;
    if held.is_empty() {
        return Ok(());
    }
    let own = grants(run);
    for grant in held.iter().filter(|grant| !own.contains(grant)) {
        let text = grant.to_string();
        if !run.lent.contains(&text) {
            walk.record(&Draft::note("the driver that called us holds the lock").field("lent", text))?;
        }
    }
    let backend = service(site)?;
    let patchit = &site.config.patchit;
    let away = TimeDelta::from_std(patchit.deadline + patchit.soak + patchit.boot_wait).unwrap_or(REBOOTS) + REBOOTS;
    let until = site.clock.now() + away;
    let mut lost = Vec::new();
    for grant in held.iter().filter(|grant| grant.kind == backend.kind()) {
        if !backend.down_until(grant, Some(until))? {
            walk.record(&Draft::note("the lock is not ours any more").field("lost", grant.to_string()))?;
            lost.push(grant.lock.as_str().to_string());
        }
    }
    if lost.is_empty() {
        exit::note(format_args!(
            "the lock stands; the service knows that this host may be down until {}",
            stamp(until)
        ));
        return Ok(());
    }
    Err(Error::Busy(format!("lock {} was taken from this host; patch-lock acquire -p takes it again", lost.join(", "))))
}

/// Gives everything back that the run holds or may hold. Each is recorded; done twice it does no harm.
///
/// # Errors
/// If anything is left to give back. What was given back by then is recorded.
pub fn give_back(walk: &mut Walk, run: &Run) -> Result<()> {
    let held = grants(run);
    let unsure = in_doubt(run);
    if held.is_empty() && unsure.is_empty() {
        return Ok(());
    }
    let backend = service(walk.site)?;
    for grant in &held {
        give_back_one(walk, run, backend.as_ref(), grant)?;
    }
    if !unsure.is_empty() {
        let _nobody_asks = end_the_asking(walk.site, backend.as_ref(), run)?;
        let by_hand = Remembered::read(walk.site.paths)?;
        let driver = of_driver(walk.site.paths, walk.site.config)?;
        let is_driver_s = |lock: &LockName| driver.iter().any(|held| held.kind == backend.kind() && held.lock == *lock);
        // Not every service knows what for a lock was taken: what this host's people or its driver have taken since is theirs.
        let ours = |lock: &&LockName| by_hand.find(backend.kind(), lock).is_none() && !is_driver_s(lock);
        for lock in unsure.iter().filter(ours) {
            let claim = claim(walk.site, run, lock.clone().into())?;
            if let Some(grant) = backend.held(&claim, lock)? {
                walk.record(&Draft::note("granted, and not recorded then").field("grant", grant.to_string()))?;
                give_back_one(walk, run, backend.as_ref(), &grant)?;
            }
        }
        walk.record(&Draft::note("nothing is held of what was asked for").field("locking", ""))?;
    }
    Ok(())
}

/// Sees to it that no `patch-lock` asks for the run any more. One that still waits could be granted the lock later and die with it,
/// and then no journal would know.
fn end_the_asking(site: &Site, backend: &dyn Backend, run: &Run) -> Result<Lock> {
    if let Some(lock) = lockfile::try_take(&site.paths.waiting())? {
        return Ok(lock);
    }
    if let Some(asked) = asked(run) {
        // It need not wait for the end of a request that nobody wants to be answered.
        backend.withdraw(&claim(site, run, asked.locks)?)?;
    }
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if let Some(lock) = lockfile::try_take(&site.paths.waiting())? {
            return Ok(lock);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(Error::Busy("patch-lock still asks for the lock of this run, and ends in a moment".into()))
}

/// What `patch-lock` asks for in the name of the run: with another reason the service would take it for somebody else's.
fn claim(site: &Site, run: &Run, locks: LockSet) -> Result<Claim> {
    claim::of_this_host(site.config, site.paths, locks, claim::reason_of(&run.id)?)
}

fn give_back_one(walk: &mut Walk, run: &Run, backend: &dyn Backend, grant: &Held) -> Result<()> {
    if grant.kind != backend.kind() {
        let why = format!("it is of kind {}, and section [lock] says {}; put that back", grant.kind, backend.kind());
        return Err(Error::failed("release lock", quoted(grant.lock.as_str()), why));
    }
    let text = grant.to_string();
    // Who was killed between the answer and the record finds nothing there, and it was no theft.
    let begun = run.fact("releasing") == Some(&text);
    if !begun {
        walk.record(&Draft::default().field("releasing", &text))?;
    }
    let ended = backend.release(grant)?;
    let (key, words) = match ended {
        Released::Absent if !begun => {
            exit::warn(format_args!("lock {} was not ours any more when it was to be released", grant.lock));
            ("lost", "the lock was not ours any more")
        }
        Released::Ended | Released::Absent => {
            exit::note(format_args!("released lock {}", grant.lock));
            ("released", "released")
        }
    };
    walk.record(&Draft::note(words).field(key, &text))
}

/// The locks that were asked for in this run, and of which no record says what came of it.
pub fn in_doubt(run: &Run) -> Vec<LockName> {
    let held = grants(run);
    let known = |lock: &LockName| held.iter().any(|held| held.lock == *lock);
    asked(run).iter().flat_map(|asked| asked.locks.iter()).filter(|lock| !known(lock)).cloned().collect()
}

fn asked(run: &Run) -> Option<Asked> {
    run.fact("locking").and_then(|text| text.parse().ok())
}

/// The lock service of the configuration.
fn service(site: &Site) -> Result<Box<dyn Backend>> {
    let lock = site.config.lock.as_ref().ok_or_else(claim::no_lock)?;
    client::open(lock, site.paths, site.clock)
}
