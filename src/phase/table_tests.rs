use super::*;
use crate::phase::name::PHASES;

const HOLDS: [Holds; 3] = [Holds::Nothing, Holds::Perhaps, Holds::Lock];
const ORDERED: [Ordered; 5] = [Ordered::No, Ordered::Booted, Ordered::NotYet, Ordered::Never, Ordered::Unsaid];

fn seen(state: Option<Phase>, holds: Holds, ordered: Ordered, last: Last) -> Seen {
    Seen { state, holds, ordered, last }
}

fn plain(state: Phase) -> Seen {
    seen(Some(state), Holds::Lock, Ordered::No, Last::CutShort)
}

fn everything() -> impl Iterator<Item = Seen> {
    let states = std::iter::once(None).chain(PHASES.map(Some));
    states.flat_map(|state| {
        HOLDS.into_iter().flat_map(move |holds| {
            ORDERED.into_iter().flat_map(move |ordered| {
                [Last::CutShort, Last::Failed].into_iter().map(move |last| seen(state, holds, ordered, last))
            })
        })
    })
}

#[test]
fn every_run_comes_to_its_end_from_every_phase() {
    for from in PHASES {
        for answers in 0..4_u8 {
            let (mut phase, mut steps) = (from, 0);
            loop {
                let yes = if phase == Phase::NeedsUpdate { answers & 1 != 0 } else { answers & 2 != 0 };
                let outcome = if yes { Outcome::Yes } else { Outcome::No };
                match next(phase, outcome, Holds::Lock) {
                    Next::Over => break,
                    Next::Phase(then) => {
                        assert!(then > phase, "{phase} is followed by {then}");
                        phase = then;
                    }
                }
                steps += 1;
                assert!(steps < PHASES.len());
            }
            assert_eq!(phase, Phase::LockRelease, "a held lock is always given back at the end");
        }
    }
}

#[test]
fn nothing_to_do_and_nothing_held_is_the_end() {
    assert_eq!(next(Phase::NeedsUpdate, Outcome::No, Holds::Nothing), Next::Over);
    assert_eq!(next(Phase::NeedsUpdate, Outcome::No, Holds::Lock), Next::Phase(Phase::LockRelease));
}

/// W14: a reboot that failed or did nothing is followed by `post_update` and a release.
#[test]
fn w14_behind_an_ordered_reboot_nothing_goes_on_without_a_boot() {
    for at in everything().filter(|at| matches!(at.state, Some(Phase::PostUpdate))) {
        for starter in [Starter::Tick, Starter::Boot] {
            match (at.ordered, start(at, starter)) {
                (Ordered::NotYet, begun) => assert_eq!(begun, Start::Await),
                (Ordered::Never, begun) => assert_eq!(begun, Start::NoBoot),
                (Ordered::Unsaid, begun) => assert_eq!(begun, Start::Resume(Phase::Reboot)),
                (_, begun) => assert_eq!(begun, Start::Resume(Phase::PostUpdate)),
            }
        }
    }
}

/// W13: a crash in `update` is not picked up at boot.
#[test]
fn w13_what_was_cut_short_is_picked_up_at_boot_and_at_the_next_tick() {
    for phase in [Phase::PreUpdate, Phase::Update, Phase::NeedsReboot, Phase::Reboot, Phase::LockRelease] {
        for starter in [Starter::Tick, Starter::Boot] {
            assert_eq!(start(plain(phase), starter), Start::Resume(phase));
        }
    }
}

#[test]
fn what_failed_waits_for_the_next_tick() {
    let failed = Seen { last: Last::Failed, ..plain(Phase::Update) };
    assert_eq!(start(failed, Starter::Boot), Start::Nothing);
    assert_eq!(start(failed, Starter::Tick), Start::Resume(Phase::Update));
}

/// W20: state `lock_get` survives a failed wait, and the next run updates without asking.
#[test]
fn w20_a_run_that_did_not_get_its_lock_asks_again_whether_there_is_anything_to_do() {
    assert_eq!(
        start(seen(Some(Phase::LockGet), Holds::Nothing, Ordered::No, Last::CutShort), Starter::Tick),
        Start::Fresh
    );
    for holds in [Holds::Perhaps, Holds::Lock] {
        let at = seen(Some(Phase::LockGet), holds, Ordered::No, Last::CutShort);
        assert_eq!(start(at, Starter::Tick), Start::GiveUp);
    }
}

/// W11: after a crash the state is gone, no updates are found, and the lock is held for ever.
#[test]
fn w11_a_lock_is_never_forgotten_with_the_state_file() {
    for at in everything().filter(|at| at.holds != Holds::Nothing) {
        let begun = start(at, Starter::Tick);
        assert!(!matches!(begun, Start::Fresh | Start::Nothing), "{at:?}: {begun:?}");
    }
}

#[test]
fn a_boot_begins_no_new_run() {
    for at in everything() {
        let begun = start(at, Starter::Boot);
        assert!(begun != Start::Fresh && begun != Start::Resume(Phase::NeedsUpdate), "{at:?}: {begun:?}");
    }
}

#[test]
fn a_boot_that_came_before_the_state_was_written_counts() {
    let at = Seen { ordered: Ordered::Booted, ..plain(Phase::Reboot) };
    assert_eq!(start(at, Starter::Boot), Start::Resume(Phase::PostUpdate));
}

/// The state says `post_update` from before the command on.
#[test]
fn a_reboot_that_was_recorded_and_not_yet_ordered_is_ordered() {
    for starter in [Starter::Tick, Starter::Boot] {
        let at = Seen { ordered: Ordered::NotYet, ..plain(Phase::Reboot) };
        assert_eq!(start(at, starter), Start::Resume(Phase::Reboot));
    }
}
