//! Whom we trust on the network, and who we are there: certificate authorities and client certificates, read from files that were
//! judged, for ureq.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, TlsProvider, parse_pem};

use super::{secret, trusted};
use crate::error::{Error, Result};

/// A bundle of authorities is not larger.
const LIMIT: u64 = 4 << 20;

/// The authorities that count.
pub type Authorities = Vec<Certificate<'static>>;

/// The authorities that count: those of `chosen` alone, or the first of the system's bundles that is there. An entry that cannot
/// be read counts as damage, not as one less.
///
/// # Errors
/// [`Error::Failed`] if there are none to trust; as [`trusted::read`].
pub fn authorities(chosen: Option<PathBuf>, bundles: &[PathBuf]) -> Result<Authorities> {
    let path = match chosen {
        Some(path) => path,
        None => system_bundle(bundles)?,
    };
    // Distributions make the bundle's name a link; the file behind it is judged.
    let path = path.canonicalize().map_err(Error::io("open", &path))?;
    let found = certificates(&trusted::read(&path, LIMIT)?, &path)?;
    Ok(found)
}

fn certificates(pem: &[u8], path: &Path) -> Result<Authorities> {
    let mut found = Vec::new();
    for item in parse_pem(pem) {
        if let PemItem::Certificate(one) = item.map_err(|why| Error::refused(path.display(), why))? {
            found.push(one);
        }
    }
    if found.is_empty() {
        return Err(Error::refused(path.display(), "it holds no certificate"));
    }
    Ok(found)
}

fn system_bundle(bundles: &[PathBuf]) -> Result<PathBuf> {
    bundles.iter().find(|path| path.exists()).cloned().ok_or_else(|| {
        let first = bundles.first().map(|path| path.display().to_string()).unwrap_or_default();
        Error::failed("use", "https://", format!("{first} is not there; install ca-certificates or set ca_file ="))
    })
}

/// A client certificate with its key, which only root may read. Both are tried together here, because ureq panics later over an X.509
/// v1 certificate or a key of another one.
///
/// # Errors
/// [`Error::Refused`] with the file and the reason.
pub fn identity(certificate: &Path, key: &Path) -> Result<ClientCert> {
    let chain = certificates(&trusted::read(certificate, LIMIT)?, certificate)?;
    let pem = secret::read(key)?;
    let refused = |why: &dyn std::fmt::Display| Error::refused(key.display(), why);
    let private = PrivateKey::from_pem(&pem).map_err(|why| refused(&why))?;
    let der = PrivateKeyDer::from_pem_slice(&pem).map_err(|why| refused(&why))?;
    let ders = chain.iter().map(|one| CertificateDer::from(one.der().to_vec())).collect();
    CertifiedKey::from_der(ders, der, &rustls::crypto::ring::default_provider())
        .map_err(|why| unfit(certificate, key, &why))?;
    Ok(ClientCert::new_with_certs(&chain, private))
}

fn unfit(certificate: &Path, key: &Path, why: &rustls::Error) -> Error {
    let words = match why {
        rustls::Error::InconsistentKeys(_) => format!("it does not belong to the key {}", key.display()),
        rustls::Error::InvalidCertificate(_) => {
            format!(
                "{why}; an X.509 version 1 certificate is none for TLS, make one of version 3 (openssl x509 -req -extfile …)"
            )
        }
        _ => format!("it cannot be used with the key {}: {why}", key.display()),
    };
    Error::refused(certificate.display(), words)
}

/// What ureq is told: these authorities and no others, and who we are.
pub fn config(authorities: Authorities, identity: Option<ClientCert>) -> TlsConfig {
    TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(RootCerts::Specific(Arc::new(authorities)))
        .client_cert(identity)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build()
}
