//! How many wrong credentials an address may show: pure.
//!
//! Each address has a few tries, which come back slowly. Who has none left is not even listened to, so that guessing costs us no
//! hashing. The memory is bounded: strangers choose the addresses.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// How many wrong ones at once.
const TRIES: f64 = 10.0;
/// How long until one more.
const PAUSE: Duration = Duration::from_secs(6);
/// How many addresses are remembered.
const ADDRESSES: usize = 4096;

/// Addresses that have shown something wrong.
#[derive(Debug, Default)]
pub struct Tries(HashMap<IpAddr, Left>);

#[derive(Debug, Clone, Copy)]
struct Left {
    tries: f64,
    at: Duration,
}

impl Left {
    fn now(self, up: Duration) -> f64 {
        (self.tries + up.saturating_sub(self.at).as_secs_f64() / PAUSE.as_secs_f64()).min(TRIES)
    }
}

impl Tries {
    /// Whether the address may show a credential now; else in how many seconds.
    ///
    /// # Errors
    /// The seconds, at least 1.
    pub fn may(&self, address: IpAddr, up: Duration) -> Result<(), u64> {
        let left = self.0.get(&network(address)).map_or(TRIES, |left| left.now(up));
        if left >= 1.0 {
            return Ok(());
        }
        let wait = PAUSE.mul_f64(1.0 - left).as_secs_f64().ceil();
        // At most the pause, so it fits.
        Err(Duration::try_from_secs_f64(wait).map_or(1, |wait| wait.as_secs()).max(1))
    }

    /// The address has shown a wrong one.
    pub fn failed(&mut self, address: IpAddr, up: Duration) {
        let address = network(address);
        if self.0.len() >= ADDRESSES && !self.0.contains_key(&address) {
            self.make_room(up);
        }
        let left = self.0.entry(address).or_insert(Left { tries: TRIES, at: up });
        *left = Left { tries: (left.now(up) - 1.0).max(0.0), at: up };
    }

    /// Those that have all their tries again need not be remembered; if nobody has, the one with the most goes.
    fn make_room(&mut self, up: Duration) {
        self.0.retain(|_, left| left.now(up) < TRIES);
        if self.0.len() >= ADDRESSES {
            let most =
                self.0.iter().max_by(|(_, a), (_, b)| a.now(up).total_cmp(&b.now(up))).map(|(address, _)| *address);
            if let Some(address) = most {
                self.0.remove(&address);
            }
        }
    }
}

/// Who has one address of IPv6 has the whole /64 (RFC 6177); an IPv4 one in its clothes is an IPv4 one.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(long) => IpAddr::V6(Ipv6Addr::from_bits(long.to_bits() & !u128::from(u64::MAX))),
        short @ IpAddr::V4(_) => short,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn ten_wrong_ones_are_listened_to_and_then_one_every_six_seconds() {
        let mut tries = Tries::default();
        for _ in 0..10 {
            assert_eq!(tries.may(A, seconds(100)), Ok(()));
            tries.failed(A, seconds(100));
        }
        assert_eq!(tries.may(A, seconds(100)), Err(6));
        assert_eq!(tries.may(A, seconds(105)), Err(1));
        assert_eq!(tries.may(A, seconds(106)), Ok(()));
        tries.failed(A, seconds(106));
        assert!(tries.may(A, seconds(106)).is_err());
        assert_eq!(tries.may("192.0.2.2".parse().unwrap(), seconds(106)), Ok(()), "another address is another's");
    }

    #[test]
    fn all_addresses_of_one_network_of_ipv6_are_one() {
        let mut tries = Tries::default();
        for last in 0..10 {
            tries.failed(format!("2001:db8:0:1::{last}").parse().unwrap(), seconds(1));
        }
        assert!(tries.may("2001:db8:0:1::ffff".parse().unwrap(), seconds(1)).is_err());
        assert!(tries.may("2001:db8:0:2::1".parse().unwrap(), seconds(1)).is_ok());
    }

    #[test]
    fn no_number_of_addresses_fills_the_memory_or_frees_the_one_that_guesses_most() {
        let mut tries = Tries::default();
        for _ in 0..10 {
            tries.failed(A, seconds(1));
        }
        for n in 0..20_000u32 {
            tries.failed(IpAddr::V4(std::net::Ipv4Addr::from_bits(0x0a00_0000 + n)), seconds(2));
        }
        assert!(tries.0.len() <= ADDRESSES);
        assert!(tries.may(A, seconds(2)).is_err());
    }
}
