//! A tree behind a web server.

use std::fmt::Write as _;
use std::io::{self, Read};
use std::path::Path;

use super::Patience;
use crate::error::{Error, Result};
use crate::paths::Paths;
use crate::sys::tls;

/// A mirror may send us on, not round in circles.
const REDIRECTS: u32 = 5;

/// One server.
#[derive(Debug)]
pub struct Client {
    agent: ureq::Agent,
    base: String,
}

impl Client {
    pub fn new(base: &str, ca_file: Option<&Path>, paths: &Paths, patience: Patience) -> Result<Self> {
        let base = base.trim_end_matches('/').to_string();
        let is_tls = base.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"));
        let builder = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .user_agent(concat!("patchflag/", env!("CARGO_PKG_VERSION")))
            .max_redirects(REDIRECTS)
            .https_only(is_tls) // a redirect must not leave TLS
            .timeout_resolve(Some(patience.connect))
            .timeout_connect(Some(patience.connect))
            .timeout_send_request(Some(patience.answer))
            .timeout_recv_response(Some(patience.answer))
            .timeout_per_read(Some(patience.answer));
        // Authorities for http:// too: it may be redirected to https://, and those who have no bundle still get http://.
        let authorities =
            if is_tls { authorities(ca_file, paths)? } else { authorities(ca_file, paths).unwrap_or_default() };
        let tls = tls::config(authorities, None);
        Ok(Self { agent: builder.tls_config(tls).build().new_agent(), base })
    }

    pub fn get(&self, relative: &str) -> Result<(String, Box<dyn Read>)> {
        let url = if relative.is_empty() { self.base.clone() } else { format!("{}/{}", self.base, encode(relative)) };
        let answer = self.agent.get(&url).call();
        // What is behind a question mark may be a secret, and messages are read by everybody.
        let url = url.split_once('?').map_or(url.as_str(), |(shown, _)| shown).to_string();
        let answer = answer.map_err(|why| unreachable(&url, why))?;
        match answer.status().as_u16() {
            200 => Ok((url, Box::new(answer.into_body().into_with_config().limit(u64::MAX).reader()))),
            status @ (500..=599 | 408 | 425 | 429) => {
                Err(Error::Unreachable { service: url, reason: format!("the server answers {status}") })
            }
            404 | 410 => Err(super::missing(&url, "there is no such file on the server")),
            status => Err(Error::failed("fetch", url, format!("the server answers {status}"))),
        }
    }
}

fn authorities(ca_file: Option<&Path>, paths: &Paths) -> Result<tls::Authorities> {
    tls::authorities(ca_file.map(|path| paths.at(path)), &paths.ca_bundles())
}

/// Names as they are on disk, for an URL (RFC 3986): everything but unreserved characters and slashes is escaped. `+` as well,
/// which some stores take for a space.
fn encode(relative: &str) -> String {
    let mut url = String::with_capacity(relative.len());
    for byte in relative.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            url.push(char::from(byte));
        } else {
            let _ = write!(url, "%{byte:02X}"); // into memory: cannot fail
        }
    }
    url
}

fn unreachable(url: &str, why: ureq::Error) -> Error {
    match why {
        ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::InvalidProxyUrl => {
            Error::Usage(format!("cannot fetch {url}: {why}"))
        }
        ureq::Error::TooManyRedirects | ureq::Error::RedirectFailed | ureq::Error::RequireHttpsOnly(_) => {
            Error::failed("fetch", url, why)
        }
        other => Error::Unreachable { service: url.to_string(), reason: other.to_string() },
    }
}

/// A body that ended before its end.
pub fn broken(url: &str, why: &io::Error) -> Error {
    Error::Unreachable { service: url.to_string(), reason: why.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_on_disk_is_escaped_once() {
        assert_eq!(encode("pool/a/libc++_1%3a2~rc1_amd64.deb"), "pool/a/libc%2B%2B_1%253a2~rc1_amd64.deb");
    }
}
