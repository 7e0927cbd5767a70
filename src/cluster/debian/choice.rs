//! Which packages of an archive become part of a cluster, and the index that lists them there.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::control::Stanza;
use super::version;
use crate::cluster::manifest::is_sha256;
use crate::cluster::tree::is_plain_path;
use crate::error::{Error, Result};
use crate::sys::glob;

/// Where packages lie in an unpacked cluster.
const FOLDER: &str = "packages";
/// The index of an unpacked cluster.
pub const INDEX: &str = "Packages";
/// What apt needs of a package. The rest (tags, sections, digests of translations) changes in an archive without any package
/// changing, and would make every pull a new cluster.
const KEPT: [&str; 22] = [
    "Package",
    "Source",
    "Version",
    "Architecture",
    "Multi-Arch",
    "Essential",
    "Protected",
    "Important",
    "Pre-Depends",
    "Depends",
    "Recommends",
    "Suggests",
    "Enhances",
    "Breaks",
    "Conflicts",
    "Replaces",
    "Provides",
    "Installed-Size",
    "Maintainer",
    "Size",
    "SHA256",
    "Description",
];

/// A package that competes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its path in the archive.
    pub filename: String,
    /// Bytes.
    pub size: u64,
    /// Lower-case hexadecimal.
    pub sha256: String,
    /// Its path in the cluster.
    pub path: String,
    /// Its stanza in the cluster's index.
    entry: String,
    /// Which archive it comes from; the caller's number.
    pub archive: usize,
}

/// The newest version of every package.
#[derive(Debug, Default)]
pub struct Choice {
    chosen: BTreeMap<String, Package>,
}

impl Choice {
    /// Lets the packages of one index compete. `globs` are names or patterns, none of them means all; `architecture` is the
    /// release's. Of two that are equally new the first counts. What the archive gives only to a part of its users so far
    /// (`Phased-Update-Percentage`) does not compete.
    ///
    /// # Errors
    /// [`Error::Refused`] for a package that lacks what is needed or leads elsewhere.
    pub fn add(&mut self, stanzas: &[Stanza], globs: &[String], architecture: &str, archive: usize) -> Result<()> {
        for stanza in stanzas {
            let name = stanza.get("Package").unwrap_or_default();
            let is_wanted = globs.is_empty() || globs.iter().any(|glob| glob::fits(glob, name));
            let fits_here = matches!(stanza.get("Architecture"), Some(arch) if arch == architecture || arch == "all");
            let is_for_all = stanza.get("Phased-Update-Percentage").is_none_or(|share| share == "100");
            if !is_wanted || !fits_here || !is_for_all {
                continue;
            }
            let package = package(stanza, archive)
                .map_err(|why| Error::refused(format!("package {name:?} of the archive"), why))?;
            match self.chosen.get(name) {
                Some(other) if version::compare(&package.version, &other.version) != Ordering::Greater => {}
                _ => {
                    self.chosen.insert(name.to_string(), package);
                }
            }
        }
        Ok(())
    }

    /// The names and patterns that no package fits: a slip of the pen in the configuration.
    pub fn unmatched<'a>(&self, globs: &'a [String]) -> Vec<&'a str> {
        let nobody = |glob: &&String| !self.chosen.keys().any(|name| glob::fits(glob, name));
        globs.iter().filter(nobody).map(String::as_str).collect()
    }

    /// Who won, by name.
    pub fn packages(&self) -> impl Iterator<Item = &Package> {
        self.chosen.values()
    }

    /// The `Packages` file of the cluster; the same packages give the same bytes.
    pub fn index(&self) -> String {
        self.chosen.values().flat_map(|package| [package.entry.as_str(), "\n"]).collect()
    }
}

fn package(stanza: &Stanza, archive: usize) -> std::result::Result<Package, String> {
    let need = |field: &str| stanza.get(field).ok_or_else(|| format!("it has no {field}"));
    let (name, version, architecture) = (need("Package")?, need("Version")?, need("Architecture")?);
    let is_name = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    if !is_name(name) || !version::is_valid(version) || !is_name(architecture) {
        return Err(format!("version {version:?} or architecture {architecture:?} or its name is odd"));
    }
    let filename = need("Filename")?.trim_start_matches("./").to_string();
    let sha256 = need("SHA256")?.to_string();
    let size = need("Size")?.parse().map_err(|_| "its Size is no number".to_string())?;
    let path = format!("{FOLDER}/{name}_{}_{architecture}.deb", version::without_epoch(version)).replace(':', "%3a");
    if !is_plain_path(&filename) || !is_plain_path(&path) || !is_sha256(&sha256) {
        return Err(format!("its Filename {filename:?} or its SHA256 is odd"));
    }
    Ok(Package {
        entry: entry(stanza, &path),
        name: name.to_string(),
        version: version.to_string(),
        filename,
        size,
        sha256,
        path,
        archive,
    })
}

fn entry(stanza: &Stanza, path: &str) -> String {
    let mut text = String::new();
    for field in KEPT {
        if let Some(value) = stanza.get(field) {
            let _ = writeln!(text, "{field}: {value}"); // into memory: cannot fail
        }
    }
    let _ = writeln!(text, "Filename: {path}");
    text
}

#[cfg(test)]
mod tests {
    use super::super::control::stanzas;
    use super::*;

    fn stanza(name: &str, version: &str, arch: &str) -> String {
        let sha256 = "0a".repeat(32);
        format!(
            "Package: {name}\nVersion: {version}\nArchitecture: {arch}\nFilename: pool/{name}.deb\nSize: 7\n\
             SHA256: {sha256}\nTag: role::program\n\n"
        )
    }

    fn choose(text: &str, globs: &[&str]) -> Result<Choice> {
        let globs: Vec<String> = globs.iter().map(|glob| (*glob).to_string()).collect();
        let mut choice = Choice::default();
        choice.add(&stanzas(text, "f").unwrap(), &globs, "amd64", 0)?;
        Ok(choice)
    }

    fn names(choice: &Choice) -> Vec<String> {
        choice.packages().map(|p| format!("{} {}", p.name, p.version)).collect()
    }

    #[test]
    fn the_newest_version_of_each_package_wins() {
        let text = stanza("a", "1.0~rc1", "amd64") + &stanza("a", "1.0", "amd64") + &stanza("a", "0.9", "all");
        assert_eq!(names(&choose(&text, &[]).unwrap()), ["a 1.0"]);
    }

    #[test]
    fn other_architectures_and_other_names_do_not_compete() {
        let text = stanza("a", "1", "i386") + &stanza("libb", "1", "all") + &stanza("c", "1", "amd64");
        let choice = choose(&text, &["lib*", "nothing"]).unwrap();
        assert_eq!(names(&choice), ["libb 1"]);
        assert_eq!(choice.unmatched(&["lib*".into(), "nothing".into()]), ["nothing"]);
    }

    #[test]
    fn what_is_still_being_tried_out_on_some_does_not_compete() {
        let text = stanza("a", "1", "amd64")
            + &stanza("a", "2", "amd64").replace("Tag: ", "Phased-Update-Percentage: 10\nTag: ");
        assert_eq!(names(&choose(&text, &[]).unwrap()), ["a 1"]);
    }

    #[test]
    fn the_index_says_where_the_package_lies_in_the_cluster_and_leaves_out_what_changes_by_itself() {
        let index = choose(&stanza("a", "1:2~x-1", "amd64"), &[]).unwrap().index();
        assert!(index.contains("\nFilename: packages/a_2~x-1_amd64.deb\n") && !index.contains("Tag"), "{index}");
        assert_eq!(stanzas(&index, "f").unwrap().len(), 1);
    }

    #[test]
    fn a_package_that_leads_elsewhere_or_lacks_its_digest_is_refused() {
        for (from, to) in [
            ("pool/a.deb", "../../etc/passwd"),
            ("pool/a.deb", "/etc/passwd"),
            ("SHA256: 0a", "SHA256: 0A"),
            ("SHA256", "SHA1"),
            ("Size: 7", "Size: -7"),
            ("Version: 1", "Version: ../1"),
        ] {
            assert!(choose(&stanza("a", "1", "amd64").replace(from, to), &[]).is_err(), "{to}");
        }
    }
}
