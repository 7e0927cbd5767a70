//! Script clusters: one archive, by URL or path, that holds a program which installs the rest. It is read to its end by the
//! rules by which hosts will unpack it, and published as it is.

use super::{Gathered, Item, Origin};
use crate::cluster::manifest::Kind;
use crate::cluster::transport::Transport;
use crate::cluster::tree::is_plain_path;
use crate::cluster::unpack::{self, Limits, Packing};
use crate::config::ClusterSource;
use crate::error::{Error, Result};
use crate::paths::Paths;
use crate::sys::dir::Dir;

/// An archive is not larger.
const LIMIT: u64 = 16 << 30;

/// Fetches and judges the archive.
pub fn gather(source: &ClusterSource, incoming: &Dir, paths: &Paths) -> Result<Gathered> {
    let (name, packing) = name(&source.source)?;
    let transport = Transport::new(&source.source, source.ca_file.as_deref(), paths)?;
    let digests = transport.fetch_to("", incoming, name, None, LIMIT)?;
    let archive = incoming.join(name);
    let files =
        unpack::list(&archive, packing, Limits::default()).map_err(|error| named(error, shown(&source.source)))?;
    let files: Vec<String> = files.iter().filter_map(|path| path.to_str()).map(str::to_string).collect();
    let program = program(&files, &source.program).map_err(|why| Error::refused(shown(&source.source), why))?;
    let origin = Origin::Incoming { name: name.to_string(), md5: digests.md5 };
    let item = Item { path: name.to_string(), size: digests.size, sha256: digests.sha256, origin };
    Ok(Gathered { kind: Kind::Script, program: Some(program), items: vec![item], transports: Vec::new() })
}

/// The archive's name, which tells its format.
fn name(source: &str) -> Result<(&str, Packing)> {
    let path = shown(source);
    let name = path.rsplit('/').next().unwrap_or_default();
    match Packing::of(name) {
        Some((packing, _)) if is_plain_path(name) => Ok((name, packing)),
        _ => Err(Error::Usage(format!(
            "cannot use source {path}: its name must end in .zip, .tar.gz, .tgz or .tar.zst and be plain"
        ))),
    }
}

/// A source as messages name it: what is behind a question mark may be a secret.
fn shown(source: &str) -> &str {
    source.split(['?', '#']).next().unwrap_or_default()
}

/// The program's path in the archive: as it was named, or below the one folder that such archives often have at the top.
fn program(files: &[String], wanted: &str) -> std::result::Result<String, String> {
    if files.iter().any(|file| file == wanted) {
        return found(wanted);
    }
    let below: Vec<&String> =
        files.iter().filter(|file| file.split_once('/').is_some_and(|(_, rest)| rest == wanted)).collect();
    match below[..] {
        [one] => found(one),
        [] => Err(format!("there is no {wanted} in it; name the program with program =")),
        _ => Err(format!("there are {} of {wanted} in it; name the program's whole path with program =", below.len())),
    }
}

fn found(path: &str) -> std::result::Result<String, String> {
    if is_plain_path(path) {
        Ok(path.to_string())
    } else {
        Err(format!("the path of its program {path:?} is not plain"))
    }
}

/// People know the source, not the file that it was fetched to.
fn named(error: Error, source: &str) -> Error {
    match error {
        Error::Refused { reason, .. } => Error::refused(source, reason),
        Error::Io { source: why, .. } => Error::refused(source, format!("it is damaged: {why}")),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_the_format_and_a_query_does_not_belong_to_it() {
        assert_eq!(name("https://x/10_Recommended.zip?auth=1/2").unwrap(), ("10_Recommended.zip", Packing::Zip));
        assert_eq!(name("/srv/c.tar.zst").unwrap(), ("c.tar.zst", Packing::TarZst));
        assert!(!name("https://x/c.rar?auth=S3CRET").unwrap_err().to_string().contains("S3CRET"));
        assert!(name("/srv/c.rar").is_err() && name("/srv/.zip").is_err() && name("").is_err());
    }

    #[test]
    fn the_program_is_found_at_the_top_or_below_the_one_folder_there() {
        let files = |names: &[&str]| names.iter().map(|name| (*name).to_string()).collect::<Vec<_>>();
        let wanted = "install_cluster";
        assert_eq!(program(&files(&["install_cluster", "a/install_cluster"]), wanted).unwrap(), "install_cluster");
        assert_eq!(program(&files(&["R/patch", "R/install_cluster"]), wanted).unwrap(), "R/install_cluster");
        assert!(program(&files(&["a/install_cluster", "b/install_cluster"]), wanted).is_err());
        assert!(program(&files(&["a/b/install_cluster"]), wanted).is_err());
    }
}
