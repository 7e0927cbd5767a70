//! A test for each row of the state table. The comparison with the model, over every state that it reaches, is in
//! `tests/run_model.rs`.

use super::*;

const IDLE: Seen = Seen {
    flag: false,
    log: None,
    done: false,
    trigger: false,
    maintenance: false,
    booted: false,
    verdict: None,
    held: true,
};

fn armed(log: Option<State>) -> Seen {
    Seen { flag: true, log, ..IDLE }
}

fn gone(log: State) -> Seen {
    Seen { log: Some(log), ..IDLE }
}

#[test]
fn an_idle_host_has_nothing_to_do() {
    assert_eq!(steps_finish(IDLE), None);
    assert_eq!(steps_grab(IDLE), None);
    assert_eq!(steps_order(IDLE), None);
}

#[test]
fn an_armed_host_is_staged() {
    assert_eq!(steps_grab(armed(None)).unwrap(), [Step::Log(Fetching), Step::Log(Staged)]);
}

#[test]
fn staging_that_was_cut_short_is_done_again() {
    assert!(steps_grab(armed(Some(Fetching))).is_some());
    assert_eq!(steps_finish(armed(Some(Fetching))), None);
}

#[test]
fn a_staged_host_waits_for_patchit_and_for_its_lock() {
    assert_eq!(steps_grab(armed(Some(Staged))), None);
    assert_eq!(steps_order(Seen { held: false, ..armed(Some(Staged)) }), None);
    assert_eq!(steps_order(armed(Some(Staged))).unwrap(), [Step::Log(Ordered), Step::Trigger, Step::Reboot]);
}

#[test]
fn an_ordered_boot_installs_once_after_undoing_its_trigger() {
    let s = Seen { trigger: true, maintenance: true, booted: true, ..armed(Some(Ordered)) };
    let steps = steps_boot(s).unwrap();
    assert_eq!(steps[..4], [Step::Undo, Step::Log(Starting), Step::LowerOrCallOff, Step::Log(Installing)]);
    assert_eq!(steps.last(), Some(&Step::Reboot));
}

#[test]
fn a_boot_for_another_reason_installs_nothing_and_the_order_has_failed() {
    let s = Seen { trigger: true, booted: true, ..armed(Some(Ordered)) };
    assert_eq!(steps_boot(s).unwrap()[..2], [Step::Undo, Step::Log(Failing)]);
}

#[test]
fn removing_the_flag_before_the_first_change_calls_the_run_off() {
    for state in [Fetching, Staged, Ordered] {
        assert_eq!(steps_finish(gone(state)).unwrap()[0], Step::Log(Ending), "{state}");
    }
}

#[test]
fn a_start_that_was_cut_short_before_the_first_change_fails() {
    assert_eq!(steps_finish(armed(Some(Starting))).unwrap(), FAIL);
    assert_eq!(steps_finish(gone(Starting)).unwrap(), FAIL);
}

#[test]
fn an_installation_found_without_its_installer_was_interrupted_and_keeps_the_lock() {
    let steps = steps_finish(gone(Installing)).unwrap();
    assert_eq!(steps, [Step::Mail(Letter::Interrupted), Step::Log(Failed), Step::Date]);
}

#[test]
fn an_installed_host_gets_its_patchdone_and_its_dated_log() {
    assert_eq!(steps_finish(gone(Installed)).unwrap(), [Step::RaiseDone, Step::Date]);
    assert_eq!(steps_finish(Seen { done: true, ..gone(Installed) }).unwrap(), [Step::RaiseDone, Step::Date]);
}

#[test]
fn a_verdict_is_acted_upon_and_not_asked_for_again() {
    let done = Seen { done: true, ..IDLE };
    assert_eq!(steps_finish(done).unwrap(), [Step::Confirm]);
    assert_eq!(steps_finish(Seen { verdict: Some(Verdict::Ok), ..done }).unwrap(), CONFIRMED);
    let refused = steps_finish(Seen { verdict: Some(Verdict::Bad), ..done }).unwrap();
    assert!(!refused.contains(&Step::Unlock), "a lock that is held stays held");
}

#[test]
fn a_failure_never_releases_a_lock() {
    for steps in [steps_fail(), steps_finish(gone(Installing)).unwrap(), steps_finish(gone(Failing)).unwrap()] {
        assert!(!steps.contains(&Step::Unlock));
    }
}

#[test]
fn a_way_out_that_was_cut_short_goes_on_where_it_was() {
    assert_eq!(steps_finish(armed(Some(Failing))).unwrap()[0], Step::Lower);
    assert_eq!(steps_finish(armed(Some(Expiring))).unwrap()[..2], [Step::Lower, Step::Log(Ending)]);
    assert_eq!(steps_finish(gone(Failed)).unwrap(), [Step::Date]);
    assert_eq!(steps_finish(gone(Ended)).unwrap(), [Step::Date]);
}

#[test]
fn a_new_order_behind_a_run_that_is_on_its_way_out_is_not_touched() {
    for state in [Installing, Installed, Failed, Ending, Ended] {
        let steps = steps_finish(armed(Some(state))).unwrap();
        assert!(!steps.contains(&Step::Lower) && !steps.contains(&Step::LowerOrCallOff), "{state}");
    }
    let behind_done = Seen { done: true, ..armed(None) };
    assert_eq!(steps_grab(behind_done), None);
    assert_eq!(steps_finish(behind_done).unwrap(), [Step::Confirm]);
}

#[test]
fn a_trigger_is_undone_whatever_flags_exist() {
    for log in State::ALL.into_iter().map(Some).chain([None]) {
        for flag in [false, true] {
            let s = Seen { trigger: true, flag, log, ..IDLE };
            assert_eq!(steps_finish(s).unwrap()[0], Step::Undo, "{s:?}");
        }
    }
}

#[test]
fn a_maintenance_boot_is_always_left() {
    for log in State::ALL.into_iter().map(Some).chain([None]) {
        for (flag, done, trigger, booted) in bools() {
            let s = Seen { maintenance: true, flag, log, done, trigger, booted, ..IDLE };
            assert_eq!(steps_boot(s).unwrap().last(), Some(&Step::Reboot), "{s:?}");
        }
    }
}

fn bools() -> impl Iterator<Item = (bool, bool, bool, bool)> {
    (0..16).map(|n| (n & 1 > 0, n & 2 > 0, n & 4 > 0, n & 8 > 0))
}
