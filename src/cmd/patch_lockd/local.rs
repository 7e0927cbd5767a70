//! The service of a machine that nobody has configured: for itself alone.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::lock::server::secret;
use crate::lock::server::settings::Settings;
use crate::paths::Paths;
use crate::sys::dir::Dir;
use crate::sys::{self, replace, trusted};

const NAME: &str = "local.secret";

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
    if dir.has(NAME)? { sys::secret::first_line(&dir.join(NAME)).map(Some) } else { Ok(None) }
}
