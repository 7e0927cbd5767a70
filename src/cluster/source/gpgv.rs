//! The signature of an archive, checked by the system's own `gpgv`.

use std::path::Path;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::paths::Paths;
use crate::sys::dir::Dir;
use crate::sys::process::Job;
use crate::sys::{replace, trusted};

/// The largest `InRelease`.
pub const LIMIT: u64 = 16 << 20;
/// A keyring is not larger.
const KEYRING_LIMIT: u64 = 16 << 20;
const SIGNED: &str = "InRelease";
const TEXT: &str = "Release";

/// The text under the signatures of a clear-signed file. It is what gpgv itself took for the signed text: what stands before or
/// after it never counts. `object` is for the messages.
///
/// # Errors
/// [`Error::Refused`] if no key of the keyring has signed it, or a signature is wrong; [`Error::Failed`] without gpgv.
pub fn signed_text(signed: &[u8], incoming: &Dir, keyring: &Path, paths: &Paths, object: &str) -> Result<String> {
    replace::replace(incoming, SIGNED, signed, 0o600)?;
    incoming.remove(TEXT)?;
    let keyring = copy_of(keyring, incoming, paths)?;
    let at = |name: &str| paths.inside(&incoming.join(name)).into_os_string();
    let mut argv: Vec<std::ffi::OsString> =
        ["gpgv", "--status-fd", "1", "--weak-digest", "SHA1", "--keyring"].iter().map(Into::into).collect();
    argv.extend([at(keyring), "--output".into(), at(TEXT), at(SIGNED)]);
    let deadline = Duration::from_mins(1);
    let done = Job::new(argv).inside(paths.root()).deadline(deadline, Duration::from_secs(5)).run()?;
    judge(&done.text()).map_err(|why| Error::refused(object, why))?;
    let text = incoming.read(TEXT, LIMIT)?.ok_or_else(|| Error::refused(object, done.reason()))?;
    String::from_utf8(text).map_err(|_| Error::refused(object, "it is not UTF-8"))
}

/// The keyring as it was judged; gpgv opens a path, and its name may be a link that a package made.
fn copy_of(keyring: &Path, incoming: &Dir, paths: &Paths) -> Result<&'static str> {
    const NAME: &str = "keyring.gpg";
    let path = paths.at(keyring);
    let path = path.canonicalize().map_err(Error::io("open keyring", &path))?;
    let bytes = trusted::read(&path, KEYRING_LIMIT)?;
    if bytes.starts_with(b"-----BEGIN") {
        let why = "it is in ASCII armour; make a binary one with gpg --dearmor";
        return Err(Error::refused(path.display(), why));
    }
    replace::replace(incoming, NAME, &bytes, 0o600)?;
    Ok(NAME)
}

/// Reads gpgv's status lines (doc/DETAILS of `GnuPG`). One good signature of a known key is enough, for archives sign with the keys of
/// several releases; a wrong one is too many. An expired or revoked key gives no GOODSIG.
fn judge(status: &str) -> std::result::Result<(), String> {
    let says = |word: &str| {
        status
            .lines()
            .filter_map(|line| line.strip_prefix("[GNUPG:] "))
            .any(|line| line.split(' ').next() == Some(word))
    };
    if says("BADSIG") {
        return Err("its signature is wrong; it was changed on the way, or is damaged".into());
    }
    if says("GOODSIG") && says("VALIDSIG") {
        return Ok(());
    }
    for (word, why) in [
        ("EXPKEYSIG", "the key that signed it has expired; install the archive's new keyring"),
        ("REVKEYSIG", "the key that signed it was revoked"),
        ("EXPSIG", "its signature has expired"),
        ("NO_PUBKEY", "no key of the keyring has signed it; set keyring = to that of the archive"),
        ("NODATA", "it is not signed"),
    ] {
        if says(word) {
            return Err(why.into());
        }
    }
    let last = status.lines().rev().find(|line| !line.starts_with("[GNUPG:]") && !line.trim().is_empty());
    Err(format!("gpgv found no good signature: {}", last.unwrap_or("it said nothing")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_good_signature_is_enough_and_one_wrong_one_too_many() {
        let good = "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG 0A x\n[GNUPG:] VALIDSIG 0A0A\n";
        let unknown = "[GNUPG:] ERRSIG 0B 1\n[GNUPG:] NO_PUBKEY 0B\n";
        judge(&format!("{unknown}{good}")).unwrap();
        assert!(judge(&format!("{good}[GNUPG:] BADSIG 0A x\n")).is_err());
        assert!(judge("[GNUPG:] EXPKEYSIG 0A x\n[GNUPG:] VALIDSIG 0A0A\n").unwrap_err().contains("expired"));
        assert!(judge("[GNUPG:] VALIDSIG 0A\n").is_err() && judge("").is_err());
        assert!(judge("gpgv: Good signature from \"[GNUPG:] GOODSIG x [GNUPG:] VALIDSIG\"\n").is_err());
    }
}
