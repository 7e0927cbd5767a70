//! What apt-get(8) says that it would do, and what a package index says of a file: reading, no running.

use std::collections::HashMap;
use std::path::{Component, Path};

use super::changes::{Change, qualified};

/// What `apt-get --simulate` announced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Simulation {
    /// Packages that would be installed or upgraded.
    pub installs: Vec<Change>,
    /// Packages that would be removed.
    pub removals: Vec<String>,
    /// Packages with a newer version that apt does not install: held, pinned, or for want of a dependency.
    pub kept_back: Vec<String>,
}

/// Reads the `Inst`, `Remv` and `Purg` lines of `apt-get --simulate`.
pub fn simulation(text: &str, native: &str) -> Simulation {
    let mut found = Simulation::default();
    for line in text.lines() {
        match line.split_once(' ') {
            Some(("Inst", rest)) => found.installs.extend(install(rest, native)),
            Some(("Remv" | "Purg", rest)) => found.removals.extend(rest.split(' ').next().map(str::to_string)),
            _ => {}
        }
    }
    found.kept_back = kept_back(text);
    found.installs.sort();
    found.removals.sort();
    found.removals.dedup();
    found
}

/// The indented lines below apt's headline.
fn kept_back(text: &str) -> Vec<String> {
    let below = text.lines().skip_while(|line| *line != "The following packages have been kept back:").skip(1);
    let names = below.take_while(|line| line.starts_with(' ')).flat_map(str::split_whitespace);
    names.map(str::to_string).collect()
}

/// `NAME [OLD] (NEW ORIGIN… [ARCH]) …`, the old version only where there is one.
fn install(rest: &str, native: &str) -> Option<Change> {
    let (name, rest) = rest.split_once(' ')?;
    let (old, rest) = match rest.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        Some((old, rest)) => (Some(old.to_string()), rest),
        None => (None, rest),
    };
    let inner = rest.strip_prefix('(')?.split(')').next()?;
    let new = inner.split(' ').next()?.to_string();
    let arch = inner.rsplit_once('[').map_or(native, |(_, arch)| arch.trim_end_matches(']'));
    let package = if name.contains(':') { name.to_string() } else { qualified(name, arch, native) };
    Some(Change { package, old, new: Some(new) })
}

/// Reads the addresses that `apt-get --print-uris` printed, as paths below the local archive at `base`.
///
/// # Errors
/// Names an address that is not below it.
pub fn wanted(text: &str, base: &Path) -> Result<Vec<String>, String> {
    let mut paths = Vec::new();
    for line in text.lines() {
        let Some(address) = line.strip_prefix('\'').and_then(|rest| rest.split('\'').next()) else { continue };
        paths.push(below(address, base).ok_or_else(|| format!("apt wants {address}, which is not in the cluster"))?);
    }
    paths.sort();
    paths.dedup();
    Ok(paths)
}

fn below(address: &str, base: &Path) -> Option<String> {
    let path = decoded(address.strip_prefix("file:")?)?;
    let mut parts = Vec::new();
    for part in Path::new(&path).strip_prefix(base).ok()?.components() {
        match part {
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::CurDir => {}
            _ => return None,
        }
    }
    Some(parts.join("/"))
}

/// Percent-encoding of RFC 3986.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// Reads a `Packages` index: for each file its package and what that takes on disk, in KiB.
pub fn index(text: &str, native: &str) -> HashMap<String, (String, u64)> {
    let mut files = HashMap::new();
    for stanza in text.split("\n\n") {
        let field =
            |name: &str| stanza.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim));
        let (Some(package), Some(file)) = (field("Package"), field("Filename")) else { continue };
        let name = qualified(package, field("Architecture").unwrap_or(native), native);
        let kib = field("Installed-Size").and_then(|kib| kib.parse().ok()).unwrap_or(0);
        files.insert(file.trim_start_matches("./").to_string(), (name, kib));
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // As apt 2.6 prints them.
    const SAID: &str = "Reading package lists...\nThe following packages have been kept back:\n  bash\n  linux-image-amd64 x\n\
        The following packages will be upgraded:\n  libc6\nRemv old [1.0]\n\
        Inst libc6 [2.36-9] (2.36-9+deb12u1 localhost [amd64]) []\n\
        Inst libc6:i386 [2.36-9] (2.36-9+deb12u1 localhost [i386])\n\
        Inst tzdata [2024a] (2024b Debian:12/stable [all])\nInst fresh (1:1.1 localhost [amd64])\n\
        Conf libc6 (2.36-9+deb12u1 localhost [amd64])\n";

    #[test]
    fn what_apt_would_do_is_read_with_old_and_new_versions() {
        let found = simulation(SAID, "amd64");
        let words: Vec<String> = found.installs.iter().map(Change::to_string).collect();
        assert_eq!(
            words,
            [
                "fresh none -> 1:1.1",
                "libc6 2.36-9 -> 2.36-9+deb12u1",
                "libc6:i386 2.36-9 -> 2.36-9+deb12u1",
                "tzdata 2024a -> 2024b"
            ]
        );
        assert_eq!(found.removals, ["old"]);
        assert_eq!(found.kept_back, ["bash", "linux-image-amd64", "x"]);
    }

    #[test]
    fn the_files_that_apt_wants_are_paths_in_the_cluster() {
        let said = "Need to get 0 B\n'file:/p/ID/packages/a_2.0%2bx%7e1_amd64.deb' a_2.0+x~1_amd64.deb 724 MD5Sum:93\n\
            'file:/p/ID/./packages/b_1%253a1_all.deb' b 7 MD5Sum:0\n";
        assert_eq!(
            wanted(said, Path::new("/p/ID")).unwrap(),
            ["packages/a_2.0+x~1_amd64.deb", "packages/b_1%3a1_all.deb"]
        );
        for bad in
            ["'http://x/a.deb' a 1 x", "'file:/p/a.deb' a 1 x", "'file:/p/ID/../a.deb' a 1 x", "'file:/p/ID/%zz' a"]
        {
            assert!(wanted(bad, Path::new("/p/ID")).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_index_tells_what_a_file_takes_on_disk() {
        let text = "Package: a\nArchitecture: amd64\nInstalled-Size: 10\nFilename: ./packages/a.deb\nDescription: x\n \
            Filename: no\n\nPackage: b\nArchitecture: i386\nFilename: packages/b.deb\n";
        let files = index(text, "amd64");
        assert_eq!(files["packages/a.deb"], ("a".into(), 10));
        assert_eq!(files["packages/b.deb"], ("b:i386".into(), 0));
    }

    proptest! {
        #[test]
        fn no_words_upset_the_reading(text in "(Inst |Remv |'file:|[a-z%\\[\\]() :\n'/.]){0,60}") {
            let _ = simulation(&text, "amd64");
            let _ = wanted(&text, Path::new("/p"));
            let _ = index(&text, "amd64");
        }
    }
}
