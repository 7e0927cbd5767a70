//! Who may do what: pure.
//!
//! A client is known by its secret or by the name in its certificate. It acts for the owners and touches the locks that its
//! patterns allow, and nothing else: a credential that was stolen from one host cannot free the lock of another one.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::secret::Kept;
use crate::lock::name::{LockName, Owner};
use crate::sys::glob;

/// Whether a client may do what administrators do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It may end other owners' grants.
    Admin,
    /// It may not.
    Host,
}

/// A client of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its name in the configuration.
    pub name: String,
    /// What it says of itself beside its secret.
    pub id: String,
    /// Its secrets: two while one takes the place of the other, none if it has a certificate only.
    pub secrets: Vec<Kept>,
    /// The common name of its certificate.
    pub certificate: Option<String>,
    /// Patterns of the owners that it may act for.
    pub owners: Vec<String>,
    /// Patterns of the locks that it may touch.
    pub locks: Vec<String>,
    /// What else it may do.
    pub role: Role,
}

/// Not this client. The words say what it may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forbidden(pub String);

impl Client {
    /// Whether it may act for an owner.
    ///
    /// # Errors
    /// [`Forbidden`].
    pub fn may_act_for(&self, owner: &Owner) -> Result<(), Forbidden> {
        let fits = if owner.knows_case() { glob::fits_exactly } else { glob::fits };
        if self.owners.iter().any(|pattern| fits(pattern, owner.as_str())) {
            return Ok(());
        }
        Err(Forbidden(format!("refusing owner {owner}: client {} may act for {}", self.name, list(&self.owners))))
    }

    /// Whether it may touch a lock; a lock exists if somebody may.
    ///
    /// # Errors
    /// [`Forbidden`].
    pub fn may_touch(&self, lock: &LockName) -> Result<(), Forbidden> {
        if self.is_allowed(lock.as_str()) {
            return Ok(());
        }
        Err(Forbidden(format!("refusing lock {lock}: client {} may touch {}", self.name, list(&self.locks))))
    }

    /// The same for a name that was judged before.
    pub fn is_allowed(&self, lock: &str) -> bool {
        self.locks.iter().any(|pattern| glob::fits_exactly(pattern, lock))
    }

    /// Whether it may do what administrators do.
    ///
    /// # Errors
    /// [`Forbidden`].
    pub fn may_force(&self) -> Result<(), Forbidden> {
        match self.role {
            Role::Admin => Ok(()),
            Role::Host => {
                Err(Forbidden(format!("refusing client {}: this is for clients with admin = yes", self.name)))
            }
        }
    }
}

fn list(patterns: &[String]) -> String {
    if patterns.is_empty() { "none".into() } else { patterns.join(", ") }
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All clients, found by what they show.
#[derive(Debug, Clone, Default)]
pub struct Clients {
    by_id: HashMap<String, Arc<Client>>,
    by_certificate: HashMap<String, Arc<Client>>,
}

impl Clients {
    /// Takes them all in.
    ///
    /// # Errors
    /// The two of which one could be taken for the other, and by what.
    pub fn new(clients: Vec<Client>) -> Result<Self, String> {
        let mut all = Self::default();
        for client in clients.into_iter().map(Arc::new) {
            let same = |first: Arc<Client>, what: String| {
                Err(format!("clients {} and {} have the same {what}; give each its own", first.name, client.name))
            };
            if let Some(first) = all.by_id.insert(client.id.clone(), Arc::clone(&client)) {
                return same(first, format!("id {}", client.id));
            }
            if let Some(name) = &client.certificate
                && let Some(first) = all.by_certificate.insert(name.clone(), Arc::clone(&client))
            {
                return same(first, format!("certificate {name}"));
            }
        }
        Ok(all)
    }

    /// The client with this id.
    pub fn of_id(&self, id: &str) -> Option<&Arc<Client>> {
        self.by_id.get(id)
    }

    /// The client whose certificate has this common name.
    pub fn of_certificate(&self, name: &str) -> Option<&Arc<Client>> {
        self.by_certificate.get(name)
    }
}

/// What a request shows in its headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// No secret; a certificate may do.
    Nothing,
    /// Something that is no credential.
    Garbage,
    /// An id and a secret.
    Secret {
        /// Who it says that it is.
        id: String,
        /// What only that one knows.
        secret: String,
    },
}

/// The headers that may hold a credential.
#[derive(Debug, Clone, Copy, Default)]
pub struct Headers<'a> {
    /// `x-secret-id`.
    pub secret_id: Option<&'a [u8]>,
    /// `x-id`, of the oldest clients; it counts where the other is not.
    pub id: Option<&'a [u8]>,
    /// `x-secret`.
    pub secret: Option<&'a [u8]>,
    /// `authorization`.
    pub authorization: Option<&'a [u8]>,
}

/// Reads the credential of a request. Headers of our own win over HTTP Basic (RFC 7617).
pub fn shown(headers: Headers<'_>) -> Shown {
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).map(str::to_string).ok();
    match (headers.secret_id.or(headers.id), headers.secret) {
        (None, None) => headers.authorization.map_or(Shown::Nothing, |value| basic(value).unwrap_or(Shown::Garbage)),
        (Some(id), Some(secret)) => match (text(id), text(secret)) {
            (Some(id), Some(secret)) => Shown::Secret { id, secret },
            _ => Shown::Garbage,
        },
        _ => Shown::Garbage,
    }
}

fn basic(value: &[u8]) -> Option<Shown> {
    let (scheme, encoded) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = pair.split_once(':')?;
    Some(Shown::Secret { id: id.to_string(), secret: secret.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(name: &str, owners: &[&str], locks: &[&str]) -> Client {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        Client {
            name: name.into(),
            id: name.into(),
            secrets: Vec::new(),
            certificate: Some(format!("{name}.example")),
            owners: words(owners),
            locks: words(locks),
            role: Role::Host,
        }
    }

    #[test]
    fn a_client_acts_for_its_owners_and_touches_its_locks_only() {
        let web = client("web", &["web*", "mail"], &["web", "rack-?"]);
        let (owner, lock) = (|n| Owner::new(n).unwrap(), |n| LockName::new(n).unwrap());
        assert!(web.may_act_for(&owner("web01")).is_ok() && web.may_touch(&lock("rack-3")).is_ok());
        assert!(web.may_act_for(&owner("WEB01")).is_ok(), "host names know no case");
        assert!(web.may_touch(&lock("Web")).is_err(), "locks do: Web and web would be two");
        let exact = |n| Owner::exact(n).unwrap();
        assert!(web.may_act_for(&exact("web01")).is_ok());
        assert!(web.may_act_for(&exact("WEB01")).is_err(), "to the letter it would be one owner more");
        let words = web.may_act_for(&owner("db01")).unwrap_err().to_string();
        assert_eq!(words, "refusing owner db01: client web may act for web*, mail");
        assert!(web.may_touch(&lock("rack-33")).is_err() && web.may_force().is_err());
    }

    #[test]
    fn w4_w47_no_pattern_is_a_regular_expression_and_none_means_nothing() {
        let none = client("none", &[], &["a.c"]);
        assert!(none.may_act_for(&Owner::new("x").unwrap()).is_err());
        assert!(none.may_touch(&LockName::new("abc").unwrap()).is_err());
    }

    #[test]
    fn two_clients_that_could_be_taken_for_each_other_are_refused() {
        let (one, mut other) = (client("a", &[], &[]), client("b", &[], &[]));
        other.id = "a".into();
        assert!(Clients::new(vec![one.clone(), other]).unwrap_err().contains("id a"));
        let mut other = client("b", &[], &[]);
        other.certificate = one.certificate.clone();
        assert!(Clients::new(vec![one, other]).unwrap_err().contains("certificate a.example"));
    }

    #[test]
    fn a_credential_is_read_from_either_kind_of_header() {
        let secret = |id: &str, secret: &str| Shown::Secret { id: id.into(), secret: secret.into() };
        let own = Headers { secret_id: Some(b"web"), id: Some(b"old"), secret: Some(b"s"), authorization: None };
        assert_eq!(shown(own), secret("web", "s"));
        assert_eq!(shown(Headers { secret_id: None, ..own }), secret("old", "s"));
        let basic = |value| shown(Headers { authorization: Some(value), ..Headers::default() });
        assert_eq!(basic(b"Basic d2ViOnM6MQ=="), secret("web", "s:1"));
        for bad in [&b"Basic"[..], b"Basic !", b"Bearer x", b"Basic d2Vi", b"\xff \xff"] {
            assert_eq!(basic(bad), Shown::Garbage);
        }
        assert_eq!(shown(Headers::default()), Shown::Nothing);
    }

    #[test]
    fn w49_half_a_credential_is_none() {
        assert_eq!(shown(Headers { secret_id: Some(b"web"), ..Headers::default() }), Shown::Garbage);
        assert_eq!(shown(Headers { secret: Some(b"s"), ..Headers::default() }), Shown::Garbage);
        let odd = Headers { secret_id: Some(b"\xff"), secret: Some(b"s"), ..Headers::default() };
        assert_eq!(shown(odd), Shown::Garbage);
    }
}
