//! What worked before and does not now.
//!
//! Pure. A snapshot is taken when the boot is ordered and kept in one field of the journal; after the reboot another is compared with
//! it. Only what is newly bad counts: a unit that had already failed before is nobody's patch.

use std::collections::BTreeSet;
use std::fmt;

/// Our own come and go as they have work, and tell of their failures themselves.
const OURS: [&str; 3] = ["patchit.service", "patch-run.service", "patch-run-boot.service"];

/// The services of a host at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Services {
    running: BTreeSet<String>,
    failed: BTreeSet<String>,
}

impl Services {
    /// A snapshot of services that run, where nothing is known of failures.
    pub fn running<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        let running = names.into_iter().map(Into::into).filter(|name| is_word(name)).collect();
        Self { running, failed: BTreeSet::new() }
    }

    /// Reads what `Display` wrote. Anything can be read, for it is only compared.
    pub fn parse(text: &str) -> Self {
        let mut services = Self::default();
        for word in text.split_whitespace() {
            match word.strip_prefix('!') {
                Some(name) => services.failed.insert(name.into()),
                None => services.running.insert(word.into()),
            };
        }
        services
    }
}

/// One line: names that run, names that have failed behind a `!`, sorted, spaces between them.
impl fmt::Display for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed = self.failed.iter().map(|name| format!("!{name}"));
        let words: Vec<String> = failed.chain(self.running.iter().cloned()).collect();
        f.write_str(&words.join(" "))
    }
}

/// What is worse than before, one sentence each, sorted by name: newly failed, or ran and does not run now.
pub fn compare(before: &Services, after: &Services) -> Vec<String> {
    let failed = after.failed.difference(&before.failed).map(|name| (name, "has failed"));
    let gone = before.running.iter().filter(|name| !after.running.contains(*name) && !after.failed.contains(*name));
    let mut worse: Vec<_> = failed.chain(gone.map(|name| (name, "ran before and does not run now"))).collect();
    worse.sort();
    worse.into_iter().map(|(name, what)| format!("{name} {what}")).collect()
}

/// The service that a link in `rcN.d` starts: `S03cron` starts `cron`.
pub fn started_by(link: &str) -> Option<&str> {
    let name = link.strip_prefix('S')?.trim_start_matches(|c: char| c.is_ascii_digit());
    (is_word(name) && name.len() + 1 < link.len()).then_some(name)
}

/// From `systemctl list-units` (UNIT LOAD ACTIVE SUB) and `list-unit-files --state=enabled` (UNIT STATE): every unit that has failed, and
/// every enabled service that is active and running. One that did its work and exited is not expected to run.
pub fn of_systemd(units: &str, files: &str) -> Services {
    let enabled: BTreeSet<&str> = files.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let mut services = Services::default();
    for line in units.lines() {
        // A unit in trouble has a bullet before its name in some versions, --plain or not.
        let mut words = line.split_whitespace().skip_while(|word| !word.is_ascii());
        let (Some(unit), _, Some(active), Some(sub)) = (words.next(), words.next(), words.next(), words.next()) else {
            continue;
        };
        if !is_word(unit) || OURS.contains(&unit) {
            continue;
        }
        if active == "failed" {
            services.failed.insert(unit.into());
        } else if active == "active"
            && sub == "running"
            && (enabled.contains(unit) || enabled.contains(template(unit).as_str()))
        {
            services.running.insert(unit.into());
        }
    }
    services
}

/// `getty@tty1.service` is enabled by its own name or by `getty@.service`.
fn template(unit: &str) -> String {
    match (unit.split_once('@'), unit.rsplit_once('.')) {
        (Some((stem, _)), Some((_, suffix))) => format!("{stem}@.{suffix}"),
        _ => unit.into(),
    }
}

/// Whether a name can stand in a snapshot: without white space, and not taken for a failed one.
fn is_word(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('!') && !name.contains(|c: char| c.is_whitespace() || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn services(text: &str) -> Services {
        Services::parse(text)
    }

    #[test]
    fn only_what_is_newly_bad_is_reported() {
        let before = services("!old.service cron.service ssh.service web.service");
        let after = services("!old.service !web.service cron.service new.service");
        let worse = compare(&before, &after);
        assert_eq!(worse, ["ssh.service ran before and does not run now", "web.service has failed"]);
        assert!(compare(&before, &before).is_empty());
    }

    #[test]
    fn a_service_that_had_failed_and_works_now_is_no_complaint() {
        assert!(compare(&services("!web.service"), &services("web.service")).is_empty());
    }

    #[test]
    fn links_of_a_level_name_their_services() {
        assert_eq!(started_by("S03cron"), Some("cron"));
        assert_eq!(started_by("S01x11-common"), Some("x11-common"));
        for other in ["K01cron", "README", "S", "S03", "Scron"] {
            assert_eq!(started_by(other), None, "{other}");
        }
    }

    #[test]
    fn the_lists_of_systemctl_are_understood() {
        let units = "cron.service loaded active running Regular background program processing daemon\n\
                     ● web.service loaded failed failed A web server\n\
                     once.service loaded active exited Did its work\n\
                     getty@tty1.service loaded active running Getty on tty1\n\
                     stray.service loaded active running Not enabled\n\
                     data.mount loaded failed failed /data\n\n";
        let files = "cron.service enabled enabled\nonce.service enabled enabled\ngetty@.service enabled enabled\nweb.service enabled\n";
        assert_eq!(of_systemd(units, files).to_string(), "!data.mount !web.service cron.service getty@tty1.service");
    }

    #[test]
    fn our_own_units_prove_nothing() {
        let units = "patch-run-boot.service loaded active running Ours\npatch-run.service loaded failed failed Ours\n\
                     patch-lockd.service loaded active running A service like any other\n";
        let files = "patch-run-boot.service enabled enabled\npatch-lockd.service enabled enabled\n";
        assert_eq!(of_systemd(units, files).to_string(), "patch-lockd.service");
    }

    proptest! {
        #[test]
        fn a_snapshot_survives_being_written_and_read(names in prop::collection::vec("[a-zA-Z0-9@:_.\\\\-]{1,20}", 0..8)) {
            let snapshot = Services::running(names);
            prop_assert_eq!(Services::parse(&snapshot.to_string()), snapshot);
        }

        #[test]
        fn whatever_systemctl_prints_is_no_trouble(units in "\\PC{0,200}", files in "\\PC{0,200}") {
            let text = of_systemd(&units, &files).to_string();
            prop_assert!(!text.contains('\n'));
        }
    }
}
