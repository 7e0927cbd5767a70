//! The service of a machine that nobody has configured: for itself alone.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::lock::server::secret;
use crate::lock::server::settings::Settings;
use crate::paths::Paths;
use crate::sys::dir::Dir;
use crate::sys::{replace, trusted};

const NAME: &str = "local.secret";
/// A secret is one short line.
const LIMIT: u64 = 4096;

/// Where the secret of the client `local` is: beside the store.
pub fn secret_file(store: &Path) -> PathBuf {
    store.with_file_name(NAME)
}

/// Settings with which one client, `local`, may do everything. Its secret is made at the first start.
///
/// # Errors
/// If the secret cannot be made, or others can read it.
pub fn settings(paths: &Paths) -> Result<Settings> {
    let settings = Settings::default().below(paths);
    let (above, _) = trusted::split(&settings.store)?;
    let dir = Dir::create(above, 0o700)?;
    let secret = if let Some(secret) = read(&dir)? {
        secret
    } else {
        let made = secret::make()?;
        replace::create(&dir, NAME, format!("{made}\n").as_bytes(), 0o600)?;
        // Of two that start at once, the first one's counts.
        read(&dir)?.unwrap_or(made)
    };
    Ok(settings.with_local(secret::sum(&secret)))
}

fn read(dir: &Dir) -> Result<Option<String>> {
    let path = dir.join(NAME);
    let Some(file) = dir.file(NAME)? else { return Ok(None) };
    let mode = file.metadata().map_err(Error::io("look at", &path))?.mode();
    if mode & 0o077 != 0 {
        let why = format!("mode {:04o} lets others read it; remove it, and a new one is made", mode & 0o7777);
        return Err(Error::refused(path.display(), why));
    }
    let bytes = trusted::read_all(file, &path, LIMIT)?;
    let text = String::from_utf8(bytes).map_err(|_| Error::refused(path.display(), "it is not UTF-8"))?;
    let secret = text.trim();
    if secret.is_empty() {
        return Err(Error::refused(path.display(), "it is empty; remove it, and a new one is made"));
    }
    Ok(Some(secret.to_string()))
}
