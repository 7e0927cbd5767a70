//! The names in the static tree of a patch server, relative to its top.

use std::fmt;
use std::str::FromStr;

use crate::sys::trusted::is_plain_name;

/// Who is what: one line a host.
pub const HOST_TYPE: &str = "host_type";
/// Every file of every cluster, once, by content.
pub const POOL: &str = "pool/sha256";
/// Which host has confirmed which cluster.
pub const CONFIRMED: &str = "confirmed";
/// The directory of a release's clusters, below the release.
pub const CLUSTERS: &str = "clusters";
/// What a cluster is, in its directory.
pub const MANIFEST: &str = "cluster.json";
/// Where every promotion is written down.
pub const HISTORY: &str = "history";

/// The two levels of hosts. Production gets what development was given before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Gets each cluster first.
    Development,
    /// Gets a cluster when it was promoted.
    Production,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Development => "development",
            Self::Production => "production",
        })
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "development" => Ok(Self::Development),
            "production" => Ok(Self::Production),
            other => Err(format!("{other:?} is neither development nor production")),
        }
    }
}

/// Whether this names a release and an architecture, like `debian-12/amd64`. What the tree has for itself is none.
pub fn is_release(release: &str) -> bool {
    let is_taken = release.starts_with("pool/") || release.starts_with("confirmed/");
    !is_taken && release.split('/').count() == 2 && release.split('/').all(is_plain_name)
}

/// Whether this can be a file of a cluster or a tree: relative, made of plain components, none of them hidden.
pub fn is_plain_path(path: &str) -> bool {
    path.len() <= 1024 && path.split('/').all(is_plain_component)
}

/// A component of a path. Longer than a plain name may be, for names of packages are long.
fn is_plain_component(part: &str) -> bool {
    let may = |b: u8| b.is_ascii_alphanumeric() || b"._+:~%@=,-".contains(&b);
    part.len() <= 255 && part.bytes().all(may) && part.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
}

/// `debian-12/amd64/development`
pub fn pointer(release: &str, level: Level) -> String {
    format!("{release}/{level}")
}

/// `debian-12/amd64/clusters/ID/cluster.json`
pub fn manifest(release: &str, id: &str) -> String {
    format!("{release}/{CLUSTERS}/{id}/{MANIFEST}")
}

/// `pool/sha256/ab/abcdef…`: the file with this content.
pub fn pool(sha256: &str) -> String {
    format!("{POOL}/{}/{sha256}", sha256.get(..2).unwrap_or_default())
}

/// `confirmed/ID/HOST`
pub fn confirmed(id: &str, host: &str) -> String {
    format!("{CONFIRMED}/{id}/{host}")
}

/// The signature that stands beside a file.
pub fn signature(path: &str) -> String {
    format!("{path}.minisig")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_file_lies_under_the_first_two_digits_of_its_digest() {
        assert_eq!(pool("abcdef"), "pool/sha256/ab/abcdef");
    }

    #[test]
    fn a_path_that_leads_elsewhere_is_not_plain() {
        for good in ["a", "packages/base-files_12.4+deb12u1_amd64.deb", "a/b/c", "x%3ay.deb", "_a"] {
            assert!(is_plain_path(good), "{good}");
        }
        for bad in ["", "/a", "a/", "a//b", "..", "a/../b", ".a", "a/.b", "-rf", "a b", "a\nb", "a\\b", "ä", "a\0"] {
            assert!(!is_plain_path(bad), "{bad}");
        }
    }

    #[test]
    fn a_release_has_two_parts() {
        assert!(is_release("debian-12/amd64"));
        assert!(!is_release("pool/sha256") && !is_release("confirmed/x"));
        assert!(!is_release("debian-12") && !is_release("debian-12/../x") && !is_release("../amd64"));
    }
}
