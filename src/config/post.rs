//! The values of `[mail]`: addresses and the relay.
//!
//! They are judged when the configuration is read, in the evening, so that composing a mail in the night cannot fail over
//! them. What is taken here is less than RFC 5321 allows: no quotes, no routes, nothing that a local sendmail could take for
//! an option, a file or a command.

use std::net::IpAddr;

use super::values::words;

/// Reads one address or several.
///
/// # Errors
/// What is wrong, with an example.
pub fn addresses(text: &str) -> Result<Vec<String>, String> {
    let found: Vec<String> = words(text).iter().map(|word| address(word)).collect::<Result<_, _>>()?;
    if found.is_empty() { Err(format!("{text:?} names nobody; write it like root")) } else { Ok(found) }
}

/// Reads `NAME` or `NAME@DOMAIN`.
///
/// # Errors
/// What is wrong, with an example.
pub fn address(text: &str) -> Result<String, String> {
    let (name, domain) = text.rsplit_once('@').map_or((text, None), |(name, domain)| (name, Some(domain)));
    if is_mail_name(name) && domain.is_none_or(is_domain) {
        return Ok(text.to_string());
    }
    Err(format!("{text:?} is no mail address; write it like root or ops@example.org"))
}

/// The part before the `@`.
fn is_mail_name(name: &str) -> bool {
    let fits = |c: u8| c.is_ascii_alphanumeric() || b"._+=~&'-".contains(&c);
    let dots = name.starts_with('.') || name.ends_with('.') || name.contains("..");
    (1..=64).contains(&name.len()) && !name.starts_with('-') && !dots && name.bytes().all(fits)
}

/// The part behind it: labels of letters, digits and hyphens (RFC 1123).
pub fn is_domain(domain: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
    };
    domain.len() <= 253 && domain.split('.').all(label)
}

/// Who takes our mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    /// A name or an address, without brackets.
    pub host: String,
    /// Where the usual one is not meant.
    pub port: Option<u16>,
}

impl Relay {
    /// Reads `HOST`, `HOST:PORT`, `[::1]` or `[::1]:PORT`.
    ///
    /// # Errors
    /// What is wrong, with an example.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::split(text).ok_or_else(|| format!("{text:?} is no relay; write it like mail.example.org or [::1]:25"))
    }

    fn split(text: &str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, behind) = rest.split_once(']')?;
                host.parse::<std::net::Ipv6Addr>().ok()?;
                (host, if behind.is_empty() { None } else { Some(behind.strip_prefix(':')?) })
            }
            None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
        };
        let port = match port {
            Some(digits) => Some(digits.parse::<u16>().ok().filter(|port| *port > 0)?),
            None => None,
        };
        (host.parse::<IpAddr>().is_ok() || is_domain(host)).then(|| Self { host: host.to_string(), port })
    }

    /// Whether it is this machine by its very name; what the name resolves to is judged again before a password goes there.
    pub fn is_this_machine(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_names_or_names_at_domains() {
        for good in ["root", "ops@example.org", "o'brien+patch@web01", "a.b@x-y.example"] {
            assert_eq!(address(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "@",
            "a@",
            "@b",
            "-f",
            "a b",
            "a\r\nBcc: x",
            "|sh",
            "/tmp/x",
            "a@b@c",
            "a@-b",
            "ä@b",
            "a..b",
            "a@b..c",
            "a!b",
        ] {
            assert!(address(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_relay_is_a_host_and_perhaps_a_port() {
        let relay = |text| Relay::parse(text).map(|r| (r.host, r.port));
        assert_eq!(relay("mail.example.org").unwrap(), ("mail.example.org".into(), None));
        assert_eq!(relay("localhost:2525").unwrap(), ("localhost".into(), Some(2525)));
        assert_eq!(relay("[::1]:25").unwrap(), ("::1".into(), Some(25)));
        assert_eq!(relay("[::1]").unwrap(), ("::1".into(), None));
        for bad in ["", ":25", "a:", "a:0", "a:70000", "[::1", "[x]:25", "::1", "a b", "http://a", "[::1]25"] {
            assert!(relay(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_a_loopback_name_is_this_machine() {
        for (text, near) in [
            ("localhost", true),
            ("127.0.0.9", true),
            ("[::1]", true),
            ("localhost.example", false),
            ("10.0.0.1", false),
        ] {
            assert_eq!(Relay::parse(text).unwrap().is_this_machine(), near, "{text}");
        }
    }
}
