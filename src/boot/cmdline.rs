//! The escape hatch: what a person at the boot loader's prompt can say so that nothing is touched.
//!
//! Pure. The words are those that sysvinit's init(8) and systemd(1) understand, and our own `patchit=off`. The kernel hands
//! words on to init from both sides of `--`, so both sides count.

/// What the kernel's command line allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hatch {
    /// Nothing on it speaks against working.
    Closed,
    /// Change nothing, for this reason.
    HandsOff(String),
}

/// Whether this kernel was started to save the memory of one that crashed: `/proc/vmcore` is there then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vmcore {
    /// It is.
    Present,
    /// It is not.
    Absent,
}

/// Judges the text of `/proc/cmdline`.
pub fn judge(cmdline: &str, vmcore: Vmcore) -> Hatch {
    if vmcore == Vmcore::Present {
        return Hatch::HandsOff("this is a crash kernel: /proc/vmcore is there".into());
    }
    match words(cmdline).into_iter().find(|word| speaks_against(word)) {
        Some(word) => Hatch::HandsOff(format!("{word} is on the kernel's command line")),
        None => Hatch::Closed,
    }
}

/// Whether the command line sends this boot elsewhere than init's own configuration would: a level for sysvinit, a
/// target for systemd. A maintenance boot that was ordered is not followed then.
pub fn overrides_level(cmdline: &str) -> bool {
    words(cmdline).iter().any(|word| {
        word.starts_with("systemd.unit=") || matches!(word.as_str(), "2" | "3" | "4" | "5") || is_single_user(word)
    })
}

fn speaks_against(word: &str) -> bool {
    let target = word.strip_prefix("systemd.unit=").unwrap_or_default();
    matches!(word, "patchit=off" | "patchit=no" | "patchit=0")
        || is_single_user(word)
        || matches!(target, "rescue.target" | "emergency.target")
        || target.starts_with("kdump")
        || word.starts_with("elfcorehdr=")
}

fn is_single_user(word: &str) -> bool {
    matches!(word, "single" | "s" | "S" | "-s" | "1" | "emergency" | "-b" | "rescue")
}

/// The words, as the kernel cuts them: at white space outside double quotes, the quotes themselves dropped.
fn words(cmdline: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in cmdline.chars() {
        match (c, words.last_mut()) {
            ('"', _) => quoted = !quoted,
            (c, _) if c.is_ascii_whitespace() && !quoted => words.push(String::new()),
            (c, Some(word)) => word.push(c),
            (_, None) => {}
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_off(cmdline: &str) -> bool {
        judge(cmdline, Vmcore::Absent) != Hatch::Closed
    }

    #[test]
    fn every_way_to_ask_for_a_quiet_system_is_heard() {
        for word in ["patchit=off", "single", "S", "s", "1", "emergency", "rescue", "-s", "-b"] {
            assert!(is_off(&format!("BOOT_IMAGE=/vmlinuz root=/dev/sda1 ro {word} quiet\n")), "{word}");
            assert!(is_off(&format!("ro quiet -- {word}\n")), "{word}");
        }
        for word in ["systemd.unit=rescue.target", "systemd.unit=emergency.target", "systemd.unit=kdump.target"] {
            assert!(is_off(word), "{word}");
        }
        assert!(is_off("\"patchit=off\""));
    }

    #[test]
    fn words_inside_other_words_say_nothing() {
        for word in [
            "xpatchit=off",
            "patchit=offline",
            "patchit=on",
            "note=\"single user\"",
            "root=1",
            "11",
            "singles",
            "init=/sbin/S",
            "systemd.unit=multi-user.target",
            "rd.emergency=reboot",
            "comment=\"a patchit=off b\"",
            "--",
            "",
        ] {
            assert!(!is_off(&format!("ro {word} quiet")), "{word}");
        }
    }

    #[test]
    fn a_crash_kernel_is_left_alone() {
        assert!(is_off("elfcorehdr=867700K ro"));
        assert!(matches!(judge("ro quiet", Vmcore::Present), Hatch::HandsOff(_)));
    }

    #[test]
    fn the_reason_names_the_word() {
        let Hatch::HandsOff(reason) = judge("ro single", Vmcore::Absent) else { panic!() };
        assert_eq!(reason, "single is on the kernel's command line");
    }

    #[test]
    fn a_level_on_the_command_line_wins_over_the_configured_one() {
        for line in ["ro 3", "systemd.unit=multi-user.target", "single", "ro 5 quiet"] {
            assert!(overrides_level(line), "{line}");
        }
        assert!(!overrides_level("root=/dev/sda3 ro quiet panic=5"));
    }
}
