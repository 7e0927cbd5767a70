//! When the log begins anew, what the old one is called then, and which old ones go. Pure; all days are those of UTC.

use chrono::NaiveDate;

/// The day that a line of the log begins with.
pub fn day_of(line: &[u8]) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(std::str::from_utf8(line.get(..10)?).ok()?, "%Y-%m-%d").ok()
}

/// The day that an old log is named after, if a log with this first line, last written on that day, is an old one today.
///
/// The first line decides, not the time of the last write: a driver that runs more often than once a day would never see an old log.
/// The last day in it names it, so that what was written yesterday counts as of yesterday.
pub fn due(first: &[u8], written: NaiveDate, today: NaiveDate) -> Option<NaiveDate> {
    let begun = day_of(first).unwrap_or(written);
    if begun == today {
        return None;
    }
    let yesterday = today.pred_opt().unwrap_or(today);
    // A log that begins in the future is one of a clock that was wrong.
    Some(if begun > today { begun } else { written.clamp(begun, yesterday) })
}

/// The name of an old log; `again` is for the second and later ones of a day.
pub fn name(log: &str, day: NaiveDate, again: u32) -> String {
    let day = day.format("%Y-%m-%d");
    if again == 0 { format!("{log}.{day}") } else { format!("{log}.{day}.{again}") }
}

/// Of all names in the directory those that go, if logs of this many days are kept; with 0 none goes, as in Python's logging.
pub fn expired(names: &[String], log: &str, keep: u32) -> Vec<String> {
    let mut days: Vec<NaiveDate> = names.iter().filter_map(|name| day_in(name, log)).collect();
    days.sort_unstable();
    days.dedup();
    let going = days.len().saturating_sub(usize::try_from(keep).unwrap_or(usize::MAX));
    if keep == 0 || going == 0 {
        return Vec::new();
    }
    let last = days[going - 1];
    names.iter().filter(|name| day_in(name, log).is_some_and(|day| day <= last)).cloned().collect()
}

/// The day of an old log of ours, from a name of exactly the form that [`name`] gives.
fn day_in(other: &str, log: &str) -> Option<NaiveDate> {
    let rest = other.strip_prefix(log)?.strip_prefix('.')?;
    let (day, again) = match rest.split_once('.') {
        Some((day, again)) => (day, again.parse().ok()?),
        None => (rest, 0),
    };
    let day = NaiveDate::parse_from_str(day, "%Y-%m-%d").ok()?;
    (name(log, day, again) == other).then_some(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn w41_a_log_that_is_written_every_hour_begins_anew_every_day() {
        let first = b"2026-11-20 23:00:00,000UTC - INFO - MainThread - x";
        let today = day("2026-11-21");
        assert_eq!(due(first, day("2026-11-20"), today), Some(day("2026-11-20")));
        // One of the originals', begun long ago and written to just now.
        assert_eq!(due(b"2026-01-05 1", today, today), Some(day("2026-11-20")));
        assert_eq!(due(b"2026-11-21 0", today, today), None);
    }

    #[test]
    fn a_log_without_a_date_counts_from_its_last_write_and_one_of_the_future_is_put_away() {
        let today = day("2026-11-21");
        assert_eq!(due(b"garbage", today, today), None);
        assert_eq!(due(b"garbage", day("2026-11-03"), today), Some(day("2026-11-03")));
        assert_eq!(due(b"2031-01-01 0", today, today), Some(day("2031-01-01")));
        assert_eq!(due(b"2026-11-19 0", day("2026-11-18"), today), Some(day("2026-11-19")));
    }

    #[test]
    fn only_old_logs_of_exactly_our_form_go() {
        let names = [
            "run.log",
            "run.log.2026-11-01",
            "run.log.2026-11-01.1",
            "run.log.2026-11-02",
            "run.log.2026-11-03",
            "run.log.2026-11-00",
            "run.log.2026-1-01",
            "run.log.2026-11-01.gz",
            "run.log.2026-11-01.01",
            "run.log.2026-11-01.1.1",
            "xrun.log.2026-11-01",
            "run.log2026-11-01",
        ]
        .map(String::from);
        assert_eq!(expired(&names, "run.log", 2), ["run.log.2026-11-01", "run.log.2026-11-01.1"]);
        assert!(expired(&names, "run.log", 3).is_empty());
        assert!(expired(&names, "run.log", 0).is_empty());
    }
}
