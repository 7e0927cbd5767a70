//! `[lock]`: which lock service the site has, and how this host asks it.
//!
//! There is no default backend: without this section there is no lock. What the named backend cannot do is refused here, in the
//! evening, with file and line. Names and kinds are the lock's own pure words, [`crate::lock::name`] and [`Promises`].

use std::path::PathBuf;
use std::time::Duration;

use super::origin;
use super::section::Section;
use crate::error::{Error, Result};
use crate::lock::kind::Kind;
use crate::lock::name::{LockName, LockSet, Owner};
use crate::lock::promises::Promises;
use crate::paths::Paths;
use crate::sys::secret::{self, Hidden};

/// `[lock]`.
#[derive(Debug, Clone)]
pub struct Lock {
    /// The service.
    pub service: Service,
    /// The locks that a patch run takes, all or none.
    pub names: Option<LockSet>,
    /// By which name this host asks; else its full name.
    pub owner: Option<Owner>,
    /// How long `--wait` waits; without it, without end.
    pub wait_max: Option<Duration>,
    /// How long one exchange with the service may take.
    pub timeout: Duration,
    /// The pauses between two tries.
    pub backoff: Backoff,
}

/// How the pauses between two tries grow: doubled each time from the first to the longest, and of that a random part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The first pause is no longer.
    pub base: Duration,
    /// No pause is longer.
    pub max: Duration,
}

/// A lock service, with what its kind needs.
#[derive(Debug, Clone)]
pub enum Service {
    /// `patch-lockd(8)`.
    Lockd(Web),
    /// etcd v3; the user and password are its secret.
    Etcd(Web),
    /// dlmengine.
    Dlm(Web, DlmVersion),
    /// The Foreman DLM plugin.
    Foreman(Web),
    /// `FleetLock` v1.
    FleetLock(Web),
    /// A directory.
    Dir {
        /// Where it is.
        path: PathBuf,
        /// Who shares it.
        scope: Scope,
    },
}

/// A service behind HTTP.
#[derive(Debug, Clone, Default)]
pub struct Web {
    /// Where it is; of a cluster each member. Without a slash at the end.
    pub urls: Vec<String>,
    /// What it knows us by.
    pub secret: Option<Secret>,
    /// A certificate authority instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// A client certificate and its key.
    pub identity: Option<Identity>,
}

/// An id and its secret.
#[derive(Debug, Clone)]
pub struct Secret {
    /// The id, or the user.
    pub id: String,
    /// Where its secret is.
    pub kept: Kept,
}

/// Where a secret is.
#[derive(Debug, Clone)]
pub enum Kept {
    /// The first line of a file that must be readable by root alone.
    InFile(PathBuf),
    /// In the configuration itself, as the updaters before us had it.
    Here(Hidden),
}

impl Secret {
    /// The secret itself.
    ///
    /// # Errors
    /// [`Error::Usage`] if its file cannot be used.
    pub fn read(&self, paths: &Paths) -> Result<Hidden> {
        match &self.kept {
            Kept::Here(hidden) => Ok(hidden.clone()),
            Kept::InFile(file) => {
                let line = secret::first_line(&paths.at(file)).map_err(|why| Error::Usage(why.to_string()))?;
                Ok(Hidden::new(line))
            }
        }
    }

    /// Where it is, for messages.
    pub fn place(&self, paths: &Paths) -> String {
        match &self.kept {
            Kept::Here(_) => format!("the secret of {} in the configuration", self.id),
            Kept::InFile(file) => paths.at(file).display().to_string(),
        }
    }
}

/// A client certificate.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate, and what leads to its authority, as PEM.
    pub certificate: PathBuf,
    /// Its key, as PEM, readable by root alone.
    pub key: PathBuf,
}

/// The versions of dlmengine's protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DlmVersion {
    /// `/api/v1/`
    V1,
    /// `/api/v2/`
    V2,
}

/// Who shares a directory of locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Several hosts: it must lie on a network file system.
    Shared,
    /// The programs of this host alone.
    ThisHost,
}

const SECOND: Duration = Duration::from_secs(1);
const WEB_KEYS: [&str; 7] = ["url", "secret_id", "secret_file", "ca_file", "certificate", "key", "plain_http"];

impl Lock {
    pub(super) fn read(s: &mut Section) -> Result<Self> {
        let kind = s.read("backend", str::parse::<Kind>)?;
        let kind =
            kind.ok_or_else(|| s.lacks("section [lock] lacks backend =; without the section there is no lock"))?;
        let lock = Self {
            service: service(s, kind)?,
            names: s.read("names", |text| names(text, kind))?,
            owner: s.read("owner", Owner::new)?,
            wait_max: s.read("wait_max", super::values::duration)?,
            timeout: s.time("timeout", 10 * SECOND)?,
            backoff: Backoff { base: s.time("backoff_base", 10 * SECOND)?, max: s.time("backoff_max", 120 * SECOND)? },
        };
        if lock.backoff.max < lock.backoff.base {
            return Err(s.lacks("[lock] has a backoff_max that is shorter than its backoff_base"));
        }
        Ok(lock)
    }

    /// What the service can do.
    pub fn promises(&self) -> Promises {
        Promises::of(self.kind())
    }

    /// Which kind of service it is.
    pub fn kind(&self) -> Kind {
        match &self.service {
            Service::Lockd(_) => Kind::Lockd,
            Service::Etcd(_) => Kind::Etcd,
            Service::Dlm(..) => Kind::Dlm,
            Service::Foreman(_) => Kind::Foreman,
            Service::FleetLock(_) => Kind::FleetLock,
            Service::Dir { .. } => Kind::Dir,
        }
    }
}

fn service(s: &mut Section, kind: Kind) -> Result<Service> {
    let unused = |keys: &[&'static str]| s.useless(keys, &format!("means nothing to backend = {kind}; take it out"));
    if kind == Kind::Dir {
        unused(&WEB_KEYS)?;
        unused(&["api"])?;
        return directory(s);
    }
    unused(&["dir", "scope"])?;
    if kind != Kind::Dlm {
        unused(&["api"])?;
    }
    match kind {
        Kind::FleetLock | Kind::Foreman => unused(&["secret_id", "secret_file"])?,
        _ => {}
    }
    let web = Web::read(s, kind)?;
    Ok(match kind {
        Kind::Etcd => Service::Etcd(web),
        Kind::Dlm => Service::Dlm(web, dlm_version(s)?),
        Kind::Foreman => Service::Foreman(web),
        Kind::FleetLock => Service::FleetLock(web),
        Kind::Lockd | Kind::Dir => Service::Lockd(web),
    })
}

fn directory(s: &mut Section) -> Result<Service> {
    let path = s.path("dir")?.ok_or_else(|| s.lacks("backend = dir needs dir ="))?;
    let scope = s.read("scope", |text| match text {
        "this-host" => Ok(Scope::ThisHost),
        other => Err(format!("{other:?} is not this-host; leave it out for a directory that several hosts share")),
    })?;
    Ok(Service::Dir { path, scope: scope.unwrap_or(Scope::Shared) })
}

fn dlm_version(s: &mut Section) -> Result<DlmVersion> {
    let version = s.read("api", |text| match text {
        "v1" => Ok(DlmVersion::V1),
        "v2" => Ok(DlmVersion::V2),
        other => Err(format!("{other:?} is neither v1 nor v2")),
    })?;
    Ok(version.unwrap_or(DlmVersion::V2))
}

/// What asks for more than the backend can do is wrong now, not at 2 a.m.
fn names(text: &str, kind: Kind) -> std::result::Result<LockSet, String> {
    let words = super::values::words(text);
    let names: Result<Vec<LockName>> = words.iter().map(|word| LockName::new(word)).collect();
    let set = LockSet::new(names.map_err(|why| why.to_string())?).map_err(|why| why.to_string())?;
    Promises::of(kind).meet(kind, &set).map_err(|why| why.to_string())?;
    Ok(set)
}

impl Web {
    fn read(s: &mut Section, kind: Kind) -> Result<Self> {
        let plain = s.read("plain_http", yes_or_no)?.unwrap_or(false);
        let urls = s.read("url", |text| urls(text, kind, plain))?;
        let web = Self {
            urls: urls.ok_or_else(|| s.lacks(&format!("backend = {kind} needs url =")))?,
            secret: pair(s, "secret_id", "secret_file")?
                .map(|(id, file)| Secret { id, kept: Kept::InFile(file.into()) }),
            ca_file: s.path("ca_file")?,
            identity: pair(s, "certificate", "key")?
                .map(|(certificate, key)| Identity { certificate: certificate.into(), key: key.into() }),
        };
        web.suffices(s, kind)?;
        Ok(web)
    }

    fn suffices(&self, s: &Section, kind: Kind) -> Result<()> {
        let is_plain = self.urls.iter().any(|url| url.starts_with("http:"));
        match kind {
            Kind::Lockd | Kind::Dlm if self.secret.is_none() && self.identity.is_none() => {
                Err(s.lacks(&format!("backend = {kind} needs secret_id = and secret_file =")))
            }
            Kind::Foreman if self.identity.is_none() => Err(
                s.lacks("backend = foreman needs certificate = and key =, for the certificate says who holds a lock")
            ),
            Kind::Foreman if is_plain => {
                Err(s.lacks("backend = foreman needs an https:// url, for only there a client certificate is shown"))
            }
            _ => Ok(()),
        }
    }
}

/// Two keys that mean something together only. Files among them must be absolute.
fn pair(s: &Section, one: &'static str, other: &'static str) -> Result<Option<(String, String)>> {
    let value = |key: &'static str| {
        if key == "secret_id" { s.read(key, header) } else { Ok(s.path(key)?.map(|path| path.display().to_string())) }
    };
    match (value(one)?, value(other)?) {
        (Some(one), Some(other)) => Ok(Some((one, other))),
        (None, None) => Ok(None),
        _ => Err(s.lacks(&format!("[lock] has one of {one} and {other}; it takes both or none"))),
    }
}

/// An id travels in a header.
pub(crate) fn header(text: &str) -> std::result::Result<String, String> {
    let fits = text.bytes().all(|b| b.is_ascii_graphic());
    if fits { Ok(text.to_string()) } else { Err("it holds a character that no id has".into()) }
}

fn yes_or_no(text: &str) -> std::result::Result<bool, String> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        other => Err(format!("{other:?} is neither yes nor no")),
    }
}

fn urls(text: &str, kind: Kind, plain: bool) -> std::result::Result<Vec<String>, String> {
    let urls: Vec<String> =
        super::values::words(text).iter().map(|url| origin::service(url)).collect::<std::result::Result<_, _>>()?;
    if urls.len() > 1 && kind != Kind::Etcd {
        return Err(format!("backend = {kind} has one url; several are the members of an etcd cluster"));
    }
    if !plain && urls.iter().any(|url| origin::is_plain_and_far(url)) {
        return Err("http:// would carry the secret in plain text; write https://, or set plain_http = yes".into());
    }
    Ok(urls)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const LOCKD: &str = "backend = lockd\nurl = https://patch.example.org:8443/\nsecret_id = web01\nsecret_file = /etc/patch/lock.secret\n";

    fn read(text: &str) -> Result<Lock> {
        Config::parse(&format!("[lock]\n{text}"), "f.ini").map(|config| config.lock.unwrap())
    }

    fn refusal(text: &str) -> String {
        let error = read(text).unwrap_err();
        assert!(matches!(error, crate::error::Error::Usage(_)), "{error}");
        error.to_string()
    }

    #[test]
    fn no_section_means_no_lock() {
        assert!(Config::parse("", "f").unwrap().lock.is_none());
    }

    #[test]
    fn the_defaults_are_the_written_ones() {
        let lock = read(&format!("{LOCKD}names = web, db\n")).unwrap();
        assert_eq!((lock.timeout.as_secs(), lock.backoff.base.as_secs(), lock.backoff.max.as_secs()), (10, 10, 120));
        assert_eq!(lock.names.unwrap().iter().map(ToString::to_string).collect::<Vec<_>>(), ["db", "web"]);
        assert!(lock.wait_max.is_none(), "W35: nobody gives up by default");
        let Service::Lockd(web) = lock.service else { panic!() };
        assert_eq!(web.urls, ["https://patch.example.org:8443"]);
    }

    #[test]
    fn what_a_backend_cannot_do_is_refused_with_the_line() {
        for backend in [
            "backend = dlm\nurl = https://x\nsecret_id = a\nsecret_file = /s\n",
            "backend = foreman\nurl = https://x\ncertificate = /c\nkey = /k\n",
            "backend = fleetlock\nurl = https://x\n",
            "backend = etcd\nurl = https://x https://y\n",
            "backend = dir\ndir = /srv/locks\n",
        ] {
            assert!(read(&format!("{backend}names = web\n")).is_ok(), "{backend}");
            let words = refusal(&format!("{backend}names = web db\n"));
            let line = backend.lines().count() + 2;
            assert!(words.starts_with(&format!("f.ini:{line}: names: ")) && words.contains("one lock"), "{words}");
        }
    }

    #[test]
    fn secrets_do_not_travel_in_plain_text_by_accident() {
        let plain = LOCKD.replace("https://patch.example.org:8443/", "http://patch.example.org");
        assert!(refusal(&plain).contains("plain_http"));
        assert!(read(&format!("{plain}plain_http = yes\n")).is_ok());
        for near in ["http://127.0.0.1:1", "http://localhost", "http://[::1]:80"] {
            assert!(read(&LOCKD.replace("https://patch.example.org:8443/", near)).is_ok(), "{near}");
        }
        for far in ["http://localhost.example", "http://127.0.0.1.example", "http://10.0.0.1", "HTTP://x"] {
            assert!(read(&LOCKD.replace("https://patch.example.org:8443/", far)).is_err(), "{far}");
        }
    }

    /// W43: misspelt keys are ignored, bad values end in tracebacks.
    #[test]
    fn w43_what_is_wrong_is_named_with_its_line() {
        for (text, word) in [
            ("", "lacks backend"),
            ("backend = zookeeper\n", "f.ini:2: backend: "),
            ("backend = lockd\n", "needs url"),
            ("backend = lockd\nurl = https://x\n", "needs secret_id"),
            ("backend = lockd\nurl = https://x\nsecret_id = a\n", "both or none"),
            ("backend = foreman\nurl = https://x\n", "needs certificate"),
            ("backend = foreman\nurl = http://localhost\ncertificate = /c\nkey = /k\n", "https"),
            ("backend = fleetlock\nurl = https://x https://y\n", "one url"),
            ("backend = lockd\nurl = https://user:S3CRET@x\nsecret_id = a\nsecret_file = /s\n", "secret_id"),
            ("backend = lockd\nurl = /srv\nsecret_id = a\nsecret_file = /s\n", "f.ini:3: url: "),
            ("backend = dir\n", "needs dir"),
            ("backend = dir\ndir = relative\n", "absolute"),
            ("backend = dir\ndir = /d\nscope = all\n", "this-host"),
            ("backend = dir\ndir = /d\nurl = https://x\n", "f.ini:4: key url means nothing"),
            ("backend = dir\ndir = /d\napi = v2\n", "means nothing"),
            ("backend = etcd\nurl = https://x\ndir = /d\n", "means nothing"),
            ("backend = dir\ndir = /d\nowner = localhost\n", "f.ini:4: owner: "),
            ("backend = dir\ndir = /d\nnames = ../x\n", "f.ini:4: names: "),
            ("backend = dir\ndir = /d\ntimeout = 0\n", "no time"),
            ("backend = dir\ndir = /d\nwait_max = soon\n", "wait_max: "),
            ("backend = dir\ndir = /d\nbackoff_base = 5m\n", "shorter"),
            ("backend = dir\ndir = /d\nname = web\n", "did you mean names"),
            ("backend = dlm\nurl = https://x\nsecret_id = a\nsecret_file = /s\napi = v3\n", "f.ini:6: api: "),
            ("backend = dlm\nurl = https://x\nsecret_id = a\nsecret_file = /s\nplain_http = 1\n", "neither yes nor no"),
        ] {
            let words = refusal(text);
            assert!(words.starts_with("f.ini:") && words.contains(word), "{text}: {words}");
            assert!(!words.contains("S3CRET"), "{words}");
        }
    }
}
