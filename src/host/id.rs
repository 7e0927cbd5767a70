//! Which host this is when two have one name: a clone, an image that was copied with its name in it.

use std::fmt::Write as _;

use crate::error::{Error, Result};
use crate::paths::Paths;
use crate::sys::dir::Dir;
use crate::sys::{random, replace, trusted};

/// An id is one short word.
const LIMIT: u64 = 4096;

/// The machine-id, machine-id(5); where there is none, an id of our own that is made once.
///
/// # Errors
/// If neither can be read, or none can be made.
pub fn get(paths: &Paths) -> Result<String> {
    match std::fs::read_to_string(paths.machine_id()) {
        Ok(text) if is_id(text.trim()) => return Ok(text.trim().to_string()),
        _ => {}
    }
    match ours(paths)? {
        Some(id) => Ok(id),
        None => make(paths),
    }
}

fn ours(paths: &Paths) -> Result<Option<String>> {
    let path = paths.host_id();
    let bytes = match trusted::read(&path, LIMIT) {
        Ok(bytes) => bytes,
        Err(error) if error.is_missing() => return Ok(None),
        Err(error) => return Err(error),
    };
    let text = String::from_utf8_lossy(&bytes).trim().to_string();
    if is_id(&text) {
        return Ok(Some(text));
    }
    // A new one would make this host a stranger to the locks that it holds.
    Err(Error::refused(
        path.display(),
        "it holds no id of 32 hexadecimal digits; put the old one back, or remove the file if this host holds no lock",
    ))
}

fn make(paths: &Paths) -> Result<String> {
    let (above, name) = (paths.host_id(), "host-id");
    let (above, _) = trusted::split(&above)?;
    let dir = Dir::create(above, 0o755)?;
    let mut id = String::new();
    for byte in random::bytes::<16>()? {
        let _ = write!(id, "{byte:02x}"); // into memory: cannot fail
    }
    // Another tool may have made one meanwhile: the first counts.
    replace::create(&dir, name, format!("{id}\n").as_bytes(), 0o644)?;
    ours(paths)?.ok_or_else(|| Error::failed("make", paths.host_id().display(), "it is gone again"))
}

/// 128 bits, and not all of them 0: machine-id(5) knows `uninitialized` as well.
fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit()) && text.bytes().any(|b| b != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> (tempfile::TempDir, Paths) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        let paths = Paths::below_root(dir.path()).unwrap();
        (dir, paths)
    }

    #[test]
    fn the_machine_id_is_the_host_id_if_there_is_one() {
        let (_keep, paths) = root();
        std::fs::write(paths.machine_id(), "0123456789abcdef0123456789abcdef\n").unwrap();
        assert_eq!(get(&paths).unwrap(), "0123456789abcdef0123456789abcdef");
        assert!(!paths.host_id().exists());
    }

    #[test]
    fn an_id_of_ours_is_made_once() {
        let (_keep, paths) = root();
        for nothing in ["", "uninitialized\n", "00000000000000000000000000000000\n"] {
            std::fs::write(paths.machine_id(), nothing).unwrap();
            let id = get(&paths).unwrap();
            assert_eq!(get(&paths).unwrap(), id);
            assert_eq!(std::fs::read_to_string(paths.host_id()).unwrap().trim(), id);
        }
    }

    #[test]
    fn an_id_that_was_damaged_is_not_replaced() {
        let (_keep, paths) = root();
        get(&paths).unwrap();
        std::fs::write(paths.host_id(), "half").unwrap();
        assert!(matches!(get(&paths), Err(Error::Refused { .. })));
    }
}
