//! Which kernel runs, and which one a boot would take.

use std::cmp::Ordering;
use std::fmt;
use std::path::Path;

use crate::error::{Error, Result};
use crate::paths::Paths;

/// The running kernel, and the default one where that can be told. A container has no kernel of its own, and no default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// As `uname -r` says.
    pub running: String,
    /// As `uname -r` would say after a boot that nobody interfered with.
    pub default: Option<String>,
}

impl Kernel {
    /// Looks at this host.
    ///
    /// # Errors
    /// [`Error::Io`] if the kernel does not tell its name.
    pub fn current(paths: &Paths) -> Result<Self> {
        let path = paths.at("/proc/sys/kernel/osrelease");
        let running = std::fs::read_to_string(&path).map_err(Error::io("read", &path))?.trim().to_string();
        Ok(Self { running, default: default(paths) })
    }

    /// Reads what `Display` wrote.
    pub fn parse(text: &str) -> Self {
        let mut words = text.split_whitespace().map(str::to_string);
        Self { running: words.next().unwrap_or_default(), default: words.next() }
    }

    /// Whether the default kernel runs, or there is nothing to compare.
    pub fn is_default(&self) -> bool {
        self.default.as_ref().is_none_or(|default| *default == self.running)
    }
}

/// One line for the journal: the running kernel, then the default one if there is one.
impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.default {
            Some(default) => write!(f, "{} {default}", self.running),
            None => f.write_str(&self.running),
        }
    }
}

/// Debian keeps a link to the kernel that is booted by default; elsewhere it is the newest one that has its modules.
fn default(paths: &Paths) -> Option<String> {
    let linked = ["/vmlinuz", "/boot/vmlinuz"].iter().find_map(|link| {
        let target = std::fs::read_link(paths.at(link)).ok()?;
        version(target.file_name()?.to_str()?).map(str::to_string)
    });
    linked.or_else(|| newest(&installed(paths)))
}

fn installed(paths: &Paths) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(paths.at("/boot")) else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.filter_map(|name| version(&name).map(str::to_string)).filter(|v| has_modules(paths, v)).collect()
}

fn has_modules(paths: &Paths, version: &str) -> bool {
    ["/lib/modules", "/usr/lib/modules"].iter().any(|folder| paths.at(Path::new(folder).join(version)).is_dir())
}

/// The version in the name of a kernel's file. A rescue image is no kernel to run on.
fn version(file: &str) -> Option<&str> {
    file.strip_prefix("vmlinuz-").filter(|version| !version.is_empty() && !version.contains("rescue"))
}

fn newest(versions: &[String]) -> Option<String> {
    versions.iter().max_by(|a, b| compare(a, b)).cloned()
}

/// Numbers by their value, what is between them by its letters.
fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (parts(a).into_iter(), parts(b).into_iter());
    loop {
        match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (x, y) if x == y => {}
            (x, y) => return x.cmp(&y),
        }
    }
}

/// Text comes before numbers, and a version that has ended before one that goes on.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part<'a> {
    Text(&'a str),
    Number(usize, &'a str),
}

fn parts(version: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = version;
    while let Some(first) = rest.chars().next() {
        let digits = first.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        let number = part.trim_start_matches('0');
        // By length, then by digits: numbers of any size.
        parts.push(if digits { Part::Number(number.len(), number) } else { Part::Text(part) });
        rest = after;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn root(kernels: &[&str]) -> (tempfile::TempDir, Paths) {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::below_root(dir.path()).unwrap();
        std::fs::create_dir_all(paths.at("/boot")).unwrap();
        std::fs::create_dir_all(paths.at("/proc/sys/kernel")).unwrap();
        std::fs::write(paths.at("/proc/sys/kernel/osrelease"), "6.1.0-9-amd64\n").unwrap();
        for version in kernels {
            std::fs::create_dir_all(paths.at(format!("/lib/modules/{version}"))).unwrap();
            std::fs::write(paths.at(format!("/boot/vmlinuz-{version}")), "").unwrap();
        }
        (dir, paths)
    }

    #[test]
    fn numbers_count_by_their_value() {
        let order = ["5.10.0-28-amd64", "6.1.0-9-amd64", "6.1.0-18-amd64", "6.10.0-1-amd64"];
        for pair in order.windows(2) {
            assert_eq!(compare(pair[0], pair[1]), Ordering::Less, "{pair:?}");
        }
        assert_eq!(compare("5.14.0-362.8.1.el9_3.x86_64", "5.14.0-362.13.1.el9_3.x86_64"), Ordering::Less);
        assert_eq!(compare("6.1", "6.1"), Ordering::Equal);
    }

    #[test]
    fn without_a_link_the_newest_kernel_with_modules_is_the_default() {
        let (_keep, paths) = root(&["6.1.0-9-amd64", "6.1.0-18-amd64", "0-rescue-4711"]);
        std::fs::write(paths.at("/boot/vmlinuz-9.9.9"), "").unwrap();
        let kernel = Kernel::current(&paths).unwrap();
        assert_eq!(kernel.default.as_deref(), Some("6.1.0-18-amd64"));
        assert!(!kernel.is_default());
    }

    #[test]
    fn the_distributions_link_decides() {
        let (_keep, paths) = root(&["6.1.0-9-amd64", "6.1.0-18-amd64"]);
        symlink("boot/vmlinuz-6.1.0-9-amd64", paths.at("/vmlinuz")).unwrap();
        assert!(Kernel::current(&paths).unwrap().is_default());
    }

    #[test]
    fn a_container_has_nothing_to_compare() {
        let (_keep, paths) = root(&[]);
        assert!(Kernel::current(&paths).unwrap().is_default());
    }

    #[test]
    fn what_is_written_can_be_read() {
        for text in ["6.1.0-9-amd64", "6.1.0-9-amd64 6.1.0-18-amd64"] {
            assert_eq!(Kernel::parse(text).to_string(), text);
        }
    }
}
