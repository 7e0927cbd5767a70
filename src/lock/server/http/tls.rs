//! TLS: our certificate, and whose client certificates count.
//!
//! A client may come without a certificate, and show a secret instead. One that is sent is verified in the handshake: if it is
//! expired, or another authority's, the handshake fails, whatever secret would follow.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;
use x509_cert::der::asn1::{ObjectIdentifier, Utf8StringRef};
use x509_cert::der::{Decode, Tag, Tagged};

use crate::error::{Error, Result};
use crate::lock::server::settings::TlsFiles;
use crate::sys::{secret, trusted};

/// No certificate or list of authorities is larger.
const LIMIT: u64 = 4 << 20;
/// id-at-commonName, RFC 5280, appendix A.
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// Reads the files, all of which must be root's or our own; the key must be hidden from others.
///
/// # Errors
/// [`Error::Usage`] with the file that is wrong, and why.
pub fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor> {
    load(files).map_err(|error| match error {
        Error::Usage(_) => error,
        other => Error::Usage(other.to_string()),
    })
}

fn load(files: &TlsFiles) -> Result<TlsAcceptor> {
    let provider = Arc::new(ring::default_provider());
    let wrong =
        |path: &Path, why: &dyn std::fmt::Display| Error::Usage(format!("cannot use {}: {why}", path.display()));
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|why| wrong(&files.certificate, &why))?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|why| wrong(path, &why))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .map_err(|why| wrong(path, &why))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let config = builder
        .with_single_cert(certificates(&files.certificate)?, key(&files.key)?)
        .map_err(|why| wrong(&files.certificate, &format!("{why}; it must fit the key {}", files.key.display())))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let bytes = trusted::read(path, LIMIT)?;
    let read: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = read.map_err(|why| Error::refused(path.display(), format!("it is no certificate in PEM: {why}")))?;
    if found.is_empty() {
        return Err(Error::refused(path.display(), "it holds no certificate in PEM"));
    }
    Ok(found)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(&secret::read(path)?)
        .map_err(|why| Error::refused(path.display(), format!("it is no private key in PEM: {why}")))
}

/// The common name of a certificate that was verified: the only one it has, or none.
pub fn common_name(certificate: &[u8]) -> Option<String> {
    let certificate = x509_cert::Certificate::from_der(certificate).ok()?;
    let names = certificate.tbs_certificate.subject.0.iter().flat_map(|names| names.0.iter());
    let mut common = names.filter(|name| name.oid == COMMON_NAME);
    let value = &common.next()?.value;
    if common.next().is_some() {
        return None;
    }
    // Printable and IA5 strings are ASCII, and so UTF-8.
    matches!(value.tag(), Tag::Utf8String | Tag::PrintableString | Tag::Ia5String)
        .then(|| Utf8StringRef::new(value.value()).ok().map(|name| name.as_str().to_string()))
        .flatten()
}
