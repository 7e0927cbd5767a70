//! On which days of a month a run may begin: `--date_constraint`. Pure; the day is passed in.
//!
//! `2:Tue,4:Fri` is the second Tuesday or the fourth Friday, as it is with DLM Engine Updater; `last:Fri` is ours (W44). Days are the
//! host's own, as cron counts them. A time of the day is for cron, a timer, or a window of `patch-config(5)`.

use std::fmt;

use chrono::{Datelike, Days, NaiveDate, Weekday};

use super::settings::python;

const DAYS: [(&str, Weekday); 7] = [
    ("Mon", Weekday::Mon),
    ("Tue", Weekday::Tue),
    ("Wed", Weekday::Wed),
    ("Thu", Weekday::Thu),
    ("Fri", Weekday::Fri),
    ("Sat", Weekday::Sat),
    ("Sun", Weekday::Sun),
];

/// The days of a month on which a run may begin; none named means all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dates(Vec<(Nth, Weekday)>);

/// Which of a month's equal weekdays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nth {
    /// Counted from the first, 1 to 5.
    Number(u32),
    /// The one with no other after it.
    Last,
}

impl Dates {
    /// Reads `NUM:DAY` or `last:DAY`, several with commas between them. An empty text names none.
    ///
    /// # Errors
    /// What is wrong, with an example.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        text.split(',')
            .map(|item| parse(item).map_err(|why| format!("invalid date constraint {item:?}: {why}")))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether a run may begin on this day.
    pub fn allow(&self, today: NaiveDate) -> bool {
        self.0.is_empty() || self.0.iter().any(|(nth, day)| today.weekday() == *day && nth.is(today))
    }
}

impl Nth {
    fn is(self, today: NaiveDate) -> bool {
        match self {
            Self::Number(number) => today.day0() / 7 + 1 == number,
            Self::Last => today.checked_add_days(Days::new(7)).is_none_or(|later| later.month() != today.month()),
        }
    }
}

impl fmt::Display for Dates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (nth, day)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match nth {
                Nth::Number(number) => write!(f, "{comma}{number}:{day}")?,
                Nth::Last => write!(f, "{comma}last:{day}")?,
            }
        }
        Ok(())
    }
}

fn parse(item: &str) -> Result<(Nth, Weekday), String> {
    let (nth, day) = item.split_once(':').ok_or("it must be NUM:DAY, like 3:Fri, or last:DAY")?;
    let nth = match nth {
        "last" => Nth::Last,
        number => python::int(number)
            .ok()
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| (1..=5).contains(number))
            .map(Nth::Number)
            .ok_or("its number must be one from 1 to 5, or last")?,
    };
    let weekday = DAYS.iter().find(|(name, _)| *name == day).map(|(_, weekday)| *weekday);
    let weekday = weekday.ok_or_else(|| format!("its day must be one of {}", DAYS.map(|(name, _)| name).join(", ")))?;
    Ok((nth, weekday))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn the_nth_weekday_is_counted_from_the_first_of_the_month() {
        // The first of November 2026 is a Sunday.
        for (text, date, allowed) in [
            ("1:Sun", "2026-11-01", true),
            ("2:Sun", "2026-11-01", false),
            ("1:Sat", "2026-11-07", true),
            ("2:Sun", "2026-11-08", true),
            ("5:Sun", "2026-11-29", true),
            ("4:Mon", "2026-11-30", false),
            ("5:Mon", "2026-11-30", true),
            ("2:Tue,4:Fri", "2026-11-27", true),
            ("2:Tue,4:Fri", "2026-11-10", true),
            ("2:Tue,4:Fri", "2026-11-13", false),
            (" 2:Tue", "2026-11-10", true),
            ("+2:Tue", "2026-11-10", true),
            ("02:Tue,1:Mon", "2026-11-10", true),
            ("", "2026-11-10", true),
        ] {
            assert_eq!(Dates::parse(text).unwrap().allow(day(date)), allowed, "{text} on {date}");
        }
    }

    /// W44: no "last" in the old syntax.
    #[test]
    fn w44_the_last_weekday_of_a_month_can_be_named() {
        let dates = Dates::parse("last:Fri").unwrap();
        assert!(dates.allow(day("2026-11-27")) && !dates.allow(day("2026-11-20")));
        assert!(dates.allow(day("2026-01-30")) && !dates.allow(day("2026-01-23")), "a fifth Friday is the last");
        assert!(dates.allow(day("2026-07-31")) && !dates.allow(day("2026-07-24")), "the last one is the last day");
        assert!(Dates::parse("last:Thu").unwrap().allow(day("2026-12-31")));
    }

    #[test]
    fn what_is_no_date_is_refused_with_what_it_must_be() {
        for (text, word) in [
            ("Fri", "NUM:DAY"),
            ("3:Fri,", "NUM:DAY"),
            (",", "NUM:DAY"),
            ("x:Fri", "1 to 5"),
            ("0:Fri", "1 to 5"),
            ("6:Fri", "1 to 5"),
            ("-1:Fri", "1 to 5"),
            ("Last:Fri", "1 to 5"),
            ("3:Friday", "Mon, Tue"),
            ("3:fri", "Mon, Tue"),
            ("3: Fri", "Mon, Tue"),
            ("3:Fri ", "Mon, Tue"),
            ("3:", "Mon, Tue"),
            ("3:Fri:x", "Mon, Tue"),
        ] {
            let words = Dates::parse(text).unwrap_err();
            assert!(words.starts_with("invalid date constraint ") && words.contains(word), "{text}: {words}");
        }
    }

    proptest! {
        #[test]
        fn every_day_is_one_nth_weekday_and_what_is_shown_is_read_again(offset in 0_u64..40_000) {
            let today = day("1990-01-01") + Days::new(offset);
            let of = |nth: &str| Dates::parse(&format!("{nth}:{}", today.weekday())).unwrap();
            let fits = (1..=5).filter(|nth| of(&nth.to_string()).allow(today)).count();
            prop_assert_eq!(fits, 1);
            let both = Dates::parse("2:Tue,last:Fri").unwrap();
            prop_assert_eq!(Dates::parse(&both.to_string()).unwrap(), both);
        }

        #[test]
        fn no_text_upsets_it(text in any::<String>()) {
            let _ = Dates::parse(&text);
        }
    }
}
