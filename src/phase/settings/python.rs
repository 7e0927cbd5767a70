//! Values as the Python programs read them that the old dialects were made for. Pure.

use std::time::Duration;

use super::Level;

/// A whole number as `int()` takes it: blanks around it, a sign, single underscores between digits.
///
/// # Errors
/// If it is none, or beyond 64 bits.
pub fn int(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is no whole number");
    let bare = text.trim();
    let digits = bare.strip_prefix(['+', '-']).unwrap_or(bare);
    let is_number = digits.split('_').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    if !is_number {
        return Err(wrong());
    }
    bare.replace('_', "").parse().map_err(|_| wrong())
}

/// The same, not below `least` and not beyond 32 bits.
///
/// # Errors
/// As [`int`], or if it is out of range.
pub fn count(text: &str, least: u32) -> Result<u32, String> {
    let number = int(text)?;
    u32::try_from(number)
        .ok()
        .filter(|number| *number >= least)
        .ok_or_else(|| format!("{number} is not {least} or more"))
}

/// Whole seconds.
///
/// # Errors
/// As [`count`].
pub fn seconds(text: &str) -> Result<Duration, String> {
    Ok(Duration::from_secs(count(text, 0)?.into()))
}

/// Seconds with a fraction, more than none, as `float()` takes them.
///
/// # Errors
/// If it is no number, or no time.
pub fn fraction(text: &str) -> Result<Duration, String> {
    let number: f64 = text.trim().replace('_', "").parse().map_err(|_| format!("{text:?} is no number of seconds"))?;
    if !number.is_finite() || number <= 0.0 {
        return Err(format!("{text:?} is not more than 0"));
    }
    Duration::try_from_secs_f64(number).map_err(|_| format!("{text:?} is too many seconds"))
}

/// Which words a reader takes for yes and no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum YesNo {
    /// `ConfigParser.getboolean`.
    Configparser,
    /// pydantic, which takes the first letters as well.
    Pydantic,
}

impl YesNo {
    /// Yes or no, in any case of the letters.
    ///
    /// # Errors
    /// If it is neither.
    pub fn read(self, text: &str) -> Result<bool, String> {
        match (self, text.to_lowercase().as_str()) {
            (_, "1" | "yes" | "true" | "on") | (Self::Pydantic, "t" | "y") => Ok(true),
            (_, "0" | "no" | "false" | "off") | (Self::Pydantic, "f" | "n") => Ok(false),
            _ => Err(format!("{text:?} is neither yes nor no; write true or false")),
        }
    }
}

/// A level by the names of Python's logging. `NOTSET` means what it means there: the level of the root logger, WARNING.
///
/// # Errors
/// If it has none of the names.
pub fn level(text: &str) -> Result<Level, String> {
    match text {
        "DEBUG" => Ok(Level::Debug),
        "INFO" => Ok(Level::Info),
        "WARNING" | "WARN" | "NOTSET" => Ok(Level::Warning),
        "ERROR" => Ok(Level::Error),
        "CRITICAL" | "FATAL" => Ok(Level::Critical),
        other => Err(format!("{other:?} is none of DEBUG, INFO, WARNING, ERROR, CRITICAL")),
    }
}

/// How many rotated files are kept. None or fewer keeps them all there, so a century's here.
///
/// # Errors
/// As [`int`].
pub fn retention(text: &str) -> Result<u32, String> {
    const CENTURY: u32 = 36_500;
    Ok(u32::try_from(int(text)?).ok().filter(|days| (1..=CENTURY).contains(days)).unwrap_or(CENTURY))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn whole_numbers_are_read_as_python_reads_them() {
        for (text, number) in [("5", 5), (" 5 ", 5), ("+5", 5), ("-5", -5), ("0_5", 5), ("007", 7), ("1_000", 1000)] {
            assert_eq!(int(text), Ok(number), "{text}");
        }
        for bad in
            ["", " ", "+", "5.0", "1__0", "_1", "1_", "0x5", "+-5", "- 5", "1e3", "99999999999999999999", "5 # n"]
        {
            assert!(int(bad).is_err(), "{bad}");
        }
        assert!(count("-1", 0).is_err() && count("0", 1).is_err() && count("5000000000", 0).is_err());
    }

    #[test]
    fn yes_and_no_are_those_of_their_reader() {
        for (text, configparser, pydantic) in [
            ("1", Some(true), Some(true)),
            ("YES", Some(true), Some(true)),
            ("On", Some(true), Some(true)),
            ("t", None, Some(true)),
            ("y", None, Some(true)),
            ("off", Some(false), Some(false)),
            ("N", None, Some(false)),
            ("", None, None),
            ("2", None, None),
            ("true # really", None, None),
        ] {
            assert_eq!(YesNo::Configparser.read(text).ok(), configparser, "{text}");
            assert_eq!(YesNo::Pydantic.read(text).ok(), pydantic, "{text}");
        }
    }

    #[test]
    fn seconds_may_have_a_fraction_and_must_be_some() {
        assert_eq!(fraction("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(fraction("1e1"), Ok(Duration::from_secs(10)));
        for bad in ["0", "-1", "inf", "nan", "", "x", "1e300"] {
            assert!(fraction(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn levels_have_their_names_and_none_kept_is_all_kept() {
        assert_eq!((level("WARN"), level("FATAL")), (Ok(Level::Warning), Ok(Level::Critical)));
        assert!(level("info").is_err() && level("TRACE").is_err());
        assert_eq!((retention("7"), retention("0"), retention("-3")), (Ok(7), Ok(36_500), Ok(36_500)));
    }

    proptest! {
        #[test]
        fn no_text_upsets_it(text in any::<String>()) {
            let _ = (int(&text), count(&text, 1), fraction(&text), level(&text), retention(&text));
        }
    }
}
