//! The mail that a run ends with, and the programs that are run when it has failed.

use crate::boot::{identity, mounts};
use crate::error::{Error, Result};
use crate::exit;
use crate::flag::journal;
use crate::flag::run::Run;
use crate::flag::state::State;
use crate::flag::table::Letter;
use crate::hook::{self, Failing};
use crate::lock::client::Held;
use crate::lock::name::quoted;
use crate::mail;
use crate::mail::report::{Change, Kind, Report};
use crate::sys::clock::Moment;

use super::locking;
use super::scene::Scene;
use super::walk::Site;

/// Spools the mail of a run, under the run's name: a step that is taken twice mails once.
///
/// # Errors
/// If it cannot be spooled; the run then stays where it is, and the next start tries again.
pub fn post(site: &Site, scene: &Scene, run: &Run, letter: Letter, log: &str) -> Result<()> {
    let journal = journal::text(&scene.etc, log)?.unwrap_or_default();
    spool(site, &report(site, run, letter, journal, site.clock.now()))?;
    exit::note(format_args!("spooled the mail: {letter}"));
    Ok(())
}

/// Spools a report's mail, if the spool is there: what is written below the place where its file system is not mounted is lost.
///
/// # Errors
/// If it cannot be spooled.
pub fn spool(site: &Site, report: &Report) -> Result<()> {
    let spool = site.paths.spool();
    if !mounts::is_on_its_own_file_system(site.paths, &spool)? {
        let inside = site.paths.inside(&spool);
        return Err(Error::failed("spool the mail below", inside.display(), "its file system is not mounted"));
    }
    let now = site.clock.now();
    mail::post(site.paths, site.config, &report.message(now), now).map(drop)
}

fn report(site: &Site, run: &Run, letter: Letter, journal: String, now: Moment) -> Report {
    let fact = |key: &str| run.fact(key).map(str::to_string);
    let cause = fact("cause").or_else(|| match letter {
        Letter::Interrupted => Some(format!(
            "the installation was cut short: a power cut, a kill or a crash; repaired: {}",
            run.fact("repaired").unwrap_or("no")
        )),
        Letter::CalledOff => Some("patchflag was removed".into()),
        Letter::NotReleased => fact("unreleased"),
        _ => None,
    });
    Report {
        run: Some(run.id.clone()),
        during: Some(during(run).into()),
        reboots: reboots(run, letter),
        cluster: fact("cluster"),
        by: fact("by"),
        reason: fact("reason"),
        times: times(site, run, letter, now),
        changes: fact("changes").map(|text| changes(&text)).unwrap_or_default(),
        cause,
        next: next_steps(run, letter),
        kept: lines(fact("kept")),
        journal: journal.into_bytes(),
        // Of what went well nobody reads the output at night; the journal has it.
        tail: if matches!(letter, Letter::Patched | Letter::NotReleased) { Vec::new() } else { lines(fact("tail")) },
        ..Report::new(kind(run, letter), &site.host_name())
    }
}

fn kind(run: &Run, letter: Letter) -> Kind {
    match letter {
        Letter::Patched => Kind::Patched,
        Letter::Interrupted => Kind::Interrupted,
        Letter::NotReleased if run.verdict.is_some() => Kind::PatchedLockHeld,
        Letter::NotReleased => Kind::EndedLockHeld,
        Letter::CalledOff if run.was(State::Expiring) => Kind::Expired,
        Letter::CalledOff => Kind::CalledOff,
        Letter::Failed if run.was(State::Installed) => Kind::NotConfirmed,
        Letter::Failed => Kind::Failed,
    }
}

/// What was being done when it went wrong.
fn during(run: &Run) -> &'static str {
    let last = run.history.iter().rev().map(|(state, _)| *state);
    match last.into_iter().find(|state| !matches!(state, State::Failing | State::Failed)) {
        Some(State::Fetching) => "staging",
        Some(State::Staged) => "waiting to be patched",
        Some(State::Ordered | State::Starting) => "going down to be patched",
        Some(State::Installing) => "installing",
        _ => "patching",
    }
}

/// How often the run has rebooted the host so far.
fn reboots(run: &Run, letter: Letter) -> usize {
    match letter {
        Letter::CalledOff => 0,
        Letter::NotReleased if run.verdict.is_none() => 0,
        _ => usize::from(run.was(State::Starting) && run.was(State::Ordered)) + usize::from(run.was(State::Installed)),
    }
}

/// When what happened, as far as it did.
fn times(site: &Site, run: &Run, letter: Letter, now: Moment) -> Vec<(String, Moment)> {
    let labels = [
        (State::Fetching, "began"),
        (State::Staged, "staged"),
        (State::Ordered, "reboot ordered"),
        (State::Installing, "installing from"),
        (State::Installed, "installed, rebooted"),
    ];
    let told = labels.iter().filter_map(|(state, label)| Some(((*label).to_string(), run.entered(*state)?)));
    let mut times: Vec<_> = told.collect();
    if run.was(State::Installed)
        && let Ok(back) = identity::booted_at(site.paths, now)
    {
        times.push(("back up".into(), back));
    }
    let end = if matches!(kind(run, letter), Kind::Patched | Kind::PatchedLockHeld) { "confirmed" } else { "ended" };
    times.push((end.into(), now));
    times
}

/// What a person should do now, most urgent first.
fn next_steps(run: &Run, letter: Letter) -> Vec<String> {
    let mut steps = advice(run, letter);
    if matches!(letter, Letter::Failed | Letter::Interrupted) {
        steps.extend(run.grants.iter().filter_map(|grant| grant.parse::<Held>().ok()).map(|held| {
            let lock = quoted(held.lock.as_str());
            format!(
                "when this host is as it should be: patch-lock release {lock}; it is held so that no other host follows"
            )
        }));
        steps.extend(locking::in_doubt(run).into_iter().map(|lock| {
            let lock = quoted(lock.as_str());
            format!(
                "patch-lock show {lock} says whether this host holds it, and patch-lock release {lock} gives it back"
            )
        }));
        if !run.lent.is_empty() {
            steps.push("patch-run --status, for it holds the lock, so that no other host follows".into());
            steps.push("when this host is as it should be: patch-run --abandon --reason TEXT".into());
        }
    }
    steps
}

fn advice(run: &Run, letter: Letter) -> Vec<String> {
    match letter {
        Letter::Patched | Letter::NotReleased => Vec::new(),
        Letter::CalledOff => vec!["touch /etc/patchflag to order it again".into()],
        Letter::Interrupted => vec![
            "log in and look whether the host works".into(),
            "dpkg --audit; apt-get check".into(),
            "patch-status --clear --reason TEXT".into(),
            "touch /etc/patchflag to patch it again".into(),
        ],
        Letter::Failed if run.was(State::Installing) => vec![
            "the host stays out of its group until it is looked at".into(),
            format!("read {}", run.fact("output").unwrap_or("the journal, which is attached")),
            "patch-status --clear --reason TEXT".into(),
        ],
        Letter::Failed => vec![
            "nothing was installed; the host is disarmed".into(),
            "mend the cause, then touch /etc/patchflag".into(),
        ],
    }
}

fn lines(text: Option<String>) -> Vec<String> {
    text.map(|text| text.lines().map(str::to_string).collect()).unwrap_or_default()
}

/// The journal's `changes=`: `name old new; name old new`, a hyphen for a version that there is none of.
fn changes(text: &str) -> Vec<Change> {
    let version = |word: Option<&str>| word.filter(|word| *word != "-").map(str::to_string);
    let one = |part: &str| {
        let mut words = part.split_whitespace();
        let package = words.next()?.to_string();
        Some(Change { package, old: version(words.next()), new: version(words.next()) })
    };
    text.split(';').filter_map(one).collect()
}

/// Runs `on_failure.d`. A run has failed already: that one of these programs fails too is told, and changes nothing.
pub fn run_failure_hooks(site: &Site, run: &Run, log: &str) {
    let mut env = environment(run, log);
    env.push(("PATCHFLAG_CAUSE", run.fact("cause").unwrap_or_default().to_string()));
    let dir = site.paths.on_failure_d();
    let ran = hook::run_dir(site.paths, &dir, &[], &pairs(&env), site.config.patchit.hook_timeout, Failing::GoesOn);
    match ran {
        Ok(ran) => {
            for hook in ran.iter().filter(|hook| !hook.finished.is_success()) {
                exit::warn(format_args!("{}/{}: {}", dir.display(), hook.name, hook.finished.reason()));
            }
        }
        Err(error) => exit::warn(error),
    }
}

/// What every program of the administrator's finds in its environment.
pub fn environment(run: &Run, log: &str) -> Vec<(&'static str, String)> {
    let cluster = run.fact("cluster").unwrap_or_default().to_string();
    vec![("PATCHFLAG_RUN", run.id.clone()), ("PATCHFLAG_LOG", format!("/etc/{log}")), ("PATCHFLAG_CLUSTER", cluster)]
}

/// The environment as a hook takes it.
pub fn pairs<'a>(env: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    env.iter().map(|(key, value)| (*key, value.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_read_back_from_the_journal() {
        let read = changes("apt 2.6.1 2.6.2; libnew - 1.0; tzdata 2025a-0 2025b-0");
        assert_eq!(read.len(), 3);
        assert_eq!((read[1].old.as_deref(), read[1].new.as_deref()), (None, Some("1.0")));
    }
}
