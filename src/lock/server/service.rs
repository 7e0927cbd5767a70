//! What all connections share: the desk, the settings, and who has been let in.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::access::{Client, Shown};
use super::counts::Counts;
use super::desk::{Desk, Unavailable};
use super::http::{Denied, Peer, tls};
use super::secret::{self, Kept, Sum};
use super::settings::Settings;
use super::tries::Tries;
use crate::error::Result;

/// How long somebody waits for the secrets of others to be hashed.
const HASHING: Duration = Duration::from_secs(5);

/// What may be read again while the service runs.
#[derive(Clone)]
struct Current {
    settings: Arc<Settings>,
    tls: Option<TlsAcceptor>,
}

/// See above.
pub struct Service {
    /// The way to the book.
    pub desk: Desk,
    current: RwLock<Current>,
    tries: Mutex<Tries>,
    /// Secrets that people chose and that were right once: the argon2 line, and the digest of what fits it.
    verified: Mutex<HashMap<String, Sum>>,
    /// One hash at a time: each takes 19 MiB and a processor.
    hashing: Arc<Semaphore>,
    ending: watch::Receiver<bool>,
    started: Instant,
}

impl Current {
    fn new(settings: Settings) -> Result<Self> {
        let tls = settings.tls.as_ref().map(tls::acceptor).transpose()?;
        Ok(Self { settings: Arc::new(settings), tls })
    }
}

impl Service {
    /// Brings it together. `ending` becomes true when the service is to end.
    ///
    /// # Errors
    /// [`Error::Usage`] if a file that TLS needs is wrong.
    pub fn new(desk: Desk, settings: Settings, ending: watch::Receiver<bool>) -> Result<Self> {
        Ok(Self {
            desk,
            current: RwLock::new(Current::new(settings)?),
            tries: Mutex::default(),
            verified: Mutex::default(),
            hashing: Arc::new(Semaphore::new(1)),
            ending,
            started: Instant::now(),
        })
    }

    /// The settings as they are now.
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).settings)
    }

    /// How TLS is spoken on a new connection, if it is.
    pub fn tls(&self) -> Option<TlsAcceptor> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).tls.clone()
    }

    /// Other settings, for all requests from now on, and other certificates for all connections. Where it listens, how many may
    /// come, the store and the hooks stay.
    ///
    /// # Errors
    /// [`Error::Usage`] if a file that TLS needs is wrong; nothing has changed.
    pub fn change(&self, settings: Settings) -> Result<()> {
        let current = Current::new(settings)?;
        // Without a desk there is no service to change.
        let _ = self.desk.set_terms(current.settings.terms());
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = current;
        lock(&self.verified).clear();
        Ok(())
    }

    /// Comes back when the service is to end.
    pub fn ending(&self) -> impl Future<Output = ()> + use<> {
        let mut ending = self.ending.clone();
        async move {
            // Without a sender it ends as well.
            let _ = ending.wait_for(|is_ending| *is_ending).await;
        }
    }

    /// Finds out who asks. Whoever is known has its connection as a client from then on.
    ///
    /// # Errors
    /// [`Denied`]: nobody that is known, or too many wrong tries from there.
    pub async fn know(&self, peer: &Peer, shown: Shown) -> std::result::Result<Arc<Client>, Denied> {
        let known = self.find(peer, shown).await;
        if known.is_ok() {
            peer.place.know();
        }
        known
    }

    /// A secret that a machine made costs nothing to look at and is never guessed: a right one comes in, whatever others show from
    /// the same address. The limit of tries is for those that people chose, and for what is wrong.
    async fn find(&self, peer: &Peer, shown: Shown) -> std::result::Result<Arc<Client>, Denied> {
        let settings = self.settings();
        let (id, secret) = match shown {
            Shown::Secret { id, secret } => (id, secret),
            Shown::Nothing => {
                let client = peer.certificate.as_ref().and_then(|name| settings.clients.of_certificate(name));
                return client.cloned().ok_or_else(Denied::stranger);
            }
            Shown::Garbage => return Err(Denied::stranger()),
        };
        let (client, sum) = (settings.clients.of_id(&id), secret::sum(&secret));
        if let Some(client) = client.filter(|client| is_made(client, &sum)) {
            return Ok(Arc::clone(client));
        }
        lock(&self.tries).may(peer.address, self.started.elapsed()).map_err(Denied::too_many)?;
        match client {
            Some(client) if self.is_chosen_of(client, &secret, &sum).await? => Ok(Arc::clone(client)),
            _ => Err(self.deny(peer.address)),
        }
    }

    fn deny(&self, address: IpAddr) -> Denied {
        Counts::one(&self.desk.counts().denied);
        lock(&self.tries).failed(address, self.started.elapsed());
        Denied::stranger()
    }

    async fn is_chosen_of(&self, client: &Client, secret: &str, sum: &Sum) -> std::result::Result<bool, Unavailable> {
        for kept in &client.secrets {
            if let Kept::Argon2(line) = kept
                && self.is_chosen(line, secret, sum).await?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A secret that a person chose is hashed slowly once, then known by its digest.
    async fn is_chosen(&self, line: &str, secret: &str, sum: &Sum) -> std::result::Result<bool, Unavailable> {
        if lock(&self.verified).get(line).is_some_and(|known| secret::is_same(known, sum)) {
            return Ok(true);
        }
        let turn = tokio::time::timeout(HASHING, Arc::clone(&self.hashing).acquire_owned()).await;
        let turn = turn.map_err(|_| Unavailable)?.map_err(|_| Unavailable)?;
        let (own, secret) = (line.to_string(), secret.to_string());
        let hashed = tokio::task::spawn_blocking(move || {
            let is_right = secret::is_of_argon2(&secret, &own);
            drop(turn);
            is_right
        });
        let is_right = hashed.await.map_err(|_| Unavailable)?;
        if is_right {
            lock(&self.verified).insert(line.to_string(), *sum);
        }
        Ok(is_right)
    }
}

/// Whether it is a secret of the client that a machine made.
fn is_made(client: &Client, sum: &Sum) -> bool {
    client.secrets.iter().any(|kept| matches!(kept, Kept::Sha256(own) if secret::is_same(own, sum)))
}

/// What a thread that panicked left is still whole: every change of it is one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
