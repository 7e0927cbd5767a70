//! `init`, `boot-trigger`: whether a maintenance boot can be ordered at all.

use super::Finding;
use crate::boot::init::{Kind, Trigger};
use crate::config::Install;
use crate::error::Result;

pub fn init(kind: Kind, install: Install) -> Finding {
    match (kind, install) {
        (Kind::Sysvinit, _) => Finding::ok("init", "sysvinit"),
        (Kind::Systemd, _) => Finding::ok("init", "systemd"),
        (Kind::Other, Install::Live) => Finding::ok("init", "an unknown init system, and nothing is asked of it"),
        (Kind::Other, Install::Boot) => {
            Finding::stop("init", "neither sysvinit nor systemd", "set install = live in section [patchit]")
        }
    }
}

pub fn boot_trigger(trigger: Result<Trigger>, install: Install) -> Finding {
    const ID: &str = "boot-trigger";
    match (trigger, install) {
        (_, Install::Live) => Finding::ok(ID, "no boot is ordered"),
        (Ok(Trigger::Down), _) => Finding::ok(ID, "down"),
        (Ok(Trigger::Up), _) => {
            let remedy = "patchit --finish takes back an order that nobody waits for";
            Finding::warn(ID, "a maintenance boot is already ordered", remedy)
        }
        (Ok(Trigger::Foreign(what)), _) => Finding::stop(ID, what, "then look again"),
        (Err(error), _) => Finding::unknown(ID, &error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::preflight::Verdict;
    use crate::error::Error;

    #[test]
    fn an_unknown_init_system_is_enough_for_a_live_installation_only() {
        assert_eq!(init(Kind::Other, Install::Live).verdict, Verdict::Ok);
        assert_eq!(init(Kind::Other, Install::Boot).verdict, Verdict::Stop);
        assert_eq!(init(Kind::Systemd, Install::Boot).verdict, Verdict::Ok);
    }

    #[test]
    fn anothers_trigger_stops_only_who_needs_it() {
        let foreign = || Ok(Trigger::Foreign("/system-update points to /x".into()));
        assert_eq!(boot_trigger(foreign(), Install::Boot).verdict, Verdict::Stop);
        assert_eq!(boot_trigger(foreign(), Install::Live).verdict, Verdict::Ok);
        assert_eq!(boot_trigger(Ok(Trigger::Up), Install::Boot).verdict, Verdict::Warn);
        assert_eq!(boot_trigger(Err(Error::refused("x", "y")), Install::Boot).verdict, Verdict::Stop);
    }
}
