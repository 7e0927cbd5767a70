//! Signatures in minisign's format, so that `minisign -Vm` can check what we sign.
//!
//! A signature counts for a name as well as for bytes: its trusted comment holds `file:NAME`, the path in the tree, so that a
//! genuine `development` cannot be served as `production`. A `.minisig` may hold several signatures, four lines each, and one
//! that fits is enough: while a file and its signature are exchanged (two renames), the signature file holds both, and no
//! reader ever sees a file without a signature that fits. minisign itself reads the first.
//!
//! The secret key has no passphrase, for cron has to sign; so nobody but root may be able to read it. A host trusts its own
//! copy of the public key alone.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use minisign::{KeyPair, PublicKey, SecretKey, SecretKeyBox};

use crate::error::{Error, Result};
use crate::sys::clock::Moment;
use crate::sys::dir::Dir;
use crate::sys::{replace, trusted};

/// A key file, and a signature file, is not larger.
pub const LIMIT: u64 = 16 << 10;
/// How many signatures of one file are looked at.
const MOST: usize = 4;

/// Signs.
pub struct Signer {
    secret: SecretKey,
    public: PublicKey,
}

/// Without the secret: this may land in a log.
impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("public", &self.public).finish_non_exhaustive()
    }
}

impl Signer {
    /// Reads the secret key.
    ///
    /// # Errors
    /// [`Error::Refused`] if others can read or write it, if it has a passphrase, or if it is no such key; [`Error::Io`].
    pub fn load(path: &Path) -> Result<Self> {
        let file = trusted::file(path)?;
        let mode = file.metadata().map_err(Error::io("look at", path))?.mode();
        if mode & 0o077 != 0 {
            let why = format!("mode {:04o} lets others read the secret key; chmod 600 it", mode & 0o7777);
            return Err(Error::refused(path.display(), why));
        }
        let bytes = trusted::read_all(file, path, LIMIT)?;
        let why = "it is no secret key without a passphrase; make one with pull-cluster keygen";
        let refuse = || Error::refused(path.display(), why);
        let text = String::from_utf8(bytes).map_err(|_| refuse())?;
        let key = SecretKeyBox::from_string(&text).and_then(SecretKey::from_unencrypted_box).map_err(|_| refuse())?;
        let public = PublicKey::from_secret_key(&key).map_err(|_| refuse())?;
        Ok(Self { secret: key, public })
    }

    /// Signs bytes that will be published as `name`, a path in the tree. The result is a whole `.minisig` file.
    ///
    /// # Errors
    /// [`Error::Failed`] if there is no randomness, or the key does not fit itself.
    pub fn sign(&self, bytes: &[u8], name: &str, now: Moment) -> Result<String> {
        let trusted = format!("timestamp:{}\tfile:{name}\thashed", now.timestamp());
        let comment = Some("signed by pull-cluster");
        minisign::sign(Some(&self.public), &self.secret, bytes, Some(&trusted), comment)
            .map(minisign::SignatureBox::into_string)
            .map_err(|why| Error::failed("sign", name, why))
    }

    /// The public key, as a file.
    ///
    /// # Errors
    /// [`Error::Failed`].
    pub fn public_key(&self) -> Result<String> {
        let boxed = self.public.to_box().map_err(|why| Error::failed("write", "the public key", why))?;
        Ok(boxed.into_string())
    }

    /// What checks the signatures of this key.
    ///
    /// # Errors
    /// [`Error::Failed`].
    pub fn verifier(&self) -> Result<Verifier> {
        Verifier::parse(&self.public_key()?, "our own key")
    }
}

/// Makes a key pair: the secret key (mode 0600) and the public one (0644) beside it. One that is there is never replaced; a
/// public key that is missing is made again from the secret one, for the power may have gone between the two.
///
/// # Errors
/// [`Error::Refused`] if both are there; [`Error::Io`].
pub fn generate(secret: &Path, public: &Path) -> Result<()> {
    let failed = |why| Error::failed("make", secret.display(), why);
    let (secret_dir, secret_name) = place(secret)?;
    let (public_dir, public_name) = place(public)?;
    if secret_dir.has(&secret_name)? && public_dir.has(&public_name)? {
        let why = "a key pair is there already; hosts trust its public half. Move both files away if you mean it";
        return Err(Error::refused(secret.display(), why));
    }
    if !secret_dir.has(&secret_name)? {
        if public_dir.has(&public_name)? {
            let why = "a public key is there without its secret one; move it away if you mean it";
            return Err(Error::refused(public.display(), why));
        }
        let pair = KeyPair::generate_unencrypted_keypair().map_err(failed)?;
        let text = pair.sk.to_box(Some("patchflag secret key")).map_err(failed)?.into_string();
        if !replace::create(&secret_dir, &secret_name, text.as_bytes(), 0o600)? {
            return Err(Error::refused(secret.display(), "somebody else made it just now"));
        }
    }
    let text = Signer::load(secret)?.public_key()?;
    if replace::create(&public_dir, &public_name, text.as_bytes(), 0o644)? {
        return Ok(());
    }
    Err(Error::refused(public.display(), "somebody else made it just now"))
}

fn place(path: &Path) -> Result<(Dir, String)> {
    let (above, name) = trusted::split(path)?;
    let name = name.to_str().ok_or_else(|| Error::refused(path.display(), "its name is not UTF-8"))?;
    Ok((Dir::create(above, 0o755)?, name.to_string()))
}

/// Checks signatures with one public key.
#[derive(Debug, Clone)]
pub struct Verifier {
    key: minisign_verify::PublicKey,
}

impl Verifier {
    /// Reads a public key file that nobody but root can have written.
    ///
    /// # Errors
    /// As [`trusted::read`]; [`Error::Refused`] if it holds no such key.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = trusted::read(path, LIMIT).map_err(|error| match error {
            Error::Io { .. } if error.is_missing() => Error::failed(
                "read the public key",
                path.display(),
                "it is not there; copy the patch server's, which `pull-cluster keygen` has made",
            ),
            other => other,
        })?;
        Self::parse(&String::from_utf8_lossy(&bytes), &path.display().to_string())
    }

    /// Understands the text of a public key file; `object` is for the messages.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn parse(text: &str, object: &str) -> Result<Self> {
        let why = "it is no public key in minisign's format; copy the patch server's";
        let key = minisign_verify::PublicKey::decode(text).map_err(|_| Error::refused(object, why))?;
        Ok(Self { key })
    }

    /// Checks that the bytes were signed as `name`, the path in the tree.
    ///
    /// # Errors
    /// [`Error::Refused`] if no signature in the `.minisig` fits, or the one that fits is for another name.
    pub fn verify(&self, bytes: &[u8], minisig: &[u8], name: &str) -> Result<()> {
        self.fitting(bytes, minisig, name).map(|_| ())
    }

    /// The same; the answer is the signature that fits, as a `.minisig` of its own.
    ///
    /// # Errors
    /// As [`Verifier::verify`].
    pub fn fitting(&self, bytes: &[u8], minisig: &[u8], name: &str) -> Result<String> {
        let refuse = |why: String| Err(Error::refused(name, why));
        let Ok(text) = std::str::from_utf8(minisig) else { return refuse("its signature is not text".into()) };
        let lines: Vec<&str> = text.lines().collect();
        let mut why = "its signature file holds no signature".to_string();
        for block in lines.chunks(4).take(MOST) {
            let block = block.join("\n") + "\n";
            match self.one(bytes, &block, name) {
                Ok(()) => return Ok(block),
                Err(reason) => why = reason,
            }
        }
        refuse(why)
    }

    fn one(&self, bytes: &[u8], block: &str, name: &str) -> std::result::Result<(), String> {
        let signature = minisign_verify::Signature::decode(block)
            .map_err(|_| "its signature is not in minisign's format".to_string())?;
        self.key.verify(bytes, &signature, true).map_err(|why| match why {
            minisign_verify::Error::UnexpectedKeyId => {
                "it was signed with another key than the one trusted here".to_string()
            }
            _ => "its signature does not fit; the file is damaged, mixed from two copies, or not genuine".to_string(),
        })?;
        let comment = signature.trusted_comment();
        match comment.split('\t').find_map(|field| field.strip_prefix("file:")) {
            Some(file) if file == name => Ok(()),
            Some(file) => Err(format!("it is {file}, served under another name")),
            None => Err(format!("its signature does not say file:{name}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::clock;
    use proptest::prelude::*;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    fn key() -> (tempfile::TempDir, Signer) {
        let dir = tempfile::tempdir().unwrap();
        let secret = dir.path().join("k.key");
        generate(&secret, &dir.path().join("k.pub")).unwrap();
        let signer = Signer::load(&secret).unwrap();
        (dir, signer)
    }

    fn refused(result: Result<()>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn what_was_signed_is_accepted_and_nothing_else() {
        let (dir, signer) = key();
        let verifier = Verifier::load(&dir.path().join("k.pub")).unwrap();
        let signature = signer.sign(b"text", "a/production", clock::now()).unwrap();
        verifier.verify(b"text", signature.as_bytes(), "a/production").unwrap();
        assert!(refused(verifier.verify(b"texT", signature.as_bytes(), "a/production")).contains("does not fit"));
        assert!(refused(verifier.verify(b"text", signature.as_bytes(), "b/production")).contains("another name"));
        assert!(refused(verifier.verify(b"text", b"", "a/production")).contains("no signature"));
        let (_other, stranger) = key();
        let forged = stranger.sign(b"text", "a/production", clock::now()).unwrap();
        assert!(refused(verifier.verify(b"text", forged.as_bytes(), "a/production")).contains("another key"));
    }

    #[test]
    fn one_of_several_signatures_is_enough() {
        let (_dir, signer) = key();
        let sign = |bytes: &[u8]| signer.sign(bytes, "p", clock::now()).unwrap();
        let both = sign(b"old") + &sign(b"new");
        let verifier = signer.verifier().unwrap();
        verifier.verify(b"old", both.as_bytes(), "p").unwrap();
        verifier.verify(b"new", both.as_bytes(), "p").unwrap();
        assert!(verifier.verify(b"other", both.as_bytes(), "p").is_err());
    }

    #[test]
    fn minisign_itself_accepts_our_signatures_and_we_accept_its() {
        let (dir, signer) = key();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("f"), "text").unwrap();
        std::fs::write(at("f.minisig"), signer.sign(b"text", "f", clock::now()).unwrap()).unwrap();
        let run = |args: &[&str]| Command::new("minisign").args(args).current_dir(dir.path()).output().unwrap();
        let done = run(&["-Vm", "f", "-p", "k.pub"]);
        assert!(done.status.success(), "{done:?}");
        for legacy in [&["-Sm", "f", "-s", "k.key"][..], &["-Slm", "f", "-s", "k.key"]] {
            let done = run(legacy);
            assert!(done.status.success(), "{done:?}");
            let theirs = std::fs::read(at("f.minisig")).unwrap();
            signer.verifier().unwrap().verify(b"text", &theirs, "f").unwrap();
        }
    }

    #[test]
    fn a_key_with_a_passphrase_or_without_its_checksum_is_refused_with_the_way_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.key");
        // minisign 0.11 -W leaves the checksum of the key empty, so damage could not be told from it.
        let done =
            Command::new("minisign").args(["-GW", "-s", "m.key", "-p", "m.pub"]).current_dir(dir.path()).output();
        assert!(done.unwrap().status.success());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(Signer::load(&path).unwrap_err().to_string().contains("pull-cluster keygen"));
        let locked = KeyPair::generate_encrypted_keypair(Some("secret".into())).unwrap();
        std::fs::write(&path, locked.sk.to_box(None).unwrap().into_string()).unwrap();
        assert!(Signer::load(&path).unwrap_err().to_string().contains("passphrase"));
    }

    #[test]
    fn a_secret_key_that_others_can_read_is_refused() {
        let (dir, _) = key();
        let path = dir.path().join("k.key");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let words = Signer::load(&path).unwrap_err().to_string();
        assert!(words.contains("mode 0640") && words.contains("chmod 600"), "{words}");
    }

    #[test]
    fn a_key_pair_is_never_replaced_and_a_lost_public_half_is_made_again() {
        let (dir, signer) = key();
        let (secret, public) = (dir.path().join("k.key"), dir.path().join("k.pub"));
        assert!(generate(&secret, &public).is_err());
        std::fs::remove_file(&public).unwrap();
        generate(&secret, &public).unwrap();
        assert_eq!(std::fs::read_to_string(&public).unwrap(), signer.public_key().unwrap());
        std::fs::remove_file(&secret).unwrap();
        assert!(generate(&secret, &public).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_upset_the_reading(
            key in "untrusted comment: .*\n[A-Za-z0-9+/=]{0,60}",
            minisig in "(.{0,3}trusted comment: .{0,20}\n[A-Za-z0-9+/=é]{0,110}\n){0,5}",
        ) {
            let _ = Verifier::parse(&key, "k");
            let (_dir, signer) = shared();
            prop_assert!(signer.verifier().unwrap().verify(b"x", minisig.as_bytes(), "n").is_err());
        }
    }

    fn shared() -> &'static (tempfile::TempDir, Signer) {
        static KEY: std::sync::OnceLock<(tempfile::TempDir, Signer)> = std::sync::OnceLock::new();
        KEY.get_or_init(key)
    }
}
