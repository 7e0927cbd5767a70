//! Where the old dialects say their lock service is. Pure.

use std::time::Duration;

use crate::config::Lock;
use crate::config::locking::{Backoff, DlmVersion, Service};
use crate::config::origin;
use crate::lock::name::LockName;

use super::Wait;

const SECOND: Duration = Duration::from_secs(1);

/// The address of a dlmengine without `/api/v…/`, and which version that names. What is before it, such as the prefix of a proxy, is
/// kept.
///
/// # Errors
/// What is wrong, without the value.
pub fn dlm(text: &str) -> Result<(String, DlmVersion), String> {
    let (base, version) = if let Some(base) = text.strip_suffix("/api/v1/") {
        (base, DlmVersion::V1)
    } else if let Some(base) = text.strip_suffix("/api/v2/") {
        (base, DlmVersion::V2)
    } else {
        return Err("it must end in /api/v2/ or /api/v1/, slash included".into());
    };
    Ok((origin::service(base)?, version))
}

/// The same for 1.0, which knows no version but 2.
///
/// # Errors
/// As [`dlm`].
pub fn dlm_v2(text: &str) -> Result<(String, DlmVersion), String> {
    match dlm(text) {
        Ok((_, DlmVersion::V1)) => {
            Err("it names /api/v1/, which DLM Engine Updater 1.0 does not speak; write /api/v2/".into())
        }
        Err(_) if !text.ends_with("/api/v2/") => Err("it must end in /api/v2/, slash included".into()),
        other => other,
    }
}

/// What a run needs of the one lock that an old dialect names. The owner is this host's full name, or what its certificate says.
pub fn lock(service: Service, name: &LockName, wait: Wait, backoff: Backoff) -> Lock {
    let wait_max = match wait {
        Wait::UpTo(time) => Some(time),
        Wait::No | Wait::Forever => None,
    };
    Lock { service, names: Some(name.clone().into()), owner: None, wait_max, timeout: 10 * SECOND, backoff }
}

/// Why an address is a danger, if it is one. The updaters took it, so it is no error.
pub fn danger(url: &str, what: &str) -> Option<String> {
    origin::is_plain_and_far(url).then(|| format!("http:// carries {what} in plain text; write https://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_end_of_the_address_and_what_is_before_is_kept() {
        assert_eq!(dlm("https://dlm.example.com/api/v1/"), Ok(("https://dlm.example.com".into(), DlmVersion::V1)));
        assert_eq!(dlm("https://x:8443/locks/api/v2/"), Ok(("https://x:8443/locks".into(), DlmVersion::V2)));
        assert_eq!(dlm_v2("http://[::1]:80/api/v2/"), Ok(("http://[::1]:80".into(), DlmVersion::V2)));
        for bad in
            ["https://x/api/v2", "https://x/", "https://x/api/v3/", "x/api/v2/", "", "https://u:S3CRET@x/api/v2/"]
        {
            assert!(dlm(bad).is_err() && !dlm(bad).unwrap_err().contains("S3CRET"), "{bad}");
        }
        assert!(dlm_v2("https://x/api/v1/").unwrap_err().contains("/api/v2/"));
    }
}
