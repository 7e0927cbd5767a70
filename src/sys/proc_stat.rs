//! `/proc/PID/stat`, proc(5).

use nix::unistd::{Pid, getpgid};

/// What of it is of interest here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Its number.
    pub id: i32,
    /// The process has ended and waits for its parent to ask.
    pub zombie: bool,
    /// Who is told of its end: who started it, or whom it was left to.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    /// Its session, which a daemon has left.
    pub session: i32,
    /// It has a terminal that it and its children can take hold of, whatever their input and output are: `/dev/tty`.
    pub has_terminal: bool,
    /// When it was started, in ticks since the machine's boot. With its number, that is which process it is.
    pub start: u64,
}

/// Reads a line of it; `None` if it is no such line. The second field is the program's name in brackets, and may itself hold
/// brackets and blanks.
pub fn parse(line: &str) -> Option<Stat> {
    let (before, after) = line.rsplit_once(')')?;
    let fields: Vec<&str> = after.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).copied();
    let number = |at: usize| field(at)?.parse().ok();
    Some(Stat {
        id: before.split(' ').next()?.parse().ok()?,
        zombie: field(3)? == "Z",
        parent: number(4)?,
        group: number(5)?,
        session: number(6)?,
        has_terminal: number(7)? != 0,
        start: field(22)?.parse().ok()?,
    })
}

/// The process of this number, if there is one.
pub fn of(pid: i32) -> Option<Stat> {
    parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Every process that can be seen.
pub fn all() -> impl Iterator<Item = Stat> {
    numbers().filter_map(of)
}

/// Whether the leader of a process group is alone in it; somebody who has ended counts as long as nobody has asked for his end. It takes
/// a microsecond for each process there is.
pub fn is_alone(leader: i32) -> bool {
    let group = |pid| getpgid(Some(Pid::from_raw(pid))).map(Pid::as_raw);
    !numbers().any(|pid| pid != leader && group(pid) == Ok(leader))
}

fn numbers() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_in_it_does_not_shift_the_fields() {
        let line = format!("7 (a) R 1 (b) Z 1 42 40 34816 {}4711 1 2 3\n", "0 ".repeat(14));
        let expected = Stat { id: 7, zombie: true, parent: 1, group: 42, session: 40, has_terminal: true, start: 4711 };
        assert_eq!(parse(&line), Some(expected));
        assert_eq!(parse("1 (init) S 0"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn a_leader_is_alone_until_somebody_joins() {
        use std::os::unix::process::CommandExt;
        use std::process::Command;
        let sleep = |group| Command::new("sleep").arg("600").process_group(group).spawn().unwrap();
        let mut leader = sleep(0);
        let group = i32::try_from(leader.id()).unwrap();
        assert!(is_alone(group));
        let mut other = sleep(group);
        let joined = is_alone(group);
        for child in [&mut leader, &mut other] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert!(!joined);
    }

    #[test]
    fn this_process_is_among_all() {
        let pid = i32::try_from(std::process::id()).unwrap();
        assert_eq!(of(pid).map(|me| me.zombie), Some(false));
        assert!(all().any(|other| Some(other.start) == of(pid).map(|me| me.start)));
    }
}
