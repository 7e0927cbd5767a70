//! Whether a run may go on at this moment, and why not. Pure; beside the table, which knows no clock.

use std::time::Duration;

use chrono::{NaiveTime, TimeDelta};

use super::order::Order;
use super::run::Run;
use super::state::State;
use crate::config::Patchit;
use crate::sys::clock::{self, Moment};

/// An order older than this is not followed, whatever booted the host.
const STALE: TimeDelta = TimeDelta::hours(1);

/// Whether a maintenance boot may still follow its order (DESIGN 6): another boot than the one it was given in, not older than an
/// hour, no clock that was set back, and a flag that still allows it: not before its `not_before`, not past its `not_after`, and for
/// this cluster.
///
/// # Errors
/// Why not.
pub fn order_stands(run: &Run, order: &Order, boot: &str, now: Moment) -> Result<(), String> {
    let Some(ordered) = run.entered(State::Ordered) else { return Err("the boot was never ordered".into()) };
    if run.fact("boot") == Some(boot) {
        return Err("the host was not booted since the order".into());
    }
    if now < run.last {
        let (now, last) = (clock::stamp(now), clock::stamp(run.last));
        return Err(format!("the clock says {now}, which is before the journal's last record ({last}); set the clock"));
    }
    if now - ordered > STALE {
        return Err(format!("the order of {} is older than an hour", clock::stamp(ordered)));
    }
    if let Some(start) = order.not_before.filter(|start| now < *start) {
        return Err(format!("not_before, {}, has not come", clock::stamp(start)));
    }
    if order.is_over(now) { Err("not_after has passed".into()) } else { order_fits(run, order) }
}

/// Whether the boot that was ordered should have come by now.
pub fn is_late(run: &Run, wait: Duration, now: Moment) -> bool {
    let Some(ordered) = run.entered(State::Ordered) else { return true };
    // A clock that was set back can't be waited for.
    now < ordered || (now - ordered).to_std().is_ok_and(|passed| passed >= wait)
}

/// What a run still waits for before it may be installed, as a noun; `None` if for nothing.
pub fn waits_for(config: &Patchit, run: &Run, order: &Order, now: Moment, local: NaiveTime) -> Option<String> {
    if run.state != Some(State::Staged) {
        return Some("grab-patch".into());
    }
    let missing = run.missing(&config.after);
    if !missing.is_empty() {
        return Some(format!("stage {}", missing.join(", ")));
    }
    if let Some(start) = order.not_before.filter(|start| now < *start) {
        return Some(format!("not_before, {}", clock::stamp(start)));
    }
    config.window.filter(|window| !window.contains(local)).map(|window| format!("patchit in its window {window}"))
}

/// Whether what is staged is what the order asks for: it may have been written anew since.
///
/// # Errors
/// Why not, and what to do.
pub fn order_fits(run: &Run, order: &Order) -> Result<(), String> {
    match (order.cluster.as_deref(), run.fact("cluster")) {
        (Some(wanted), Some(staged)) if wanted != staged => Err(format!(
            "patchflag: cluster={wanted}, but {staged} is staged; remove the flag, and order again when the run is called off"
        )),
        _ => Ok(()),
    }
}

/// Why a run that is found in this state is on its way out, where no record says it.
pub fn cause(state: Option<State>, flag: bool) -> Option<&'static str> {
    match state? {
        State::Starting => Some("it was cut short just before the first change"),
        State::Ordered if flag => {
            Some("the host was booted, but not into the maintenance boot that was ordered, or that one could not begin")
        }
        State::Fetching | State::Staged | State::Ordered => Some("patchflag was removed"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::Draft;
    use super::*;

    fn at(text: &str) -> Moment {
        clock::parse(&format!("2026-11-21T{text}Z")).unwrap()
    }

    fn run(drafts: &[Draft]) -> Run {
        let text: String = drafts.iter().map(|d| d.line(at("02:00:00"), "t", 1, "R") + "\n").collect();
        Run::read(&text).unwrap()
    }

    fn ordered() -> Run {
        run(&[Draft::state(State::Staged).field("cluster", "A"), Draft::state(State::Ordered).field("boot", "a/1")])
    }

    fn until_half_past() -> Order {
        Order { not_after: Some(at("02:30:00")), ..Order::default() }
    }

    #[test]
    fn an_order_is_followed_by_the_next_boot_within_its_time() {
        assert_eq!(order_stands(&ordered(), &until_half_past(), "a/2", at("02:01:00")), Ok(()));
    }

    #[test]
    fn an_order_is_not_followed_in_its_own_boot_or_after_its_time_or_by_a_clock_set_back() {
        for (boot, now, words) in [
            ("a/1", "02:01:00", "not booted"),
            ("a/2", "02:30:00", "not_after"),
            ("a/2", "03:00:01", "older than an hour"),
            ("a/2", "01:59:59", "set the clock"),
        ] {
            let why = order_stands(&ordered(), &until_half_past(), boot, at(now)).unwrap_err();
            assert!(why.contains(words), "{why}");
        }
    }

    #[test]
    fn an_order_that_was_rewritten_for_another_cluster_or_time_is_not_followed() {
        let other = Order { cluster: Some("B".into()), ..Order::default() };
        let why = order_stands(&ordered(), &other, "a/2", at("02:01:00")).unwrap_err();
        assert!(why.contains("A is staged"), "{why}");
        let later = Order { not_before: Some(at("02:30:00")), ..Order::default() };
        let why = order_stands(&ordered(), &later, "a/2", at("02:01:00")).unwrap_err();
        assert!(why.contains("has not come"), "{why}");
    }

    #[test]
    fn a_boot_that_has_not_come_is_late_after_its_time_and_never_before() {
        let wait = Duration::from_mins(15);
        assert!(!is_late(&ordered(), wait, at("02:14:59")));
        assert!(is_late(&ordered(), wait, at("02:15:00")));
        assert!(is_late(&ordered(), wait, at("01:00:00")), "a clock set back must not keep the order for ever");
    }

    #[test]
    fn an_order_for_another_cluster_is_not_served_with_the_staged_one() {
        let staged = run(&[Draft::state(State::Staged).field("cluster", "A")]);
        let order = |cluster: Option<&str>| Order { cluster: cluster.map(str::to_string), ..Order::default() };
        assert_eq!(order_fits(&staged, &order(None)), Ok(()));
        assert_eq!(order_fits(&staged, &order(Some("A"))), Ok(()));
        assert!(order_fits(&staged, &order(Some("B"))).unwrap_err().contains("A is staged"));
        assert_eq!(order_fits(&run(&[Draft::state(State::Fetching)]), &order(Some("B"))), Ok(()));
    }

    #[test]
    fn a_staged_run_waits_for_its_stages_its_time_and_its_window() {
        let staged = run(&[Draft::state(State::Staged)]);
        let noon = NaiveTime::from_hms_opt(12, 0, 0).unwrap();
        let mut config = Patchit { after: vec!["db".into(), "mirror".into()], ..Patchit::default() };
        let waits = |config: &Patchit, run: &Run, order: &Order| waits_for(config, run, order, at("02:00:00"), noon);
        assert_eq!(waits(&config, &staged, &Order::default()).unwrap(), "stage db, mirror");
        let both = run(&[Draft::state(State::Staged), Draft::stage_done("db"), Draft::stage_done("mirror")]);
        assert_eq!(waits(&config, &both, &Order::default()), None);
        let later = Order { not_before: Some(at("02:00:01")), ..Order::default() };
        assert!(waits(&config, &both, &later).unwrap().contains("not_before"));
        config.window = crate::config::values::Window::parse("02:00-05:00").ok();
        assert_eq!(waits(&config, &both, &Order::default()).unwrap(), "patchit in its window 02:00-05:00");
    }
}
