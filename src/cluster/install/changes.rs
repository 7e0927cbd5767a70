//! What an installation changes: packages and their versions, before and after.

use std::collections::{BTreeMap, BTreeSet};

/// A package that gets, or got, another version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Its name, with the architecture where that is not the host's own.
    pub package: String,
    /// The version before; `None` if it was not installed.
    pub old: Option<String>,
    /// The version after; `None` if it was removed.
    pub new: Option<String>,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let none = "none";
        let (old, new) = (self.old.as_deref().unwrap_or(none), self.new.as_deref().unwrap_or(none));
        write!(f, "{} {old} -> {new}", self.package)
    }
}

/// An installed package.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Installed {
    /// Its version.
    pub version: String,
    /// What it takes on disk, in KiB, by its own account.
    pub kib: u64,
}

/// All installed packages by name.
pub type Packages = BTreeMap<String, Installed>;

/// The format that dpkg-query(1) is asked for, read by [`dpkg_packages`].
pub const DPKG_FORMAT: &str = "${Package}\t${Architecture}\t${Version}\t${Installed-Size}\t${db:Status-Status}\n";
/// The format that rpm(8) is asked for, read by [`rpm_packages`].
pub const RPM_FORMAT: &str = "%{NAME}\t%{EVR}\t%{ARCH}\t%{SIZE}\n";

/// Reads what dpkg-query said in [`DPKG_FORMAT`]. A package of which only configuration is left does not count.
pub fn dpkg_packages(text: &str, native: &str) -> Packages {
    let mut packages = Packages::new();
    for line in text.lines() {
        let [name, arch, version, kib, status] = line.split('\t').collect::<Vec<_>>()[..] else { continue };
        if version.is_empty() || status == "config-files" || status == "not-installed" {
            continue;
        }
        let installed = Installed { version: version.into(), kib: kib.parse().unwrap_or(0) };
        packages.insert(qualified(name, arch, native), installed);
    }
    packages
}

/// Reads what rpm said in [`RPM_FORMAT`]. Of a package that may be there several times (a kernel) each version has a name of its own.
pub fn rpm_packages(text: &str) -> Packages {
    let mut packages = Packages::new();
    for line in text.lines() {
        let [name, version, arch, bytes] = line.split('\t').collect::<Vec<_>>()[..] else { continue };
        let installed = Installed { version: version.into(), kib: bytes.parse::<u64>().unwrap_or(0) / 1024 };
        let plain = format!("{name}.{arch}");
        let key = if packages.contains_key(&plain) { format!("{plain} ({version})") } else { plain };
        packages.insert(key, installed);
    }
    packages
}

/// A name as apt shows it: with the architecture only if that says something.
pub fn qualified(name: &str, arch: &str, native: &str) -> String {
    if arch == native || arch == "all" { name.to_string() } else { format!("{name}:{arch}") }
}

/// What is different, sorted by name.
pub fn compare(before: &Packages, after: &Packages) -> Vec<Change> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let version = |packages: &Packages, name: &String| packages.get(name).map(|found| found.version.clone());
    names
        .into_iter()
        .map(|name| Change { package: name.clone(), old: version(before, name), new: version(after, name) })
        .filter(|change| change.old != change.new)
        .collect()
}

/// Room for a set of new packages: what they grow by, and the largest of them once more, for dpkg unpacks a package beside the old
/// one before it takes its place. In bytes.
pub fn room(before: &Packages, new: &[(String, u64)]) -> u64 {
    let old = |name: &String| before.get(name).map_or(0, |found| found.kib);
    let growth: u64 = new.iter().map(|(name, kib)| kib.saturating_sub(old(name))).sum();
    let largest = new.iter().map(|(_, kib)| *kib).max().unwrap_or(0);
    growth.saturating_add(largest).saturating_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "libc6\tamd64\t2.36-9\t12000\tinstalled\nlibc6\ti386\t2.36-9\t\tinstalled\n\
        gone\tall\t1\t5\tinstalled\nrest\tall\t1\t5\tconfig-files\n";
    const AFTER: &str = "libc6\tamd64\t2.36-9+deb12u1\t12000\tinstalled\nlibc6\ti386\t2.36-9\t\thalf-configured\n\
        new\tall\t3\t5\tinstalled\n";

    #[test]
    fn what_is_different_is_listed_by_name() {
        let (before, after) = (dpkg_packages(BEFORE, "amd64"), dpkg_packages(AFTER, "amd64"));
        let words: Vec<String> = compare(&before, &after).iter().map(Change::to_string).collect();
        assert_eq!(words, ["gone 1 -> none", "libc6 2.36-9 -> 2.36-9+deb12u1", "new none -> 3"]);
        assert!(before.contains_key("libc6:i386") && !before.contains_key("rest"));
    }

    #[test]
    fn room_is_growth_and_the_largest_package_once_more() {
        let before = dpkg_packages(BEFORE, "amd64");
        let new = [("libc6".to_string(), 12_100), ("new".to_string(), 50)];
        assert_eq!(room(&before, &new), (100 + 50 + 12_100) * 1024);
        assert_eq!(room(&before, &[]), 0);
    }

    #[test]
    fn two_kernels_of_an_rpm_host_are_two_packages() {
        let packages =
            rpm_packages("kernel\t5.14-1\tx86_64\t2048\nkernel\t5.14-2\tx86_64\t2048\nbash\t5.1\tx86_64\t1\n");
        assert_eq!(packages.len(), 3);
        assert_eq!(packages["kernel.x86_64"].kib, 2);
    }
}
