//! The dated name of a journal: `patchlog.YYMMDD`, by the UTC date of its first record, then `.1`, `.2` …; nothing is overwritten.

use crate::error::{Error, Result};
use crate::paths;
use crate::sys::clock::Moment;
use crate::sys::dir::Dir;
use crate::sys::replace;

/// How many runs of one day can be told apart.
const MOST: u32 = 10_000;

/// The `n`th name for a run that began at a moment.
pub fn name(started: Moment, n: u32) -> String {
    let date = started.format("%y%m%d");
    match n {
        0 => format!("{}.{date}", paths::LOG),
        n => format!("{}.{date}.{n}", paths::LOG),
    }
}

/// The first name that is free.
///
/// # Errors
/// [`Error::Failed`] if none is.
pub fn free(etc: &Dir, started: Moment) -> Result<String> {
    for n in 0..MOST {
        let name = name(started, n);
        if !etc.has(&name)? {
            return Ok(name);
        }
    }
    Err(Error::failed("date", etc.join(paths::LOG).display(), "every name of that day is taken; move old ones away"))
}

/// Whether a name is a dated name: the only kind of file that later records of a run may go to.
pub fn is_dated(text: &str) -> bool {
    let Some(rest) = text.strip_prefix(paths::LOG).and_then(|rest| rest.strip_prefix('.')) else { return false };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    match rest.split_once('.') {
        Some((date, n)) => date.len() == 6 && digits(date) && digits(n),
        None => rest.len() == 6 && digits(rest),
    }
}

/// Gives the journal its dated name, `wanted` if it is still free, and returns the name.
///
/// # Errors
/// [`Error::Io`].
pub fn date(etc: &Dir, started: Moment, wanted: Option<&str>) -> Result<String> {
    let mut candidate = match wanted {
        Some(name) => name.to_string(),
        None => free(etc, started)?,
    };
    while !replace::rename_new(etc, paths::LOG, etc, &candidate)? {
        candidate = free(etc, started)?;
    }
    Ok(candidate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::clock;

    #[test]
    fn a_second_run_of_a_day_does_not_overwrite_the_first() {
        let scratch = tempfile::tempdir().unwrap();
        let etc = Dir::open(scratch.path()).unwrap();
        let started = clock::parse("2026-11-21T23:59:59Z").unwrap();
        for (text, dated) in [("one", "patchlog.261121"), ("two", "patchlog.261121.1"), ("three", "patchlog.261121.2")]
        {
            std::fs::write(etc.join("patchlog"), text).unwrap();
            assert_eq!(date(&etc, started, None).unwrap(), dated);
            assert_eq!(std::fs::read_to_string(etc.join(dated)).unwrap(), text);
        }
    }

    #[test]
    fn a_wanted_name_that_was_taken_meanwhile_is_left_alone() {
        let scratch = tempfile::tempdir().unwrap();
        let etc = Dir::open(scratch.path()).unwrap();
        let started = clock::parse("2026-11-21T12:00:00Z").unwrap();
        std::fs::write(etc.join("patchlog.261121"), "older").unwrap();
        std::fs::write(etc.join("patchlog"), "new").unwrap();
        assert_eq!(date(&etc, started, Some("patchlog.261121")).unwrap(), "patchlog.261121.1");
        assert_eq!(std::fs::read_to_string(etc.join("patchlog.261121")).unwrap(), "older");
    }

    #[test]
    fn only_dated_names_are_dated() {
        for good in ["patchlog.261121", "patchlog.261121.12"] {
            assert!(is_dated(good), "{good}");
        }
        for bad in
            ["patchlog", "patchlog.", "patchlog.26112", "passwd", "patchlog.261121.", "patchlog.261121/..", "../x"]
        {
            assert!(!is_dated(bad), "{bad}");
        }
    }
}
