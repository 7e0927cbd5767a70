//! Asking for locks until they are granted, the time is over, nobody wants them any more, or a signal ends it.
//!
//! The service is asked by a thread, so that a signal is heard while an answer is waited for. Whoever ends before the answer says so
//! to the service, and gives back what was granted in that very moment.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use signal_hook::iterator::Signals;

use crate::config;
use crate::error::{Error, Result};
use crate::exit::{self, Exit};
use crate::lock::client::pause::Pauses;
use crate::lock::client::{Again, Answer, Backend, Claim, Held};
use crate::sys::{random, stop};

/// The longest time that one request is kept open: shorter than what proxies allow.
const ROUND: Duration = Duration::from_secs(55);
/// A service that says "at once" faster than this is not believed.
const AT_ONCE: Duration = Duration::from_millis(200);

/// So long a service that was told of the end has for its last word.
const LAST_WORD: Duration = Duration::from_secs(2);

/// How long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Ask once.
    No,
    /// Until it is granted.
    Forever,
    /// No longer than this.
    For(Duration),
}

impl Wait {
    /// What is left of it when some of it was waited elsewhere.
    #[must_use]
    pub fn after(self, waited: Duration) -> Self {
        match self {
            Self::For(time) => Self::For(time.saturating_sub(waited)),
            other => other,
        }
    }
}

/// The exit code of a program that a signal ended, as shells have it.
pub fn ended_by(signal: i32) -> Exit {
    Exit::Code(u8::try_from(128 + signal).unwrap_or(u8::MAX))
}

/// How the asking ended.
#[derive(Debug)]
pub enum Outcome {
    /// All are held.
    Granted(Vec<Held>),
    /// Not now; why.
    NotYet(String),
    /// Nobody wants them any more.
    Unwanted,
    /// A signal came, and with it perhaps still the grants.
    Signal(i32, Vec<Held>),
}

/// What is heard while something is waited for.
pub enum Heard<T> {
    /// The work is done.
    Done(T),
    /// Somebody wants us to end.
    Signal(i32),
}

/// The signals that end a wait, and whatever else somebody waits for, on one channel.
pub struct Ear<T> {
    tell: Sender<Heard<T>>,
    hear: Receiver<Heard<T>>,
}

impl<T: Send + 'static> Ear<T> {
    /// Begins to listen for TERM, INT and HUP, which end nothing by themselves from here on. What was ignored before stays ignored.
    pub fn open() -> Result<Self> {
        let (tell, hear) = mpsc::channel();
        let mut signals = Signals::new(stop::deadly()).map_err(|why| Error::failed("listen for", "signals", why))?;
        let bell = tell.clone();
        start("signals", move || {
            for signal in signals.forever() {
                if bell.send(Heard::Signal(signal)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { tell, hear })
    }

    /// Works in a thread; the result is heard.
    pub fn send(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<()> {
        let tell = self.tell.clone();
        start("work", move || drop(tell.send(Heard::Done(work()))))
    }

    /// The next thing that is heard.
    pub fn next(&self) -> Result<Heard<T>> {
        self.hear.recv().map_err(|why| Error::failed("listen for", "signals", why))
    }

    /// The next thing that is heard in this time.
    pub fn next_within(&self, time: Duration) -> Option<Heard<T>> {
        self.hear.recv_timeout(time).ok()
    }

    /// Sleeps; a signal that comes, or has come and was not heard yet, ends it.
    pub fn sleep(&self, time: Duration) -> Option<i32> {
        match self.hear.recv_timeout(time) {
            Ok(Heard::Signal(signal)) => Some(signal),
            _ => None,
        }
    }
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    let thread = std::thread::Builder::new().name(name.into()).spawn(work);
    thread.map(drop).map_err(|why| Error::failed("start", "a thread", why))
}

/// What is asked for, and for how long.
pub struct Asking<'a> {
    pub backend: Arc<dyn Backend>,
    pub claim: Claim,
    pub wait: Wait,
    /// How often to ask for what somebody else holds; without it there is no limit.
    pub attempts: Option<u32>,
    pub lock: &'a config::Lock,
    /// Asked before each round.
    pub is_wanted: &'a dyn Fn() -> Result<bool>,
    /// Told what is waited for, once for each reason.
    pub tell: &'a mut dyn FnMut(&str),
}

impl Asking<'_> {
    /// Asks until something comes of it.
    ///
    /// # Errors
    /// [`Error::Unreachable`] if that was the last that was heard of the service; whatever it answers that waiting does not change.
    pub fn run(mut self) -> Result<Outcome> {
        let ear = Ear::open()?;
        let began = Instant::now();
        let mut pauses = Pauses::new(self.lock.backoff);
        let mut said = String::new();
        let mut asked = 0;
        loop {
            asked += 1;
            let round = Instant::now();
            let answer = match self.ask(&ear, self.left(began).min(ROUND))? {
                Heard::Signal(signal) => return Ok(self.leave(&ear, signal)),
                Heard::Done(answer) => answer,
            };
            let (last, again) = match answer {
                Ok(Answer::Granted(held)) => return Ok(Outcome::Granted(held)),
                Ok(Answer::NotYet(not_yet)) => (Ok(Outcome::NotYet(not_yet.why)), not_yet.again),
                Err(error @ Error::Unreachable { .. }) => (Err(error), Again::Later),
                Err(error) => return Err(error),
            };
            if self.left(began).is_zero() || self.attempts.is_some_and(|attempts| asked >= attempts) {
                self.withdraw();
                return last;
            }
            self.say(&mut said, &last);
            let pause = match again {
                Again::AtOnce if round.elapsed() >= AT_ONCE => {
                    pauses.restart();
                    Duration::ZERO
                }
                _ => pauses.next(random::part()).min(self.left(began)),
            };
            if let Some(signal) = ear.sleep(pause) {
                self.withdraw();
                return Ok(Outcome::Signal(signal, Vec::new()));
            }
            if !(self.is_wanted)()? {
                self.withdraw();
                return Ok(Outcome::Unwanted);
            }
        }
    }

    fn left(&self, began: Instant) -> Duration {
        match self.wait {
            Wait::No => Duration::ZERO,
            Wait::Forever => Duration::MAX,
            Wait::For(time) => time.saturating_sub(began.elapsed()),
        }
    }

    fn ask(&self, ear: &Ear<Result<Answer>>, wait: Duration) -> Result<Heard<Result<Answer>>> {
        let (backend, claim) = (Arc::clone(&self.backend), self.claim.clone());
        ear.send(move || backend.acquire(&claim, wait))?;
        ear.next()
    }

    /// Whoever is next must not wait for us. A service that cannot be told finds out by itself.
    fn withdraw(&self) {
        if self.wait != Wait::No
            && let Err(error) = self.backend.withdraw(&self.claim)
        {
            exit::note(error);
        }
    }

    /// The request is still under way: it may have been granted in this moment, and then nobody would know.
    fn leave(&self, ear: &Ear<Result<Answer>>, signal: i32) -> Outcome {
        self.withdraw();
        if let Ok(Heard::Done(Ok(Answer::Granted(held)))) = ear.hear.recv_timeout(self.lock.timeout.min(LAST_WORD)) {
            return Outcome::Signal(signal, held);
        }
        Outcome::Signal(signal, Vec::new())
    }

    /// A new reason is told once, however long it lasts.
    fn say(&mut self, said: &mut String, last: &Result<Outcome>) {
        let words = match last {
            Ok(Outcome::NotYet(why)) => format!("waiting: {why}"),
            Err(error) => format!("waiting: {error}"),
            Ok(_) => return,
        };
        if *said != words {
            (self.tell)(&words);
            *said = words;
        }
    }
}
