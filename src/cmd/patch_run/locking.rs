//! The lock of a run: taken before the first change, asked for again before a run that was cut short goes on, given back at the end.
//!
//! What is asked is recorded before it is asked, and what was granted before anything is done under it. A service that cannot be
//! reached is a no; behind the reboot the host is brought back into service whatever the service says.

use std::sync::Arc;
use std::time::Instant;

use chrono::TimeDelta;

use crate::cmd::alone;
use crate::cmd::asking::{self, Asking, Outcome as Asked};
use crate::error::{Error, Result};
use crate::flag::record::Draft;
use crate::hook::words;
use crate::lock::client::held::Asked as Intent;
use crate::lock::client::pause::Pauses;
use crate::lock::client::{self, Backend, Claim, Held, Released, claim};
use crate::lock::name::LockSet;
use crate::phase::drivers;
use crate::phase::name::Phase;
use crate::phase::settings::{Level, Unreleased, Wait};
use crate::phase::table::{Holds, Outcome};
use crate::sys::clock::Moment;
use crate::sys::random;

use super::beside::Place;
use super::driver::{Driver, Sure, Turn};
use super::end::End;

/// How long a reboot may take until somebody should look.
const AWAY: TimeDelta = TimeDelta::hours(1);

/// What the service says of the grants of a run.
enum Standing {
    Held,
    Lost(String),
    Unknown(Error),
}

impl Driver<'_> {
    /// Phase `lock_get`.
    pub(super) fn lock_get(&mut self) -> Result<Turn> {
        if self.settings.lock.is_none() {
            self.voice.decide(Level::Warning, "no lock is configured: other hosts may be patched at the same time");
            return Ok(Turn::On(Outcome::Yes));
        }
        if self.holds() == Holds::Lock {
            return Ok(self.make_sure()?.map_or(Turn::On(Outcome::Yes), Turn::Stop));
        }
        if let Some(end) = self.acquire(Phase::LockGet)? {
            return Ok(Turn::Stop(end));
        }
        self.notify(words::Driver::Running, "main", None, 0)?;
        Ok(Turn::On(Outcome::Yes))
    }

    /// Before the host is changed: the service says that the lock is held, or it is taken again. The end of the driver if not.
    pub(super) fn make_sure(&mut self) -> Result<Option<End>> {
        if self.sure == Sure::Yes {
            return Ok(None);
        }
        if self.settings.lock.is_none() {
            return self.nothing_is_held().map(|()| None);
        }
        match self.standing_in_time()? {
            Standing::Held => {
                self.sure = Sure::Yes;
                Ok(None)
            }
            Standing::Unknown(error) => Ok(Some(match self.stop.raised() {
                Some(signal) => End::Signal(signal),
                None => self.unreachable(&error),
            })),
            Standing::Lost(locks) => {
                if !locks.is_empty() {
                    self.voice.decide(
                        Level::Error,
                        format_args!("lock {locks} was taken from this host; asking for it again"),
                    );
                }
                let phase = self.state.unwrap_or(Phase::LockGet);
                self.acquire(phase)
            }
        }
    }

    /// Behind the reboot: what became of the lock is told, and changes nothing.
    pub(super) fn still_ours(&mut self) {
        if self.sure == Sure::Yes || self.holds() != Holds::Lock {
            return;
        }
        match self.standing(None) {
            Ok(Standing::Held) => self.sure = Sure::Yes,
            Ok(Standing::Lost(locks)) => {
                let words =
                    format!("lock {locks} was taken from this host while it was held; nothing of it is given back");
                self.voice.decide(Level::Error, words);
            }
            Ok(Standing::Unknown(error)) => self.voice.decide(Level::Warning, error),
            // A certificate that has expired, a secret that was changed: the host does not stay out of service for it.
            Err(error) => self.voice.decide(Level::Error, error),
        }
    }

    /// Nobody can be asked any more whether what this run holds is still its own.
    fn nothing_is_held(&self) -> Result<()> {
        match self.grants().first() {
            None => Ok(()),
            Some(grant) => Err(Error::Usage(format!(
                "this run holds lock {}, and no lock is configured any more; put it back into {}, or end the run with --abandon --keep-lock",
                grant.lock,
                self.settings.file.display()
            ))),
        }
    }

    /// Before the host goes down: the service is told until when it will be. The end of the driver if the lock is not held.
    pub(super) fn announce_reboot(&mut self) -> Result<Option<End>> {
        if self.settings.lock.is_none() {
            return Ok(None);
        }
        let until = self.clock.now() + AWAY;
        match self.standing(Some(until))? {
            Standing::Held => Ok(None),
            Standing::Unknown(error) => Ok(Some(self.unreachable(&error))),
            Standing::Lost(locks) => {
                self.voice
                    .decide(Level::Error, format_args!("lock {locks} was taken from this host; asking for it again"));
                self.acquire(Phase::Reboot)
            }
        }
    }

    /// Asks as often as this process has patience for a service that cannot be reached, with the pauses of a release.
    fn standing_in_time(&mut self) -> Result<Standing> {
        let mut pauses = Pauses::new(self.settings.release.backoff);
        for _ in 1..self.attempts(self.patience) {
            match self.standing(None)? {
                Standing::Unknown(error) => {
                    self.voice.say(Level::Warning, &error);
                    if self.stop.sleep(pauses.next(random::part())).is_some() {
                        return Ok(Standing::Unknown(error));
                    }
                }
                known => return Ok(known),
            }
        }
        self.standing(None)
    }

    fn attempts(&self, tries: Tries) -> u32 {
        if tries == Tries::All { self.settings.release.attempts } else { 1 }
    }

    /// Asks of every grant whether it stands; one that does not is recorded as lost.
    fn standing(&mut self, until: Option<Moment>) -> Result<Standing> {
        let backend = self.backend()?;
        let held = self.grants();
        let locks = self.locks()?;
        if locks.iter().any(|lock| !held.iter().any(|grant| grant.lock == *lock)) {
            return Ok(Standing::Lost(String::new()));
        }
        let mut lost = Vec::new();
        for grant in &held {
            same_kind(grant, backend.as_ref())?;
            match backend.down_until(grant, until) {
                Ok(true) => {}
                Ok(false) => {
                    self.record(&Draft::note("the lock is not ours any more").field("lost", grant.to_string()))?;
                    lost.push(grant.lock.to_string());
                }
                Err(error @ Error::Unreachable { .. }) => return Ok(Standing::Unknown(error)),
                Err(error) => return Err(error),
            }
        }
        Ok(if lost.is_empty() { Standing::Held } else { Standing::Lost(lost.join(", ")) })
    }

    /// Asks for the locks as long as the configuration says. The end of the driver if they are not granted.
    fn acquire(&mut self, phase: Phase) -> Result<Option<End>> {
        let (backend, claim) = (self.backend()?, self.claim()?);
        let Some(lock) = &self.settings.lock else { return Ok(None) };
        let (began, wait) = (Instant::now(), self.wait());
        let _alone = match self.place(backend.as_ref(), &claim.locks, wait)? {
            Place::Ours(alone) => alone,
            Place::Taken(end) => return Ok(Some(end)),
        };
        drivers::note(self.paths, &self.settings.state)?;
        let intent = Intent { kind: backend.kind(), locks: claim.locks.clone() }.to_string();
        self.record(&Draft::note("asking for the lock").field("asking", &intent))?;
        self.voice.say(Level::Info, format_args!("asking for lock {}", self.settings.lock_name));
        let asking = Asking {
            backend,
            claim,
            wait: wait.after(began.elapsed()),
            attempts: self.settings.attempts,
            lock,
            is_wanted: &|| Ok(true),
            tell: &mut |words| self.voice.decide(Level::Info, words),
        };
        match asking.run() {
            Ok(Asked::Granted(held)) => {
                self.granted(&held)?;
                self.sure = Sure::Yes;
                Ok(None)
            }
            Ok(Asked::NotYet(why)) => {
                self.record(&Draft::default().field("asking", ""))?;
                self.voice.decide(Level::Warning, format_args!("the lock is not ours: {why}"));
                Ok(Some(End::NotYet(why)))
            }
            Ok(Asked::Unwanted) => Ok(Some(End::Done)),
            Ok(Asked::Signal(signal, held)) => {
                self.granted(&held)?;
                Ok(Some(End::Signal(signal)))
            }
            Err(error @ Error::Unreachable { .. }) => Ok(Some(self.unreachable(&error))),
            // No, and for ever: a wrong secret, a lock that may not be taken, an owner that is another host.
            Err(error) => self.fail(phase, None, 1, &error.to_string()).map(Some),
        }
    }

    /// How long the lock is waited for.
    fn wait(&self) -> asking::Wait {
        match self.settings.wait {
            Wait::No => asking::Wait::No,
            Wait::UpTo(time) => asking::Wait::For(time),
            Wait::Forever => asking::Wait::Forever,
        }
    }

    fn granted(&mut self, held: &[Held]) -> Result<()> {
        for (left, grant) in (0..held.len()).rev().zip(held) {
            // Only when all are recorded it is known what came of the question.
            let settled = (left == 0).then_some("");
            let draft = Draft::note("the lock is held").field("grant", grant.to_string());
            self.record(&draft.maybe("asking", settled))?;
            self.voice.decide(Level::Info, format_args!("lock {} is held ({})", grant.lock, grant.numbered()));
        }
        Ok(())
    }

    pub(super) fn unreachable(&mut self, error: &Error) -> End {
        self.voice.decide(Level::Error, error);
        End::Unreachable(error.to_string())
    }

    /// Phase `lock_release`.
    pub(super) fn lock_release(&mut self) -> Result<Turn> {
        if self.settings.lock.is_none() && self.holds() == Holds::Nothing {
            return Ok(Turn::On(Outcome::Yes));
        }
        match self.give_back(Tries::All) {
            Ok(()) => Ok(Turn::On(Outcome::Yes)),
            Err(error) => self.not_given_back(&error).map(Turn::Stop),
        }
    }

    fn not_given_back(&mut self, error: &Error) -> Result<End> {
        // The service was not asked as often as it would have been.
        if let (Error::Unreachable { .. }, Some(signal)) = (error, self.stop.raised()) {
            self.voice.decide(Level::Warning, error);
            return Ok(End::Signal(signal));
        }
        if self.settings.unreleased == Unreleased::Forgotten {
            let words = format!(
                "the lock could not be given back and stays held; as configured, the run is forgotten: {error}"
            );
            self.voice.decide(Level::Error, &words);
            self.on_failure(Phase::LockRelease, None, 1)?;
            self.forget("the lock was not given back")?;
            return Ok(End::Failed(words));
        }
        let away = matches!(error, Error::Unreachable { .. });
        let words = error.to_string();
        let failed = self.fail(Phase::LockRelease, None, 1, &format!("{words}; the next start tries again"))?;
        Ok(if away { End::Unreachable(words) } else { failed })
    }

    /// Before the first change: what may be held is given back, and the run is over.
    ///
    /// # Errors
    /// If it cannot be given back now.
    pub fn give_up(&mut self) -> Result<Option<End>> {
        if self.settings.lock.is_some() || self.holds() != Holds::Nothing {
            match self.give_back(self.patience) {
                Ok(()) => {}
                Err(error @ Error::Unreachable { .. }) => return Ok(Some(self.unreachable(&error))),
                Err(error) => return Err(error),
            }
        }
        self.voice.say(Level::Info, "a run that had not begun to change anything is given up");
        self.forget("given up before the first change").map(|()| None)
    }

    /// Gives everything back that is held or may be. Each is recorded; done twice it does no harm.
    pub(super) fn give_back(&mut self, tries: Tries) -> Result<()> {
        let backend = self.backend()?;
        let mut held = self.grants();
        let unsure = self.book.as_ref().is_none_or(|book| book.run.asking.is_some());
        if held.is_empty() || unsure {
            held.extend(self.unrecorded(backend.as_ref(), &held)?);
        }
        for (left, grant) in (0..held.len()).rev().zip(&held) {
            same_kind(grant, backend.as_ref())?;
            let released = self.release(backend.as_ref(), grant, tries)?;
            let words = match released {
                Released::Ended => format!("lock {} is released", grant.lock),
                Released::Absent => format!("lock {} was not ours any more; nothing was released", grant.lock),
            };
            // Only when all are given back it is known that nothing is held.
            let settled = (left == 0).then_some("");
            self.record(&Draft::note(&words).field("released", grant.to_string()).maybe("asking", settled))?;
            self.voice.decide(if released == Released::Ended { Level::Info } else { Level::Warning }, words);
        }
        let unsure = self.book.as_ref().is_some_and(|book| book.run.asking.is_some());
        if unsure { self.record(&Draft::default().field("asking", "")) } else { Ok(()) }
    }

    /// Grants of ours that no record tells of: a driver was killed between the answer and its record, or another program's run goes on
    /// here.
    ///
    /// # Errors
    /// [`Error::Busy`] while another tool of this host works with one of the locks.
    fn unrecorded(&mut self, backend: &dyn Backend, known: &[Held]) -> Result<Vec<Held>> {
        let claim = self.claim()?;
        // Who asks for one of them now by hand would be taken for us.
        let _alone = alone::now(self.paths, &claim.locks)?;
        let mut found = Vec::new();
        for lock in claim.locks.iter().filter(|lock| !known.iter().any(|grant| grant.lock == **lock)) {
            // Not every service knows what for a lock was taken: what others on this host have taken is theirs.
            if self.taken_beside_us(backend.kind(), &lock.clone().into())?.is_some() {
                continue;
            }
            if let Some(grant) = backend.held(&claim, lock)? {
                self.record(&Draft::note("granted, and not recorded then").field("grant", grant.to_string()))?;
                found.push(grant);
            }
        }
        Ok(found)
    }

    fn release(&mut self, backend: &dyn Backend, grant: &Held, tries: Tries) -> Result<Released> {
        let attempts = self.attempts(tries);
        let mut pauses = Pauses::new(self.settings.release.backoff);
        for _ in 1..attempts {
            match backend.release(grant) {
                Err(error @ Error::Unreachable { .. }) => {
                    self.voice.say(Level::Warning, &error);
                    if self.stop.sleep(pauses.next(random::part())).is_some() {
                        return Err(error);
                    }
                }
                other => return other,
            }
        }
        backend.release(grant)
    }

    /// The grants of this run. A line that is none is somebody's scribble.
    pub(super) fn grants(&self) -> Vec<Held> {
        let grants = self.book.as_ref().map(|book| book.run.grants.as_slice()).unwrap_or_default();
        grants.iter().filter_map(|text| text.parse().ok()).collect()
    }

    fn claim(&self) -> Result<Claim> {
        let reason = self.book.as_ref().map(|book| claim::reason_of(&book.run.id)).transpose()?.flatten();
        claim::of_this_host(self.config, self.paths, self.locks()?, reason)
    }

    fn locks(&self) -> Result<LockSet> {
        let lock = self.settings.lock.as_ref().ok_or_else(claim::no_lock)?;
        lock.names.clone().ok_or_else(|| Error::Usage("name the lock of a run: names = in section [lock]".into()))
    }

    fn backend(&self) -> Result<Arc<dyn Backend>> {
        let lock = self.settings.lock.as_ref().ok_or_else(claim::no_lock)?;
        Ok(Arc::from(client::open(lock, self.paths, self.clock)?))
    }
}

/// How hard to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tries {
    One,
    All,
}

/// A grant of another service cannot be judged by this one.
fn same_kind(grant: &Held, backend: &dyn Backend) -> Result<()> {
    if grant.kind == backend.kind() {
        return Ok(());
    }
    let why = format!("it is of kind {}, and the configuration says {}; put that back", grant.kind, backend.kind());
    Err(Error::failed("ask for lock", &grant.lock, why))
}
