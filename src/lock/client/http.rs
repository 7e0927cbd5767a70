//! One exchange with a lock service by HTTP: a request, an answer, an end.
//!
//! Secrets travel here. So no redirect is followed, no proxy of the environment is used, a certificate is always checked against
//! authorities of ours, and an answer is no longer than a few megabytes. What is no answer is [`Error::Unreachable`]; what the
//! credential may not do, and what is no service of this kind, is [`Error::Usage`].

use std::error::Error as _;
use std::time::Duration;

use rustls::AlertDescription as Alert;
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::http::{Method, Request};

use super::Kind;
use crate::config::locking::Web;
use crate::error::{Error, Result};
use crate::paths::Paths;
use crate::sys::tls;

/// An answer is not longer.
const LIMIT: u64 = 8 << 20;
/// So much of what a service says is shown.
const SHOWN: usize = 200;

/// A service at one address.
#[derive(Debug)]
pub struct Http {
    agent: ureq::Agent,
    base: String,
    kind: Kind,
    headers: Vec<(&'static str, String)>,
    timeout: Duration,
}

/// What it answered.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Http {
    /// Reads the certificates; connects to nothing yet.
    ///
    /// # Errors
    /// [`Error::Usage`] if one of the named files cannot be used.
    pub fn new(web: &Web, url: &str, kind: Kind, paths: &Paths, timeout: Duration) -> Result<Self> {
        let wrong = |error: Error| Error::Usage(error.to_string());
        let is_tls = url.starts_with("https:");
        let authorities = if is_tls {
            tls::authorities(web.ca_file.as_ref().map(|path| paths.at(path)), &paths.ca_bundles()).map_err(wrong)?
        } else {
            Vec::new()
        };
        let identity = match &web.identity {
            Some(identity) => {
                Some(tls::identity(&paths.at(&identity.certificate), &paths.at(&identity.key)).map_err(wrong)?)
            }
            None => None,
        };
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .user_agent(concat!("patchflag/", env!("CARGO_PKG_VERSION")))
            .max_redirects(0)
            .proxy(None)
            .https_only(is_tls)
            .timeout_connect(Some(timeout))
            .tls_config(tls::config(authorities, identity))
            .build()
            .new_agent();
        Ok(Self { agent, base: url.to_string(), kind, headers: Vec::new(), timeout })
    }

    /// Adds a header to every request.
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Adds the configured id and its secret, as dlmengine and patch-lockd know them.
    ///
    /// # Errors
    /// [`Error::Usage`] if the file cannot be used.
    pub fn with_secret(self, web: &Web, paths: &Paths) -> Result<Self> {
        let Some(known) = &web.secret else { return Ok(self) };
        let secret = known.read(paths)?;
        if !secret.reveal().bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
            return Err(Error::Usage(format!(
                "refusing {}: it holds a character that no secret has",
                known.place(paths)
            )));
        }
        Ok(self.with_header("x-secret-id", known.id.clone()).with_header("x-secret", secret.reveal()))
    }

    /// Where it is, for messages.
    pub fn base(&self) -> &str {
        &self.base
    }

    pub fn get(&self, path: &str) -> Result<Reply> {
        self.send::<()>(&Method::GET, path, None, Duration::ZERO)
    }

    pub fn post(&self, path: &str, body: &impl Serialize) -> Result<Reply> {
        self.send(&Method::POST, path, Some(body), Duration::ZERO)
    }

    /// One exchange; `patience` is how much longer the service was asked to take for its answer.
    ///
    /// # Errors
    /// [`Error::Unreachable`]; [`Error::Usage`] if the service refuses our certificate or sends us elsewhere.
    pub fn send<T: Serialize>(
        &self,
        method: &Method,
        path: &str,
        body: Option<&T>,
        patience: Duration,
    ) -> Result<Reply> {
        self.send_as(method, path, body, None, patience)
    }

    /// The same, with a token that was given for a password.
    ///
    /// # Errors
    /// As [`Http::send`].
    pub fn send_as<T: Serialize>(
        &self,
        method: &Method,
        path: &str,
        body: Option<&T>,
        token: Option<&str>,
        patience: Duration,
    ) -> Result<Reply> {
        let response = self.open(method, path, body, token, self.timeout.saturating_add(patience))?;
        let status = response.status().as_u16();
        let body =
            response.into_body().into_with_config().limit(LIMIT).read_to_vec().map_err(|why| self.broken(&why))?;
        Ok(Reply { status, body })
    }

    /// Sends a request and leaves the body of the answer to the caller.
    ///
    /// # Errors
    /// As [`Http::send`].
    pub fn open<T: Serialize>(
        &self,
        method: &Method,
        path: &str,
        body: Option<&T>,
        token: Option<&str>,
        end: Duration,
    ) -> Result<ureq::http::Response<ureq::Body>> {
        let failed = |why: &dyn std::fmt::Display| Error::failed("ask", &self.base, why);
        let text = body.map(serde_json::to_vec).transpose().map_err(|why| failed(&why))?;
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if let Some(token) = token {
            request = request.header("authorization", token);
        }
        // Foreman wants to be told of JSON even where there is none.
        let request = request.header("content-type", "application/json").header("accept", "application/json");
        let end = Some(end);
        let answer = if text.is_none() && matches!(*method, Method::GET | Method::DELETE) {
            let request = request.body(()).map_err(|why| failed(&why))?;
            self.agent.run(self.agent.configure_request(request).timeout_global(end).build())
        } else {
            let request = request.body(text.unwrap_or_default()).map_err(|why| failed(&why))?;
            self.agent.run(self.agent.configure_request(request).timeout_global(end).build())
        };
        let response = answer.map_err(|why| self.broken(&why))?;
        if response.status().is_redirection() {
            return Err(Error::Usage(format!(
                "{} sends us elsewhere, and a secret does not follow; set url = to the place itself",
                self.base
            )));
        }
        Ok(response)
    }

    fn broken(&self, why: &ureq::Error) -> Error {
        match refused_certificate(why) {
            Some(words) => Error::Usage(format!(
                "{} refuses our client certificate: {words}; see certificate = in section [lock]",
                self.base
            )),
            None => self.unreachable(why),
        }
    }

    pub fn unreachable(&self, why: impl std::fmt::Display) -> Error {
        Error::Unreachable { service: format!("{} {}", self.kind, self.base), reason: why.to_string() }
    }

    /// A 200 whose body must be understood. One that is not comes from something else than the service: nobody knows what it did.
    ///
    /// # Errors
    /// [`Error::Unreachable`].
    pub fn understand<T: DeserializeOwned>(&self, reply: &Reply) -> Result<T> {
        serde_json::from_slice(&reply.body).map_err(|why| {
            self.unreachable(format!("it answers {} with what is no answer of {}: {why}", reply.status, self.kind))
        })
    }

    /// Any status that means the same everywhere.
    pub fn unexpected(&self, reply: &Reply) -> Error {
        let said = reply.said();
        match reply.status {
            401 => Error::Usage(format!(
                "{} does not know us (401: {said}); look at the id and the secret, or the certificate, in the configuration",
                self.base
            )),
            403 => Error::Usage(format!("{} does not let us do that (403: {said})", self.base)),
            408 | 425 | 429 | 500..=599 => self.unreachable(format!("it answers {}: {said}", reply.status)),
            status => Error::Usage(format!(
                "{} answers {status}: {said}; is it a service of kind {}, and its address right?",
                self.base, self.kind
            )),
        }
    }
}

impl Reply {
    /// What it said to people, cut: it may be a page of anything.
    pub fn said(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(SHOWN).collect();
        if text.is_empty() { "no word on why".into() } else { text }
    }
}

/// TLS alerts by which a server refuses a certificate: RFC 8446, 6.2.
fn refused_certificate(why: &ureq::Error) -> Option<String> {
    let found = match why {
        ureq::Error::Rustls(found) => found,
        ureq::Error::Io(why) => {
            why.get_ref()?.downcast_ref::<rustls::Error>().or_else(|| why.source()?.downcast_ref())?
        }
        _ => return None,
    };
    match found {
        rustls::Error::AlertReceived(
            alert @ (Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::CertificateRequired
            | Alert::UnknownCA
            | Alert::AccessDenied),
        ) => Some(format!("{alert:?}")),
        _ => None,
    }
}
