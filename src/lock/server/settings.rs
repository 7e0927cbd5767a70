//! What the administrator wants, `lockd.ini(5)`: read whole and strictly.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::access::{Client, Clients, Role};
use super::desk::Terms;
use super::secret::{self, Kept, Sum};
use crate::config::ini::Ini;
use crate::config::section::Section;
use crate::config::values;
use crate::error::{Error, Result};
use crate::lock::book::terms::{Rules, Terms as LockTerms};
use crate::lock::name::LockName;
use crate::paths::Paths;
use crate::sys::{glob, trusted};

/// A configuration file may not be larger than this.
const LIMIT: u64 = 1 << 20;
const HOUR: Duration = Duration::from_hours(1);

/// The whole file.
#[derive(Debug)]
pub struct Settings {
    /// Where the service is reached.
    pub listen: Vec<SocketAddr>,
    /// The store.
    pub store: PathBuf,
    /// With what TLS is spoken; `None`: plain HTTP.
    pub tls: Option<TlsFiles>,
    /// How long the history of ended grants is kept; `None`: for ever.
    pub keep_history: Option<Duration>,
    /// Programs that are run when a grant is overdue.
    pub overdue_hooks: PathBuf,
    /// Plain HTTP may be spoken at addresses that are not this machine's own.
    pub plain_http: bool,
    /// How many connections there may be at once.
    pub connections: usize,
    /// The terms of locks, in the order of the file.
    pub locks: Vec<LockSection>,
    /// Who may come.
    pub clients: Clients,
}

/// The files that TLS needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Our certificate, with what leads to its root.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Whose client certificates count.
    pub client_ca: Option<PathBuf>,
}

/// `[lock NAME-OR-GLOB]`.
#[derive(Debug, Clone)]
pub struct LockSection {
    /// Which locks.
    pub pattern: String,
    /// Slots, overdue, how many may wait.
    pub terms: LockTerms,
    /// How often clients that can only poll are expected to do so.
    pub poll_interval: Duration,
}

impl LockSection {
    /// What holds for a lock of which the file does not speak.
    fn other() -> Self {
        Self {
            pattern: "*".into(),
            terms: LockTerms { overdue: Some(4 * HOUR), ..LockTerms::default() },
            poll_interval: Duration::from_mins(2),
        }
    }

    fn read(pattern: &str, s: &Section) -> Result<Self> {
        let other = Self::other();
        let count = |text: &str| text.parse().map_err(|_| format!("{text:?} is no number above 0"));
        let terms = LockTerms {
            slots: s
                .read("slots", |text| text.parse().map_err(|_| format!("{text:?} is no number above 0")))?
                .unwrap_or(NonZeroUsize::MIN),
            overdue: s
                .read("overdue", |text| match text {
                    "never" => Ok(None),
                    _ => values::duration(text).map(Some),
                })?
                .unwrap_or(other.terms.overdue),
            waiters: s.read("waiters", count)?.unwrap_or(other.terms.waiters),
        };
        Ok(Self { pattern: pattern.into(), terms, poll_interval: s.time("poll_interval", other.poll_interval)? })
    }
}

impl Settings {
    /// Reads a file, which must be root's or our own; one that holds what is kept of secrets must be hidden from others as well.
    ///
    /// # Errors
    /// [`Error::Usage`] with file and line for whatever is wrong with it.
    pub fn load(path: &Path) -> Result<Self> {
        let path = &std::path::absolute(path).map_err(Error::io("find", path))?;
        let usage = |error: Error| Error::Usage(error.to_string());
        let open = trusted::file(path).map_err(usage)?;
        let mode = open.metadata().map_err(Error::io("look at", path))?.mode();
        let bytes = trusted::read_all(open, path, LIMIT).map_err(usage)?;
        let file = path.display().to_string();
        let text =
            String::from_utf8(bytes).map_err(|_| Error::Usage(format!("cannot read {file}: it is not UTF-8")))?;
        let (settings, secrets) = Self::parse_whole(&text, &file)?;
        if mode & 0o007 != 0 && secrets > 0 {
            return Err(Error::Usage(format!(
                "refusing {file}: mode {:04o} lets everybody read what is kept of secrets; chmod o= {file}",
                mode & 0o7777
            )));
        }
        Ok(settings)
    }

    /// Understands the text of a configuration; `file` is for the messages.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn parse(text: &str, file: &str) -> Result<Self> {
        Self::parse_whole(text, file).map(|(settings, _)| settings)
    }

    /// With the number of the secrets in it.
    fn parse_whole(text: &str, file: &str) -> Result<(Self, usize)> {
        let ini = Ini::parse(text, file)?;
        let (mut settings, mut clients) = (Self::default(), Vec::new());
        for name in ini.section_names() {
            let section = Section::new(&ini, name);
            let wrong = |why: &dyn std::fmt::Display| {
                Error::Usage(format!("{file}:{}: section [{name}]: {why}", ini.section_line(name)))
            };
            match name.split_once(' ').map_or((name, ""), |(kind, rest)| (kind, rest.trim())) {
                ("lockd", "") => settings.read_lockd(&section)?,
                ("lock", pattern) if settings.locks.iter().any(|other| other.pattern == pattern) => {
                    return Err(wrong(&format!("lock {pattern} has a section already; join them")));
                }
                ("lock", pattern) if !pattern.is_empty() => {
                    // What is no name with its stars and question marks fits none.
                    LockName::new(pattern).map_err(|why| wrong(&why))?;
                    settings.locks.push(LockSection::read(pattern, &section)?);
                }
                ("client", client) if clients.iter().any(|other: &Client| other.name == client) => {
                    return Err(wrong(&format!("client {client} has a section already; join them")));
                }
                ("client", client) if !client.is_empty() => clients.push(read_client(client, &section)?),
                _ => return Err(unknown_section(&ini, name)),
            }
            section.finish()?;
        }
        let secrets = clients.iter().map(|client| client.secrets.len()).sum();
        settings.clients = Clients::new(clients).map_err(|why| Error::Usage(format!("{file}: {why}")))?;
        Ok((settings, secrets))
    }

    fn read_lockd(&mut self, s: &Section) -> Result<()> {
        let addresses = |text: &str| values::words(text).iter().map(|word| address(word)).collect();
        self.listen = s.read("listen", addresses)?.unwrap_or_else(|| std::mem::take(&mut self.listen));
        self.store = s.path("store")?.unwrap_or_else(|| std::mem::take(&mut self.store));
        let (certificate, key, client_ca) = (s.path("certificate")?, s.path("key")?, s.path("client_ca")?);
        self.tls = match (certificate, key) {
            (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key, client_ca }),
            (None, None) if client_ca.is_none() => None,
            _ => return Err(s.lacks("[lockd] has some of certificate, key and client_ca; TLS needs the first two")),
        };
        self.keep_history = s
            .read("keep_history", |text| match text {
                "forever" => Ok(None),
                _ => values::duration(text).map(Some),
            })?
            .unwrap_or_default();
        self.overdue_hooks = s.path("overdue_hooks")?.unwrap_or_else(|| std::mem::take(&mut self.overdue_hooks));
        let count = |text: &str| match text.parse() {
            Ok(count) if count > 0 => Ok(count),
            _ => Err(format!("{text:?} is no number above 0")),
        };
        self.connections = s.read("connections", count)?.unwrap_or(self.connections);
        self.plain_http = s.read("plain_http", yes_or_no)?.unwrap_or(false);
        if let Some(far) = self.exposed(&self.listen) {
            return Err(s.lacks(&format!(
                "[lockd] would take secrets at {far} in plain text; set certificate and key, or plain_http = yes"
            )));
        }
        Ok(())
    }

    /// An address at which secrets would travel in plain text, and that was not said.
    fn exposed<'a>(&self, addresses: &'a [SocketAddr]) -> Option<&'a SocketAddr> {
        let is_safe = self.tls.is_some() || self.plain_http;
        addresses.iter().find(|address| !is_safe && !address.ip().is_loopback())
    }

    /// Judges whether these settings may follow others while the service goes on listening at the same addresses, whatever
    /// `listen` says by now.
    ///
    /// # Errors
    /// [`Error::Usage`] if these addresses would no longer be spoken to by TLS, or never were and must.
    pub fn may_follow(&self, old: &Self, addresses: &[SocketAddr]) -> Result<()> {
        if old.tls.is_some() && self.tls.is_none() {
            return Err(Error::Usage(
                "refusing to speak plain HTTP where TLS was spoken: put certificate and key back, or restart the service".into(),
            ));
        }
        self.exposed(addresses).map_or(Ok(()), |far| {
            Err(Error::Usage(format!(
                "refusing plain HTTP at {far}, where the service listens until it is restarted: set certificate and key, \
                 or plain_http = yes"
            )))
        })
    }

    /// The same, with all files below a root.
    #[must_use]
    pub fn below(self, paths: &Paths) -> Self {
        let tls = self.tls.map(|files| TlsFiles {
            certificate: paths.at(files.certificate),
            key: paths.at(files.key),
            client_ca: files.client_ca.map(|path| paths.at(path)),
        });
        Self { store: paths.at(self.store), overdue_hooks: paths.at(self.overdue_hooks), tls, ..self }
    }

    /// The same, with one client, `local`, who may do everything.
    #[must_use]
    pub fn with_local(self, secret: Sum) -> Self {
        let local = Client {
            name: "local".into(),
            id: "local".into(),
            secrets: vec![Kept::Sha256(secret)],
            certificate: None,
            owners: vec!["*".into()],
            locks: vec!["*".into()],
            role: Role::Admin,
        };
        // One client is the same as nobody.
        Self { clients: Clients::new(vec![local]).unwrap_or_default(), ..self }
    }

    /// What the desk has to know.
    pub fn terms(&self) -> Terms {
        let patterns = self.locks.iter().map(|section| (section.pattern.clone(), section.terms)).collect();
        Terms { rules: Rules::new(patterns, LockSection::other().terms), keep_history: self.keep_history }
    }

    /// How often a client that can only poll is expected to come for this lock.
    pub fn poll_interval(&self, lock: &LockName) -> Duration {
        let section = self.locks.iter().find(|section| glob::fits_exactly(&section.pattern, lock.as_str()));
        section.map_or(LockSection::other().poll_interval, |section| section.poll_interval)
    }

    /// The locks that the file names, patterns left out.
    pub fn defined(&self) -> Vec<LockName> {
        self.locks.iter().filter_map(|section| LockName::new(&section.pattern).ok()).filter(is_one).collect()
    }
}

/// Whether a name is no pattern.
fn is_one(lock: &LockName) -> bool {
    !lock.as_str().contains(['*', '?'])
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 7424))],
            store: "/var/lib/patch-lockd/locks.db".into(),
            tls: None,
            keep_history: None,
            overdue_hooks: "/etc/patch/overdue.d".into(),
            plain_http: false,
            connections: 12_000,
            locks: Vec::new(),
            clients: Clients::default(),
        }
    }
}

fn read_client(name: &str, s: &Section) -> Result<Client> {
    let sums = |text: &str| values::words(text).iter().map(|word| secret::parse_sum(word).map(Kept::Sha256)).collect();
    let mut secrets: Vec<Kept> = s.read("secret_sha256", sums)?.unwrap_or_default();
    secrets.extend(s.read("secret_argon2", secret::parse_argon2)?.map(Kept::Argon2));
    let client = Client {
        name: name.to_string(),
        id: s.text("id")?.unwrap_or_else(|| name.to_string()),
        secrets,
        certificate: s.text("certificate")?,
        owners: s.words("owners")?,
        locks: s.words("locks")?,
        role: if s.read("admin", yes_or_no)?.unwrap_or(false) { Role::Admin } else { Role::Host },
    };
    if client.id.contains(':') {
        let id = &client.id;
        return Err(s.lacks(&format!(
            "[client {name}] has the id {id:?}, and HTTP Basic carries no colon in it; set another id ="
        )));
    }
    if client.secrets.is_empty() && client.certificate.is_none() {
        return Err(s.lacks(&format!(
            "[client {name}] could never come in; give it secret_sha256 (patch-lockd add-client makes one), secret_argon2 or certificate"
        )));
    }
    if client.owners.is_empty() || client.locks.is_empty() {
        return Err(s.lacks(&format!("[client {name}] lacks owners or locks, and could do nothing; * stands for all")));
    }
    Ok(client)
}

fn yes_or_no(text: &str) -> std::result::Result<bool, String> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        other => Err(format!("{other:?} is neither yes nor no")),
    }
}

fn address(text: &str) -> std::result::Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("{text:?} is no address; write it like 192.0.2.1:7424 or [2001:db8::1]:7424"))
}

fn unknown_section(ini: &Ini, name: &str) -> Error {
    let known = ["lockd", "lock NAME", "client NAME"];
    let hint = values::nearest(name, &known).map(|near| format!("; did you mean [{near}]?")).unwrap_or_default();
    Error::Usage(format!("{}:{}: unknown section [{name}]{hint}", ini.file(), ini.section_line(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "
[lockd]
listen = 127.0.0.1:1 [::1]:2
store = /srv/locks.db
keep_history = 400d
connections = 100
[lock web-eu]
slots = 2
overdue = never
[lock web*]
slots = 3
overdue = 6h
waiters = 5
poll_interval = 1m
[client web]
secret_sha256 = ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad
owners = web*
locks = web*, rack
[client ops]
certificate = ops.example.org
id = 7
owners = *
locks = *
admin = yes
";

    fn words(text: &str) -> String {
        Settings::parse(text, "f.ini").unwrap_err().to_string()
    }

    #[test]
    fn a_whole_file_is_understood() {
        let settings = Settings::parse(WHOLE, "f.ini").unwrap();
        assert_eq!(settings.listen.len(), 2);
        assert_eq!(settings.keep_history, Some(400 * 24 * HOUR));
        let lock = |name| LockName::new(name).unwrap();
        let rules = settings.terms().rules;
        assert_eq!((rules.slots(&lock("web-eu")), rules.slots(&lock("web-us")), rules.slots(&lock("db"))), (2, 3, 1));
        assert_eq!(rules.of(&lock("web-eu")).overdue, None);
        assert_eq!(rules.of(&lock("db")).overdue, Some(4 * HOUR));
        assert_eq!(settings.poll_interval(&lock("web-us")), Duration::from_mins(1));
        assert_eq!(settings.poll_interval(&lock("db")), Duration::from_mins(2));
        assert_eq!(settings.defined(), [lock("web-eu")]);
        assert_eq!(settings.clients.of_id("web").unwrap().locks, ["web*", "rack"]);
        assert_eq!(settings.clients.of_certificate("ops.example.org").unwrap().role, Role::Admin);
        assert!(settings.clients.of_id("ops").is_none(), "its id is another");
    }

    #[test]
    fn an_empty_file_listens_on_loopback_and_lets_nobody_in() {
        let settings = Settings::parse("", "f").unwrap();
        assert_eq!(settings.listen, ["127.0.0.1:7424".parse().unwrap()]);
        assert!(settings.clients.of_id("").is_none() && settings.tls.is_none());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line_and_the_way_out() {
        assert_eq!(
            words("[lockd]\nlisten = here\n"),
            "f.ini:2: listen: \"here\" is no address; write it like 192.0.2.1:7424 or [2001:db8::1]:7424"
        );
        assert_eq!(words("\n[lockd]\nlistn = x\n"), "f.ini:3: unknown key listn in [lockd]; did you mean listen?");
        assert_eq!(words("[lokcd]\n"), "f.ini:1: unknown section [lokcd]; did you mean [lockd]?");
        for (text, part) in [
            ("[lockd]\nlisten = 0.0.0.0:7424\n", "plain text"),
            ("[lockd]\nkey = /k\n", "TLS needs"),
            ("[lockd]\nclient_ca = /k\n", "TLS needs"),
            ("[lockd]\nconnections = 0\n", "above 0"),
            ("[lock]\n", "unknown section"),
            ("[lock w]\nslots = 0\n", "above 0"),
            ("[lock w]\noverdue = soon\n", "no duration"),
            ("[lock w]\npoll_interval = 0\n", "no time"),
            ("[client w]\nowners = *\nlocks = *\n", "never come in"),
            ("[client w]\ncertificate = c\nlocks = *\n", "lacks owners"),
            ("[client w]\ncertificate = c\nlocks = *\nowners = *\nadmin = true\n", "neither yes nor no"),
            ("[client w]\nsecret_sha256 = 12\n", "64 hexadecimal"),
            ("[client w]\nsecret_argon2 = x\n", "hash-secret"),
            ("[lock we/b]\n", "slash"),
            ("[lock a..b]\n", "directory"),
            ("[lock web]\n[lock  web]\n", "f.ini:2: section [lock  web]: lock web has a section already"),
            (
                "[client a]\ncertificate = c\nowners = *\nlocks = *\n[client  a]\ncertificate = d\nid = b\nowners = *\nlocks = *\n",
                "client a has a section already",
            ),
            ("[client a:b]\ncertificate = c\nowners = *\nlocks = *\n", "no colon"),
            (
                "[client w]\nsecret_argon2 = $argon2id$v=19$m=4294967295,t=2,p=1$c29tZXNhbHQ$MTIzNDU2Nzg5MDEyMzQ1Ng\n",
                "of memory",
            ),
            (
                "[client a]\ncertificate = c\nowners = *\nlocks = *\n[client b]\ncertificate = c\nowners = *\nlocks = *\n",
                "same certificate",
            ),
        ] {
            let words = words(text);
            assert!(words.starts_with("f.ini:") && words.contains(part), "{words}");
        }
    }

    #[test]
    fn secrets_are_taken_in_plain_text_from_afar_only_if_that_is_said() {
        assert!(Settings::parse("[lockd]\nlisten = 0.0.0.0:1\nplain_http = yes\n", "f").is_ok());
        assert!(Settings::parse("[lockd]\nlisten = 0.0.0.0:1\ncertificate = /c\nkey = /k\n", "f").is_ok());
    }

    #[test]
    fn what_is_read_again_is_judged_by_the_addresses_that_stay_open() {
        let settings = |text: &str| Settings::parse(text, "f").unwrap();
        let far: [SocketAddr; 1] = ["192.0.2.1:7424".parse().unwrap()];
        let near: [SocketAddr; 1] = ["127.0.0.1:7424".parse().unwrap()];
        let (tls, plain) = (settings("[lockd]\ncertificate = /c\nkey = /k\n"), settings("[lockd]\nplain_http = yes\n"));
        let bare = settings("");
        for (new, old, addresses, part) in [
            (&bare, &tls, &near, "where TLS was spoken"),
            (&plain, &tls, &far, "where TLS was spoken"),
            (&bare, &plain, &far, "refusing plain HTTP at 192.0.2.1:7424"),
        ] {
            let words = new.may_follow(old, addresses).unwrap_err().to_string();
            assert!(words.contains(part), "{words}");
        }
        for (new, old, addresses) in
            [(&tls, &tls, &far), (&plain, &plain, &far), (&tls, &plain, &far), (&bare, &bare, &near)]
        {
            assert!(new.may_follow(old, addresses).is_ok());
        }
    }

    #[test]
    fn a_file_that_holds_secrets_is_hidden_from_others_or_refused() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("lockd.ini");
        std::fs::write(&path, WHOLE).unwrap();
        let load = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            Settings::load(&path).map(drop)
        };
        assert!(load(0o600).is_ok() && load(0o640).is_ok());
        let error = load(0o644).unwrap_err();
        assert!(matches!(&error, Error::Usage(words) if words.contains("chmod o=")), "{error}");
        assert!(load(0o620).unwrap_err().to_string().contains("chmod go-w"));
        std::fs::write(&path, "[lock web]\nslots = 2\n").unwrap();
        assert!(load(0o644).is_ok(), "there is no secret in it");
    }
}
