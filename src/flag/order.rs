//! `/etc/patchflag`: the order, as the administrator wrote it. Tools only read it and lower it.

use crate::error::{Error, Result};
use crate::paths;
use crate::sys::clock::{self, Moment};
use crate::sys::dir::Dir;
use crate::sys::trusted::is_plain_name;

const LIMIT: u64 = 64 << 10;

/// What the flag says. A plain `touch` says nothing more than: patch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    /// Who ordered.
    pub by: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// This cluster and no other.
    pub cluster: Option<String>,
    /// Nothing is installed before.
    pub not_before: Option<Moment>,
    /// Nothing is begun after; the run ends then.
    pub not_after: Option<Moment>,
}

impl Order {
    /// Reads the flag; `None` if it is not up.
    ///
    /// # Errors
    /// [`Error::Usage`] if it is unfit: not a regular file of root's that others cannot write, too large, or with a line that is
    /// not understood. Nothing may be changed then.
    pub fn read(etc: &Dir) -> Result<Option<Self>> {
        let path = etc.join(paths::FLAG);
        let bytes = match etc.read(paths::FLAG, LIMIT) {
            Ok(None) => return Ok(None),
            Ok(Some(bytes)) => bytes,
            Err(error) => return Err(Error::Usage(error.to_string())),
        };
        let text = String::from_utf8(bytes)
            .map_err(|_| Error::Usage(format!("refusing {}: it is not UTF-8 text", path.display())))?;
        Self::parse(&text, &path.display().to_string()).map(Some)
    }

    /// Understands the text of a flag; `file` is for the messages.
    ///
    /// # Errors
    /// [`Error::Usage`] with file and line.
    pub fn parse(text: &str, file: &str) -> Result<Self> {
        let mut order = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |words: &str| Error::Usage(format!("{file}:{}: {words}", index + 1));
            let (key, value) = line.split_once('=').ok_or_else(|| wrong("not key=value"))?;
            let (key, value) = (key.trim(), value.trim());
            if seen.contains(&key) {
                return Err(wrong(&format!("{key} is there twice")));
            }
            seen.push(key);
            let moment = || clock::parse(value).map(Some).map_err(|why| wrong(&why.to_string()));
            match key {
                "by" => order.by = Some(value.to_string()),
                "reason" => order.reason = Some(value.to_string()),
                "cluster" if is_plain_name(value) => order.cluster = Some(value.to_string()),
                "cluster" => return Err(wrong("cluster= must be the id of a cluster")),
                "not_before" => order.not_before = moment()?,
                "not_after" => order.not_after = moment()?,
                _ => return Err(wrong(&unknown(key))),
            }
        }
        match (order.not_before, order.not_after) {
            (Some(from), Some(to)) if from >= to => {
                Err(Error::Usage(format!("{file}: not_before is not before not_after, so it can never be followed")))
            }
            _ => Ok(order),
        }
    }

    /// Whether its time has passed.
    pub fn is_over(&self, now: Moment) -> bool {
        self.not_after.is_some_and(|end| now >= end)
    }
}

fn unknown(key: &str) -> String {
    let known = ["by", "reason", "cluster", "not_before", "not_after"];
    let hint = crate::config::values::nearest(key, &known).map(|near| format!("; did you mean {near}?"));
    format!("unknown key {key}{}", hint.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_plain_touch_is_a_complete_order() {
        assert_eq!(Order::parse("", "f").unwrap(), Order::default());
    }

    #[test]
    fn an_order_may_say_who_why_what_and_when() {
        let text = "by=anna\nreason=monthly round = usual\n\n# a comment\ncluster=20261121T020007Z\nnot_after=2026-11-22T06:00:00+01:00\n";
        let order = Order::parse(text, "f").unwrap();
        assert_eq!(order.by.as_deref(), Some("anna"));
        assert_eq!(order.reason.as_deref(), Some("monthly round = usual"));
        assert!(order.is_over(clock::parse("2026-11-22T05:00:00Z").unwrap()));
        assert!(!order.is_over(clock::parse("2026-11-22T04:59:59Z").unwrap()));
    }

    #[test]
    fn a_line_that_is_not_understood_is_an_error_and_not_a_guess() {
        for (text, words) in [
            ("by=a\nnot_afer=2026-11-22T06:00:00Z\n", "f:2: unknown key not_afer; did you mean not_after?"),
            ("hello\n", "f:1: not key=value"),
            ("by=a\nby=b\n", "f:2: by is there twice"),
            ("cluster=../../etc\n", "f:1: cluster= must be the id of a cluster"),
        ] {
            assert_eq!(Order::parse(text, "f").unwrap_err().to_string(), words);
        }
        assert!(Order::parse("not_after=tomorrow\n", "f").is_err());
        assert!(Order::parse("not_before=2026-11-22T06:00:00Z\nnot_after=2026-11-22T06:00:00Z\n", "f").is_err());
    }

    #[test]
    fn an_unfit_flag_is_wrong_usage_whatever_it_is() {
        let scratch = tempfile::tempdir().unwrap();
        let etc = Dir::open(scratch.path()).unwrap();
        let flag = etc.join("patchflag");
        assert_eq!(Order::read(&etc).unwrap(), None);
        let check = |what: &str| assert!(matches!(Order::read(&etc), Err(Error::Usage(_))), "{what}");
        std::fs::create_dir(&flag).unwrap();
        check("a directory");
        std::fs::remove_dir(&flag).unwrap();
        symlink("/nonexistent", &flag).unwrap();
        check("a dangling link");
        std::fs::remove_file(&flag).unwrap();
        symlink("/etc/passwd", &flag).unwrap();
        check("a link to a file");
        std::fs::remove_file(&flag).unwrap();
        std::fs::File::create(&flag).unwrap().set_len(1 << 30).unwrap();
        check("one GiB");
        std::fs::remove_file(&flag).unwrap();
        std::fs::write(&flag, "").unwrap();
        std::fs::set_permissions(&flag, std::fs::Permissions::from_mode(0o666)).unwrap();
        check("writable by others");
    }
}
