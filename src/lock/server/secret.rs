//! Secrets: made here, or chosen by people; kept as digests only.
//!
//! One that was made here has 256 random bits, so a fast digest keeps it as well as a slow one would. One that a person chose can be
//! guessed, so it is kept as argon2 (RFC 9106) in the PHC string format.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, Params, PasswordHasher, PasswordVerifier};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::error::{Error, Result};
use crate::sys::random;

/// The most that one try may cost: memory in KiB, passes, lanes. RFC 9106, section 4, asks for less where memory is scarce.
const MEMORY: u32 = 256 << 10;
const PASSES: u32 = 16;
const LANES: u32 = 16;

/// SHA-256 of a secret.
pub type Sum = [u8; 32];

/// What is kept of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// Of one that was made by a machine.
    Sha256(Sum),
    /// Of one that a person chose.
    Argon2(String),
}

/// A new secret: 43 characters that need no quoting in a shell, a file or a URL.
///
/// # Errors
/// If the kernel gives no random bytes.
pub fn make() -> Result<String> {
    let bytes = random::bytes::<32>()?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The digest of a secret.
pub fn sum(secret: &str) -> Sum {
    Sha256::digest(secret.as_bytes()).into()
}

/// As it stands in the configuration.
pub fn hex(sum: &Sum) -> String {
    use std::fmt::Write;
    sum.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads 64 hexadecimal digits.
///
/// # Errors
/// What is wrong with them.
pub fn parse_sum(text: &str) -> std::result::Result<Sum, String> {
    let wrong = || format!("{text:?} is no SHA-256; it has 64 hexadecimal digits");
    if text.len() != 64 || !text.is_ascii() {
        return Err(wrong());
    }
    let mut sum = [0u8; 32];
    for (index, byte) in sum.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).map_err(|_| wrong())?;
    }
    Ok(sum)
}

/// Whether two digests are the same, in a time that does not tell where they differ.
pub fn is_same(one: &Sum, other: &Sum) -> bool {
    one.ct_eq(other).into()
}

/// The argon2 line of a secret.
///
/// # Errors
/// If it cannot be computed.
pub fn argon2(secret: &str) -> Result<String> {
    let made = Argon2::default().hash_password(secret.as_bytes());
    made.map(|hash| hash.to_string()).map_err(|why| Error::failed("hash", "the secret", why))
}

/// Judges an argon2 line of the configuration.
///
/// # Errors
/// What is wrong with it.
pub fn parse_argon2(text: &str) -> std::result::Result<String, String> {
    let help = "make it with patch-lockd hash-secret";
    let hash = PasswordHash::new(text).map_err(|why| format!("it is no argon2 line: {why}; {help}"))?;
    if !["argon2id", "argon2i", "argon2d"].contains(&hash.algorithm.as_str()) {
        return Err(format!("it is made by {}, not by argon2; {help}", hash.algorithm));
    }
    let params = Params::try_from(&hash).map_err(|why| format!("it is no argon2 line: {why}; {help}"))?;
    let (memory, passes, lanes) = (params.m_cost(), params.t_cost(), params.p_cost());
    if memory > MEMORY || passes > PASSES || lanes > LANES {
        return Err(format!(
            "each try would take {memory} KiB of memory, {passes} passes and {lanes} lanes, of which there may be {MEMORY}, {PASSES} and \
             {LANES}; {help}"
        ));
    }
    if hash.salt.is_none() || hash.hash.is_none() {
        return Err(format!("it is only the beginning of an argon2 line; {help}"));
    }
    Ok(text.to_string())
}

/// Whether a secret is that of an argon2 line. Takes tens of milliseconds and 19 MiB of memory, by intent.
pub fn is_of_argon2(secret: &str, line: &str) -> bool {
    let hash = PasswordHash::new(line);
    hash.is_ok_and(|hash| Argon2::default().verify_password(secret.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_secrets_are_the_same_and_none_needs_quoting() {
        let (one, other) = (make().unwrap(), make().unwrap());
        assert_ne!(one, other);
        assert!(one.len() == 43 && one.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_".contains(&c)), "{one}");
    }

    #[test]
    fn a_digest_survives_being_written_and_read() {
        let of = sum("abc");
        assert_eq!(parse_sum(&hex(&of)).unwrap(), of);
        assert!(hex(&of).starts_with("ba7816bf"), "FIPS 180-4, B.1");
        for bad in ["", "ba", &"g".repeat(64), &"ä".repeat(32), &hex(&of)[1..]] {
            assert!(parse_sum(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_chosen_secret_is_known_again_and_another_is_not() {
        let line = argon2("correct horse").unwrap();
        assert_eq!(parse_argon2(&line).as_deref(), Ok(line.as_str()));
        assert!(is_of_argon2("correct horse", &line) && !is_of_argon2("correct hors", &line));
        for bad in ["", "x", "$2y$10$abc", "$argon2id$v=19$m=19456"] {
            assert!(parse_argon2(bad).is_err(), "{bad}");
        }
    }
}
