//! What each section means, with its defaults. `patch-config(5)` is this file in prose.

use std::path::PathBuf;
use std::time::Duration;

use super::origin::{self, Query};
use super::post::{self, Relay};
use super::section::Section;
use super::values::Window;
use crate::error::Result;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const MIB: u64 = 1 << 20;

/// `[host]`: who this host says it is.
#[derive(Debug, Default)]
pub struct HostIdentity {
    /// Instead of the system's host name.
    pub name: Option<String>,
}

impl HostIdentity {
    pub(super) fn read(s: &mut Section) -> Result<Self> {
        Ok(Self { name: s.text("name")? })
    }
}

/// `[grab]`: where clusters come from, and where they may go.
#[derive(Debug)]
pub struct Grab {
    /// `http://`, `https://` or the path of a directory (an NFS mount, a USB disk).
    pub server: Option<String>,
    /// Install directories must lie below it.
    pub base: PathBuf,
    /// This host's own copy of the patch server's public key, in minisign's format.
    pub key: PathBuf,
    /// A certificate authority for `https://` instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// How long an unreachable server is tried again before 69 is said.
    pub retry_for: Duration,
    /// Started by cron, each host waits a part of this before it asks the server, always the same part.
    pub splay: Duration,
    /// Outside it nothing is fetched.
    pub window: Option<Window>,
}

impl Default for Grab {
    fn default() -> Self {
        Self {
            server: None,
            base: "/var/lib/patch".into(),
            key: "/etc/patch/patchflag.pub".into(),
            ca_file: None,
            retry_for: 10 * MINUTE,
            splay: MINUTE,
            window: None,
        }
    }
}

impl Grab {
    pub(super) fn read(s: &mut Section) -> Result<Self> {
        let default = Self::default();
        Ok(Self {
            server: s.read("server", |text| origin::place(text, Query::Refused))?,
            base: s.path("base")?.unwrap_or(default.base),
            key: s.path("key")?.unwrap_or(default.key),
            ca_file: s.path("ca_file")?,
            retry_for: s.duration("retry_for", default.retry_for)?,
            splay: s.duration("splay", default.splay)?,
            window: s.window("window")?,
        })
    }
}

/// When the installing is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Install {
    /// At the maintenance level, in a boot ordered for it.
    Boot,
    /// At the normal level, then a reboot.
    Live,
}

/// `[patchit]`: the installation and what comes after it.
#[derive(Debug)]
pub struct Patchit {
    /// Stages that must be done in this run before anything is installed.
    pub after: Vec<String>,
    /// Outside it no boot is ordered and nothing is installed.
    pub window: Option<Window>,
    /// Where the installing is done.
    pub install: Install,
    /// The installer gets TERM after this time.
    pub deadline: Duration,
    /// What is between TERM and KILL.
    pub grace: Duration,
    /// An order that no boot has followed after this time has failed.
    pub boot_wait: Duration,
    /// How long the host must have been up before it can be confirmed.
    pub soak: Duration,
    /// The normal level must be reached in this time.
    pub settle: Duration,
    /// A program of `confirm.d` or `on_failure.d` gets TERM after this time.
    pub hook_timeout: Duration,
}

impl Default for Patchit {
    fn default() -> Self {
        Self {
            after: Vec::new(),
            window: None,
            install: Install::Boot,
            deadline: 2 * HOUR,
            grace: MINUTE,
            boot_wait: 15 * MINUTE,
            soak: 2 * MINUTE,
            settle: 30 * MINUTE,
            hook_timeout: 5 * MINUTE,
        }
    }
}

impl Patchit {
    pub(super) fn read(s: &mut Section) -> Result<Self> {
        let default = Self::default();
        let install = |text: &str| match text {
            "boot" => Ok(Install::Boot),
            "live" => Ok(Install::Live),
            other => Err(format!("{other:?} is neither boot nor live")),
        };
        Ok(Self {
            after: s.names("after")?,
            window: s.window("window")?,
            install: s.read("install", install)?.unwrap_or(default.install),
            deadline: s.time("deadline", default.deadline)?,
            grace: s.duration("grace", default.grace)?,
            boot_wait: s.time("boot_wait", default.boot_wait)?,
            soak: s.duration("soak", default.soak)?,
            settle: s.duration("settle", default.settle)?,
            hook_timeout: s.time("hook_timeout", default.hook_timeout)?,
        })
    }
}

/// `[preflight]`: what a host must have before it is patched.
#[derive(Debug)]
pub struct Preflight {
    /// Free bytes on `/`, beyond what the cluster itself needs.
    pub root_free: u64,
    /// Free bytes on `/boot`, where that is a file system of its own.
    pub boot_free: u64,
    /// Free bytes on `/var`, beyond what the cluster itself needs.
    pub var_free: u64,
}

impl Default for Preflight {
    fn default() -> Self {
        Self { root_free: 200 * MIB, boot_free: 100 * MIB, var_free: 200 * MIB }
    }
}

impl Preflight {
    pub(super) fn read(s: &mut Section) -> Result<Self> {
        let default = Self::default();
        Ok(Self {
            root_free: s.size("root_free", default.root_free)?,
            boot_free: s.size("boot_free", default.boot_free)?,
            var_free: s.size("var_free", default.var_free)?,
        })
    }
}

/// How a connection to the relay is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// Plain text first, then STARTTLS; without it nothing is sent.
    Starttls,
    /// TLS from the first byte.
    Implicit,
    /// None. Only a relay on this machine is given a password over it.
    None,
}

/// `[mail]`: who is told, and by which way.
#[derive(Debug)]
pub struct Mail {
    /// The administrators: addresses, or names on this host.
    pub to: Vec<String>,
    /// The sender; else `patchflag@HOST`.
    pub from: Option<String>,
    /// Who takes our mail; without it the local sendmail is used.
    pub relay: Option<Relay>,
    /// How the connection is protected.
    pub tls: MailTls,
    /// A certificate authority instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Who we are to the relay.
    pub user: Option<String>,
    /// The first line of this file is the password. It must be readable by root alone.
    pub password_file: Option<PathBuf>,
    /// The local sendmail.
    pub sendmail: PathBuf,
    /// How long delivered mail is kept, so that no run mails twice.
    pub keep: Duration,
}

impl Default for Mail {
    fn default() -> Self {
        Self {
            to: vec!["root".into()],
            from: None,
            relay: None,
            tls: MailTls::Starttls,
            ca_file: None,
            user: None,
            password_file: None,
            sendmail: "/usr/sbin/sendmail".into(),
            keep: 30 * DAY,
        }
    }
}

impl Mail {
    pub(super) fn read(s: &mut Section) -> Result<Self> {
        let default = Self::default();
        let to = s.read("to", post::addresses)?;
        let tls = |text: &str| match text {
            "starttls" => Ok(MailTls::Starttls),
            "implicit" => Ok(MailTls::Implicit),
            "none" => Ok(MailTls::None),
            other => Err(format!("{other:?} is none of starttls, implicit, none")),
        };
        let mail = Self {
            to: to.unwrap_or(default.to),
            from: s.read("from", post::address)?,
            relay: s.read("relay", Relay::parse)?,
            tls: s.read("tls", tls)?.unwrap_or(default.tls),
            ca_file: s.path("ca_file")?,
            user: s.text("user")?,
            password_file: s.path("password_file")?,
            sendmail: s.path("sendmail")?.unwrap_or(default.sendmail),
            keep: s.duration("keep", default.keep)?,
        };
        if mail.user.is_some() != mail.password_file.is_some() {
            return Err(s.lacks("[mail] has one of user and password_file; it takes both or none"));
        }
        if mail.user.is_some() && mail.relay.is_none() {
            return Err(s.lacks("[mail] has a user and no relay = to log in at"));
        }
        let is_far = mail.relay.as_ref().is_some_and(|relay| !relay.is_this_machine());
        if mail.user.is_some() && mail.tls == MailTls::None && is_far {
            return Err(s.lacks("[mail] would send its password in plain text; set tls = starttls or tls = implicit"));
        }
        Ok(mail)
    }
}

/// `[pull]`: the tree that a patch server publishes.
#[derive(Debug)]
pub struct Pull {
    /// The static tree, served by any web server.
    pub tree: PathBuf,
    /// The secret key, root's, mode 0600, without a passphrase.
    pub secret_key: PathBuf,
    /// How long a cluster may be used after it was pulled.
    pub expires: Duration,
    /// Clusters that neither level names are deleted beyond this many.
    pub keep: u64,
}

impl Default for Pull {
    fn default() -> Self {
        Self { tree: "/srv/patch".into(), secret_key: "/etc/patch/patchflag.key".into(), expires: 60 * DAY, keep: 3 }
    }
}

impl Pull {
    pub(super) fn read(s: &mut Section) -> Result<Self> {
        let default = Self::default();
        Ok(Self {
            tree: s.path("tree")?.unwrap_or(default.tree),
            secret_key: s.path("secret_key")?.unwrap_or(default.secret_key),
            expires: s.duration("expires", default.expires)?,
            keep: s.size("keep", default.keep)?,
        })
    }
}

/// `[cluster OS/ARCH]`: where the patches of one release come from.
#[derive(Debug)]
pub struct ClusterSource {
    /// `debian-12/amd64`: the directory in the tree.
    pub release: String,
    /// `script` or `apt`.
    pub kind: String,
    /// Of a script cluster: URL or path of the archive. Of an apt cluster: the archive's base URL or path.
    pub source: String,
    /// Of an apt cluster: `bookworm bookworm-updates`; one that lies in another archive as `bookworm-security@URL`.
    pub suites: Vec<String>,
    /// Of an apt cluster: `main`.
    pub components: Vec<String>,
    /// Of an apt cluster: names or globs of packages; none means all of the suites.
    pub packages: Vec<String>,
    /// Of an apt cluster: the keyring that `gpgv` checks the archive's signature with.
    pub keyring: PathBuf,
    /// The program of a script cluster.
    pub program: String,
    /// A certificate authority for `https://` instead of the system's.
    pub ca_file: Option<PathBuf>,
}

impl ClusterSource {
    pub(super) fn read(release: &str, s: &mut Section) -> Result<Self> {
        let plain = |part: &str| crate::sys::trusted::is_plain_name(part);
        let is_taken = release.starts_with("pool/") || release.starts_with("confirmed/");
        if is_taken || release.split('/').count() != 2 || !release.split('/').all(plain) {
            return Err(
                s.lacks(&format!("[cluster {release}] must name a release and an architecture, like debian-12/amd64"))
            );
        }
        let kind = s.read("kind", |text| match text {
            "script" | "apt" => Ok(text.to_string()),
            other => Err(format!("{other:?} is neither script nor apt")),
        })?;
        let kind = kind.ok_or_else(|| s.lacks("the section lacks kind ="))?;
        let query = if kind == "script" { Query::Allowed } else { Query::Refused };
        let source = s.read("source", |text| origin::place(text, query))?;
        let components = s.words("components")?;
        let cluster = Self {
            release: release.to_string(),
            kind,
            source: source.ok_or_else(|| s.lacks("the section lacks source ="))?,
            suites: s.read("suites", origin::suites)?.unwrap_or_default(),
            components: if components.is_empty() { vec!["main".into()] } else { components },
            packages: s.words("packages")?,
            keyring: s.path("keyring")?.unwrap_or_else(|| "/usr/share/keyrings/debian-archive-keyring.gpg".into()),
            program: s.text("program")?.unwrap_or_else(|| "install_cluster".into()),
            ca_file: s.path("ca_file")?,
        };
        if cluster.kind == "apt" && cluster.suites.is_empty() {
            return Err(s.lacks("the section lacks suites ="));
        }
        Ok(cluster)
    }
}

// The units are read here as well, so that the defaults above can be checked against the words of the man page.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, values};

    #[test]
    fn the_written_out_defaults_are_the_defaults() {
        let text = "[patchit]\ndeadline = 2h\nsoak = 2m\nboot_wait = 15m\n[grab]\nretry_for = 10m\n";
        let config = Config::parse(text, "f").unwrap();
        let default = Patchit::default();
        assert_eq!(config.patchit.deadline, default.deadline);
        assert_eq!(config.patchit.boot_wait, default.boot_wait);
        assert_eq!(config.grab.retry_for, Grab::default().retry_for);
        assert_eq!(values::duration("30m").unwrap(), default.settle);
    }

    #[test]
    fn what_does_not_go_together_is_refused_at_once() {
        for text in [
            "[mail]\nuser = u\n",
            "[mail]\ntls = yes\n",
            "[mail]\nto = root, -oQ/tmp\n",
            "[mail]\nto = ,\n",
            "[mail]\nrelay = a:b\n",
            "[mail]\nrelay = mail.example\ntls = none\nuser = u\npassword_file = /p\n",
            "[mail]\nuser = u\npassword_file = /p\n",
            "[grab]\nbase = relative\n",
            "[patchit]\ninstall = now\n",
            "[cluster debian-12]\nkind = apt\nsource = /x\nsuites = s\n",
            "[cluster ../x/y]\nkind = script\nsource = /x\n",
            "[cluster debian-12/amd64]\nkind = apt\nsource = /x\n",
            "[patchit]\nwindow = 2-5\n",
        ] {
            let error = Config::parse(text, "f.ini").unwrap_err().to_string();
            assert!(error.starts_with("f.ini:"), "{error}");
        }
    }
}
