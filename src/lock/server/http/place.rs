//! The connections that there may be, and how many of them one address may have before it has shown who it is.
//!
//! A host that waits has a connection for as long as it takes, so most of them belong to clients. Strangers, and clients until
//! their first request, have half of them at one address: no address shuts out all others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::lock::server::tries::network;

/// All of them.
#[derive(Debug)]
pub struct Places {
    limit: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// Those of strangers, by their networks; no entry is 0.
    strangers: HashMap<IpAddr, usize>,
}

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// As many are open as may.
    All,
    /// This address has its share.
    Address,
}

impl Places {
    /// So many, at least one.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit: limit.max(1), taken: Mutex::default() })
    }

    /// Takes one for a connection from an address.
    ///
    /// # Errors
    /// [`Full`].
    pub fn take(self: &Arc<Self>, address: IpAddr) -> Result<Place, Full> {
        let address = network(address);
        let mut taken = lock(&self.taken);
        if taken.all >= self.limit {
            return Err(Full::All);
        }
        let strangers = taken.strangers.get(&address).copied().unwrap_or_default();
        if strangers >= self.limit.div_ceil(2) {
            return Err(Full::Address);
        }
        taken.all += 1;
        taken.strangers.insert(address, strangers + 1);
        Ok(Place { places: Arc::clone(self), address, is_known: AtomicBool::new(false) })
    }
}

impl Taken {
    fn forget_stranger(&mut self, address: IpAddr) {
        if let Some(strangers) = self.strangers.get_mut(&address) {
            *strangers -= 1;
            if *strangers == 0 {
                self.strangers.remove(&address);
            }
        }
    }
}

/// One of them; given back by the drop.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    address: IpAddr,
    is_known: AtomicBool,
}

impl Place {
    /// Whoever has it has shown a valid credential.
    pub fn know(&self) {
        if !self.is_known.swap(true, Ordering::Relaxed) {
            lock(&self.places.taken).forget_stranger(self.address);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.places.taken);
        taken.all -= 1;
        if !*self.is_known.get_mut() {
            taken.forget_stranger(self.address);
        }
    }
}

/// Every change is whole when the lock is given back.
fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn a_stranger_has_half_and_leaves_the_rest_to_others() {
        let places = Places::new(5);
        let mut taken: Vec<Place> = (0..3).map(|_| places.take(A).unwrap()).collect();
        assert_eq!(places.take(A).unwrap_err(), Full::Address);
        taken.extend((0..2).map(|_| places.take(B).unwrap()));
        assert_eq!(places.take(B).unwrap_err(), Full::All);
        taken.remove(0);
        assert!(places.take(A).is_ok());
    }

    #[test]
    fn whoever_is_known_may_have_all() {
        let places = Places::new(4);
        let taken: Vec<Place> = (0..4)
            .map(|_| {
                let place = places.take(A).unwrap();
                place.know();
                place.know();
                place
            })
            .collect();
        assert_eq!(places.take(A).unwrap_err(), Full::All);
        drop(taken);
        let left = lock(&places.taken);
        assert!(left.all == 0 && left.strangers.is_empty(), "{left:?}");
    }

    #[test]
    fn one_place_is_enough_for_one() {
        let places = Places::new(1);
        let one = places.take(A).unwrap();
        assert_eq!(places.take(A).unwrap_err(), Full::All);
        drop(one);
        assert!(places.take(B).is_ok());
    }
}
