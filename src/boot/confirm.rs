//! Whether a host that came back may be trusted. Pure: the facts are gathered elsewhere, and `confirm.d` is asked afterwards.

use std::time::Duration;

use super::identity::BootIdentity;
use super::init::Level;
use super::kernel::Kernel;
use super::services::{self, Services};

/// What is to be decided now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// Not yet, for this reason; ask again later.
    Wait(String),
    /// Everything that can be seen from here is right.
    Ready,
    /// It will not be right by waiting: the reasons, for the mail.
    Failed(Vec<String>),
}

/// What was recorded when the boot was ordered.
#[derive(Debug)]
pub struct Before<'a> {
    /// The boot that the run began in.
    pub boot: &'a BootIdentity,
    /// The level to come back to.
    pub level: &'a str,
    /// What ran then.
    pub services: &'a Services,
    /// The kernels then, where they were recorded.
    pub kernel: Option<&'a Kernel>,
    /// How long ago the installation was done.
    pub installed_ago: Duration,
}

/// What is seen now.
#[derive(Debug)]
pub struct Now<'a> {
    /// The running boot.
    pub boot: &'a BootIdentity,
    /// Where it stands.
    pub level: &'a Level,
    /// How long it has lasted.
    pub uptime: Duration,
    /// What runs now.
    pub services: &'a Services,
    /// The kernels now.
    pub kernel: &'a Kernel,
}

/// How much time things get; `[patchit]` of the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The host must have been up this long.
    pub soak: Duration,
    /// In this time it must have come back to its level.
    pub settle: Duration,
}

/// Decides. Failures are told only when the soak is over: a service may take a moment to start.
pub fn decide(before: &Before, now: &Now, limits: Limits) -> Readiness {
    if now.boot == before.boot {
        let why = "the host has not been rebooted since the installation".to_string();
        return too_late(why, before.installed_ago, limits.settle);
    }
    match now.level {
        Level::Normal(level) if level == before.level => {}
        Level::Normal(level) => {
            let why = format!("the host is at level {level}, not at {}", before.level);
            return too_late(why, now.uptime, limits.settle);
        }
        other => {
            let why = format!("level {} is not reached: {other}", before.level);
            return too_late(why, now.uptime, limits.settle);
        }
    }
    let left = limits.soak.saturating_sub(now.uptime);
    if !left.is_zero() {
        return Readiness::Wait(format!(
            "up for {} s, {} s of the soak are left",
            now.uptime.as_secs(),
            left.as_secs()
        ));
    }
    let mut worse = services::compare(before.services, now.services);
    worse.extend(wrong_kernel(before.kernel, now.kernel));
    if worse.is_empty() { Readiness::Ready } else { Readiness::Failed(worse) }
}

fn too_late(why: String, waited: Duration, settle: Duration) -> Readiness {
    if waited <= settle {
        return Readiness::Wait(why);
    }
    Readiness::Failed(vec![format!("{why}, after {} s", waited.as_secs())])
}

/// A host that ran another kernel than the default one before the run, and still does, is as its administrator wants it.
fn wrong_kernel(before: Option<&Kernel>, now: &Kernel) -> Option<String> {
    if now.is_default() || before == Some(now) {
        return None;
    }
    let default = now.default.as_deref().unwrap_or_default();
    Some(format!("kernel {} runs, but {default} is the default; see whether the boot loader has it", now.running))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { soak: Duration::from_mins(2), settle: Duration::from_mins(30) };

    struct Case {
        boot: &'static str,
        level: Level,
        uptime: u64,
        services: &'static str,
        kernel: &'static str,
        kernel_before: Option<&'static str>,
        installed_ago: u64,
    }

    impl Default for Case {
        fn default() -> Self {
            Self {
                boot: "b/2",
                level: Level::Normal("3".into()),
                uptime: 121,
                services: "cron ssh",
                kernel: "6.1 6.1",
                kernel_before: Some("6.0 6.0"),
                installed_ago: 300,
            }
        }
    }

    fn decided(case: &Case) -> Readiness {
        let kernel_before = case.kernel_before.map(Kernel::parse);
        let before = Before {
            boot: &BootIdentity::recorded("b/1"),
            level: "3",
            services: &Services::parse("!old cron ssh"),
            kernel: kernel_before.as_ref(),
            installed_ago: Duration::from_secs(case.installed_ago),
        };
        let now = Now {
            boot: &BootIdentity::recorded(case.boot),
            level: &case.level,
            uptime: Duration::from_secs(case.uptime),
            services: &Services::parse(case.services),
            kernel: &Kernel::parse(case.kernel),
        };
        decide(&before, &now, LIMITS)
    }

    fn waits(case: &Case) -> bool {
        matches!(decided(case), Readiness::Wait(_))
    }

    fn fails(case: &Case) -> bool {
        matches!(decided(case), Readiness::Failed(_))
    }

    #[test]
    fn a_host_that_is_back_and_works_is_ready() {
        assert_eq!(decided(&Case::default()), Readiness::Ready);
    }

    #[test]
    fn the_boot_that_the_run_began_in_is_not_evidence() {
        assert!(waits(&Case { boot: "b/1", ..Case::default() }));
        assert!(fails(&Case { boot: "b/1", installed_ago: 1801, ..Case::default() }));
    }

    #[test]
    fn the_level_has_its_time_to_be_reached() {
        for level in [Level::Other("still booting".into()), Level::Maintenance, Level::Normal("2".into())] {
            assert!(waits(&Case { level: level.clone(), uptime: 1800, ..Case::default() }));
            assert!(fails(&Case { level, uptime: 1801, ..Case::default() }));
        }
    }

    #[test]
    fn nothing_is_said_before_the_soak_is_over() {
        assert!(waits(&Case { uptime: 119, services: "!cron", ..Case::default() }));
        assert_eq!(decided(&Case { uptime: 120, ..Case::default() }), Readiness::Ready);
    }

    #[test]
    fn a_service_that_is_worse_than_before_is_a_failure_that_names_it() {
        let Readiness::Failed(why) = decided(&Case { services: "!cron ssh", ..Case::default() }) else { panic!() };
        assert_eq!(why, ["cron has failed"]);
        assert!(fails(&Case { services: "cron", ..Case::default() }));
    }

    #[test]
    fn an_old_kernel_is_a_failure_unless_it_was_so_before() {
        assert!(fails(&Case { kernel: "6.0 6.1", ..Case::default() }));
        assert!(fails(&Case { kernel: "6.0 6.1", kernel_before: None, ..Case::default() }));
        assert_eq!(
            decided(&Case { kernel: "6.0 6.1", kernel_before: Some("6.0 6.1"), ..Case::default() }),
            Readiness::Ready
        );
        assert_eq!(decided(&Case { kernel: "6.0", ..Case::default() }), Readiness::Ready);
    }
}
