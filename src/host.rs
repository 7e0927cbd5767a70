//! Who this host is: its name, its operating system, its architecture.

pub mod full_name;
pub mod id;

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::paths::Paths;
use crate::sys::trusted::is_plain_name;

/// The identity under which a host finds its cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The configured name, else the system's.
    pub name: String,
    /// `ID-VERSION` of os-release(5): `debian-12`, `rocky-9`. Only the major version counts.
    pub os: String,
    /// As Debian calls it: `amd64`, `arm64`.
    pub arch: String,
}

impl Host {
    /// Finds out. A configured name wins over the system's.
    ///
    /// # Errors
    /// [`Error::Failed`] if the name or the system cannot be told, or the name is `localhost`: every host has that one.
    pub fn identify(paths: &Paths, configured: Option<&str>) -> Result<Self> {
        let name = name(paths, configured)?;
        let path = paths.at("/etc/os-release");
        let release = fs_err::read_to_string(&path).map_err(Error::io("read", &path))?;
        let os = operating_system(&release).ok_or_else(|| Error::failed("read", path.display(), "it has no ID"))?;
        Ok(Self { name, os, arch: architecture() })
    }
}

/// The configured name of this host, else the system's.
///
/// # Errors
/// [`Error::Failed`] if it cannot be told or is `localhost`: every host has that one.
pub fn name(paths: &Paths, configured: Option<&str>) -> Result<String> {
    let name = match configured {
        Some(name) => name.to_string(),
        None => system_name(paths)?,
    };
    if name.split('.').next() == Some("localhost") || !is_plain_name(&name) {
        return Err(Error::failed("use the host name", &name, "set name= in section [host] of the configuration"));
    }
    Ok(name)
}

fn system_name(paths: &Paths) -> Result<String> {
    if paths.is_system() {
        let name = nix::unistd::gethostname().map_err(Error::io("read", "the host name"))?;
        return Ok(name.to_string_lossy().into_owned());
    }
    let path = paths.at("/etc/hostname");
    let text = fs_err::read_to_string(&path).map_err(Error::io("read", &path))?;
    Ok(text.trim().to_string())
}

/// `ID` and the major part of `VERSION_ID`, joined by a hyphen; a rolling release has an `ID` alone.
fn operating_system(release: &str) -> Option<String> {
    let values: HashMap<&str, &str> = release
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim(), value.trim().trim_matches(['"', '\''])))
        .collect();
    let id = *values.get("ID")?;
    match values.get("VERSION_ID").and_then(|version| version.split('.').next()) {
        Some(major) if !major.is_empty() => Some(format!("{id}-{major}")),
        _ => Some(id.to_string()),
    }
}

fn architecture() -> String {
    let name = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "i386",
        "powerpc64" => "ppc64el",
        other => other,
    };
    name.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operating_system_is_its_id_and_major_version() {
        assert_eq!(operating_system("NAME=\"Debian\"\nVERSION_ID=\"12\"\nID=debian\n").unwrap(), "debian-12");
        assert_eq!(operating_system("ID=\"rocky\"\nVERSION_ID=\"9.4\"\n").unwrap(), "rocky-9");
        assert_eq!(operating_system("ID=arch\n").unwrap(), "arch");
        assert_eq!(operating_system("NAME=x\n"), None);
    }

    #[test]
    fn localhost_is_nobodys_name() {
        let paths = Paths::system();
        assert!(Host::identify(&paths, Some("localhost.localdomain")).is_err());
        assert!(Host::identify(&paths, Some("../web")).is_err());
    }
}
