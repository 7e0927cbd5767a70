//! Where files are fetched from: a web server, or a directory. Judged when the configuration is read, in the evening, so that
//! a slip of the pen is none of the night's failures.
//!
//! What a tool fetches from stands in its messages, in journals that everybody may read, and in mails. So no complaint here
//! repeats the value, and one that holds a password is refused.

use std::net::Ipv6Addr;

use super::post::Relay;
use super::values::words;

/// Whether an address may end in `?…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Query {
    /// It names one file, and some servers want more than its path.
    Allowed,
    /// Names of files are put behind it.
    Refused,
}

const SHAPE: &str = "it is no place to read from; write http://HOST/…, https://HOST/… or an absolute path";
const SECRET: &str = "it holds a user or a password, which everybody would read in journals and mails; take it out: what is \
                      fetched is signed and needs no secret (for a source that asks for one, fetch the file by other means \
                      and write its path)";

/// Reads `http://…`, `https://…`, `file:///…` or an absolute path.
///
/// # Errors
/// What is wrong, with an example, and without the value.
pub fn place(text: &str, query: Query) -> Result<String, String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return if text.starts_with('/') { Ok(text.to_string()) } else { Err(SHAPE.into()) };
    };
    // RFC 3986, 3.2: the authority ends at the first of these.
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err(SECRET.into());
    }
    match scheme.to_ascii_lowercase().as_str() {
        "file" if authority.is_empty() && path.starts_with('/') => return Ok(text.to_string()),
        "http" | "https" => {}
        _ => return Err(SHAPE.into()),
    }
    server(authority)?;
    if path.contains('#') || (query == Query::Refused && path.contains('?')) {
        return Err("names of files are put behind it, so there must be no ? or # in it".into());
    }
    // The last word has who will fetch it.
    text.parse::<ureq::http::Uri>().map_err(|why| format!("it is no address of a web server: {why}"))?;
    Ok(text.to_string())
}

/// Reads the `http://…` or `https://…` of a service that is asked, not fetched from; slashes at its end are taken off.
///
/// # Errors
/// What is wrong, with an example, and without the value.
pub fn service(text: &str) -> Result<String, String> {
    const SHAPE: &str = "it is no address of a service; write http://HOST:PORT or https://HOST:PORT";
    let (scheme, rest) = text.split_once("://").ok_or(SHAPE)?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err("it holds a user or a password; write them into secret_id and secret_file".into());
    }
    if path.contains(['?', '#']) {
        return Err("names are put behind it, so there must be no ? or # in it".into());
    }
    let scheme = scheme.to_ascii_lowercase();
    if scheme != "http" && scheme != "https" {
        return Err(SHAPE.into());
    }
    server(authority)?;
    let url = format!("{scheme}://{authority}{}", path.trim_end_matches('/'));
    url.parse::<ureq::http::Uri>().map_err(|why| format!("it is no address of a web server: {why}"))?;
    Ok(url)
}

/// Whether what is sent to a [`service`] can be read on its way.
pub fn is_plain_and_far(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else { return false };
    let authority = rest.split('/').next().unwrap_or_default();
    !Relay::parse(authority).is_ok_and(|place| place.is_this_machine())
}

/// `HOST`, `HOST:PORT`, `[::1]` or `[::1]:PORT`.
fn server(authority: &str) -> Result<(), String> {
    let bracketed = authority.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (is_host, port) = if let Some((host, behind)) = bracketed {
        let is_whole = behind.is_empty() || behind.starts_with(':');
        (is_whole && host.parse::<Ipv6Addr>().is_ok(), behind.strip_prefix(':'))
    } else {
        let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
        (is_name(host), port)
    };
    if !is_host {
        return Err("it names no host; write it like http://patch.example.org or https://[::1]:8443".into());
    }
    let is_port =
        |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    match port {
        Some(port) if !is_port(port) => {
            Err("its port is none; write one from 1 to 65535, like http://patch.example.org:8080".into())
        }
        _ => Ok(()),
    }
}

/// An address or a name, underscores as well: a resolver takes them.
fn is_name(host: &str) -> bool {
    host.bytes().any(|b| b.is_ascii_alphanumeric())
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// Suites, of which each may name an archive of its own: `bookworm-security@URL`.
///
/// # Errors
/// As [`place`].
pub fn suites(text: &str) -> Result<Vec<String>, String> {
    let found = words(text);
    for (_, base) in found.iter().filter_map(|word| word.split_once('@')) {
        place(base, Query::Refused)?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::error::Error;
    use proptest::prelude::*;

    fn refusal(text: &str) -> String {
        place(text, Query::Refused).unwrap_err()
    }

    #[test]
    fn web_servers_and_absolute_paths_are_places() {
        for good in [
            "http://patch.example.org",
            "HTTPS://patch_server:8443/tree/",
            "http://10.0.0.1/a@b/c%20d",
            "http://[::1]:8080/x",
            "http://[fd00::1]",
            "file:///srv/patch",
            "/mnt/patch server",
        ] {
            assert_eq!(place(good, Query::Refused).as_deref(), Ok(good));
        }
        assert!(place("https://x/10.zip?auth=1/2", Query::Allowed).is_ok());
    }

    #[test]
    fn what_is_no_place_is_refused_with_a_word_on_why() {
        for (bad, word) in [
            ("", "no place"),
            ("relative/path", "no place"),
            ("ftp://x/", "no place"),
            ("file://relative", "no place"),
            ("http:/x", "no place"),
            ("http://", "no host"),
            ("http:///tree", "no host"),
            ("http://:80/", "no host"),
            ("http://[x]/", "no host"),
            ("http://[::1]x/", "no host"),
            ("http://a b/", "no host"),
            ("http://x:99999/", "port"),
            ("http://x:0/", "port"),
            ("http://x:/", "port"),
            ("http://x:+80/", "port"),
            ("http://[::1]:http/", "port"),
            ("http://x/a b", "no address"),
            ("http://x/?a", "?"),
            ("http://x/#a", "#"),
        ] {
            assert!(refusal(bad).contains(word), "{bad}: {}", refusal(bad));
        }
    }

    #[test]
    fn a_password_is_refused_wherever_an_address_may_stand_and_never_repeated() {
        let apt = "[cluster debian-12/amd64]\nkind = apt\n";
        for (text, line) in [
            ("[grab]\nserver = http://user:S3CRET@host/tree\n".to_string(), 2),
            ("[grab]\nserver = https://S3CRET@host\n".into(), 2),
            ("[grab]\nserver = ftp://user:S3CRET@host\n".into(), 2),
            ("[grab]\nserver = user:S3CRET@host\n".into(), 2),
            ("[grab]\nserver = http://user:S3/CRET@host\n".into(), 2),
            (format!("{apt}source = http://user:S3CRET@host/debian\nsuites = stable\n"), 3),
            (format!("{apt}source = /srv\nsuites = stable\n  security@http://user:S3CRET@host/debian\n"), 4),
            ("[cluster x/amd64]\nkind = script\nsource = https://user:S3CRET@host/c.zip\n".into(), 3),
        ] {
            let error = Config::parse(&text, "f").unwrap_err();
            let words = error.to_string();
            assert!(matches!(error, Error::Usage(_)) && words.starts_with(&format!("f:{line}: ")), "{words}");
            assert!(!words.contains("CRET") && !words.contains("S3"), "{words}");
        }
        assert!(refusal("http://user:S3CRET@host").contains("take it out"));
    }

    proptest! {
        #[test]
        fn no_value_that_is_refused_is_repeated(secret in "[a-z0-9:/?#@.-]{0,6}QQ[a-z0-9:/?#@.-]{0,6}") {
            for text in [secret.clone(), format!("http://{secret}"), format!("http://u:{secret}@h/"), format!("x://{secret}")] {
                if let Err(words) = place(&text, Query::Refused) {
                    prop_assert!(!words.contains("QQ"), "{}", words);
                }
            }
        }
    }
}
