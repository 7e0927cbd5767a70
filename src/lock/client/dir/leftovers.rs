//! Files that a call makes beside a lock for a moment, and which of them a killed call has left behind.
//!
//! Their names say whose they are: host, grant, process. A process is known by its number and the time of its start, so one of another
//! boot is not taken for one that lives. Of two hosts with one id, a clone and its original, each finds the other's dead: whoever was
//! just at it then fails, and asks again.

use crate::sys::proc_stat::Stat;

/// What such a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A grant that is being written.
    Draft,
    /// A grant that is being ended, moved out of the way.
    Released,
}

/// Who makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    /// In ticks since the machine's boot.
    pub start: u64,
}

/// One of those files.
#[derive(Debug, PartialEq, Eq)]
pub struct Leftover {
    pub part: Part,
    /// Of the grant.
    pub number: u64,
    pub process: Process,
}

/// The name of such a file: hidden, no lock's, and no other host's or process's.
pub fn name(part: Part, host: &str, number: u64, process: Process) -> String {
    format!("{}{number}-{}-{}", beginning(part, host), process.pid, process.start)
}

fn beginning(part: Part, host: &str) -> String {
    let what = match part {
        Part::Draft => "draft",
        Part::Released => "released",
    };
    format!(".{what}-{host}-")
}

/// What a name says, if it is one of this host's.
pub fn parse(name: &str, host: &str) -> Option<Leftover> {
    let part = [Part::Draft, Part::Released].into_iter().find(|part| name.starts_with(&beginning(*part, host)))?;
    let words: Vec<&str> = name.strip_prefix(&beginning(part, host))?.split('-').collect();
    let [number, pid, start] = words[..] else { return None };
    let process = Process { pid: pid.parse().ok()?, start: start.parse().ok()? };
    Some(Leftover { part, number: number.parse().ok()?, process })
}

/// Whether the process is gone; `found` is the one that has its number now.
pub fn is_dead(process: Process, found: Option<Stat>) -> bool {
    found.is_none_or(|found| found.zombie || found.start != process.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "0123456789abcdef0123456789abcdef";
    const PROCESS: Process = Process { pid: 4711, start: 99 };

    #[test]
    fn a_name_reads_as_it_was_written_and_another_hosts_is_not_read() {
        for part in [Part::Draft, Part::Released] {
            let text = name(part, HOST, 7, PROCESS);
            assert_eq!(parse(&text, HOST), Some(Leftover { part, number: 7, process: PROCESS }));
            assert_eq!(parse(&text, &HOST.replace('0', "f")), None);
            assert_eq!(parse(&text, ""), None);
        }
        for other in ["web.lock", ".draft-", "", ".nfs0001"] {
            assert_eq!(parse(other, HOST), None, "{other}");
        }
        for end in ["7", "7-1", "7-1-2-3", "x-1-2", "7-1-2.lock", "7-99999999999-1"] {
            assert_eq!(parse(&format!(".draft-{HOST}-{end}"), HOST), None, "{end}");
        }
    }

    #[test]
    fn who_lives_is_not_dead_and_who_has_its_number_after_a_boot_is_somebody_else() {
        let found =
            |zombie, start| Some(Stat { id: 7, zombie, parent: 1, group: 1, session: 1, has_terminal: false, start });
        assert!(!is_dead(PROCESS, found(false, 99)));
        assert!(is_dead(PROCESS, found(true, 99)));
        assert!(is_dead(PROCESS, found(false, 98)));
        assert!(is_dead(PROCESS, None));
    }
}
