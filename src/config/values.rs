//! The values that configuration keys can have: durations, sizes, windows of the day.

use std::time::Duration;

use chrono::{NaiveTime, Timelike};

use crate::sys::trusted::is_plain_name;

/// `90s`, `15m`, `2h`, `40d`; a bare number is seconds.
///
/// # Errors
/// What is wrong, with an example.
pub fn duration(text: &str) -> Result<Duration, String> {
    let unit = |c| match c {
        's' => Some(1),
        'm' => Some(60),
        'h' => Some(3600),
        'd' => Some(86_400),
        _ => None,
    };
    scaled(text, unit)
        .map(Duration::from_secs)
        .ok_or_else(|| format!("{text:?} is no duration; write it like 90s, 15m, 2h or 40d"))
}

/// The name of a stage, which is also a word in journals.
///
/// # Errors
/// What is wrong with it.
pub fn stage_name(text: &str) -> Result<String, String> {
    let fit = is_plain_name(text).then(|| text.to_string());
    fit.ok_or_else(|| format!("{text:?} is no name for a stage; use letters, digits and hyphens"))
}

/// `500K`, `100M`, `2G`; a bare number is bytes.
///
/// # Errors
/// What is wrong, with an example.
pub fn size(text: &str) -> Result<u64, String> {
    let unit = |c| match c {
        'K' | 'k' => Some(1 << 10),
        'M' => Some(1 << 20),
        'G' => Some(1 << 30),
        _ => None,
    };
    scaled(text, unit).ok_or_else(|| format!("{text:?} is no size; write it like 500K, 100M or 2G"))
}

fn scaled(text: &str, unit: impl Fn(char) -> Option<u64>) -> Option<u64> {
    let last = text.chars().last()?;
    let (number, factor) = match unit(last) {
        Some(factor) => (text[..text.len() - last.len_utf8()].trim_end(), factor),
        None => (text, 1),
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// A part of the day in the host's own time, as cron counts it: `22:00-05:00` goes over midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    from: NaiveTime,
    to: NaiveTime,
}

impl Window {
    /// Reads `HH:MM-HH:MM`.
    ///
    /// # Errors
    /// What is wrong, with an example.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no window; write it like 02:00-05:00");
        let (from, to) = text.split_once('-').ok_or_else(wrong)?;
        let time = |part: &str| NaiveTime::parse_from_str(part.trim(), "%H:%M").map_err(|_| wrong());
        let window = Self { from: time(from)?, to: time(to)? };
        if window.from == window.to { Err(format!("{text:?} is empty")) } else { Ok(window) }
    }

    /// Whether a time of the day lies in it; the end does not.
    pub fn contains(self, time: NaiveTime) -> bool {
        if self.from < self.to { self.from <= time && time < self.to } else { self.from <= time || time < self.to }
    }
}

impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (a, b) = (self.from, self.to);
        write!(f, "{:02}:{:02}-{:02}:{:02}", a.hour(), a.minute(), b.hour(), b.minute())
    }
}

/// Words between blanks, commas or newlines.
pub fn words(text: &str) -> Vec<String> {
    text.split([',', ' ', '\t', '\n']).filter(|word| !word.is_empty()).map(str::to_string).collect()
}

/// The known word that was probably meant: at most two slips away, or a third of its length.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let (near, slips) = known.iter().map(|k| (*k, distance(word, k))).min_by_key(|(_, d)| *d)?;
    (slips <= 2.max(near.len() / 3)).then_some(near)
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut corner = i;
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let change = corner + usize::from(ca != *cb);
            corner = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_have_units() {
        assert_eq!(duration("15m").unwrap().as_secs(), 900);
        assert_eq!(duration("90").unwrap().as_secs(), 90);
        assert_eq!(size("100M").unwrap(), 104_857_600);
        for bad in ["", "m", "-1s", "1.5h", "10 weeks", "99999999999999999999d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_window_may_go_over_midnight() {
        let night = Window::parse("22:00-05:00").unwrap();
        let at = |text| NaiveTime::parse_from_str(text, "%H:%M").unwrap();
        assert!(night.contains(at("23:59")) && night.contains(at("04:59")) && night.contains(at("22:00")));
        assert!(!night.contains(at("05:00")) && !night.contains(at("12:00")));
        assert!(Window::parse("02:00").is_err() && Window::parse("25:00-26:00").is_err());
    }

    #[test]
    fn the_nearest_word_is_offered_only_when_it_is_near() {
        assert_eq!(nearest("soack", &["soak", "after"]), Some("soak"));
        assert_eq!(nearest("zzzzzz", &["soak", "after"]), None);
    }
}
