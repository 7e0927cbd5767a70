//! `package-database`, `reboot-pending`: the state that the last change left behind.

use super::Finding;
use crate::boot::kernel::Kernel;
use crate::paths::Paths;

pub fn package_database(whole: Result<(), String>) -> Finding {
    match whole {
        Ok(()) => Finding::ok("package-database", "whole"),
        Err(what) => Finding::stop("package-database", what, "repair it before patching"),
    }
}

/// A warning only: the run reboots anyway, and brings up then what waits for it.
pub fn reboot_pending(paths: &Paths) -> Finding {
    let reasons = std::fs::read_to_string(paths.at("/run/reboot-required.pkgs")).ok();
    let required = paths.at("/run/reboot-required").exists().then(|| reasons.unwrap_or_default());
    match Kernel::current(paths) {
        Ok(kernel) => judge_reboot(required.as_deref(), Some(&kernel)),
        Err(_) => judge_reboot(required.as_deref(), None),
    }
}

fn judge_reboot(required: Option<&str>, kernel: Option<&Kernel>) -> Finding {
    const ID: &str = "reboot-pending";
    const REMEDY: &str = "what this boot shows may be the work of an earlier change; a reboot now would tell";
    if let Some(packages) = required {
        let packages: Vec<&str> = packages.lines().collect();
        return Finding::warn(ID, format!("a reboot is required by {:?}", packages.join(" ")), REMEDY);
    }
    match kernel.filter(|kernel| !kernel.is_default()) {
        Some(kernel) => {
            let default = kernel.default.as_deref().unwrap_or_default();
            Finding::warn(ID, format!("kernel {} runs, {default} is the default", kernel.running), REMEDY)
        }
        None => Finding::ok(ID, "none"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::preflight::Verdict;

    #[test]
    fn a_pending_reboot_is_a_warning_that_says_by_whom() {
        let finding = judge_reboot(Some("linux-image\nlibc6\n"), None);
        assert_eq!(finding.verdict, Verdict::Warn);
        assert!(finding.evidence.contains("linux-image libc6"), "{finding}");
        assert_eq!(judge_reboot(None, Some(&Kernel::parse("6.0 6.1"))).verdict, Verdict::Warn);
        assert_eq!(judge_reboot(None, Some(&Kernel::parse("6.1 6.1"))).verdict, Verdict::Ok);
        assert_eq!(judge_reboot(None, None).verdict, Verdict::Ok);
    }

    #[test]
    fn a_broken_database_stops_the_run_in_the_package_managers_words() {
        let finding = package_database(Err("libc6 is half-configured".into()));
        assert_eq!(finding.verdict, Verdict::Stop);
        assert!(finding.to_string().starts_with("package-database: stop: libc6 is half-configured; "), "{finding}");
    }
}
