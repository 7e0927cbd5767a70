//! `etc-writable`, `relabel`, `clock`: small things that would ruin a night.

use std::path::Path;

use super::Finding;
use crate::boot::mounts::{Mount, Tables};
use crate::error::Result;
use crate::paths::Paths;
use crate::sys::clock::{self, Moment};
use crate::sys::space;

pub fn etc_writable(paths: &Paths, tables: &Tables) -> Finding {
    const ID: &str = "etc-writable";
    let check = || -> Result<Finding> {
        Ok(judge_etc(space::free(&paths.etc())?.read_only, tables.planned(Path::new("/etc"))))
    };
    Finding::of(ID, check())
}

fn judge_etc(read_only_now: bool, planned: Option<&Mount>) -> Finding {
    const ID: &str = "etc-writable";
    if read_only_now {
        return Finding::stop(ID, "/etc is mounted read-only", "mount it read-write; the flags lie there");
    }
    match planned.filter(|mount| mount.has("ro")) {
        Some(mount) => {
            let evidence = format!("fstab mounts {} read-only, with /etc on it", mount.point.display());
            Finding::stop(ID, evidence, "take ro out of its options; the boot must find /etc writable")
        }
        None => Finding::ok(ID, "writable"),
    }
}

pub fn relabel(pending: bool) -> Finding {
    if pending {
        let remedy = "reboot once before patching: the next boot relabels, and boots again by itself";
        return Finding::stop("relabel", "/.autorelabel is there", remedy);
    }
    Finding::ok("relabel", "none is due")
}

pub fn clock(now: Moment, last_record: Option<Moment>) -> Finding {
    match last_record.filter(|last| *last > now) {
        Some(last) => {
            let evidence =
                format!("it is {}, and the journal's last record is of {}", clock::stamp(now), clock::stamp(last));
            Finding::stop("clock", evidence, "set the clock right")
        }
        None => Finding::ok("clock", clock::stamp(now)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::mounts::parse_fstab;
    use crate::boot::preflight::Verdict;

    fn etc(read_only: bool, fstab: &str) -> Verdict {
        let tables = Tables { mounted: None, fstab: parse_fstab(fstab) };
        judge_etc(read_only, tables.planned(Path::new("/etc"))).verdict
    }

    #[test]
    fn etc_must_be_writable_now_and_at_the_next_boot() {
        assert_eq!(etc(false, "/dev/vda1 / ext4 errors=remount-ro 0 1\n"), Verdict::Ok);
        assert_eq!(etc(false, ""), Verdict::Ok);
        assert_eq!(etc(true, ""), Verdict::Stop);
        assert_eq!(etc(false, "/dev/vda1 / ext4 ro,noatime 0 1\n"), Verdict::Stop);
        assert_eq!(etc(false, "/dev/vda1 / ext4 ro\n/dev/vda2 /etc ext4 rw\n"), Verdict::Ok);
    }

    #[test]
    fn a_clock_before_the_journal_stops_the_run() {
        let at = |text| clock::parse(text).unwrap();
        let now = at("2026-11-21T02:00:00Z");
        assert_eq!(clock(now, None).verdict, Verdict::Ok);
        assert_eq!(clock(now, Some(now)).verdict, Verdict::Ok);
        assert_eq!(clock(now, Some(at("2026-11-21T02:00:01Z"))).verdict, Verdict::Stop);
    }

    #[test]
    fn a_pending_relabel_stops_the_run() {
        assert_eq!(relabel(true).verdict, Verdict::Stop);
        assert_eq!(relabel(false).verdict, Verdict::Ok);
    }
}
