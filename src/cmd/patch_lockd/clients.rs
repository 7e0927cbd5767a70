//! Sections for clients, and what is kept of their secrets.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::error::{Error, Result};
use crate::exit::{self, Exit};
use crate::lock::server::secret;
use crate::lock::server::settings::Settings;
use crate::sys::dir::Dir;
use crate::sys::{replace, trusted};

/// No person chooses a longer one.
const LIMIT: u64 = 1024;
/// Shorter ones are guessed.
const LEAST: usize = 8;

#[derive(Debug, Args)]
pub struct AddClient {
    /// Name of the client, also its id
    name: String,
    /// Patterns of the owners that it may act for, like 'web*'
    #[arg(long, value_name = "PATTERN", required = true, num_args = 1.., value_delimiter = ',')]
    owners: Vec<String>,
    /// Patterns of the locks that it may touch
    #[arg(long, value_name = "PATTERN", required = true, num_args = 1.., value_delimiter = ',')]
    locks: Vec<String>,
    /// It may end other owners' grants
    #[arg(long)]
    admin: bool,
    /// Known by the common name of its certificate, not by a secret
    #[arg(long, value_name = "CN", conflicts_with = "secret_file")]
    certificate: Option<String>,
    /// Put the secret into this new file (mode 0600) instead of showing it
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

/// Prints the section; the secret is shown once, or goes into a file, and is kept nowhere.
pub fn add(client: &AddClient) -> Result<Exit> {
    let all = [&client.name].into_iter().chain(&client.certificate).chain(&client.owners).chain(&client.locks);
    if let Some(text) = all.into_iter().find(|text| text.chars().any(char::is_control)) {
        return Err(Error::Usage(format!("cannot add client: {text:?} would be more than one line")));
    }
    let (line, made) = if let Some(name) = &client.certificate {
        (format!("certificate = {}", escaped(name)), None)
    } else {
        let made = secret::make()?;
        (format!("secret_sha256 = {}", secret::hex(&secret::sum(&made))), Some(made))
    };
    let list = |patterns: &[String]| escaped(&patterns.join(", "));
    let (name, owners, locks) = (&client.name, list(&client.owners), list(&client.locks));
    let admin = if client.admin { "admin = yes\n" } else { "" };
    let section = format!("[client {name}]\n{line}\nowners = {owners}\nlocks = {locks}\n{admin}");
    let read = Settings::parse(&section, "the section");
    let read = read.map_err(|why| Error::Usage(format!("cannot add client: {why}")))?;
    if read.clients.of_id(name).is_none() {
        return Err(Error::Usage(format!("cannot add client: {name:?} would be read as another name")));
    }
    let section = format!("\n{}", section.trim_end());
    match (made, &client.secret_file) {
        (Some(made), Some(path)) => {
            let path = &std::path::absolute(path).map_err(Error::io("find", path))?;
            put(path, &made)?;
            return exit::deliver(section).map(|()| Exit::Done).map_err(|why| take_back(path, &why));
        }
        (Some(made), None) => {
            // It is for the person here, and for no log.
            exit::without_syslog();
            exit::warn(format_args!("secret of client {}, shown this once: {made}", client.name));
        }
        (None, _) => {}
    }
    exit::out(section);
    Ok(Exit::Done)
}

/// A secret whose section nobody has opens nothing, and its file would be in the way of the next try.
fn take_back(path: &Path, why: &std::io::Error) -> Error {
    let removed = trusted::split(path).and_then(|(above, name)| Dir::open(above)?.remove(name));
    let left = match removed {
        Ok(_) => format!("{} is removed again", path.display()),
        Err(why) => format!("remove {} yourself: {why}", path.display()),
    };
    Error::failed("write", "the section to standard output", format!("{why}; {left}"))
}

/// A % begins something in the configuration.
fn escaped(text: &str) -> String {
    text.replace('%', "%%")
}

fn put(path: &Path, secret: &str) -> Result<()> {
    let (above, name) = trusted::split(path)?;
    let name = name.to_str().ok_or_else(|| Error::Usage(format!("{} is not UTF-8", path.display())))?;
    if replace::create(&Dir::open(above)?, name, format!("{secret}\n").as_bytes(), 0o600)? {
        return Ok(());
    }
    Err(Error::refused(path.display(), "it is there already; name a new file, or remove it"))
}

/// Prints the line for a secret from standard input.
pub fn hash_secret() -> Result<Exit> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(LIMIT + 1).read_to_end(&mut bytes).map_err(Error::io("read", "standard input"))?;
    let wrong = |why: &str| Error::Usage(format!("refusing the secret: {why}"));
    let text = String::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8"))?;
    let secret = text.strip_suffix('\n').unwrap_or(&text);
    if secret.len() as u64 > LIMIT {
        return Err(wrong("it is longer than 1024 bytes"));
    }
    if secret.chars().count() < LEAST {
        return Err(wrong("it has less than 8 characters; patch-lockd add-client makes one that nobody guesses"));
    }
    if secret.chars().any(char::is_control) {
        return Err(wrong("it holds a control character, which no header can carry"));
    }
    exit::out(format_args!("secret_argon2 = {}", secret::argon2(secret)?));
    Ok(Exit::Done)
}
