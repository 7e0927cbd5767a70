//! The signed list of a suite, `InRelease`: when it was made, how long it counts, and the digests of its indices.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::control::stanzas;
use crate::cluster::manifest::is_sha256;
use crate::error::{Error, Result};
use crate::sys::clock::{Moment, stamp};

/// How far ahead of us the archive's clock may be.
const AHEAD: TimeDelta = TimeDelta::minutes(10);

/// What a suite says of itself.
#[derive(Debug)]
pub struct Suite {
    name: Option<String>,
    codename: Option<String>,
    date: Moment,
    valid_until: Option<Moment>,
    by_hash: bool,
    has_index_of_all: bool,
    indices: HashMap<String, Index>,
}

/// A file of the suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Bytes.
    pub size: u64,
    /// Lower-case hexadecimal.
    pub sha256: String,
}

impl Suite {
    /// Reads the text that gpgv has found under a good signature; `file` is for the messages.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn parse(text: &str, file: &str) -> Result<Self> {
        let refuse = |why: &str| Error::refused(file, why);
        let all = stanzas(text, file)?;
        let [stanza] = &all[..] else { return Err(refuse("it is not one stanza")) };
        let moment = |name: &str| match stanza.get(name) {
            Some(text) => date(text).map(Some).ok_or_else(|| refuse(&format!("its {name} {text:?} is no date"))),
            None => Ok(None),
        };
        let owned = |name: &str| stanza.get(name).map(str::to_string);
        let is_listed =
            |name: &str, word: &str| stanza.get(name).is_some_and(|t| t.split_whitespace().any(|w| w == word));
        Ok(Self {
            name: owned("Suite"),
            codename: owned("Codename"),
            date: moment("Date")?.ok_or_else(|| refuse("it has no Date"))?,
            valid_until: moment("Valid-Until")?,
            by_hash: is_listed("Acquire-By-Hash", "yes"),
            has_index_of_all: is_listed("Architectures", "all")
                && !is_listed("No-Support-for-Architecture-all", "Packages"),
            indices: indices(stanza.get("SHA256").ok_or_else(|| refuse("it lists no SHA256"))?)
                .map_err(|why| refuse(&why))?,
        })
    }

    /// Whether it is the suite that was asked for, made before now and still valid.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn judge(&self, asked: &str, now: Moment) -> Result<()> {
        let object = format!("suite {asked}");
        let names = [self.name.as_deref(), self.codename.as_deref()];
        if names.iter().any(Option::is_some) && !names.contains(&Some(asked)) {
            let served = names.iter().flatten().copied().collect::<Vec<_>>().join(" or ");
            return Err(Error::refused(object, format!("the archive served {served} in its place")));
        }
        if self.date > now + AHEAD {
            let (date, now) = (stamp(self.date), stamp(now));
            return Err(Error::refused(object, format!("it is of {date}, and here it is {now}; set the clock")));
        }
        match self.valid_until {
            Some(until) if until <= now => {
                let why = format!("it was valid until {}; the mirror is stale, or replays an old state", stamp(until));
                Err(Error::refused(object, why))
            }
            _ => Ok(()),
        }
    }

    /// The indices of a component that list packages for an architecture: path in the suite, and what is there.
    ///
    /// # Errors
    /// [`Error::Failed`] if the suite has none.
    pub fn packages(&self, asked: &str, component: &str, architecture: &str) -> Result<Vec<(String, Index)>> {
        let own = self.index(component, architecture).ok_or_else(|| {
            let why = format!("it has no Packages of component {component} for {architecture}");
            Error::failed("use", format!("suite {asked}"), why)
        })?;
        let of_all = if self.has_index_of_all { self.index(component, "all") } else { None };
        Ok(std::iter::once(own).chain(of_all).collect())
    }

    fn index(&self, component: &str, architecture: &str) -> Option<(String, Index)> {
        ["Packages.gz", "Packages.xz", "Packages"].into_iter().find_map(|name| {
            let path = format!("{component}/binary-{architecture}/{name}");
            self.indices.get(&path).map(|index| (path.clone(), index.clone()))
        })
    }

    /// Where a mirror keeps a file by its digest, if it does: there it is found while the mirror is being updated.
    pub fn by_hash(&self, path: &str, index: &Index) -> Option<String> {
        let (dir, _) = path.rsplit_once('/')?;
        self.by_hash.then(|| format!("{dir}/by-hash/SHA256/{}", index.sha256))
    }
}

/// Lines of digest, size and path.
fn indices(list: &str) -> std::result::Result<HashMap<String, Index>, String> {
    let mut all = HashMap::new();
    for line in list.lines().filter(|line| !line.trim().is_empty()) {
        let wrong = || format!("SHA256 line {line:?} is not digest, size and path");
        let words: Vec<&str> = line.split_whitespace().collect();
        let [sha256, size, path] = words[..] else { return Err(wrong()) };
        let size = size.parse().map_err(|_| wrong())?;
        if !is_sha256(sha256) {
            return Err(wrong());
        }
        all.insert(path.to_string(), Index { size, sha256: sha256.to_string() });
    }
    Ok(all)
}

/// RFC 2822 with a zone in letters, as archives write it.
fn date(text: &str) -> Option<Moment> {
    let text = text.trim();
    let zoned = match text.rsplit_once(' ') {
        Some((rest, "UTC" | "GMT" | "UT" | "Z")) => format!("{rest} +0000"),
        _ => text.to_string(),
    };
    DateTime::parse_from_rfc2822(&zoned).ok().map(|moment| moment.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::clock::parse as at;

    const TEXT: &str = "Origin: Debian\nSuite: stable-security\nCodename: bookworm-security\nAcquire-By-Hash: yes\n\
        Date: Sat, 21 Nov 2026 02:00:07 UTC\nValid-Until: Sat, 28 Nov 2026 02:00:07 UTC\nSHA256:\n \
        0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a  12 main/binary-amd64/Packages.gz\n";

    fn suite() -> Suite {
        Suite::parse(TEXT, "InRelease").unwrap()
    }

    #[test]
    fn a_suite_that_is_current_and_the_one_asked_for_is_taken() {
        let now = at("2026-11-22T00:00:00Z").unwrap();
        suite().judge("bookworm-security", now).unwrap();
        suite().judge("stable-security", now).unwrap();
        let [(path, index)] = &suite().packages("s", "main", "amd64").unwrap()[..] else { panic!() };
        assert_eq!((path.as_str(), index.size), ("main/binary-amd64/Packages.gz", 12));
        let hashed = suite().by_hash(path, index).unwrap();
        assert_eq!(hashed, format!("main/binary-amd64/by-hash/SHA256/{}", "0a".repeat(32)));
    }

    #[test]
    fn a_suite_that_is_stale_from_the_future_or_another_one_is_refused() {
        let words = |asked, now| suite().judge(asked, at(now).unwrap()).unwrap_err().to_string();
        assert!(words("bookworm-security", "2026-11-28T02:00:07Z").contains("valid until"));
        assert!(words("bookworm-security", "2026-11-21T01:00:00Z").contains("set the clock"));
        assert!(words("trixie-security", "2026-11-22T00:00:00Z").contains("in its place"));
    }

    #[test]
    fn a_component_that_is_not_there_is_named() {
        let words = suite().packages("s", "contrib", "amd64").unwrap_err().to_string();
        assert!(words.contains("contrib"), "{words}");
    }

    #[test]
    fn a_damaged_list_is_refused() {
        for (from, to) in [("SHA256:", "MD5Sum:"), ("  12 ", "  12x "), ("0a0a", "0A0A"), ("Date: Sat", "Date: Dat")] {
            assert!(Suite::parse(&TEXT.replace(from, to), "InRelease").is_err(), "{from}");
        }
        assert!(Suite::parse(&format!("{TEXT}\nX: y\n"), "InRelease").is_err());
    }
}
