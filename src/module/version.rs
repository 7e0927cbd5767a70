//! Versions of modules, and the git tags that hold them: `<module>-v<version>-<time>`.
//!
//! Versions compare as numbers, part by part: 1.10 is newer than 1.9. What stands behind a hyphen comes before the version without
//! it, as semver.org has it. Two deploys of one day do not collide, for the time goes to the second; the date alone is read too.

use std::cmp::Ordering;
use std::fmt;

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};

use super::name::Name;
use crate::sys::clock::Moment;

/// A version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(String);

impl Version {
    /// Judges a version.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<Self, String> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".+_-".contains(&byte);
        let is_fit = text.len() <= 60
            && text.as_bytes().first().is_some_and(u8::is_ascii_digit)
            && text.bytes().all(fits)
            && !text.contains("..")
            && text.as_bytes().last().is_some_and(u8::is_ascii_alphanumeric);
        if is_fit { Ok(Self(text.to_string())) } else { Err(format!("{text:?} is no version; write it like 1.10.0")) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parts(&self) -> (&str, Option<&str>) {
        let release = self.0.split('+').next().unwrap_or_default();
        release.split_once('-').map_or((release, None), |(main, before)| (main, Some(before)))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Two texts that mean the same (1.0 and 1.00) are ordered by their letters, so that no two different versions are equal.
impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let ((ours, our_early), (theirs, their_early)) = (self.parts(), other.parts());
        let early = match (our_early, their_early) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(ours), Some(theirs)) => dotted(ours, theirs),
        };
        dotted(ours, theirs).then(early).then_with(|| self.0.cmp(&other.0))
    }
}

fn dotted(ours: &str, theirs: &str) -> Ordering {
    let (mut ours, mut theirs) = (ours.split('.'), theirs.split('.'));
    loop {
        let order = match (ours.next(), theirs.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(ours), Some(theirs)) => part(ours, theirs),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Runs of digits compare as numbers of any size, what lies between them as text.
fn part(ours: &str, theirs: &str) -> Ordering {
    let (mut ours, mut theirs) = (ours, theirs);
    loop {
        if ours.is_empty() || theirs.is_empty() {
            return ours.len().cmp(&theirs.len());
        }
        let (our_number, theirs_number) = (digits(ours), digits(theirs));
        if our_number.is_empty() || theirs_number.is_empty() {
            let order = ours.as_bytes()[0].cmp(&theirs.as_bytes()[0]);
            if order != Ordering::Equal {
                return order;
            }
            (ours, theirs) = (&ours[1..], &theirs[1..]);
            continue;
        }
        let (a, b) = (our_number.trim_start_matches('0'), theirs_number.trim_start_matches('0'));
        let order = a.len().cmp(&b.len()).then_with(|| a.cmp(b));
        if order != Ordering::Equal {
            return order;
        }
        (ours, theirs) = (&ours[our_number.len()..], &theirs[theirs_number.len()..]);
    }
}

fn digits(text: &str) -> &str {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    &text[..end]
}

/// A tag of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Which version it holds.
    pub version: Version,
    /// When it was deployed; of a date alone, its first moment.
    pub time: NaiveDateTime,
    /// The tag as git has it.
    pub text: String,
}

impl Tag {
    /// The tag of a version that is deployed now.
    pub fn make(module: &Name, version: &Version, now: Moment) -> Self {
        let text = format!("{module}-v{version}-{}", now.format("%Y%m%dT%H%M%SZ"));
        Self { version: version.clone(), time: now.naive_utc(), text }
    }

    /// Reads a tag of this module; `None` if it is another's or none of ours. A tag could be read as one of `a` or of `a-v1`: it
    /// belongs to the longest name of `all`.
    pub fn parse<'n>(text: &str, module: &Name, all: impl IntoIterator<Item = &'n Name>) -> Option<Self> {
        let tag = Self::of(text, module)?;
        let is_longer = |other: &Name| other.as_str().len() > module.as_str().len() && Self::of(text, other).is_some();
        (!all.into_iter().any(is_longer)).then_some(tag)
    }

    fn of(text: &str, module: &Name) -> Option<Self> {
        let rest = text.strip_prefix(module.as_str())?.strip_prefix("-v")?;
        let (version, time) = rest.rsplit_once('-')?;
        let time = moment(time)?;
        Some(Self { version: Version::new(version).ok()?, time, text: text.to_string() })
    }
}

fn moment(text: &str) -> Option<NaiveDateTime> {
    let is_right = |length: usize| text.len() == length && text.is_ascii();
    match text.len() {
        8 if is_right(8) => Some(NaiveDate::parse_from_str(text, "%Y%m%d").ok()?.and_time(NaiveTime::MIN)),
        16 if is_right(16) => NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%SZ").ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::clock;
    use proptest::prelude::*;

    fn version(text: &str) -> Version {
        Version::new(text).unwrap()
    }

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    #[test]
    fn versions_compare_as_numbers() {
        let rising = [
            "0.9",
            "1",
            "1.0",
            "1.0.0-rc1",
            "1.0.0-rc2",
            "1.0.0-rc10",
            "1.0.0",
            "1.0.1",
            "1.9",
            "1.10",
            "2.0-a",
            "2.0",
            "10",
        ];
        for pair in rising.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn what_cannot_be_in_a_tag_is_no_version() {
        for bad in ["", "v1", "1..2", "1 2", "1.", "1/2", "-1", "1~2", "1.0^", &"1".repeat(61)] {
            assert!(Version::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_tag_with_a_date_or_a_moment_is_read() {
        let tag = Tag::parse("adblock-v1.0.0-20240610", &name("adblock"), []).unwrap();
        assert_eq!((tag.version.as_str(), tag.time.to_string().as_str()), ("1.0.0", "2024-06-10 00:00:00"));
        let made = Tag::make(&name("adblock"), &version("1.0.0-rc1"), clock::parse("2026-11-21T02:00:07Z").unwrap());
        assert_eq!(made.text, "adblock-v1.0.0-rc1-20261121T020007Z");
        assert_eq!(Tag::parse(&made.text, &name("adblock"), []), Some(made));
        for bad in [
            "adblock-v1.0.0",
            "adblock-v1.0.0-20241310",
            "adblock-vx-20240610",
            "other-v1-20240610",
            "adblock-v1-2024061é",
        ] {
            assert_eq!(Tag::parse(bad, &name("adblock"), []), None, "{bad}");
        }
    }

    #[test]
    fn a_tag_belongs_to_the_longest_name_that_fits() {
        let all = [name("a"), name("a-v1")];
        assert_eq!(Tag::parse("a-v1-v2-20240101", &all[0], &all), None);
        assert_eq!(Tag::parse("a-v1-v2-20240101", &all[1], &all).unwrap().version, version("2"));
        assert_eq!(Tag::parse("a-v3-20240101", &all[0], &all).unwrap().version, version("3"));
    }

    proptest! {
        #[test]
        fn the_order_is_one(a in "[0-9][a-z0-9.-]{0,6}[0-9]", b in "[0-9][a-z0-9.-]{0,6}[0-9]", c in "[0-9][a-z0-9.-]{0,6}[0-9]") {
            let (Ok(a), Ok(b), Ok(c)) = (Version::new(&a), Version::new(&b), Version::new(&c)) else { return Ok(()) };
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            prop_assert!(!(a <= b && b <= c) || a <= c);
            prop_assert_eq!(a == b, a.cmp(&b) == Ordering::Equal);
        }

        #[test]
        fn no_tag_upsets_the_reading(text in "a-v.{0,30}") {
            let _ = Tag::parse(&text, &name("a"), []);
        }
    }
}
